"""`memreward warmup` killed by SIGKILL at every kind of point, out of room, and run again.

Each run is a process of its own, forked from one that has the slow imports done: they are most of a short run's time.
It is killed around what it does to its one file: making tables, inserting rows, committing them.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from memreward.memory import ExperienceMemory
from memreward.memory.ledger import LedgerEntry
from memreward.reward.predictor import FILE

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")]

SOURCE = """
import json, os, signal, sqlite3, sys
from pathlib import Path

from memreward import cli, sqlite
from memreward.cli import output
from memreward.memory import store

def run(order):
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    left = order["passes"]
    if order["program"]:
        os.execvp(order["program"], [order["program"], *order["arguments"]])

    def reach(point):
        nonlocal left
        if point == order["point"]:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def guard(owner, name, label):
        plain = getattr(owner, name)
        def guarded(*given, **named):
            reach(f"before {label(*given)}")
            result = plain(*given, **named)
            reach(f"after {label(*given)}")
            return result
        setattr(owner, name, guarded)

    class Guarded(sqlite3.Connection):
        wrote = "nothing"
        def execute(self, sql, *given):
            first, _, table, *_ = (sql.split() + ["", ""])[:3] + [""]
            if first in ("CREATE", "INSERT"):
                self.wrote = {"CREATE": "creating ", "INSERT": ""}[first] + table
            what = f"commit of {self.wrote}" if sql == "COMMIT" else self.wrote
            reach(f"before {what}")
            result = super().execute(sql, *given)
            reach(f"after {what}")
            return result

    connect = sqlite3.connect
    sqlite3.connect = lambda *given, **named: connect(*given, **named, factory=Guarded)
    guard(Path, "replace", lambda self, target: Path(target).name)
    guard(output._Lines, "__call__", lambda self, stage, *_: stage)
    store._GROUPS_PER_TRANSACTION = 5
    sys.argv = ["memreward", *order["arguments"]]
    cli.main()

for line in sys.stdin:
    child = os.fork()
    if not child:
        status = 1
        try:
            run(json.loads(line))
        except SystemExit as end:
            status = end.code or 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
MOUNT = 'mount -t tmpfs -o size=128k none "$0" && exec "$@"'
POINTS = (
    ("after creating ledger", 0, 0),
    ("before commit of rollouts", 0, 0),
    ("after queries", 7, 0),
    ("after commit of rollouts", 1, 0),
    ("before rollouts", 50, 0),
    ("before commit of ledger", 0, 0),
    ("after commit of ledger", 0, 3),
    ("after ledger", 5, 3),
    ("before commit of ledger", 1, 6),
    ("before learning", 2, 9),
    ("before predictor.safetensors", 0, 12),
)
"""Points, how often each is passed first, and the questions bought by then: there are four rounds of three."""


class Runs:
    """Runs the command line in forked processes, one at a time; `disk` is a file system of 128 KiB, if there is one."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.disk = folder, folder / "disk"
        self.disk.mkdir()
        mount = [
            "unshare",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            f'{MOUNT} size=128k none "$0" && exec "$@"',
            self.disk,
        ]
        probe = subprocess.run([*mount, "true"], capture_output=True) if shutil.which("unshare") else None
        self.has_disk = probe is not None and probe.returncode == 0
        self._process = subprocess.Popen(
            [*(mount if self.has_disk else []), sys.executable, "-c", SOURCE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"MEMREWARD_CACHE": str(folder / "cache")},
        )

    def __call__(
        self, *arguments: str | Path, point: str = "", passes: int = 0, program: str = ""
    ) -> tuple[int, str, str]:
        """Run to the end, or until `point` was passed so many times; return status, stdout and stderr."""
        order = {"arguments": list(map(str, arguments)), "point": point, "passes": passes, "program": program}
        places = {name: str(self.folder / name) for name in ("out", "err")}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(order | places), file=self._process.stdin, flush=True)
        status = int(self._process.stdout.readline())
        return status, *(Path(place).read_text() for place in places.values())

    def resize_disk(self, size: str) -> None:
        assert self("-o", f"remount,size={size}", "none", self.disk, program="mount")[0] == 0

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    runs = Runs(tmp_path_factory.mktemp("runs"))
    yield runs
    runs.close()


@pytest.fixture(scope="module")
def rollouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 questions with four rollouts each."""
    drawn, path = random.Random(7), tmp_path_factory.mktemp("input") / "sums.jsonl"
    with path.open("w") as file:
        for number in range(24):
            total = number + 3
            answers = [total if drawn.random() < 0.6 else total + drawn.choice((1, 2, 10)) for _ in range(4)]
            texts = [{"text": f"{number} + 3 = {a}. The answer is {a}.", "correct": a == total} for a in answers]
            record = {"id": f"q{number}", "domain": "math", "query": f"What is {number} + 3?", "rollouts": texts}
            file.write(json.dumps(record) + "\n")
    return path


def warmup(rollouts: Path, memory: Path, *more: str) -> tuple[str | Path, ...]:
    return ("warmup", rollouts, "--memory", memory, "--labels", "50%", "--json", *more)


def state(memory: Path) -> tuple[dict[str, tuple[str, ...]], list[LedgerEntry]]:
    """What a memory holds: rollouts by query, and the ledger."""
    store = ExperienceMemory.open(memory)
    return {g.query.id: tuple(r.id for r in g.rollouts) for g in store.groups()}, store.ledger.entries()


def predictor(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Everything a predictor is: its header, and its arrays."""
    with safe_open(folder / FILE, "numpy") as file:
        return json.loads(file.metadata()["memreward"]), {name: file.get_tensor(name).tolist() for name in file.keys()}  # noqa: SIM118


def without_times(entries: list[LedgerEntry]) -> list[LedgerEntry]:
    return sorted((replace(entry, time=0.0, id="") for entry in entries), key=lambda entry: str(entry.rollout_id))


def test_killed_anywhere_it_loses_and_doubles_nothing_and_ends_the_same(
    runs: Runs, rollouts: Path, tmp_path: Path
) -> None:
    whole, memory = tmp_path / "whole", tmp_path / "memory"
    status, said, errors = runs(*warmup(rollouts, whole))
    assert status == 0, errors
    held: dict[str, tuple[str, ...]] = {}
    paid: list[LedgerEntry] = []
    for point, passes, questions in POINTS:
        status, out, errors = runs(*warmup(rollouts, memory), point=point, passes=passes)
        assert status == -signal.SIGKILL, (point, errors)
        assert out == ""
        groups, entries = state(memory)
        assert groups.items() >= held.items(), point
        assert all(len(ids) == 4 for ids in groups.values()), point
        assert entries[: len(paid)] == paid, point
        assert len({entry.rollout_id for entry in entries}) == len(entries) <= 48, point
        assert len({entry.query_id for entry in entries}) == questions, point
        held, paid = groups, entries
    status, again, errors = runs(*warmup(rollouts, memory))
    assert status == 0, errors
    (first, ledger), (second, entries) = state(whole), state(memory)
    assert (first, list(first)) == (second, list(second))
    assert entries == paid
    assert without_times(entries) == without_times(ledger)
    assert predictor(memory / "predictor") == predictor(whole / "predictor")
    report, expected = json.loads(again), json.loads(said)
    assert report["ledger"] == expected["ledger"]
    assert report["held_out"] == expected["held_out"]
    assert report["memory"] | {"uri": ""} == expected["memory"] | {"uri": ""}


def test_killed_while_it_replaces_a_predictor_it_leaves_the_old_one_whole(
    runs: Runs, rollouts: Path, tmp_path: Path
) -> None:
    memory = tmp_path / "memory"
    assert runs(*warmup(rollouts, memory))[0] == 0
    before, score = predictor(memory / "predictor"), ("score", rollouts, "--memory", memory, "--out")
    assert runs(*score, tmp_path / "a")[0] == 0
    assert (
        runs(*warmup(rollouts, memory, "--prior", "none"), point="before predictor.safetensors")[0] == -signal.SIGKILL
    )
    assert predictor(memory / "predictor") == before
    status, _, errors = runs(*score, tmp_path / "b")
    assert status == 0, errors
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text()
    assert runs(*warmup(rollouts, memory, "--prior", "none"))[0] == 0
    assert predictor(memory / "predictor")[0]["value"]["about"]["provenance"]["prior"] == "none"
    assert len(list((memory / "predictor").glob("*.safetensors"))) == 1


def test_on_a_full_disk_it_says_so_and_goes_on_when_there_is_room(runs: Runs, rollouts: Path, tmp_path: Path) -> None:
    if not runs.has_disk:
        pytest.skip("no small file system can be mounted here (unshare --map-root-user --mount)")
    whole, memory = tmp_path / "whole", runs.disk / "memory"
    assert runs(*warmup(rollouts, whole))[0] == 0
    for size, full in (("60k", "memory.sqlite"), ("200k", "memory.sqlite"), ("400k", "predictor.safetensors")):
        runs.resize_disk(size)
        status, out, errors = runs(*warmup(rollouts, memory))
        assert (status, out) == (1, "")
        assert "Traceback" not in errors
        assert re.search(rf"{full}: .*(the disk is full: free space|\[Errno 28\].*free space)", errors.splitlines()[-1])
    runs.resize_disk("40m")
    status, out, errors = runs(*warmup(rollouts, memory))
    assert status == 0, errors
    assert json.loads(out)["ledger"]["judgements"] == len(state(whole)[1])
    assert runs("-r", memory, tmp_path / "copy", program="cp")[0] == 0
    (first, ledger), (second, entries) = state(whole), state(tmp_path / "copy")
    assert first == second
    assert without_times(entries) == without_times(ledger)
    assert predictor(tmp_path / "copy" / "predictor") == predictor(whole / "predictor")
