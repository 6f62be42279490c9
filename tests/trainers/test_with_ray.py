"""A real cluster of three nodes on loopback, as without Ray: an actor whose process or node dies, and files scored."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ray = pytest.importorskip("ray", reason="no Ray: make test-ray installs it")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]

GROUPS, SIZE = 12, 4
# Ray's own niceness, 15, starves workers on a machine on which others compute.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Three nodes; this process is at the first, which has no room for the actor's."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.others = [made.add_node(num_cpus=1) for _ in range(2)]
    ray.init(address=made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


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


def started_on(node_id: str, *args: Any) -> None:
    """Start the service on a node: where the process lives that starts it."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from memreward.service.ray_actor import start

    there = ray.remote(num_cpus=0)(lambda: ray.get(start(*args).pid.remote()))
    ray.get(there.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False)).remote())


@pytest.mark.parametrize("dies", ["process", "node"])
def test_an_actor_that_dies_in_the_middle_of_a_step_answers_as_one_process_does(
    dies: str, cluster: Any, tmp_path: Path
) -> None:
    from serving import group, made_store, texts_of

    from memreward.integrations.client import Client
    from memreward.integrations.ray import NAMESPACE
    from memreward.memory import ExperienceMemory
    from memreward.service.config import ServiceConfig
    from memreward.service.messages import GroupMessage

    config = ServiceConfig(labels=GROUPS, group_deadline=600.0)
    home = cluster.others[0]
    started_on(home.node_id, tmp_path / "memory", "killed", config)
    actor = ray.get_actor("killed", namespace=NAMESPACE)
    client = Client("ray://killed", deadline=500.0)

    async def step() -> dict[tuple[int, int], Any]:
        await client.ready()
        jobs = [(n, place, text) for n in range(GROUPS) for place, text in enumerate(texts_of(n))]
        first = [job for job in jobs if job[0] < 4 or job[1] < 2]  # four groups whole, of the others a half
        sent = {job[:2]: asyncio.ensure_future(client.score_one(**asked_of(*job))) for job in first}
        await asyncio.wait([sent[n, place] for n in range(4) for place in range(SIZE)])
        pid = await actor.pid.remote()
        if dies == "node":
            await asyncio.to_thread(cluster.remove_node, home, allow_graceful=False)
        else:
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


def test_files_scored_by_a_cluster_are_those_of_one_process_to_the_byte_and_none_is_scored_twice(
    cluster: Any, tmp_path: Path
) -> None:
    from label_toys import groups
    from typer.testing import CliRunner

    from memreward.cli import app
    from memreward.data import write_groups

    made = groups(24)
    files = [tmp_path / f"part-{n}.jsonl" for n in range(4)]
    for n, file in enumerate(files):
        write_groups(file, made[6 * n : 6 * n + 6])
    memory, scores = str(tmp_path / "memory"), tmp_path / "scores"

    def run(*words: Any) -> Any:
        done = CliRunner().invoke(app, [*map(str, words)])
        assert done.exit_code == 0, done.output
        return done

    run("warmup", files[0], "--memory", memory, "--labels", 0)
    scored = ("score", *files, "--memory", memory, "--out", scores, "--engine", "ray")
    assert json.loads(run(*scored, "--json").stdout)["rollouts"] == sum(len(group.rollouts) for group in made)
    for file in files:
        alone = tmp_path / f"{file.stem}.alone.parquet"
        run("score", file, "--memory", memory, "--out", alone)
        assert (scores / f"{file.stem}.parquet").read_bytes() == alone.read_bytes()
    (scores / "part-2.parquet").unlink()
    kept = (scores / "part-1.parquet").stat().st_mtime_ns
    assert json.loads(run(*scored, "--json").stdout)["queries"] == 6, "only what is not there is scored"
    assert (scores / "part-1.parquet").stat().st_mtime_ns == kept
    assert "nothing was left to do" in run(*scored).stderr
