"""verifiers 0.4: our Env on a taskset, its own interception and client, a model server on loopback, and the service."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("verifiers")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]
sys.path.append(str(Path(__file__).parent))

SIZE = 4


@pytest.fixture
def model() -> Iterator[str]:
    """An OpenAI-compatible server; the policy answers each question in four ways, in turn."""
    from serving import texts_of

    asked: Counter[str] = Counter()

    class Policy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            question = body["messages"][-1]["content"]
            text = texts_of(int(question.split()[2]))[asked[question] % SIZE]
            asked[question] += 1
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            usage = {"prompt_tokens": 8, "completion_tokens": 8, "total_tokens": 16}
            reply = {"id": "1", "object": "chat.completion", "created": 1, "model": "policy", "choices": [choice]}
            content = json.dumps({**reply, "usage": usage}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Policy) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


def episodes(model: str) -> list[Any]:
    """What the Env makes of the taskset, with the service that MEMREWARD_URL names."""
    import verifiers.v1 as vf
    from sums_taskset import AskOnceConfig
    from verifiers.v1.runtimes import SubprocessConfig
    from verifiers.v1.utils.loaders import load_environment

    from memreward.integrations.verifiers import GroupRewardConfig

    config = GroupRewardConfig(
        taskset=vf.TasksetConfig(id="sums_taskset"),
        agent=vf.AgentConfig(harness=AskOnceConfig(id="sums_taskset"), runtime=SubprocessConfig()),
        n=SIZE,
    )
    env = load_environment(config)
    context = vf.ModelContext(
        model="policy", client=vf.EvalClientConfig(base_url=model, api_key_var="NO_KEY"), sampling={}
    )

    async def run() -> list[Any]:
        async with env.serving():
            return [await env.run_slot(env.slots(task)[0], context) for task in env.taskset]

    return asyncio.run(run())


def test_attempts_of_a_task_are_rewarded_as_a_group(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from serving import made_store, served

    store = made_store()
    with served(store) as url:
        monkeypatch.setenv("MEMREWARD_URL", url)
        found = episodes(model)
    store.close()
    assert [len(episode.traces) for episode in found] == [SIZE] * 4
    for episode in found:
        assert episode.ok, episode.errors
        paid = sorted(trace.reward for trace in episode.traces)
        assert sum(paid) == pytest.approx(0, abs=1e-6)
        assert paid[-1] == paid[-2] > paid[1]
        assert {tuple(trace.rewards) for trace in episode.traces} == {("memreward",)}
        assert {trace.metrics["memreward/predicted"] for trace in episode.traces} == {1.0}
        assert sum(trace.metrics["task/exact"] for trace in episode.traces) == 2
        right = [trace.reward for trace in episode.traces if trace.metrics["task/exact"]]
        assert min(right) == paid[-1]


def test_references_of_a_taskset_are_used_as_far_as_labels_go(
    service: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMREWARD_URL", service)
    found = episodes(model)
    for episode in found:
        for trace in episode.traces:
            assert trace.metrics["memreward/truth"] == 1.0
            assert (trace.reward > 0) == (trace.metrics["task/exact"] == 1)


def test_no_episode_begins_without_a_service(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from memreward.integrations import verifiers
    from memreward.types import EndpointError

    monkeypatch.setenv("MEMREWARD_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(verifiers, "Client", partial(verifiers.Client, deadline=1.0))

    with pytest.raises(EndpointError, match="failed"):
        episodes(model)
