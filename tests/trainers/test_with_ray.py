"""A cluster of three nodes on loopback does as one process: an actor that dies, files, the service on replicas."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

# Where others compute: Ray's own niceness, 15, starves its workers, and its agents take longer than it waits for them.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
os.environ["RAY_agent_register_timeout_ms"] = "900000"  # noqa: SIM112
os.environ["RAY_worker_register_timeout_seconds"] = "900"  # noqa: SIM112
os.environ["RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S"] = "300"
os.environ["RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S"] = "100"
ray = pytest.importorskip("ray", reason="no Ray: make test-ray installs it")
psutil = pytest.importorskip("psutil")  # which Ray brings
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(1800)]

GROUPS, SIZE = 12, 4


def started(start: Callable[[], Any]) -> Any:
    """Start a node, again if need be: Ray gives its agents 15 s and the node 30, which others may take."""
    for _ in range(12):
        before = psutil.Process().children(recursive=True)
        with contextlib.suppress(Exception):
            return start()
        for process in {*psutil.Process().children(recursive=True)}.difference(before):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    return start()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Three nodes; this process is at the first, which has no room for the actor's."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": False}
    made = started(lambda: Cluster(initialize_head=True, head_node_args=head))
    made.others = [started(lambda: made.add_node(num_cpus=1)) for _ in range(2)]
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


@pytest.mark.parametrize("dies", ["store", "process", "node"])
def test_an_actor_that_dies_in_the_middle_of_a_step_answers_as_one_process_does(
    dies: str, cluster: Any, tmp_path: Path
) -> None:
    from serving import group, made_store, texts_of

    from memreward.integrations.client import NAMESPACE, Client
    from memreward.memory import ExperienceMemory
    from memreward.service.config import ServiceConfig
    from memreward.service.messages import GroupMessage

    config = ServiceConfig(labels=GROUPS, group_deadline=600.0)
    home = cluster.others[0]
    name = f"dying-{dies}"
    started_on(home.node_id, tmp_path / "memory", name, config)
    actor = ray.get_actor(name, namespace=NAMESPACE)
    client = Client(f"ray://{name}", deadline=500.0)

    async def step() -> dict[tuple[int, int], Any]:
        await client.ready()
        jobs = [(n, place, text) for n in range(GROUPS) for place, text in enumerate(texts_of(n))]
        first = [job for job in jobs if job[0] < 4 or job[1] < 2]  # four groups whole, of the others a half
        sent = {job[:2]: asyncio.ensure_future(client.score_one(**asked_of(*job))) for job in first}
        await asyncio.wait([sent[n, place] for n in range(4) for place in range(SIZE)])
        pid = await actor.pid.remote()
        if dies == "node":
            await asyncio.to_thread(cluster.remove_node, home, allow_graceful=False)
        if dies == "store":
            (process,) = (one for one in psutil.Process(pid).children() if "spawn_main" in " ".join(one.cmdline()))
            process.kill()
        else:
            # That ends Ray's own processes of the node: the actor's lives on for a second, in which it answers.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        sent |= {job[:2]: asyncio.ensure_future(client.score_one(**asked_of(*job))) for job in jobs if job not in first}
        found = dict(zip(sent, await asyncio.gather(*sent.values()), strict=True))
        assert (await actor.pid.remote() == pid) == (dies == "store")
        again = await asyncio.gather(*(client.score_one(**asked_of(*job)) for job in jobs))
        assert [one.rollout for one in again] == [found[job[:2]].rollout for job in jobs]
        return found

    try:
        found = asyncio.run(step())
    finally:  # the tests after it have three nodes and one actor less too
        ray.kill(actor)
        if dies == "node":
            cluster.others[0] = started(lambda: cluster.add_node(num_cpus=1))
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

    def last(done: Any) -> Any:
        return json.loads(done.stdout.splitlines()[-1])  # Ray itself may say something before

    run("warmup", files[0], "--memory", memory, "--labels", 0)
    scored = ("score", *files, "--memory", memory, "--out", scores, "--engine", "ray")
    assert last(run(*scored, "--json"))["rollouts"] == sum(len(group.rollouts) for group in made)
    for file in files:
        alone = tmp_path / f"{file.stem}.alone.parquet"
        run("score", file, "--memory", memory, "--out", alone)
        assert (scores / f"{file.stem}.parquet").read_bytes() == alone.read_bytes()
    (scores / "part-2.parquet").unlink()
    kept = (scores / "part-1.parquet").stat().st_mtime_ns
    assert last(run(*scored, "--json"))["queries"] == 6, "only what is not there is scored"
    assert (scores / "part-1.parquet").stat().st_mtime_ns == kept
    assert "nothing was left to do" in run(*scored).stderr


def test_files_evaluated_by_a_cluster_give_the_result_of_one_process_to_the_byte(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from label_toys import groups
    from typer.testing import CliRunner

    from memreward.cli import app
    from memreward.data import write_groups
    from memreward.domains import Verifiers
    from memreward.memory import sealed_verdicts

    made = sealed_verdicts(groups(36), Verifiers())
    files = [tmp_path / f"part-{n}.jsonl" for n in range(3)]
    for n, file in enumerate(files):
        write_groups(file, made[12 * n : 12 * n + 12])
    own = tmp_path / "mine.py"
    own.write_text(
        "def half(features):\n    return [0.5] * len(features)\n\n\n"
        "def long(rollouts):\n    return [7] * len(rollouts)\n"
    )
    words = ("--labels", "0,3", "--seeds", "2", "--predictors", f"memreward,{own}:half", "--signals", f"{own}:long")

    def run(engine: str) -> Path:
        out = tmp_path / engine
        done = CliRunner().invoke(app, ["evaluate", *map(str, files), *words, "--engine", engine, "--out", str(out)])
        assert done.exit_code == 0, done.output
        return out

    monkeypatch.setattr("memreward.features.own._SIGNALS", {})
    monkeypatch.setenv("MEMREWARD_SIGNALS", "")

    spread = run("ray")
    (spread / "evaluation.json").unlink()
    parts = {part.name: part.read_bytes() for part in (spread / "cells").iterdir()}
    assert len(parts) == 3 * 2 * 2 * 3, "a part a file, budget, seed and predictor, majority vote among them"
    alone = run("process")
    assert (run("ray") / "evaluation.json").read_bytes() == (alone / "evaluation.json").read_bytes()
    assert {part.name for part in (alone / "cells").iterdir()} == parts.keys()
    assert {part.name: part.read_bytes() for part in (spread / "cells").iterdir()} == parts, "taken over, not made anew"


class _Replicas:
    """Stands for a handle of Ray Serve: works here, or is dead."""

    def __init__(self, *, dead: bool = False) -> None:
        self.dead, self.asked = dead, list[list[str]]()
        self.features = self

    def remote(self, rollouts: Any, runs: bool) -> _Replicas:
        assert not runs
        self.asked.append(list(dict.fromkeys(rollout.query.id for rollout in rollouts)))
        self.given = rollouts
        return copy.copy(self)

    def result(self, timeout_s: float) -> Any:
        from memreward.service.ray_evidence import Evidence

        if self.dead:
            raise ray.exceptions.RayActorError
        return Evidence().features(self.given, timeout_s < 0)


def test_replicas_get_whole_questions_and_whoever_is_left_does_the_work_of_the_dead() -> None:
    import numpy as np
    from label_toys import groups

    from memreward.features.featurizer import Featurizer
    from memreward.service.ray_evidence import SpreadFeaturizer

    rollouts = [rollout for group in groups(7) for rollout in group.rollouts]
    wanted = Featurizer().features(rollouts)
    for replicas in (_Replicas(), _Replicas(dead=True)):
        found = SpreadFeaturizer(Featurizer(), 3, replicas).features(rollouts)
        assert replicas.asked == [["q0", "q1", "q2"], ["q3", "q4"], ["q5", "q6"]]
        for field in dataclasses.fields(wanted):
            np.testing.assert_array_equal(getattr(found, field.name), getattr(wanted, field.name))
    crossed = [*rollouts[:3], rollouts[7], *rollouts[3:6]]
    replicas = _Replicas()
    assert SpreadFeaturizer(Featurizer(), 3, replicas).features(crossed).query_ids == ("q0", "q1")
    assert replicas.asked == [], "rollouts of a question that do not stand in a row stay together"


def test_the_service_on_replicas_answers_as_one_process_does_and_has_one_writer(cluster: Any, tmp_path: Path) -> None:
    from serving import Command, group, made_store, texts_of
    from test_killed import free_port

    from memreward.integrations.client import NAMESPACE, Client
    from memreward.memory import ExperienceMemory
    from memreward.service.config import ServiceConfig
    from memreward.service.messages import GroupMessage

    memory, log, token, port = tmp_path / "memory", tmp_path / "log", "token-of-the-test-alone", free_port()
    words = ("--engine", "ray", "--labels", str(GROUPS), "--group-deadline", "600")
    around = {"RAY_ADDRESS": cluster.address, "MEMREWARD_TOKEN": token}
    os.environ["MEMREWARD_TOKEN"] = token
    known = [{"reference": str(number + 3)} if number % 2 else {} for number in range(GROUPS)]
    first, later = range(GROUPS // 2), range(GROUPS // 2, GROUPS)
    jobs = [(number, place, text) for number in later for place, text in enumerate(texts_of(number))]

    async def live(client: Client) -> dict[str, float]:
        return dict((await client.score([group(0, **known[0])]))[0][0].figures)

    async def answers(url: str) -> tuple[Any, Any]:
        whole, clients = Client(url, deadline=500.0), [Client(url, deadline=500.0) for _ in range(4)]
        await whole.ready()
        together = [(await whole.score([group(number, **known[number])]))[0] for number in first]
        sending = [clients[i % 4].score_one(**asked_of(*job)) for i, job in enumerate(jobs[::-1])]
        split = dict(zip(jobs[::-1], await asyncio.gather(*sending), strict=True))
        actor, figures = ray.get_actor("memreward", namespace=NAMESPACE), await live(whole)
        # What it had answered it answers again, and it knows what it had learned.
        os.kill(await actor.pid.remote(), signal.SIGKILL)
        again = [(await whole.score([group(number, **known[number])]))[0] for number in first]
        assert [[one.record() for one in given] for given in again] == [[o.record() for o in g] for g in together]
        for job in jobs:
            assert (await clients[0].score_one(**asked_of(*job))).record() == split[job].record()
        assert await live(whole) == figures
        assert figures["live_right"] == figures["live_wrong"] == GROUPS
        for client in (whole, *clients):
            await client.close()
        return together, split

    for left in reversed(range(5)):  # Ray Serve gives its proxies a minute, which others may take; they go on starting
        service = Command(memory, log, *words, port=port, **around)
        try:
            url = service.address()
            break
        except AssertionError:
            service.kill()
            if not left:
                raise
    try:
        assert httpx.get(f"{url}/memory", trust_env=False).status_code == 401
        together, split = asyncio.run(answers(url))
    finally:
        del os.environ["MEMREWARD_TOKEN"]
        service.kill(signal.SIGTERM)
    store = made_store(config=ServiceConfig(labels=GROUPS))
    for number in first:
        (wanted,) = store.score([GroupMessage(**group(number, **known[number])).group()])
        found = [(one.reward, one.source, one.probability, one.correct) for one in together[number]]
        assert found == [(one.reward, one.source, one.probability, one.correct) for one in wanted]  # type: ignore[union-attr]
    store.close()
    for number in later:
        mine = [split[job] for job in jobs if job[0] == number]
        assert {one.source for one in mine} == {"truth" if number % 2 else mine[0].source}
        assert not any(one.partial or one.failed for one in mine)
        assert sum(one.reward for one in mine) == pytest.approx(0, abs=1e-6)
    kept = ExperienceMemory.open(memory, create=False)
    assert kept.counts()["rollouts"] == GROUPS * SIZE
    assert (kept.ledger.totals()["queries"], kept.ledger.totals()["references"]) == (GROUPS // 2, GROUPS // 2)
    with pytest.raises(ValueError, match="memreward"):
        ray.get_actor("memreward", namespace=NAMESPACE)
