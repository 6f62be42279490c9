"""Checkpoints that are marked as whole, or removed, so that a training may be killed at any moment; two are kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memreward.integrations.trl import STATE_FOLDER
from memreward.reward.policy import PolicyReward
from memreward.temporary import write_whole
from memreward.types import StoreError

if TYPE_CHECKING:
    from transformers import TrainerCallback

_PREFIX = "checkpoint-"
_START = "start"
_MARK = "whole.json"


def checkpoints(folder: str | Path) -> list[Path]:
    return [path for path in _all(Path(folder)) if (path / _MARK).is_file()]


def step_of_checkpoint(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix(_PREFIX))


def resume_from(folder: str | Path, reward: PolicyReward) -> Path | None:
    """Bring a reward to the newest whole checkpoint, which is returned; the trainer is brought there by `train(...)`.

    Without one the reward goes back to its state at the first call for this folder, and None is returned.
    """
    found = checkpoints(folder)
    for path in _all(Path(folder)):
        if path not in found:
            shutil.rmtree(path)
    start = Path(folder) / _START
    if found:
        reward.restore(found[-1] / STATE_FOLDER)
    elif (start / _MARK).is_file():
        reward.restore(start / STATE_FOLDER)
    else:
        reward.save(start / STATE_FOLDER)
        _mark(start)
    return found[-1] if found else None


def keeper(folder: str | Path) -> TrainerCallback:
    """Return a callback that marks checkpoints as whole; it must be the last one."""
    from transformers import TrainerCallback

    class MarksCheckpoints(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            args.distributed_state.wait_for_everyone()  # each process writes its own random state
            if state.is_world_process_zero:
                _mark(Path(folder) / f"{_PREFIX}{state.global_step}")

    return MarksCheckpoints()


def _mark(checkpoint: Path) -> None:
    from memreward import __version__

    try:
        write_whole(checkpoint / _MARK, json.dumps({"memreward": __version__}) + "\n")
    except OSError as error:
        raise StoreError(f"cannot finish the checkpoint {checkpoint}: {error}; free space") from error


def _all(folder: Path) -> list[Path]:
    found = [path for path in folder.glob(f"{_PREFIX}*") if path.name.removeprefix(_PREFIX).isdecimal()]
    return sorted(found, key=step_of_checkpoint)
