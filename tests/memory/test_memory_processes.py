"""Several processes on one memory, and processes that are killed."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from memreward.memory import FROM_FILE, Budget, ExperienceMemory, label
from memreward.memory.label import NOBODY
from memreward.types import BudgetError, Group, StoreError

MakeGroup = Callable[..., Group]
StartPython = Callable[..., subprocess.Popen[str]]

GROUPS = """
import sys
from memreward.memory import FROM_FILE, Budget, ExperienceMemory, label
from memreward.memory.label import NOBODY
from memreward.types import BudgetError, Group, Query, Rollout, Truth

def group(query, rollouts):
    question = Query(f"q{query}", f"What is {query}?", "math", "sums")
    made = tuple(Rollout(question, f"it is {r}", "", str(r), f"q{query}/{r}") for r in rollouts)
    return Group(question, made, Truth("5", (True,) * len(made)))
"""
WRITE_FOREVER = (
    GROUPS
    + """
memory = ExperienceMemory.open(sys.argv[1])
start = int(sys.argv[2])
for step in range(100_000):
    memory.add([group(start + step, range(4)), group(start, range(4 * step, 4 * step + 4))])
    label(memory, [f"q{start + step}"], FROM_FILE, use="warmup")
    print(start + step, flush=True)
"""
)
WRITE_SHARED = (
    GROUPS
    + """
memory = ExperienceMemory.open(sys.argv[1])
mine = int(sys.argv[2])
for step in range(8):
    shared = group(step, range(5))
    report = memory.add([shared, group(step, [100 * mine + 5]), group(1000 * mine + step, range(2))])
    print(report.new_queries, report.new_rollouts, report.updated, flush=True)
"""
)
MAKE = (
    GROUPS
    + """
print("ready", flush=True)
sys.stdin.readline()
ExperienceMemory.open(sys.argv[1]).add([group(int(sys.argv[2]), range(3))])
"""
)
RELEASE = (
    GROUPS
    + """
ledger = ExperienceMemory.open(sys.argv[1], create=False).ledger
print("ready", flush=True)
sys.stdin.readline()
for query in range(int(sys.argv[2]), int(sys.argv[3])):
    try:
        print(len(label(ledger, [f"q{query}"], FROM_FILE, Budget(queries=9), "warmup").labels), flush=True)
    except BudgetError:
        print("refused", flush=True)
"""
)


def finished(process: subprocess.Popen[str]) -> list[str]:
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return output.split("\n")[:-1]


@pytest.mark.slow
@pytest.mark.parametrize("wait", [0.0, 0.3])
def test_a_killed_writer_loses_nothing_acknowledged(tmp_path: Path, start_python: StartPython, wait: float) -> None:
    acknowledged: list[int] = []
    for start in (0, 10_000):
        process = start_python(WRITE_FOREVER, tmp_path / "m", start)
        assert process.stdout is not None
        acknowledged += [int(process.stdout.readline()) for _ in range(3)]
        time.sleep(wait)
        process.kill()
        output, _ = process.communicate(timeout=60)
        acknowledged += [int(line) for line in output.split()]
        memory = ExperienceMemory.open(tmp_path / "m", create=False)
        groups = {group.query.id: group for group in memory.groups()}
        released = {label.rollout_id for label in memory.ledger.labels()}
        for query in acknowledged:
            assert len(groups[f"q{query}"].rollouts) >= 4
            assert {f"q{query}/{rollout}" for rollout in range(4)} <= released
        assert len(groups[f"q{start}"].rollouts) >= 4 * (acknowledged[-1] - start + 1)
        ids = [rollout.id for group in groups.values() for rollout in group.rollouts]
        assert len(ids) == len(set(ids))
        for group in groups.values():
            assert len(group.rollouts) % 4 == 0


@pytest.mark.slow
def test_writers_of_the_same_ids_lose_and_double_nothing(tmp_path: Path, start_python: StartPython) -> None:
    ExperienceMemory.open(tmp_path / "m")
    reports = [finished(process) for process in [start_python(WRITE_SHARED, tmp_path / "m", n) for n in (1, 2, 3)]]
    memory = ExperienceMemory.open(tmp_path / "m")
    found = {group.query.id: [rollout.id for rollout in group.rollouts] for group in memory.groups()}
    assert len(memory.query_ids()) == len(found) == 8 + 3 * 8
    for step in range(8):
        assert sorted(found[f"q{step}"]) == sorted(f"q{step}/{r}" for r in (*range(5), 105, 205, 305))
        for mine in (1, 2, 3):
            assert found[f"q{1000 * mine + step}"] == [f"q{1000 * mine + step}/{r}" for r in range(2)]
    assert memory.counts()["verdicts"] == memory.counts()["rollouts"] == 8 * 8 + 3 * 8 * 2
    sums = [sum(int(line.split()[column]) for lines in reports for line in lines) for column in range(3)]
    assert sums == [32, 112, 0]


def test_threads_of_one_memory_write_in_turn(tmp_path: Path, make_group: MakeGroup) -> None:
    for memory in (ExperienceMemory.open(tmp_path / "m"), ExperienceMemory.in_memory()):

        def write(writer: int, memory: ExperienceMemory = memory) -> None:
            for step in range(5):
                own = make_group(f"q{step}", rollouts=2, prefix=f"writer-{writer}-")
                memory.add([make_group(f"q{step}"), own])
                label(memory, [f"q{step}"], FROM_FILE, use="warmup")
                assert len(memory.groups([f"q{step}"])[0].rollouts) >= 5

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(write, range(3)))
        assert sorted(memory.query_ids()) == [f"q{step}" for step in range(5)]
        for group in memory.groups():
            ids = [f"{group.query.id}/{index}" for index in range(3)]
            ids += [f"{group.query.id}/writer-{writer}-{index}" for writer in range(3) for index in range(2)]
            assert sorted(rollout.id for rollout in group.rollouts) == sorted(ids)
        assert memory.counts() == {"queries": 5, "rollouts": 45, "references": 5, "verdicts": 45, "ledger": 15}
        assert len(label(memory, memory.query_ids(), NOBODY).labels) == 45  # equivalent answers are judged once


@pytest.mark.slow
def test_processes_that_make_one_memory_at_the_same_moment_share_it(tmp_path: Path, start_python: StartPython) -> None:
    processes = [start_python(MAKE, tmp_path / "m", number) for number in range(6)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        finished(process)
    assert sorted(ExperienceMemory.open(tmp_path / "m", create=False).query_ids()) == [f"q{n}" for n in range(6)]


@pytest.mark.slow
def test_releases_at_the_same_moment_keep_to_the_budget(
    tmp_path: Path, start_python: StartPython, make_group: MakeGroup
) -> None:
    memory = ExperienceMemory.open(tmp_path / "m")
    memory.add(make_group(f"q{index}") for index in range(24))
    processes = [start_python(RELEASE, tmp_path / "m", start, start + 8) for start in (0, 8, 16)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    lines = [line for process in processes for line in finished(process)]
    assert sorted(lines) == ["3"] * 9 + ["refused"] * 15
    totals = memory.ledger.totals()
    assert (totals["queries"], totals["judgements"]) == (9, 27)
    with pytest.raises(BudgetError, match="9 queries are spent"):
        label(memory, [f"q{index}" for index in range(24)], FROM_FILE, Budget(queries=9), "warmup")


def test_a_reader_sees_whole_groups_while_another_process_writes(tmp_path: Path, start_python: StartPython) -> None:
    memory = ExperienceMemory.open(tmp_path / "m")
    writer = start_python(WRITE_FOREVER, tmp_path / "m", 0)
    assert writer.stdout is not None
    writer.stdout.readline()
    before = len(memory)
    deadline = time.monotonic() + 120
    while len(memory) < before + 5 and time.monotonic() < deadline:
        assert all(len(group.rollouts) >= 4 for group in memory.groups())
    assert len(memory) >= before + 5


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_has_connections_of_its_own_and_a_file_that_is_gone_is_missed(
    tmp_path: Path, make_group: MakeGroup
) -> None:
    memory = ExperienceMemory.open(tmp_path / "memory")
    memory.add([make_group(0)])
    child = os.fork()
    if not child:
        memory.add([make_group(1)])
        gc.collect()
        os._exit(len(memory) != 2)
    assert os.waitpid(child, 0)[1] == 0
    memory.add([make_group(2)])
    assert len(ExperienceMemory.open(tmp_path / "memory")) == len(memory) == 3
    shutil.rmtree(tmp_path / "memory")
    with pytest.raises(StoreError):
        memory.add([make_group(3)])
