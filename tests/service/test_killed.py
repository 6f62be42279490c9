"""The command itself: killed again and again while many clients send split groups, and stopped in good order."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from serving import Command, client, group, query, texts_of

from memreward.integrations.client import Client, Scored
from memreward.memory import ExperienceMemory

_GROUPS, _KILLS = 40, 5


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def split_groups(url: str, rng: random.Random) -> dict[tuple[int, int], Scored]:
    """Send every rollout of every group by itself, some twice, in any order, from eight clients."""
    workers = [Client(url, deadline=900) for _ in range(8)]
    found: dict[tuple[int, int], Scored] = {}

    async def send(number: int, place: int, text: str) -> None:
        await asyncio.sleep(rng.uniform(0, 12))
        asked: dict[str, Any] = {
            "group": f"g{number}",
            "size": 4,
            "query": query(number, reference=str(number + 3)),
            "text": text,
            "rollout": str(place),
        }
        times = 1 + (rng.random() < 0.3)
        answers = await asyncio.gather(*(rng.choice(workers).score_one(**asked) for _ in range(times)))
        assert len({(one.reward, one.rollout) for one in answers}) == 1
        found[number, place] = answers[0]

    jobs = [(n, place, text) for n in range(_GROUPS) for place, text in enumerate(texts_of(n))]
    await asyncio.gather(*(send(*job) for job in rng.sample(jobs, len(jobs))))
    for worker in workers:
        await worker.close()
    return found


@pytest.mark.slow
@pytest.mark.timeout(1200)  # a start takes seconds, and a minute where others use the machine
def test_a_service_killed_again_and_again_mixes_no_group_and_counts_no_label_twice(tmp_path: Path) -> None:
    memory, port, rng = tmp_path / "memory", free_port(), random.Random(7)
    options = ("--labels", "10", "--group-deadline", "900")

    async def run() -> dict[tuple[int, int], Scored]:
        service = Command(memory, tmp_path / "log", *options, port=port)
        sending = asyncio.create_task(split_groups(f"http://127.0.0.1:{port}", rng))
        try:
            for _ in range(_KILLS):
                await asyncio.to_thread(service.address)
                await asyncio.sleep(rng.uniform(0.2, 2.0))
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
    truths = 0
    for number in range(_GROUPS):
        answers = [found[number, place] for place in range(4)]
        assert len({one.source for one in answers}) == 1
        truths += answers[0].source == "truth"
        assert sum(one.reward for one in answers) == pytest.approx(0, abs=1e-6)
        assert answers[0].reward == answers[1].reward > answers[2].reward
    kept = ExperienceMemory.open(memory, create=False)
    assert truths == 10
    totals = kept.ledger.totals()
    assert (totals["queries"], totals["references"], totals["judgements"]) == (10, 10, 40)  # of four rollouts two agree
    assert len(kept.ledger.entries()) == 40
    assert kept.counts()["rollouts"] == 4 * _GROUPS
    assert {one.rollout for one in found.values()} == {r.id for g in kept.groups() for r in g.rollouts}


@pytest.mark.slow
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
