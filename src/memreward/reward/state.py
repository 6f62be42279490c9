"""What a reward has learned, as a JSON file in a folder that appears whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from memreward.types import StoreError

_FILE = "reward.json"


def write_state(folder: str | Path, state: Mapping[str, Any]) -> None:
    """Write JSON values.

    Raises:
        StoreError: the folder cannot be written.
    """
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        unfinished = target / f"{_FILE}.partial"
        unfinished.write_text(json.dumps(state), encoding="utf-8")
        unfinished.replace(target / _FILE)
    except OSError as error:
        raise StoreError(f"cannot write the reward's state to {target}: {error}; free space") from error


@contextmanager
def reading_state(folder: str | Path) -> Iterator[dict[str, Any]]:
    """Give what `write_state` wrote to a block that takes it in.

    Raises:
        StoreError: the file is absent or damaged, or lacks what the block looks for.
    """
    source = Path(folder)
    try:
        yield json.loads((source / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"no state of a reward can be read from {source} ({error!r}); name a folder that `save` wrote"
        ) from error
