"""What is logged, and which checkpoints count, without a trainer."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from memreward.integrations.trl import STATE_FOLDER
from memreward.training.checkpoint import checkpoints, keeper, resume_from
from memreward.training.history import history, recorder
from memreward.types import DataError

ARGS: Any = SimpleNamespace(distributed_state=SimpleNamespace(wait_for_everyone=lambda: None))


@pytest.fixture(autouse=True)
def _base_class_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of transformers, whose trainer takes seconds to load, the callbacks need what they derive from."""
    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(TrainerCallback=object))


def state(step: int, *, first: bool = True) -> Any:
    return SimpleNamespace(global_step=step, is_world_process_zero=first)


def log(folder: Path, steps: range, start: int = 0) -> None:
    callback = recorder(folder)
    callback.on_train_begin(ARGS, state(start), None)  # type: ignore[arg-type]
    for step in steps:
        callback.on_log(ARGS, state(step), None, logs={"reward": step / 10, "kl": float("nan")})  # type: ignore[arg-type]


def test_rows_of_lost_steps_are_dropped_when_training_goes_on(tmp_path: Path) -> None:
    log(tmp_path, range(1, 6))
    assert [row["reward"] for row in history(tmp_path)] == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert {row["kl"] for row in history(tmp_path)} == {None}
    log(tmp_path, range(4, 5), start=3)
    assert [row["step"] for row in history(tmp_path)] == [1, 2, 3, 4]
    log(tmp_path, range(1, 2))
    assert [row["step"] for row in history(tmp_path)] == [1]


def test_a_row_that_a_kill_cut_short_does_not_count(tmp_path: Path) -> None:
    assert history(tmp_path) == []
    log(tmp_path, range(1, 3))
    with (tmp_path / "history.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 3, "rew')
    assert [row["step"] for row in history(tmp_path)] == [1, 2]
    log(tmp_path, range(3, 4), start=2)
    assert [row["step"] for row in history(tmp_path)] == [1, 2, 3]
    (tmp_path / "history.jsonl").write_text("nonsense\n", encoding="utf-8")
    with pytest.raises(DataError, match="is damaged"):
        history(tmp_path)


def test_only_the_first_process_writes_and_the_summary_is_no_step(tmp_path: Path) -> None:
    callback = recorder(tmp_path)
    callback.on_train_begin(ARGS, state(0), None)  # type: ignore[arg-type]
    callback.on_log(ARGS, state(1, first=False), None, logs={"reward": 1.0})  # type: ignore[arg-type]
    callback.on_log(ARGS, state(1), None, logs={"train_runtime": 1.0})  # type: ignore[arg-type]
    assert history(tmp_path) == []


class Counter:
    """A reward with a state."""

    def __init__(self) -> None:
        self.value = 0

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "value.json").write_text(json.dumps(self.value), encoding="utf-8")

    def restore(self, folder: Path) -> None:
        self.value = json.loads((folder / "value.json").read_text(encoding="utf-8"))


def save(folder: Path, reward: Counter, step: int) -> None:
    """What the reward's callback and then the keeper do with a checkpoint of the trainer."""
    reward.save(folder / f"checkpoint-{step}" / STATE_FOLDER)
    keeper(folder).on_save(ARGS, state(step), None)  # type: ignore[arg-type]


def test_the_newest_whole_checkpoint_is_gone_back_to(tmp_path: Path) -> None:
    reward = Counter()
    assert resume_from(tmp_path, reward) is None
    reward.value = 5
    assert resume_from(tmp_path, reward) is None
    assert reward.value == 0  # as it was when training began
    for step in (2, 4, 10):
        reward.value = step
        save(tmp_path, reward, step)
    (tmp_path / "checkpoint-12").mkdir()  # a kill left it
    (tmp_path / "checkpoint-notes").mkdir()
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-2", "checkpoint-4", "checkpoint-10"]
    reward.value = 99
    assert resume_from(tmp_path, reward) == tmp_path / "checkpoint-10"
    assert reward.value == 10
    assert not (tmp_path / "checkpoint-12").exists()
    assert (tmp_path / "checkpoint-notes").exists()
