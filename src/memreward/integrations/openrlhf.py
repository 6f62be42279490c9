"""OpenRLHF: the reply that `--reward.remote_url` expects, the same as a `reward_func` file, and a start that checks.

    python -m memreward.integrations.openrlhf --algo.advantage.estimator dr_grpo --reward.remote_url URL ...

takes OpenRLHF's own options, refuses those with which it would standardise advantages again, asks the service whether
it is ready, and starts OpenRLHF. Nothing of OpenRLHF is imported before.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from memreward.data.chat import query_id_of
from memreward.integrations.client import Scored, ready_client
from memreward.types import DOMAINS, ConfigurationError, DataError

_QWEN = r"<\|im_start\|>user\n(.*?)<\|im_end\|>"
_LLAMA = r"<\|start_header_id\|>user<\|end_header_id\|>\n\n(.*?)<\|eot_id\|>"
_TURN = re.compile(f"{_QWEN}|{_LLAMA}", re.DOTALL)
_ENDS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "</s>", "<eos>", "<pad>")
CENTRING = "dr_grpo"


def asked_of(query: Any, prompt: Any, label: Any, domain: str) -> dict[str, Any]:
    """Return what the service is asked of one rollout: "query", "text", "group".

    The prompt's last user turn is the question, where it is marked as Qwen's or Llama's chats are. The label is the
    reference as text, or a JSON object with "id", "text", "domain", "reference", each where it is known, or nothing.
    Raises DataError where the row does not say enough.
    """
    if not isinstance(query, str) or not isinstance(prompt, str):
        raise DataError("query and prompt must be texts, one rollout a request")
    known = _label(label)
    turns = _TURN.findall(prompt)
    text = known.get("text") or ("".join(turns[-1]).strip() if turns else prompt)
    given = str(known.get("domain", domain))
    if given not in DOMAINS:
        raise DataError(f"domain {given!r} is none of {', '.join(DOMAINS)}: name it in the address, ?domain=math")
    identity = str(known.get("id") or query_id_of(prompt))
    asked = {"id": identity, "text": text, "domain": given, "dataset": str(known.get("dataset", ""))}
    if isinstance(known.get("reference"), str) and known["reference"]:
        asked["reference"] = known["reference"]
    completion = query[len(prompt) :] if query.startswith(prompt) else query
    return {"query": asked, "text": _without_ends(completion), "group": f"openrlhf/{identity}"}


def reply_of(scored: Scored) -> dict[str, Any]:
    """Return OpenRLHF's reply to one rollout."""
    right = 0.5 if scored.probability is None else scored.probability
    score = right if scored.correct is None else float(scored.correct)
    return {"rewards": float(scored.reward), "scores": float(score), "extra_logs": scored.numbers()}


def reward_func(queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any]) -> dict[str, Any]:
    """Return rewards as a tensor, for `--reward.remote_url FILE.py` with `from ... import reward_func`.

    It blocks a thread until the group is whole, and OpenRLHF has few of them: more groups under way at a time than
    threads wait for each other until their deadline. The service's own address, `URL/openrlhf`, has no such limit.
    MEMREWARD_GROUP_SIZE holds the rollouts of a group, MEMREWARD_DOMAIN the domain.
    """
    import torch

    size, domain = os.environ.get("MEMREWARD_GROUP_SIZE", ""), os.environ.get("MEMREWARD_DOMAIN", "math")
    if not size.isdigit():
        raise ConfigurationError("MEMREWARD_GROUP_SIZE must hold the value of --rollout.n_samples_per_prompt")
    replies = [_reply(*row, int(size), domain) for row in zip(queries, prompts, labels, strict=True)]
    names = ("rewards", "scores")
    tensors = {name: torch.tensor([reply[name] for reply in replies], dtype=torch.float32) for name in names}
    logs = {name: torch.tensor([reply["extra_logs"][name] for reply in replies]) for name in replies[0]["extra_logs"]}
    return {**tensors, "extra_logs": logs}


def check_options(options: Sequence[str]) -> None:
    """Refuse options of OpenRLHF with which it would do more to a reward than subtract its group's mean."""
    if (estimator := _option(options, "--algo.advantage.estimator")) != CENTRING:
        raise ConfigurationError(
            f"--algo.advantage.estimator {estimator or 'gae (the default)'} standardises again what is an expected "
            f"advantage already, or does not centre: --algo.advantage.estimator {CENTRING}"
        )
    if "--reward.normalize_enable" in options:
        raise ConfigurationError("--reward.normalize_enable rescales expected advantages: leave it out")
    size = _option(options, "--rollout.n_samples_per_prompt") or "1"
    url = _option(options, "--reward.remote_url") or ""
    asked = parse_qs(urlsplit(url).query).get("size", [size])[0]
    if not size.isdigit() or int(size) < 2 or asked != size:
        raise ConfigurationError(
            f"--rollout.n_samples_per_prompt {size} and the size={asked} in --reward.remote_url must be one number, "
            "at least 2"
        )


def main(options: Sequence[str]) -> None:
    """Check, ask the service, and start OpenRLHF with the same options."""
    check_options(options)
    url = _option(options, "--reward.remote_url") or ""
    address = urlsplit(url)
    if address.scheme in ("http", "https"):
        ready_client(f"{address.scheme}://{address.netloc.rpartition('@')[2]}", 30.0)
    import runpy

    sys.argv = ["openrlhf.cli.train_ppo_ray", *options]
    runpy.run_module("openrlhf.cli.train_ppo_ray", run_name="__main__", alter_sys=True)


def _without_ends(text: str) -> str:
    """A completion without the special tokens that end it."""
    while (cut := text.rstrip()).endswith(_ENDS):
        text = cut[: max(cut.rfind(end) for end in _ENDS if cut.endswith(end))]
    return cut


def _reply(query: str, prompt: str, label: Any, size: int, domain: str) -> dict[str, Any]:
    try:
        asked = asked_of(query, prompt, label, domain)
    except DataError as error:
        return reply_of(Scored.failure(str(error)))
    client = ready_client(deadline=170.0)
    return reply_of(client.now(client.reward(size=size, **asked)))


def _label(label: Any) -> dict[str, Any]:
    if isinstance(label, str) and label.lstrip().startswith("{"):
        try:
            found = json.loads(label)
        except ValueError:
            found = None
        if isinstance(found, dict):
            return found
    return {"reference": label} if isinstance(label, str) and label else {}


def _option(options: Sequence[str], name: str) -> str | None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(name, dest="given", nargs="?")
    found: str | None = parser.parse_known_args(options)[0].given
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
