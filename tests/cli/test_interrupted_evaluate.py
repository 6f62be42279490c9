"""Ctrl-C while `memreward evaluate` works with several processes: a terminal sends it to every one of them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from memreward.cli import app

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "killpg"), reason="this system has no process groups"),
]

SEEDS = 60
TWO_CORES = "import os; os.sched_getaffinity = lambda _: {0, 1}; from memreward.cli import app; app()"
MESSAGE = "Interrupted. Finished parts are kept in --out: run the same command again to go on from there."


def rollouts(path: Path) -> Path:
    drawn = random.Random(0)
    with path.open("w") as file:
        for number in range(30):
            answers = [number + drawn.choice((0, 0, 1)) for _ in range(4)]
            texts = [{"text": f"The answer is {a}.", "correct": a == number} for a in answers]
            record = {"id": f"q{number}", "domain": "math", "query": f"What is {number} + 0?", "rollouts": texts}
            file.write(json.dumps(record) + "\n")
    return path


def until(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("moment", ["workers start", "cells are done"])
def test_ctrl_c_is_one_clean_line_and_finished_cells_are_kept(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMREWARD_CACHE", str(tmp_path / "cache"))
    cells = tmp_path / "out" / "cells"
    arguments = ["evaluate", rollouts(tmp_path / "sums.jsonl"), "--out", tmp_path / "out"]
    arguments += [
        "--predictors",
        "majority,logistic_evidence",
        "--labels",
        "20%",
        "--json",
        "--seeds",
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", TWO_CORES, *map(str, arguments), str(SEEDS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    workers: list[psutil.Process] = []

    def reached() -> bool:
        workers[:] = psutil.Process(process.pid).children(recursive=True)
        # The third is multiprocessing's own, which keeps track of what is shared.
        return len(workers) >= 3 if moment == "workers start" else any(cells.glob("*.json"))

    until(reached, process)
    os.killpg(process.pid, signal.SIGINT)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert [line for line in said.splitlines() if line and not line.startswith("  predicting: ")] == [MESSAGE]
    assert psutil.wait_procs(workers, timeout=10)[1] == []
    kept = {path: path.stat().st_mtime_ns for path in cells.glob("*.json")}
    assert len(kept) < 2 * SEEDS
    assert kept or moment == "workers start"
    again = CliRunner().invoke(app, [*map(str, arguments), "2"])
    assert again.exit_code == 0, again.output
    assert [len(row["seeds"]) for row in json.loads(again.stdout)["rows"]] == [2, 2]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(list(cells.glob("*.json"))) < len(kept) + 4 + (not kept)
