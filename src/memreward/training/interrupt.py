"""Ctrl-C in training: the step is finished and a checkpoint written; a second one ends at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import TrainerCallback


_NOTICE = b"\nFinishing this step and writing a checkpoint; interrupt again to stop at once.\n"


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

    def callback(self) -> TrainerCallback:
        """Return a callback that ends training after the present step, with a checkpoint, in all processes together."""
        from transformers import TrainerCallback

        asked = self._asked_anywhere

        class StopAfterStep(TrainerCallback):  # type: ignore[misc, unused-ignore]
            def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
                if asked(args.device):
                    control.should_save = control.should_log = control.should_training_stop = True

        return StopAfterStep()

    def _asked_anywhere(self, device: Any) -> bool:
        import torch
        import torch.distributed as dist

        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            flag = torch.tensor(int(self.requested), device=device)
            dist.all_reduce(flag, op=dist.ReduceOp.MAX)
            self.requested = bool(flag.item())
        return self.requested
