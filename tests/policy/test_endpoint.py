"""Sampling from scripted servers: what is asked, what is left out, and how each failure ends."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from journalled import journalled
from loopback import Loopback, Reply, Request
from typer.testing import CliRunner

from memreward.cli import app
from memreward.data import read_groups
from memreward.policy.collect import CollectConfig, collect
from memreward.policy.endpoint import EndpointSampler
from memreward.policy.sampler import Chat, SampledGroup
from memreward.policy.settings import EndpointConfig, SamplingConfig
from memreward.types import ConfigurationError, EndpointError, MissingExtraError
from rows import each_row

SAMPLING = SamplingConfig("m", rollouts=4, temperature=0.7, top_p=0.9, max_new_tokens=16)
CHATS = [
    Chat(f"q{n}", "math", [{"role": "system", "content": "Answer."}, {"role": "user", "content": f"What is {n}{{}}?"}])
    for n in range(3)
]
KEY = "sk-a-very-secret-key"


def choice(text: str) -> dict[str, Any]:
    logprobs = {"content": [{"token": character, "logprob": -0.5} for character in text]}
    return {"message": {"role": "assistant", "content": text}, "finish_reason": "stop", "logprobs": logprobs}


def several(request: Request) -> Reply:
    """A server like vLLM: several choices, with log-probabilities."""
    count = request.body.get("n", 1)
    texts = [f"{request.body['seed'] % 1000}-{index}" for index in range(count)]
    return Reply(200, {"choices": [choice(text) for text in texts]})


def single(request: Request) -> Reply:
    """A server like Ollama: `n` is ignored."""
    return several(Request(request.path, {**request.body, "n": 1}, request.headers, request.time))


def refusing(words: str, *names: str, status: int = 400) -> Any:
    """A server that refuses requests with one of these parts."""

    def answer(request: Request) -> Reply:
        if any(name in request.body for name in names):
            return Reply(status, {"error": {"message": words, "type": "invalid_request_error"}})
        return several(Request(request.path, {"seed": 1, **request.body}, request.headers, request.time))

    return answer


def sample(server: Loopback, chats: list[Chat] = CHATS, **endpoint: Any) -> dict[str, SampledGroup]:
    sampler = EndpointSampler(SAMPLING, EndpointConfig(server.url, **endpoint))
    groups = {group.id: group for group in sampler.sample(sampler.prompts(chats))}
    assert groups.keys() == {chat.id for chat in chats}
    assert all(len(group.samples) == SAMPLING.rollouts for group in groups.values())
    return groups


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that no server asked for are short."""
    monkeypatch.setattr("memreward.policy.connection._FIRST_PAUSE", 0.05)


@pytest.fixture
def config(tmp_path: Path) -> CollectConfig:
    with (tmp_path / "questions.jsonl").open("w", encoding="utf-8") as file:
        for index in range(5):
            record = {"id": f"q{index}", "dataset": "made/up", "domain": "math", "query": f"What is {index} + 2?"}
            file.write(json.dumps({**record, "reference": str(index + 2), "rollouts": []}) + "\n")
    return CollectConfig(
        output=str(tmp_path / "rollouts.jsonl"), sampling=SAMPLING, questions=(str(tmp_path / "questions.jsonl"),)
    )


def test_a_group_is_one_request_where_the_server_gives_several_choices() -> None:
    with Loopback(several) as server:
        groups = sample(server)
    assert len(server.requests) == len(CHATS)
    assert {request.path for request in server.requests} == {"/v1/chat/completions"}
    body = server.bodies[0]
    assert {name: body[name] for name in ("model", "n", "temperature", "top_p", "max_tokens", "logprobs")} == {
        "model": "m", "n": 4, "temperature": 0.7, "top_p": 0.9, "max_tokens": 16, "logprobs": True,
    }  # fmt: skip
    assert body["messages"] == CHATS[0].messages
    assert len({body["seed"] for body in server.bodies}) == len(CHATS)
    for group in groups.values():
        assert all(sample.token_logprobs == (-0.5,) * len(sample.text) for sample in group.samples)
        assert len({sample.text for sample in group.samples}) == 4


def test_a_server_that_ignores_n_is_asked_once_a_rollout_with_seeds_that_differ() -> None:
    with Loopback(single) as server:
        sample(server)
    assert server.bodies[0]["n"] == 4
    assert all("n" not in body for body in server.bodies[1:])
    assert len(server.requests) == 4 * len(CHATS)
    assert len({body["seed"] for body in server.bodies}) == 4 * len(CHATS)


def test_seeds_depend_on_run_group_and_place_only() -> None:
    def seeds(order: list[Chat], seed: int, parallel: int) -> dict[str, set[int]]:
        with Loopback(single) as server:
            sampler = EndpointSampler(replace(SAMPLING, seed=seed), EndpointConfig(server.url, parallel=parallel))
            list(sampler.sample(sampler.prompts(order)))
        found: dict[str, set[int]] = {}
        for body in server.bodies:
            found.setdefault(body["messages"][-1]["content"], set()).add(body["seed"])
        return found

    first = seeds(CHATS, 0, 1)
    assert seeds(CHATS[::-1], 0, 8) == first
    assert all(not (first[name] & other) for name, other in seeds(CHATS, 1, 1).items())


def test_a_server_with_a_limit_on_n_is_asked_for_the_rest() -> None:
    def at_most_three(request: Request) -> Reply:
        return several(replace(request, body={**request.body, "n": min(request.body.get("n", 1), 3)}))

    with Loopback(at_most_three) as server:
        groups = sample(server, CHATS[:1])
    assert [body.get("n") for body in server.bodies] == [4, None]
    assert len({sample.text for sample in groups["q0"].samples}) == 4


@each_row(
    ("answer", "left_out"),
    [
        (refusing("Only one completion choice is allowed", "n"), {"n"}),
        (refusing("n > 1 is not supported", "n", status=501), {"n"}),
        (refusing("logprobs are not enabled on this server", "logprobs"), {"logprobs", "top_logprobs"}),
        (
            refusing("logprobs is not supported for models created with logits_all=False", "logprobs", status=500),
            {"logprobs", "top_logprobs"},
        ),
        (refusing("Unexpected fields: {'seed'}", "seed", status=422), {"seed"}),
        (refusing("Bad request", "seed", "logprobs"), {"n", "logprobs", "top_logprobs", "seed"}),
        (refusing("Use max_completion_tokens instead of max_tokens", "max_tokens"), {"max_tokens"}),
    ],
)
def test_what_a_server_refuses_is_left_out_of_all_further_requests(answer: Any, left_out: set[str]) -> None:
    with Loopback(answer) as server:
        sample(server, parallel=4)
    refused = [body for body in server.bodies if body.keys() & left_out]
    taken = [body for body in server.bodies if not body.keys() & left_out]
    assert server.bodies[: len(refused)] == refused
    assert len(taken) == (len(CHATS) if "n" not in left_out else 4 * len(CHATS))
    for name in {"n", "logprobs", "seed"} - left_out:
        assert all(name in body for body in taken)
    assert all({"max_tokens", "max_completion_tokens"} & body.keys() for body in taken)


def test_requests_are_under_way_together_up_to_the_limit() -> None:
    together = threading.Barrier(3)

    def answer(request: Request) -> Reply:
        if "n" not in request.body:
            together.wait(60)
        return single(request)

    # The first request finds out that n is ignored; 9 of the 10 are left, which none but three at a time can pass.
    with Loopback(answer) as server:
        sampler = EndpointSampler(replace(SAMPLING, rollouts=5), EndpointConfig(server.url, parallel=3))
        chats = [replace(CHATS[0], id=str(n)) for n in range(2)]
        assert len(list(sampler.sample(sampler.prompts(chats)))) == 2
    assert len(server.requests) == 10
    assert server.most_under_way == 3


@each_row("fault", ["drop", "half", "garbage", "wrong shape", "500", "502"])
def test_a_passing_failure_is_tried_again(fault: str) -> None:
    with Loopback(several, [fault, None, fault]) as server:
        sample(server, parallel=1)
    assert len(server.requests) == len(CHATS) + 2
    assert server.bodies[0] == server.bodies[1]
    assert server.bodies[2] == server.bodies[3]


@pytest.mark.parametrize("fault", ["slow", "trickle"])
def test_an_answer_that_does_not_come_is_given_up_and_asked_for_again(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memreward.policy.connection.TIMEOUT_S", 0.5)
    with Loopback(several, [fault]) as server:
        sample(server)
    assert len(server.requests) > len(CHATS)  # by one, or more where the machine is too busy to answer in time


def test_retry_after_holds_for_every_request() -> None:
    with Loopback(several, [None, "429"]) as server:
        sample(server, CHATS, parallel=1)
    refused, *rest = server.requests[1:]
    assert len(rest) == 2
    assert all(request.time - refused.time >= 1.0 for request in rest)


@pytest.mark.parametrize("value", ["4000", formatdate(time.time() + 5000, usegmt=True)], ids=["seconds", "date"])
def test_a_server_that_asks_for_too_much_patience_is_named(value: str) -> None:
    with (
        Loopback(lambda _: Reply(429, {"error": "busy"}, {"Retry-After": value})) as server,
        pytest.raises(EndpointError, match=r"429: busy; it says to come back in \d{4} s"),
    ):
        sample(server)


@pytest.mark.slow
def test_failing_for_good_says_how_often_and_why_and_warns_on_the_way(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memreward.policy.connection.ATTEMPTS", 4)
    with (
        Loopback(lambda _: Reply(503, {"error": {"message": "loading model"}})) as server,
        caplog.at_level(logging.WARNING, "memreward"),
        pytest.raises(EndpointError, match=r"failed 4 times in a row, at last with 503: loading model"),
    ):
        sample(server, parallel=1)
    assert len(server.requests) == 4
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "attempt 3 of 4 failed: 503: loading model"
    ]


def test_no_server_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memreward.policy.connection.ATTEMPTS", 2)
    with Loopback(several) as server:
        pass
    with pytest.raises(EndpointError, match=r"ConnectError.*look at the server"):
        sample(server)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (
            Reply(401, {"error": {"message": f"Incorrect API key: {KEY}"}}),
            r"\*\*\*.*the key in MEMREWARD_API_KEY",
        ),
        (Reply(403, {"detail": "Forbidden"}), "403: Forbidden.*check the key in MEMREWARD_API_KEY"),
        (Reply(404, {"detail": "Not Found"}), "nothing answers at /chat/completions.*ends on /v1"),
        (Reply(404, b"404 page not found"), "nothing answers at /chat/completions.*ends on /v1"),
        (Reply(307, b"", {"Location": "http://elsewhere/"}), "nothing answers at"),
        (Reply(429, {"error": {"message": "You exceeded it", "code": "insufficient_quota"}}), "no quota left"),
        (Reply(400, {"error": {"message": "maximum context length is 4 tokens"}}), "'q0'.*maximum context length"),
    ],
)
def test_what_does_not_pass_is_named_at_once(reply: Reply, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMREWARD_API_KEY", KEY + "\n")
    with Loopback(lambda _: reply) as server, pytest.raises(ConfigurationError, match=words) as caught:
        sample(server, CHATS[:1])
    assert KEY not in str(caught.value)
    tried = {json.dumps(body, sort_keys=True) for body in server.bodies}
    assert len(tried) == len(server.bodies)
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {KEY}"}


def test_a_missing_key_is_asked_for_and_none_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEMREWARD_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with (
        Loopback(lambda _: Reply(401, {"error": "Unauthorized"})) as server,
        pytest.raises(ConfigurationError, match="put its key into the variable MEMREWARD_API_KEY"),
    ):
        sample(server)
    assert "authorization" not in server.requests[0].headers


def test_a_key_that_cannot_be_one_is_refused_unsaid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMREWARD_API_KEY", f"{KEY}\nx")
    with Loopback(several) as server, pytest.raises(ConfigurationError, match="MEMREWARD_API_KEY holds") as caught:
        sample(server)
    assert KEY not in str(caught.value)


@each_row(
    "said",
    [
        (404, {"object": "error", "message": "The model `m` does not exist.", "type": "NotFoundError", "code": 404}),
        (404, {"error": {"message": 'model "m" not found, try pulling it first', "type": "api_error"}}),
        (400, {"detail": "Server is pinned to 'other'; requested 'm'."}),
    ],
)
@each_row(
    ("models", "words"),
    [
        (Reply(200, {"data": [{"id": "one"}, {"id": "two"}]}), "name one of one, two"),
        (Reply(500, b"Internal Server Error"), "does not list them"),
    ],
)
def test_an_unknown_model_is_named_with_those_there_are(said: Any, models: Reply, words: str) -> None:
    def answer(request: Request) -> Reply:
        return models if request.path == "/v1/models" else Reply(*said)

    with Loopback(answer) as server, pytest.raises(ConfigurationError, match=rf"does not have model 'm'.*{words}"):
        sample(server)


def test_a_request_refused_later_keeps_what_was_finished(config: CollectConfig) -> None:
    def answer(request: Request) -> Reply:
        if "3 + 2" in request.body["messages"][-1]["content"]:
            return Reply(400, {"error": {"message": "too long"}})
        return several(request)

    with Loopback(answer) as server:
        config = replace(config, endpoint=EndpointConfig(server.url, parallel=1))
        with pytest.raises(ConfigurationError, match=r"query 'q3' \(400: too long\)"):
            collect(config)
        assert len(server.requests) == 4
        server.answer = several
        collect(config)
        assert len(server.requests) == 6
    assert [group.query.id for group in read_groups(config.output)] == [f"q{index}" for index in range(5)]


def test_what_was_begun_goes_on_with_the_same_settings_alone_and_is_judged(config: CollectConfig) -> None:
    def answer(request: Request) -> Reply:
        question = request.body["messages"][-1]["content"]
        right = next((str(number + 2) for number in range(5) if f"is {number} + 2" in question), "")
        if right == "5" and len(server.requests) < 5:
            return Reply(400, {"error": {"message": "too long"}})
        return Reply(200, {"choices": [choice(f"\\boxed{{{right}}}"), choice("\\boxed{99}")]})

    with Loopback(answer) as server:
        sampling = replace(config.sampling, rollouts=2)
        config = replace(config, sampling=sampling, endpoint=EndpointConfig(server.url, parallel=1))
        with pytest.raises(ConfigurationError, match="too long"):
            collect(config)
        with pytest.raises(ConfigurationError, match=r"begun with other settings: temperature was 0\.7 and is 0\.1"):
            collect(replace(config, sampling=replace(sampling, temperature=0.1)))
        groups = list(read_groups(collect(config)))
    assert [group.truth.correct for group in groups] == [(True, False)] * 5


def test_closing_ends_the_requests() -> None:
    held = threading.Event()

    def answer(request: Request) -> Reply:
        if len(server.requests) > 3:
            held.wait(60)
        return several(request)

    chats = [replace(CHATS[0], id=str(n)) for n in range(20)]
    with Loopback(answer) as server:
        sampler = EndpointSampler(SAMPLING, EndpointConfig(server.url, parallel=2))
        groups = sampler.sample(sampler.prompts(chats))
        next(groups)
        groups.close()
        asked = len(server.requests)
        held.set()
        assert asked <= 5
    assert len(server.requests) <= asked + 2  # those that were under way


def test_it_samples_where_an_event_loop_runs_already(config: CollectConfig) -> None:
    async def notebook() -> Path:
        return collect(replace(config, endpoint=EndpointConfig(server.url)))

    with Loopback(several) as server:
        assert len(list(read_groups(asyncio.run(notebook())))) == 5


def test_the_file_holds_log_probabilities_and_no_address_or_key(
    config: CollectConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMREWARD_API_KEY", KEY)
    with Loopback(several) as server:
        collect(replace(config, endpoint=EndpointConfig(server.url)))
    text = Path(config.output).read_text(encoding="utf-8")
    assert KEY not in text
    assert server.url not in text
    for record in map(json.loads, text.splitlines()):
        assert all(rollout["token_logprobs"] == [-0.5] * len(rollout["text"]) for rollout in record["rollouts"])
        assert all(rollout["truncated"] is False for rollout in record["rollouts"])


def collected(server: Loopback, config: CollectConfig, output: str) -> Any:
    options = ["--url", server.url, "--model", "m", "--rollouts", "4"]
    arguments = ["collect", *options, "--out", output, "--questions", config.questions[0], "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout), result.stderr


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".parquet"])
def test_the_command_reports_what_it_wrote(config: CollectConfig, suffix: str) -> None:
    with Loopback(several) as server:
        report, said = collected(server, config, config.output.replace(".jsonl", suffix))
    assert (report["queries"], report["rollouts"], report["distinct"]) == (5, 20, 1.0)
    assert "same text" not in said


def test_the_command_says_when_a_server_does_not_sample(config: CollectConfig) -> None:
    with Loopback(lambda request: Reply(200, {"choices": [choice("4")] * request.body["n"]})) as server:
        report, said = collected(server, config, config.output)
    assert report["distinct"] == 0.25
    assert "Every rollout of a question has the same text" in said


@each_row(
    ("change", "words"),
    [
        ({"url": "localhost:8000/v1"}, "http://localhost:8000/v1"),
        ({"url": "http://"}, "give an address"),
        ({"url": f"http://me:{KEY}@host/v1"}, "leave them out"),
        ({"url": f"http://host/v1?key={KEY}"}, "leave them out"),
        ({"parallel": 0}, "parallel is 0"),
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        EndpointConfig(**change)
    assert KEY not in str(caught.value)


def test_without_httpx_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    monkeypatch.delitem(sys.modules, "memreward.policy.connection", raising=False)
    with pytest.raises(MissingExtraError, match=r"memreward\[endpoint\]"):
        importlib.import_module("memreward.policy.connection")


@pytest.mark.slow
def test_ctrl_c_ends_at_once_and_keeps_what_was_finished(config: CollectConfig) -> None:
    with Loopback(several, [None, "slow", "slow"]) as server:
        arguments = ["--url", server.url, "--model", "m", "--rollouts", "4", "--parallel", "2", "--out", config.output]
        arguments += ["--questions", config.questions[0]]
        # Children of a shell's background job ignore interrupts unless told otherwise.
        code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import memreward.__main__"
        process = subprocess.Popen(
            [sys.executable, "-c", code, "collect", *arguments], stderr=subprocess.PIPE, text=True
        )
        while process.poll() is None and (len(server.requests) < 3 or not journalled(config)):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "run the same command again" in said
    assert list(journalled(config)) == ["q0"]
