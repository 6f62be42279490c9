"""The service on a real socket: groups, duplicates, lost clients, odd texts, limits."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest
from serving import HEADERS, PLAIN, client, group, made_store, ones, query, served, texts_of

from memreward.data import group_from_record
from memreward.integrations.client import Scored
from memreward.memory import ExperienceMemory
from memreward.reward import PolicyReward
from memreward.reward.valuers import Majority
from memreward.service.batching import Batcher
from memreward.service.config import ServiceConfig
from memreward.service.messages import AskedGroup, AskedRollout, ScoreOneRequest
from memreward.service.middleware import Buckets
from memreward.service.store import Answered, GroupStore
from memreward.types import DOMAINS
from rows import each_row

TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    store = made_store()
    with served(store, ServiceConfig(group_deadline=20)) as address:
        yield address
    store.close()


async def post_all(url: str, bodies: Sequence[dict[str, Any]], path: str = "/score_one") -> list[httpx.Response]:
    async with httpx.AsyncClient(base_url=url, timeout=60, **PLAIN, headers=HEADERS) as asking:
        return await asyncio.gather(*(asking.post(path, content=json.dumps(body)) for body in bodies))


def rewards(replies: Sequence[httpx.Response]) -> list[float]:
    assert {reply.status_code for reply in replies} == {200}, [reply.text for reply in replies][:3]
    return [reply.json()["reward"] for reply in replies]


@pytest.fixture
def untold() -> Iterator[str]:
    """A service that no other test has told anything."""
    store = made_store()
    with served(store, ServiceConfig(group_deadline=20)) as address:
        yield address
    store.close()


def test_rollouts_sent_one_by_one_get_what_their_group_gets_together(untold: str) -> None:
    url, groups = untold, [group(number, 1) for number in range(6)]
    bodies = [body for whole in groups for body in ones(whole)]
    order = random.Random(0).sample(range(len(bodies)), len(bodies))
    found = dict(zip(order, asyncio.run(post_all(url, [bodies[i] for i in order])), strict=True))
    apart = rewards([found[i] for i in range(len(bodies))])
    # The same groups again, whole: names that were answered are answered alike.
    with client(url) as asking:
        said = asking.post("/score", content=json.dumps({"groups": groups})).json()
    together = [one["reward"] for answers in said["groups"] for one in answers["rewards"]]
    assert apart == together
    assert not any(reply.json()["partial"] for reply in found.values())
    other = made_store()
    with served(other) as fresh, client(fresh) as asking:
        anew = asking.post("/score", content=json.dumps({"groups": groups})).json()
    # Scored in other batches, in which products are summed in another order.
    again = [one["reward"] for answers in anew["groups"] for one in answers["rewards"]]
    assert again == pytest.approx(apart, abs=1e-12)


def test_a_group_that_does_not_get_whole_is_answered_in_time_and_marked(url: str) -> None:
    bodies = [{**body, "deadline": 0.3} for body in ones(group(20))[:3]]
    started = time.monotonic()
    replies = asyncio.run(post_all(url, bodies))
    assert time.monotonic() - started < 15
    assert all(reply.json()["partial"] for reply in replies)
    assert sum(rewards(replies)) == pytest.approx(0, abs=1e-9)
    late = asyncio.run(post_all(url, [{**ones(group(20))[3], "deadline": 0.1}]))
    assert rewards(late) == [0]  # alone, it has no advantage


def test_the_same_request_twice_is_one_rollout(url: str) -> None:
    bodies = ones(group(21))
    replies = asyncio.run(post_all(url, [*bodies[:2], *bodies[:2], *bodies]))
    found = rewards(replies)
    assert found[:2] == found[2:4] == found[4:6]
    again = rewards(asyncio.run(post_all(url, bodies)))
    assert again == found[4:]


def test_contradictions_are_conflicts_and_leave_the_group_as_it_was(url: str) -> None:
    bodies = ones(group(22))
    wrong = [
        {**bodies[1], "size": 5},
        {**bodies[1], "query": {**query(22), "text": "Another question?"}},
        {**bodies[0], "rollout": {"id": "0", "text": "another text"}},
    ]

    async def ask() -> list[list[httpx.Response]]:
        first = asyncio.create_task(post_all(url, bodies[:1]))
        async with httpx.AsyncClient(base_url=url, timeout=60, **PLAIN) as looking:
            while "memreward_collecting 1.0" not in (await looking.get("/metrics")).text:
                await asyncio.sleep(0.05)
        refused = await post_all(url, wrong)
        return [refused, [*await post_all(url, bodies[1:]), *await first]]

    refused, others = asyncio.run(ask())
    assert [reply.status_code for reply in refused] == [409, 409, 409]
    assert all("give" in reply.json()["error"] for reply in refused)
    assert len(rewards(others)) == 4


def test_a_client_that_hangs_up_leaves_nothing_behind(url: str) -> None:
    body = ones(group(23))[0]
    with client(url) as asking:
        with pytest.raises(httpx.ReadTimeout):
            asking.post("/score_one", content=json.dumps(body), timeout=1)
        for _ in range(100):
            if "memreward_collecting 0.0" in asking.get("/metrics").text:
                break
            time.sleep(0.05)
        assert "memreward_collecting 0.0" in asking.get("/metrics").text
        assert "memreward_waiting 0.0" in asking.get("/metrics").text
    assert len(rewards(asyncio.run(post_all(url, ones(group(23)))))) == 4


def test_a_rollout_sent_again_at_the_moment_it_is_withdrawn_is_taken() -> None:
    body = ScoreOneRequest(**ones(group(27))[0])

    async def run() -> Scored:
        batcher = Batcher(made_store(), ServiceConfig())
        batcher.start()
        first = asyncio.create_task(batcher.score_one(body.asked(), 4, body.rollout))
        await asyncio.sleep(0)
        first.cancel()
        again = asyncio.create_task(batcher.score_one(body.asked(), 4, body.rollout, 0.1))
        await asyncio.wait({again})
        await batcher.stop()
        return again.result()

    assert asyncio.run(run()).partial


ODD = [
    "",
    " " * 100_000,
    "\ud800 lone \udfff surrogates \\boxed{5}",
    "\x00\x01\x1b[31m\u202e",
    "\\boxed{" * 20_000,
    "<think>" * 5_000,
    "9" * 50_000,
    "The answer is 9^9^9^9^9.",
    "𝟝 ٥ 五 🤖" * 500,
]


def test_no_text_is_too_odd(url: str) -> None:
    whole = group(24, texts=ODD)
    replies = asyncio.run(post_all(url, ones(whole)))
    found = rewards(replies)
    assert sum(found) == pytest.approx(0, abs=1e-6)
    named = {**group(25), "id": "\ud800/\x00", "query": query(25, dataset="\udfff")}
    with client(url) as asking:
        assert asking.post("/score", content=json.dumps({"groups": [named]})).status_code == 200


BROKEN: list[tuple[bytes, int]] = [
    (b"", 422),
    (b"{", 422),
    (b"[]", 422),
    (b'{"groups": []}', 422),
    (b"\xff\xfe", 422),
    (b'{"groups": ' + b"[" * 100_000, 422),
    (b'{"groups": [{"a": ' + b"9" * 5_000 + b"}]}", 422),
    (b'{"groups": [NaN]}', 422),
    (json.dumps({"groups": [{**group(), "rollouts": []}]}).encode(), 422),
    (json.dumps({"groups": [{**group(), "step": -1}]}).encode(), 422),
    (json.dumps({"groups": [{**group(), "unknown": "\ud800"}]}).encode(), 422),
    (json.dumps({"groups": [{**group(), "query": query(domain="poetry")}]}).encode(), 422),
    (json.dumps({"groups": [{**group(), "rollouts": [{"id": "a", "text": "x"}] * 2}]}).encode(), 422),
]


@each_row(("content", "status"), BROKEN)
def test_what_is_not_as_described_is_refused_in_words(url: str, content: bytes, status: int) -> None:
    with client(url) as asking:
        reply = asking.post("/score", content=content)
        assert (reply.status_code, list(reply.json())) == (status, ["error"])


@each_row("size", ["NaN", "Infinity", "-1", "0", "1e9", "99999999999999999999", '"8"x', "null"])
def test_sizes_that_are_none_are_refused(url: str, size: str) -> None:
    body = json.dumps({**ones(group(26))[0], "size": 77_777}).replace("77777", size)
    with client(url) as asking:
        assert asking.post("/score_one", content=body).status_code == 422


def test_labels_and_rollouts_go_through_the_ledger(url: str) -> None:
    with client(url) as asking:
        record = {"id": "own", "domain": "math", "query": "1 + 1?", "rollouts": [{"id": "mine", "text": "2"}]}
        assert asking.post("/rollouts", json={"groups": [record]}).json()["rollouts"] == 1
        before = asking.get("/ledger").json()["judgements"]
        body = {"source": "Ada", "labels": [{"query": "own", "rollout": "mine", "correct": True}]}
        assert asking.post("/labels", json=body).json() == {"labels": 1, "new": 1}
        assert asking.post("/labels", json=body).json() == {"labels": 1, "new": 0}
        assert asking.get("/ledger").json()["judgements"] == before + 1
        body["labels"][0]["rollout"] = "nobody"  # type: ignore[index]
        assert asking.post("/labels", json=body).status_code == 409
        record["query"] = "1 + 2?"
        assert asking.post("/rollouts", json={"groups": [record]}).status_code == 409
        assert asking.post("/rollouts", json={"groups": [{"id": 3}]}).status_code == 422


def test_others_are_answered_while_rollouts_are_read(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, may_end = threading.Event(), threading.Event()

    def slow(record: Any, where: str) -> Any:
        reading.set()
        assert may_end.wait(30)
        return group_from_record(record, where=where)

    monkeypatch.setattr("memreward.service.app.group_from_record", slow)
    content = json.dumps({"groups": [{"id": "read", "domain": "math", "query": "2 + 3", "rollouts": [{"text": "5"}]}]})
    with client(url) as asking, client(url) as other:
        sending = threading.Thread(target=asking.post, args=("/rollouts",), kwargs={"content": content})
        sending.start()
        try:
            assert reading.wait(30)
            assert other.get("/health", timeout=20).status_code == 200
        finally:
            may_end.set()
            sending.join()


def test_request_ids_metrics_and_the_description(url: str) -> None:
    with client(url) as asking:
        assert asking.get("/health", headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
        forged = asking.get("/health", headers={"x-request-id": 'a"b\\c'}).headers["x-request-id"]
        assert forged.isalnum()
        assert asking.get("/ready").json()["pays"] == "advantages"
        text = asking.get("/metrics").text
        assert 'memreward_requests_total{path="/health",status="200"}' in text
        described = asking.get("/openapi.json").json()
        assert {"/score", "/score_one", "/rollouts", "/labels", "/openrlhf"} <= described["paths"].keys()
        schemas = described["components"]["schemas"]
        assert schemas["AskedRollout"]["properties"]["text"]["examples"]
        record = schemas["RolloutsRequest"]["properties"]["groups"]["items"]
        for domain in (schemas["QueryMessage"]["properties"]["domain"], record["properties"]["domain"]):
            assert domain["enum"] == DOMAINS


def test_openrlhf_gets_the_reply_it_expects(url: str) -> None:
    prompt = "<|im_start|>user\nWhat is 30 + 3?<|im_end|>\n<|im_start|>assistant\n"
    texts = [f"{text}<|im_end|>\n<|endoftext|>" for text in texts_of(30)]
    bodies = [{"query": [prompt + text], "prompts": [prompt], "labels": [None]} for text in texts]
    replies = asyncio.run(post_all(url, bodies, "/openrlhf?size=4&domain=math"))
    assert [set(reply.json()) for reply in replies] == [{"rewards", "scores", "extra_logs"}] * 4
    paid = [reply.json()["rewards"] for reply in replies]
    assert sum(paid) == pytest.approx(0, abs=1e-9)
    assert paid[0] > paid[2]
    assert len({tuple(reply.json()["extra_logs"]) for reply in replies}) == 1


def test_the_token_guards_all_but_health_and_other_applications_too() -> None:
    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a page"})

    with served(made_store(), token=TOKEN, mounts={"/label": page}) as address, client(address) as asking:
        assert asking.get("/health").status_code == asking.get("/ready").status_code == 200
        for path in ("/metrics", "/ledger", "/memory", "/openapi.json", "/docs", "/label"):
            assert asking.get(path).status_code == 401, path
        assert asking.post("/score", json={"groups": [group()]}).status_code == 401
        allowed = {"authorization": f"Bearer {TOKEN}"}
        assert asking.get("/ledger", headers=allowed).status_code == 200
        assert asking.get("/label/", headers=allowed).text == "a page"
        assert asking.get("/ledger", auth=("anyone", TOKEN)).status_code == 200


def test_what_is_too_large_or_too_slow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memreward.service.middleware.BODY", 5_000)
    with served(made_store()) as address, client(address) as asking:
        assert asking.post("/score", content=b" " * 5_001).status_code == 413

        def parts() -> Iterator[bytes]:
            yield from [b" " * 1_000] * 10

        assert asking.post("/score", content=parts()).status_code == 413
        monkeypatch.setattr("memreward.service.middleware.BODY_SECONDS", 0.3)  # as those above may take
        host, port = address.removeprefix("http://").split(":")
        for head in (b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{", b"POST /sco", b""):
            with socket.create_connection((host, int(port)), timeout=20) as slow:
                slow.sendall(head)
                said = slow.recv(1000)  # an answer or, before the head is whole, the end
                assert said == b"" or b" 408 " in said
        assert asking.get("/health").status_code == 200


def test_one_address_may_ask_so_often_and_health_always() -> None:
    with served(made_store(), ServiceConfig(rate=0.001)) as address, client(address) as asking:
        assert asking.get("/memory").status_code == 200
        refused = asking.post("/score", json={"groups": [group()]})
        assert refused.status_code == 429
        assert 900 < int(refused.headers["retry-after"]) <= 1_000
        assert "0.001" in refused.json()["error"]
        assert {asking.get(path).status_code for path in ("/health", "/ready") * 3} == {200}
        assert asking.get("/memory", headers={"x-forwarded-for": "10.0.0.9"}).status_code == 200  # of another address


def test_a_rate_refills_by_the_second_and_counts_each_address_by_itself() -> None:
    buckets = Buckets(2.0)
    assert [buckets.wait("a", 0.0) for _ in range(3)] == [0, 0, 0.5]
    assert buckets.wait("b", 0.0) == 0
    assert [buckets.wait("a", 0.5) for _ in range(2)] == [0, 0.5]
    assert [buckets.wait("a", 100.0) for _ in range(3)] == [0, 0, 0.5]
    for number in range(5_000):
        buckets.wait(str(number), 100.0)
    assert len(buckets._left) < 5_000


def test_beyond_so_many_connections_clients_are_told_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memreward.service.run._CONNECTIONS", 2)
    with served(made_store()) as address:
        host, port = address.removeprefix("http://").split(":")
        others = [socket.create_connection((host, int(port)), timeout=20) for _ in range(2)]
        try:
            with client(address) as asking:
                reply = asking.get("/memory")
                assert (reply.status_code, list(reply.json())) == (503, ["error"])
                assert int(reply.headers["retry-after"]) >= 1
            with client(address) as asking:
                assert asking.get("/health").status_code == 200
        finally:
            for one in others:
                one.close()
        with client(address) as asking:
            for _ in range(100):
                if asking.get("/memory").status_code == 200:
                    break
                time.sleep(0.05)
            assert asking.get("/memory").status_code == 200


class _Slow:
    """Answers when it is let."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun, self.go, self.error = threading.Event(), threading.Event(), error
        self.config = ServiceConfig()

    def answered(self, group_id: str, rollout: AskedRollout) -> Scored | None:
        return None

    def figures(self) -> dict[str, float]:
        return {}

    def score(self, groups: Sequence[AskedGroup]) -> list[Answered]:
        self.begun.set()
        self.go.wait(30)
        if self.error is not None:
            raise self.error
        return [[Scored(0.0, "predicted", 0.5, partial=g.partial, rollout=r.id) for r in g.rollouts] for g in groups]


def test_beyond_what_may_wait_clients_are_told_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memreward.service.batching.WAITING", 10)
    slow: Any = _Slow()
    with served(slow) as address:

        async def ask() -> tuple[list[httpx.Response], list[httpx.Response]]:
            first = asyncio.create_task(post_all(address, [{"groups": [group(1)]}], "/score"))
            await asyncio.to_thread(slow.begun.wait, 30)
            waiting = asyncio.create_task(post_all(address, [{"groups": [group(n)]} for n in (2, 3)], "/score"))
            async with httpx.AsyncClient(base_url=address, timeout=60, **PLAIN) as looking:
                while "memreward_waiting 8.0" not in (await looking.get("/metrics")).text:
                    await asyncio.sleep(0.05)
            refused = await post_all(address, [{"groups": [group(4)]}], "/score")
            slow.go.set()
            return refused, [*await first, *await waiting]

        refused, answered = asyncio.run(ask())
        assert [reply.status_code for reply in refused] == [429]
        assert int(refused[0].headers["retry-after"]) >= 1
        assert [reply.status_code for reply in answered] == [200] * 3


def test_a_batch_that_hangs_is_not_waited_for_and_the_service_is_not_ready_until_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("memreward.service.batching.SCORING_SECONDS", 0.5)
    slow: Any = _Slow()
    with served(slow, ServiceConfig()) as address, client(address) as asking:
        reply = asking.post("/score", json={"groups": [group()]})
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "10")
        assert asking.get("/ready").status_code == 503
        assert asking.get("/health").status_code == 200
        monkeypatch.undo()  # the limit is for what hangs
        slow.go.set()
        for _ in range(100):
            if asking.get("/ready").status_code == 200:
                break
            time.sleep(0.05)
        assert asking.post("/score", json={"groups": [group()]}).status_code == 200


def test_a_bug_is_an_error_of_that_group_in_the_log_and_leaves_the_service_unready(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Odd(Majority):
        def beliefs(self, features: Any) -> Any:
            if "q13" in features.query_ids:
                raise AttributeError("a bug")
            return super().beliefs(features)

    store = GroupStore(PolicyReward(ExperienceMemory.in_memory(), Odd()))
    with served(store) as address, client(address) as asking:
        bodies = [body for number in (12, 13, 14) for body in ones(group(number))]
        replies = asyncio.run(post_all(address, bodies))
        assert [reply.status_code for reply in replies] == [200] * 4 + [500] * 4 + [200] * 4
        said, name = replies[4].json()["error"], replies[4].headers["x-request-id"]
        assert "a bug" in said
        assert name in said
        assert "a bug" in caplog.text
        ready = asking.get("/ready")
        assert (ready.status_code, "bug" in ready.json()["error"]) == (503, True)
        assert asking.get("/health").status_code == 200
        assert "memreward_faults 1.0" in asking.get("/metrics").text
        assert asking.post("/score", json={"groups": [group(15), group(13, 1)]}).status_code == 500
        assert asking.post("/score", json={"groups": [group(15)]}).status_code == 200


def test_a_disk_that_is_full_is_no_answer_but_a_time_to_come_back() -> None:
    full: Any = _Slow(OSError("no space"))
    full.go.set()
    with served(full) as address, client(address) as asking:
        reply = asking.post("/score", json={"groups": [group()]})
        assert reply.status_code == 503
        assert "no space" in reply.json()["error"]


def test_stopping_answers_what_is_whole_and_sends_the_others_away(tmp_path: Path) -> None:
    slow: Any = _Slow()
    replies: list[httpx.Response] = []
    with served(slow) as address:
        bodies = [("/score", {"groups": [group(1)]}), ("/score_one", ones(group(2))[0])]

        def ask(path: str, body: dict[str, Any]) -> None:
            with client(address) as asking:
                replies.append(asking.post(path, json=body))

        threads = [threading.Thread(target=ask, args=one) for one in bodies]
        for thread in threads:
            thread.start()
        with client(address) as looking:
            while not (slow.begun.is_set() and "memreward_collecting 1.0" in looking.get("/metrics").text):
                time.sleep(0.05)
        threading.Timer(1, slow.go.set).start()
    for thread in threads:
        thread.join()
    assert sorted(reply.status_code for reply in replies) == [200, 503]


def test_what_is_written_at_once_leaves_in_one_piece() -> None:
    from memreward.service.run import _Gathering

    transport = mock.Mock()

    async def write() -> None:
        gathering = _Gathering(transport)
        gathering.write(b"head ")
        gathering.write(b"body")
        assert not transport.write.called
        await asyncio.sleep(0)
        assert transport.mock_calls == [mock.call.write(b"head body")]
        gathering.write(b"the last")
        gathering.close()
        assert transport.mock_calls[1:] == [mock.call.write(b"the last"), mock.call.close()]
        await asyncio.sleep(0)  # nothing is left to be sent
        assert len(transport.mock_calls) == 3

    asyncio.run(write())
