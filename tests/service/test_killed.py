"""The command itself: killed again and again while many clients send split groups, and stopped in good order.

KILLS=100 kills it a hundred times (`make test-kills`); the last such run: benchmarks/results/trainers/kills.log.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from serving import HEADERS, PLAIN, Command, client, group, query, texts_of

from memreward.answers.model import AnswerModel
from memreward.integrations.client import Client, Scored
from memreward.memory import ExperienceMemory
from memreward.reward.valuers import MODEL

pytestmark = pytest.mark.slow

_KILLS = int(os.environ.get("KILLS", "2"))
_GROUPS = 8 * _KILLS
"""Eight begin between two kills. Half have a reference that may be read; of the others a person labels some."""
_APART = 7
"""Between the numbers that questions ask about: no answer to one, right or wrong, is an answer to another."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Senders:
    """Eight clients that send every rollout of every group by itself, in any order: some twice, some hang up first.

    Attributes:
        found: Answers by group and place.
        begun: After how many kills a rollout is sent, `wave` at the earliest; a group's may lie on both sides of one.
    """

    def __init__(self, url: str, rng: random.Random) -> None:
        self.url, self.rng, self.found = url, rng, dict[tuple[int, int], Scored]()
        self.begun = [asyncio.Event() for _ in range(_KILLS + 1)]
        self._workers = [Client(url, deadline=3_600) for _ in range(8)]

    async def send_all(self) -> None:
        jobs = [(n, place, text) for n in range(_GROUPS) for place, text in enumerate(texts_of(_APART * n))]
        await asyncio.gather(*(self._send(*job) for job in self.rng.sample(jobs, len(jobs))))
        for worker in self._workers:
            await worker.close()

    async def answered(self, more: int) -> None:
        """Wait until so many more rollouts are answered than are now."""
        wanted = len(self.found) + more
        while len(self.found) < wanted:
            await asyncio.sleep(0.01)

    async def _send(self, number: int, place: int, text: str) -> None:
        late = number % 8 > 1 and self.rng.random() < 0.25
        await self.begun[number // 8 + late].wait()
        known = {"reference": str(_APART * number + 3)} if number % 2 else {}
        asked: dict[str, Any] = {
            "group": f"g{number}",
            "size": 4,
            "query": query(_APART * number, **known),
            "text": text,
            "rollout": str(place),
        }
        if self.rng.random() < 0.2:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.rng.choice(self._workers).score_one(**asked), self.rng.uniform(0.01, 1))
        times = 1 + (self.rng.random() < 0.3)
        answers = await asyncio.gather(*(self.rng.choice(self._workers).score_one(**asked) for _ in range(times)))
        assert len({(one.reward, one.rollout) for one in answers}) == 1
        self.found[number, place] = answers[0]
        if number % 8 == 0 and place == 0:
            await labelled(self.url, f"q{_APART * number}", answers[0].rollout)


async def labelled(url: str, query_id: str, rollout: str) -> None:
    """Say that a rollout is right, until the service has heard it."""
    body = {"source": "Ada", "labels": [{"query": query_id, "rollout": rollout, "correct": True}]}
    async with httpx.AsyncClient(base_url=url, timeout=60, **PLAIN, headers=HEADERS) as asking:
        while True:
            with contextlib.suppress(httpx.TransportError):
                reply = await asking.post("/labels", json=body)
                assert reply.status_code in (200, 503), reply.text
                if reply.status_code == 200:
                    return
            await asyncio.sleep(0.3)


@pytest.mark.timeout(300 + 60 * _KILLS)  # a start takes seconds, and minutes where others use the machine
def test_a_service_killed_again_and_again_mixes_no_group_and_counts_no_label_twice(tmp_path: Path) -> None:
    memory, port, rng = tmp_path / "memory", free_port(), random.Random(7)
    options = ("--labels", str(_GROUPS), "--group-deadline", "3600")

    async def run() -> dict[tuple[int, int], Scored]:
        service = Command(memory, tmp_path / "log", *options, port=port)
        senders = Senders(f"http://127.0.0.1:{port}", rng)
        sending = asyncio.create_task(senders.send_all())
        try:
            for begun in senders.begun:
                await asyncio.to_thread(service.address)
                begun.set()
                if begun is senders.begun[-1]:
                    break
                await asyncio.wait(
                    [sending, asyncio.create_task(senders.answered(rng.randint(1, 8)))], return_when="FIRST_COMPLETED"
                )
                await asyncio.to_thread(service.kill)
                service = Command(memory, tmp_path / "log", *options, port=port)
            await sending
            return senders.found
        finally:
            await asyncio.to_thread(service.kill, signal.SIGTERM)

    found = asyncio.run(run())
    assert len(found) == 4 * _GROUPS
    assert not any(one.partial or one.failed for one in found.values())
    assert len({one.rollout for one in found.values()}) == 4 * _GROUPS
    truths = set()
    for number in range(_GROUPS):
        answers = [found[number, place] for place in range(4)]
        assert len({one.source for one in answers}) == 1
        if answers[0].source == "truth":
            truths.add(f"q{_APART * number}")
        assert sum(one.reward for one in answers) == pytest.approx(0, abs=1e-6)
        assert answers[0].reward == answers[1].reward > answers[2].reward
    kept = ExperienceMemory.open(memory, create=False)
    assert kept.counts()["rollouts"] == 4 * _GROUPS
    assert {one.rollout for one in found.values()} == {r.id for g in kept.groups() for r in g.rollouts}
    entries = kept.ledger.entries()
    assert len({(e.query_id, e.rollout_id, e.correct, e.source, e.use) for e in entries}) == len(entries)
    told = {entry.query_id for entry in entries if entry.source == "Ada"}
    assert told == {f"q{_APART * number}" for number in range(0, _GROUPS, 8)}
    assert kept.ledger.totals()["uses"]["training"]["references"] == _GROUPS // 2
    assert truths >= {f"q{_APART * number}" for number in range(1, _GROUPS, 2)}
    model, _ = AnswerModel.load(next((memory / "service").glob(f"state-*/{MODEL}")))
    learned = Counter(name for _, seen in model.domains["math"].seen for name in seen.table.query_ids)
    assert truths <= learned.keys()
    assert set(learned.values()) == {1}
    print(
        f"{_KILLS} kills, {len(found)} rollouts of {_GROUPS} groups, {len(truths)} judged, {len(told)} told: all once"
    )


def test_the_command_stops_in_good_order_and_goes_on_where_it_was(tmp_path: Path) -> None:
    memory, log = tmp_path / "memory", tmp_path / "log"
    service = Command(memory, log)
    with client(service.address()) as asking:
        begun = [" ".join(child.cmdline()) for child in psutil.Process(service.process.pid).children(recursive=True)]
        assert any("math/worker.py" in line for line in begun), "the first client would wait until algebra is loaded"
        first = asking.post("/score", content=json.dumps({"groups": [group(1)]})).json()["groups"]
    assert service.kill(signal.SIGTERM) == 0
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    request = next(line for line in lines if line.get("path") == "/score")
    assert (request["status"], request["method"]) == (200, "POST")
    assert len(request["request"]) == 32
    again = Command(memory, log)
    with client(again.address()) as asking:
        assert asking.post("/score", content=json.dumps({"groups": [group(1)]})).json()["groups"] == first
        assert asking.get("/memory").json()["rollouts"] == 4
    assert again.kill(signal.SIGINT) == 130
    public = Command(memory, log, "--host", "0.0.0.0")
    assert public.process.wait(120) == 1
    public.kill()
    assert "no token is set" in log.read_text()
