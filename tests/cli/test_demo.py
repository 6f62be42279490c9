"""The demo, on the first of its rollouts."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from memreward.cli import app, demo
from memreward.memory import ExperienceMemory


@pytest.fixture(autouse=True, scope="module")
def _few_rollouts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("few")
    few = folder / "few.jsonl.gz"
    with gzip.open(demo.ROLLOUTS, "rt", encoding="utf-8") as whole, gzip.open(few, "wt", encoding="utf-8") as file:
        file.writelines(line for number, line in enumerate(whole) if number % 6 == 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "ROLLOUTS", few)
        patch.setattr(demo, "_SEEDS", 1)
        patch.setenv("MEMREWARD_CACHE", str(folder / "cache"))
        yield


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder that a demo wrote, and the lines that it printed."""
    folder = tmp_path_factory.mktemp("ran") / "demo"
    done = CliRunner().invoke(app, ["demo", "--out", str(folder)])
    assert done.exit_code == 0, done.output
    return folder, done.stdout.splitlines()


def test_it_ends_in_one_screen_of_80_columns_in_which_labels_pay(ran: tuple[Path, list[str]]) -> None:
    folder, lines = ran
    assert [line for line in lines if len(line) > 80 and str(folder) not in line] == []
    last = lines[next(i for i, line in enumerate(lines) if line.startswith("How close rewards")) :]
    assert len(last) <= 24
    bars = [line.count("█") for line in last if "█" in line]
    assert len(bars) == 6
    assert all(bars[0] < ours < 20 for ours in bars[1:-1])
    assert bars[-1] == 20


def test_the_figures_are_those_of_the_evaluation_it_wrote(ran: tuple[Path, list[str]]) -> None:
    """A second demo takes over what the first has evaluated."""
    done = CliRunner().invoke(app, ["demo", "--out", str(ran[0]), "--json"])
    said = json.loads(done.stdout)
    rows = json.loads((ran[0] / "evaluation.json").read_text())["rows"]
    ours = [row["figures"]["advantage_cosine"] for row in rows if row["predictor"] == "memreward"]
    assert [line["advantage_cosine"] for line in said["figures"][1:]] == ours
    assert [line["labelled"] for line in said["figures"]] == [0, 0, 5, 20, 13]


def test_no_label_enters_the_memory_it_leaves(ran: tuple[Path, list[str]]) -> None:
    memory = ExperienceMemory.open(str(ran[0] / "memory"), create=False)
    assert memory.ledger.totals()["queries"] == 0
    assert memory.counts()["queries"] == 68
