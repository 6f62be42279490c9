"""The service as a Ray actor, in a real cluster on loopback: killed in the middle of a step, and as without Ray."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ray = pytest.importorskip("ray", reason="no Ray: make test-ray installs it")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]

GROUPS, SIZE = 12, 4


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def asked_of(number: int, place: int, text: str) -> dict[str, Any]:
    from serving import query

    known = {"reference": str(number + 3)} if number % 2 else {}
    return {
        "group": f"0/q{number}",
        "size": SIZE,
        "query": query(number, **known),
        "text": text,
        "rollout": str(place),
    }


def test_an_actor_killed_in_the_middle_of_a_step_answers_as_one_process_does(cluster: None, tmp_path: Path) -> None:
    from serving import group, made_store, texts_of

    from memreward.integrations.client import Client
    from memreward.memory import ExperienceMemory
    from memreward.service.config import ServiceConfig
    from memreward.service.messages import GroupMessage
    from memreward.service.ray_actor import start

    config = ServiceConfig(labels=GROUPS, group_deadline=600.0)
    actor = start(tmp_path / "memory", "killed", config)
    client = Client("ray://killed", deadline=500.0)

    async def step() -> dict[tuple[int, int], Any]:
        await client.ready()
        jobs = [(n, place, text) for n in range(GROUPS) for place, text in enumerate(texts_of(n))]
        first = [job for job in jobs if job[0] < 4 or job[1] < 2]  # four groups whole, of the others a half
        sent = {job[:2]: asyncio.ensure_future(client.score_one(**asked_of(*job))) for job in first}
        await asyncio.wait([sent[n, place] for n in range(4) for place in range(SIZE)])
        pid = await actor.pid.remote()
        os.kill(pid, signal.SIGKILL)
        sent |= {job[:2]: asyncio.ensure_future(client.score_one(**asked_of(*job))) for job in jobs if job not in first}
        found = dict(zip(sent, await asyncio.gather(*sent.values()), strict=True))
        assert await actor.pid.remote() != pid
        again = await asyncio.gather(*(client.score_one(**asked_of(*job)) for job in jobs))
        assert [one.rollout for one in again] == [found[job[:2]].rollout for job in jobs]
        return found

    found = asyncio.run(step())
    ray.kill(actor)
    store = made_store(config=config)
    for number in range(GROUPS):
        message = GroupMessage(**group(number, **({"reference": str(number + 3)} if number % 2 else {})))
        (wanted,) = store.score([message.group()])
        mine = [found[number, place] for place in range(SIZE)]
        assert [one.source for one in mine] == [one.source for one in wanted]  # type: ignore[union-attr]
        assert not any(one.partial or one.failed for one in mine)
        if number % 2:
            assert [one.reward for one in mine] == [one.reward for one in wanted]  # type: ignore[union-attr]
    kept = ExperienceMemory.open(tmp_path / "memory", create=False)
    assert kept.counts()["rollouts"] == GROUPS * SIZE
    totals = kept.ledger.totals()
    assert (totals["queries"], totals["references"]) == (GROUPS // 2, GROUPS // 2)
    store.close()
