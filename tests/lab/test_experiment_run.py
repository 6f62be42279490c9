"""Experiments that train, on the shipped policy and few questions: what is read, repeated and taken over."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab.arms import ARMS
from lab.replay import recorded, replayed
from lab.testbed.config import StartConfig
from lab.testbed.start import EXPERIENCE, POLICY, Start, make_start
from lab.trainings.cell import Training, cell_key
from lab.trainings.config import SAMPLING, TESTBED, ExperimentConfig
from lab.trainings.experiment import run
from lab.trainings.outcome import FOREIGN, TEST, TrainingOutcome
from memreward.answers.prior import RewardPrior
from memreward.evaluation import workers
from memreward.evaluation.metrics import advantages
from memreward.training.config import ChoiceRule
from memreward.types import ConfigurationError

pytestmark = pytest.mark.slow  # torch takes seconds to load

SHIPPED = Path(__file__).resolve().parents[2] / "examples" / "testbed"
START = StartConfig(train=24, test=12, foreign=3, rollouts=4)
CONFIG = ExperimentConfig(
    arms=("oracle", "labelled", "memreward", "majority"),
    prior="none",
    labels=("0.5",),
    seeds=1,
    workers=1,
    encoder="ngrams",
    answers=2,
    measure_every=1,
    start=START,
    grpo=replace(TESTBED, steps=2, groups_per_step=4),
    sampling=replace(SAMPLING, rollouts=4),
)


def silent(*_: object) -> None:
    pass


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _cached(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMREWARD_CACHE", str(cache))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    folder = tmp_path_factory.mktemp("start")
    shutil.copytree(SHIPPED / POLICY, folder / POLICY)
    return make_start(START, folder, silent)


@pytest.fixture(scope="module")
def first(start: Start, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[TrainingOutcome]]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MEMREWARD_CACHE", str(cache))
        out = tmp_path_factory.mktemp("out")
        return out, run(CONFIG, out, silent, start=start.folder)


def test_every_arm_is_trained_and_measured_on_held_out_questions(
    first: tuple[Path, list[TrainingOutcome]], start: Start
) -> None:
    _, outcomes = first
    assert [outcome.arm for outcome in outcomes] == ["start", *CONFIG.arms]
    trained_on = {group.query.id for group in start.groups(EXPERIENCE)}
    for outcome in outcomes:
        assert [len(outcome.accuracy[part]) for part in (TEST, FOREIGN)] == [12, 3]
        assert not trained_on & {query for part in outcome.accuracy.values() for query in part}
        assert set(outcome.domains.values()) == {"math", "qa", "code"}
        if outcome.arm != "start":
            assert [row["step"] for row in outcome.steps] == [1, 2]
            assert [point["step"] for point in outcome.curve] == [1, 2]


def test_an_arm_reads_no_label_that_is_not_its_own(first: tuple[Path, list[TrainingOutcome]]) -> None:
    ledger = {outcome.arm: outcome.ledger for outcome in first[1]}
    assert ledger["majority"]["queries"] == 0
    assert 0 < ledger["oracle"]["queries"] <= 24
    for arm in ("labelled", "memreward"):
        assert 0 < ledger[arm]["queries"] <= 12
    steps = {outcome.arm: outcome.steps for outcome in first[1]}
    for row in steps["oracle"]:
        assert row["truth"] + row["abstained"] == 1.0
        assert row["reward_accuracy"] == 1.0
    assert all(row["predicted"] == 1.0 for row in steps["majority"])
    assert any(row["predicted"] > 0 for row in steps["memreward"])


def test_finished_trainings_are_taken_over_and_unfinished_ones_begin_anew(
    first: tuple[Path, list[TrainingOutcome]], start: Start, tmp_path: Path
) -> None:
    out, outcomes = first
    copied = tmp_path / "out"
    shutil.copytree(out, copied)
    (again,) = (copied / "cells").glob("majority_*")
    (again / "outcome.json").unlink()
    (again / "history.jsonl").write_text(json.dumps({"step": 99}) + "\n")
    kept = {path: path.stat().st_mtime_ns for path in copied.rglob("outcome.json")}
    told: list[tuple[str, int, int]] = []
    repeated = run(CONFIG, copied, lambda *said: told.append(said), start=start.folder)
    assert told[0] == ("training", 4, 5)
    assert told[-1] == ("training", 5, 5)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    # What is trained again, from the same seed, comes out the same.
    assert [plain(outcome) for outcome in repeated] == [plain(outcome) for outcome in outcomes]


def test_a_recorded_training_is_predicted_again_as_it_was(
    first: tuple[Path, list[TrainingOutcome]], start: Start
) -> None:
    """Warmed up on the same labels, and told of each step's labels after it, the model pays what the training paid."""
    (folder,) = (first[0] / "cells").glob("memreward_*")
    (outcome,) = (one for one in first[1] if one.arm == "memreward")
    training, again = recorded(folder, start), []
    assert {labelled for one in training.steps for labelled in one.labelled} == {True, False}
    for one, expected, _ in replayed(training, RewardPrior.load("none")):
        true = advantages(one.right.astype(np.float64), one.features.group, scaled=True)
        paid = np.where(one.labelled, true, expected)
        again.append(float(paid @ true / (np.linalg.norm(paid) * np.linalg.norm(true))))
    assert again == pytest.approx([row["advantage_cosine"] for row in outcome.steps], abs=1e-3)


@pytest.mark.timeout(280)
def test_processes_side_by_side_come_to_the_same(
    first: tuple[Path, list[TrainingOutcome]], start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are forked from one that has loaded what they need."""
    forking = get_context("forkserver")
    forking.set_forkserver_preload(["lab.trainings.cell", "trl.trainer.grpo_trainer"])
    monkeypatch.setattr(workers, "get_context", lambda _: forking)
    arms = ("labelled", "majority")
    beside = run(replace(CONFIG, arms=arms, workers=2), tmp_path, silent, start=start.folder)
    alone = {outcome.arm: outcome for outcome in first[1]}
    assert [outcome.arm for outcome in beside] == ["start", *arms]
    assert [plain(outcome) for outcome in beside] == [plain(alone[outcome.arm]) for outcome in beside]


def test_settings_that_an_arm_does_not_heed_leave_it_as_it_is(start: Start) -> None:
    def told(arm: str, choose: ChoiceRule = "random", **changed: Any) -> str:
        cell = Training(
            start.folder, arm, 0.5, choose, 0, CONFIG.grpo, CONFIG.sampling, CONFIG.trl, "none", "ngrams", 2, 1
        )
        return cell_key(replace(cell, **changed))

    for arm in ("oracle", "majority", "paper", "no-prior"):
        assert told(arm, prior="default") == told(arm)
    assert told("memreward", prior="default") != told("memreward")
    for arm in ("labelled", "memreward"):
        assert told(arm, encoder="all-MiniLM-L6-v2") == told(arm)
    assert told("labelled", "advantage", prior="default") != told("labelled", "advantage")
    assert told("paper", encoder="all-MiniLM-L6-v2") == told("paper")
    assert told("paper-ngrams", encoder="all-MiniLM-L6-v2") != told("paper-ngrams")


def test_trainings_that_would_end_differently_are_told_apart(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = Training(
        start.folder, "memreward", 0.5, "random", 0, CONFIG.grpo, CONFIG.sampling, CONFIG.trl, "none", "ngrams", 2, 1
    )
    known = cell_key(cell)
    elsewhere = tmp_path / "start"
    shutil.copytree(start.folder, elsewhere)
    assert cell_key(replace(cell, start=elsewhere)) == known
    others = [
        replace(cell, seed=1),
        replace(cell, prior="default"),
        replace(cell, grpo=replace(CONFIG.grpo, lora_rank=4)),
    ]
    assert len({known, *map(cell_key, others)}) == 4
    (elsewhere / EXPERIENCE).write_bytes((elsewhere / EXPERIENCE).read_bytes() + b"\n")
    assert cell_key(replace(cell, start=elsewhere)) != known
    monkeypatch.setitem(ARMS, "memreward", replace(ARMS["memreward"], rewards="threshold"))
    assert cell_key(cell) != known


def plain(outcome: TrainingOutcome) -> str:
    untimed = [{name: value for name, value in row.items() if name != "seconds"} for row in outcome.steps]
    return json.dumps(asdict(replace(outcome, seconds=0, steps=untimed)))


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="arm 'best' is unknown"):
        replace(CONFIG, arms=("best",))
    for nothing_to_compare in ("all", "0"):
        with pytest.raises(ConfigurationError, match="name arms, and shares or numbers"):
            replace(CONFIG, labels=(nothing_to_compare,))
