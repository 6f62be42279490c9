"""A judge of free text to plug in: a function, or a language model behind an OpenAI-compatible address."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from memreward.types import Claim, EndpointError, Verdict

Decide = Callable[[str, str, str], bool | None]
"""Question, answer and reference ("" where none is given) to a verdict, or None where it cannot be told."""

_AT_ONCE = 8
_ASKED = (
    "Question:\n{question}\n\nReference answer:\n{reference}\n\nAnswer to judge:\n{answer}\n\n"
    "Does the answer say the same as the reference? Reply with one word, yes or no."
)
_ASKED_ALONE = (
    "Question:\n{question}\n\nAnswer to judge:\n{answer}\n\nIs the answer right? Reply with one word, yes or no."
)


@dataclass(frozen=True)
class JudgeConfig:
    """A language model that judges free text.

    Attributes:
        url: OpenAI-compatible address, such as http://localhost:8000/v1; "" compares strings.
        model: The model's name there.
        seconds: Time limit of a request.
    """

    url: str = ""
    model: str = ""
    seconds: float = 60.0

    def judge(self) -> JudgeVerifier | None:
        """Return the verifier; None without an address."""
        return JudgeVerifier(f"judge-{self.model}", lambda *claim: _asked(self, *claim)) if self.url else None


class JudgeVerifier:
    """Asks a judge about each answer; its verdicts are labels, in the ledger under its name.

    Args:
        name: What the ledger calls it.
        decide: The judge; several are asked at once, from threads.
        needs_reference: False asks without references, which then stay sealed.
    """

    def __init__(self, name: str, decide: Decide, *, needs_reference: bool = True) -> None:
        self.name, self.decide, self.needs_reference = name, decide, needs_reference

    def subject(self, claim: Claim) -> tuple[str | None, ...]:
        """Return all that a verdict depends on: the key of a cache."""
        return claim.rollout.query.text, claim.rollout.answer, claim.reference

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        """See `memreward.types.Verifier.verify`."""
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return list(threads.map(self._verdict, claims))

    def _verdict(self, claim: Claim) -> Verdict:
        answer = claim.rollout.answer
        if answer is None:
            return Verdict(None, "no answer is marked in the text")
        try:
            correct = self.decide(claim.rollout.query.text, answer, claim.reference)
        except EndpointError as error:
            return Verdict(None, str(error))
        return Verdict(correct, "the judge says so" if correct is not None else "the judge cannot tell")


def _asked(config: JudgeConfig, question: str, answer: str, reference: str) -> bool | None:
    """The model's verdict.

    Raises:
        EndpointError: the server cannot be reached, or does not reply as it should.
    """
    text = (_ASKED if reference else _ASKED_ALONE).format(question=question, answer=answer, reference=reference)
    body = {"model": config.model, "messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": 8}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', '-')}"}
    url = f"{config.url.rstrip('/')}/chat/completions"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=config.seconds) as reply:
            said = json.loads(reply.read())["choices"][0]["message"]["content"]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise EndpointError(f"the judge at {config.url} did not answer ({error}); check address and model") from error
    word = str(said).strip().lower().strip(".!*\"' ")
    return {"yes": True, "no": False}.get(word)
