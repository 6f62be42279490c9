"""Checkpoints that are marked as whole, or removed, so that a training may be killed at any moment; two are kept.

At Ctrl-C the step is finished and one is written; a second one ends at once.
"""

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


import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import TrainerCallback

_PREFIX = "checkpoint-"
_START = "start"
_MARK = "whole.json"
_NOTICE = b"\nFinishing this step and writing a checkpoint; interrupt again to stop at once.\n"


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


def keeper(folder: str | Path, interruption: Interruption | None = None) -> TrainerCallback:
    """Return a callback that marks checkpoints as whole; it must be the last one.

    Where somebody interrupted, training ends after the present step, with a checkpoint, in all processes together.
    """
    from transformers import TrainerCallback

    class MarksCheckpoints(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            if interruption is not None and interruption.asked_anywhere(args.device):
                control.should_save = control.should_log = control.should_training_stop = True

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


class Interruption:
    """Whether somebody asked to stop; `requested` is set by the first interrupt."""

    def __init__(self) -> None:
        self.requested = False

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Take interrupts in the main thread until the block ends; the second one is a KeyboardInterrupt."""

        def note(_signal: int, _frame: FrameType | None) -> None:
            if self.requested:
                raise KeyboardInterrupt
            self.requested = True
            os.write(2, _NOTICE)  # anything else may be in the middle of what it would do

        before = signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def asked_anywhere(self, device: Any) -> bool:
        import torch
        import torch.distributed as dist

        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            flag = torch.tensor(int(self.requested), device=device)
            dist.all_reduce(flag, op=dist.ReduceOp.MAX)
            self.requested = bool(flag.item())
        return self.requested
