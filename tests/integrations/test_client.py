"""The one client: what it sends again, for how long, and that it pickles."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from loopback import Loopback, Reply, Request

from memreward.integrations import client as asking
from memreward.integrations.client import Client, Scored, ready_client
from memreward.types import ConfigurationError, EndpointError, FaultError

GOOD = {
    "rollout": "r",
    "reward": 0.5,
    "source": "predicted",
    "probability": 0.7,
    "correct": None,
    "reason": "",
    "failed": False,
    "partial": False,
    "figures": {"live_tpr": 0.9},
}
QUERY = {"id": "q", "text": "2 + 3?", "domain": "math"}


class Service(Loopback):
    """Stands for the service: replies as it is told, one status a request, then 200."""

    def __init__(self) -> None:
        super().__init__(self._answered)
        self.replies: list[int] = []

    def _answered(self, request: Request) -> Reply:
        if not request.body:
            return Reply(200, {"pays": "advantages"})
        return Reply(self.replies.pop(0) if self.replies else 200, GOOD, {"Retry-After": "0"})


@pytest.fixture
def server() -> Iterator[Service]:
    with Service() as made:
        yield made


def ask(client: Client, text: str = "5", *, forgiving: bool = False) -> Scored:
    async def answer() -> Scored:
        try:
            asked = client.reward if forgiving else client.score_one
            return await asked(group="g", size=4, query=QUERY, text=text)
        finally:
            await client.close()

    return asyncio.run(answer())


def test_what_passes_is_sent_again_under_the_same_id(server: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMREWARD_TOKEN", "a-token-of-some-length")
    monkeypatch.setattr(asking, "_FIRST_PAUSE", 0.02)
    server.replies, server.faults = [503, 429, 502], ["drop"]
    found = ask(Client(server.url), "\ud800 odd")
    assert (found.reward, found.source, found.figures) == (0.5, "predicted", {"live_tpr": 0.9})
    assert len(server.bodies) == 5
    assert len({body["rollout"]["id"] for body in server.bodies}) == 1
    assert {body["rollout"]["text"] for body in server.bodies} == {"\ud800 odd"}
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer a-token-of-some-length"}


@pytest.mark.parametrize("status", [400, 401, 409, 413, 422])
def test_what_does_not_pass_is_not_sent_again(server: Service, status: int) -> None:
    server.replies = [status]
    with pytest.raises(ConfigurationError, match=str(status)):
        ask(Client(server.url))
    assert len(server.bodies) == 1


def test_a_bug_of_the_service_is_not_asked_again_and_never_an_abstention(server: Service) -> None:
    server.replies = [500]
    with pytest.raises(FaultError, match="500"):
        ask(Client(server.url), forgiving=True)
    assert len(server.bodies) == 1


def test_a_deadline_holds_over_all_that_is_tried(server: Service) -> None:
    server.replies, server.faults = [503] * 100, ["slow"]
    started = time.monotonic()
    with pytest.raises(EndpointError, match="failed"):
        ask(Client(server.url, deadline=1.0))
    assert time.monotonic() - started < 3


def test_no_process_has_a_client_of_a_service_that_is_not_ready() -> None:
    for _ in range(2):
        with pytest.raises(EndpointError, match="/ready"):
            ready_client("http://127.0.0.1:9", 0.5)


def test_a_failure_is_a_reward_that_adds_nothing_with_the_same_numbers_as_any_other_and_the_log_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failed = ask(Client("http://127.0.0.1:9", deadline=0.5), forgiving=True)
    assert (failed.reward, failed.source, failed.failed) == (0.0, "abstained", True)
    assert f"no reward: {failed.reason}" in caplog.messages
    good = Scored(0.4, "predicted", 0.6).numbers()
    assert good.keys() == failed.numbers().keys()
    assert all(type(value) is float for value in [*good.values(), *failed.numbers().values()])


def test_it_pickles_and_is_used_from_threads_without_a_loop(server: Service) -> None:
    client = Client(server.url, deadline=20)
    ask(client)
    copy = pickle.loads(pickle.dumps(client))
    found = [copy.now(copy.score_one(group="g", size=4, query=QUERY, text=str(i))).reward for i in range(3)]
    assert found == [0.5] * 3
    client.now(client.ready())
    for one in (copy, client):
        one.now(one.close())


@pytest.mark.slow
def test_a_process_that_ends_with_connections_open_says_nothing_of_them(server: Service) -> None:
    asking = (
        "import sys; from memreward.integrations.client import Client; one = Client(sys.argv[1]); one.now(one.ready())"
    )
    done = subprocess.run([sys.executable, "-c", asking, server.url], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not an address"):
        Client("localhost:8765")
