"""What a training logged: one JSON line a logged step, in a file that survives interruptions."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memreward.temporary import write_whole
from memreward.types import DataError

if TYPE_CHECKING:
    from transformers import TrainerCallback

FILE = "history.jsonl"
SECONDS = "seconds"
"""Key of the time since training began or was resumed."""
_OF_THE_WHOLE_RUN = "train_runtime"
LoggedStep = dict[str, Any]


def history(folder: str | Path) -> list[LoggedStep]:
    """Return the logged rows of a training, oldest first, None where a value was not finite; a cut line is left out."""
    path = Path(folder) / FILE
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    try:
        return [json.loads(line) for line in lines]
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}): delete the broken line") from error


def mean_reward(row: Mapping[str, Any]) -> float | None:
    """Return the mean of what is true or probable of a row's rollouts, whatever was paid; None without any."""
    value = row.get("memreward/reward")
    return row.get("reward") if value is None else value


def recorder(folder: str | Path, on_row: Callable[[LoggedStep], None] | None = None) -> TrainerCallback:
    """Return a callback that appends logged steps to the folder's history, lost ones dropped, and tells `on_row`."""
    from transformers import TrainerCallback

    path = Path(folder) / FILE

    class Recorder(TrainerCallback):  # type: ignore[misc, unused-ignore]
        started = 0.0

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            self.started = time.monotonic()
            if state.is_world_process_zero:
                _cut(path, state.global_step)

        def on_log(self, args: Any, state: Any, control: Any, logs: LoggedStep | None = None, **_: Any) -> None:  # noqa: ARG002
            if not state.is_world_process_zero or logs is None or _OF_THE_WHOLE_RUN in logs:
                return
            row = {"step": state.global_step, **_finite(logs), SECONDS: round(time.monotonic() - self.started, 3)}
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            if on_row is not None:
                on_row(row)

    return Recorder()


def _cut(path: Path, step: int) -> None:
    kept = [row for row in history(path.parent) if row["step"] <= step]
    write_whole(path, "".join(json.dumps(row) + "\n" for row in kept))


def _finite(logs: LoggedStep) -> LoggedStep:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in logs.items()
    }
