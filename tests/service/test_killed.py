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
import pytest
from serving import HEADERS, Command, client, group, query, texts_of

from memreward.answers.model import AnswerModel
from memreward.integrations.client import Client, Scored
from memreward.memory import ExperienceMemory
from memreward.reward.valuers import MODEL

pytestmark = pytest.mark.slow

_KILLS = int(os.environ.get("KILLS", "5"))
_GROUPS, _SECONDS = 8 * _KILLS, 2.4 * _KILLS
"""Half of the groups have a reference that may be read; of the others a person labels some."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def split_groups(url: str, rng: random.Random) -> dict[tuple[int, int], Scored]:
    """Send every rollout of every group by itself, in any order, from eight clients: some twice, some hang up first."""
    workers = [Client(url, deadline=3_600) for _ in range(8)]
    found: dict[tuple[int, int], Scored] = {}

    async def send(number: int, place: int, text: str) -> None:
        await asyncio.sleep(rng.uniform(0, _SECONDS))
        known = {"reference": str(number + 3)} if number % 2 else {}
        asked: dict[str, Any] = {
            "group": f"g{number}",
            "size": 4,
            "query": query(number, **known),
            "text": text,
            "rollout": str(place),
        }
        if rng.random() < 0.2:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(rng.choice(workers).score_one(**asked), rng.uniform(0.01, 1))
        times = 1 + (rng.random() < 0.3)
        answers = await asyncio.gather(*(rng.choice(workers).score_one(**asked) for _ in range(times)))
        assert len({(one.reward, one.rollout) for one in answers}) == 1
        found[number, place] = answers[0]
        if number % 8 == 0 and place == 0:
            await labelled(url, f"q{number}", answers[0].rollout)

    jobs = [(n, place, text) for n in range(_GROUPS) for place, text in enumerate(texts_of(n))]
    await asyncio.gather(*(send(*job) for job in rng.sample(jobs, len(jobs))))
    for worker in workers:
        await worker.close()
    return found


async def labelled(url: str, query_id: str, rollout: str) -> None:
    """Say that a rollout is right, until the service has heard it."""
    body = {"source": "Ada", "labels": [{"query": query_id, "rollout": rollout, "correct": True}]}
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False, headers=HEADERS) as asking:
        while True:
            with contextlib.suppress(httpx.TransportError):
                reply = await asking.post("/labels", json=body)
                assert reply.status_code in (200, 503), reply.text
                if reply.status_code == 200:
                    return
            await asyncio.sleep(0.3)


@pytest.mark.timeout(300 + 120 * _KILLS)  # a start takes seconds, and minutes where others use the machine
def test_a_service_killed_again_and_again_mixes_no_group_and_counts_no_label_twice(tmp_path: Path) -> None:
    memory, port, rng = tmp_path / "memory", free_port(), random.Random(7)
    options = ("--labels", str(_GROUPS), "--group-deadline", "3600")

    async def run() -> dict[tuple[int, int], Scored]:
        service = Command(memory, tmp_path / "log", *options, port=port)
        sending = asyncio.create_task(split_groups(f"http://127.0.0.1:{port}", rng))
        try:
            for _ in range(_KILLS):
                await asyncio.to_thread(service.address)
                await asyncio.sleep(rng.uniform(0.0, 2.0))
                await asyncio.to_thread(service.kill)
                service = Command(memory, tmp_path / "log", *options, port=port)
            await asyncio.to_thread(service.address)
            return await sending
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
            truths.add(f"q{number}")
        assert sum(one.reward for one in answers) == pytest.approx(0, abs=1e-6)
        assert answers[0].reward == answers[1].reward > answers[2].reward
    kept = ExperienceMemory.open(memory, create=False)
    assert kept.counts()["rollouts"] == 4 * _GROUPS
    assert {one.rollout for one in found.values()} == {r.id for g in kept.groups() for r in g.rollouts}
    entries = kept.ledger.entries()
    assert len({(e.query_id, e.rollout_id, e.correct, e.source, e.use) for e in entries}) == len(entries)
    told = {entry.query_id for entry in entries if entry.source == "Ada"}
    assert told == {f"q{number}" for number in range(0, _GROUPS, 8)}
    assert kept.ledger.totals()["uses"]["training"]["references"] == _GROUPS // 2
    assert truths >= {f"q{number}" for number in range(1, _GROUPS, 2)}
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
