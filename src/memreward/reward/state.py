"""What a reward has learned, in a folder: written whole or not at all, and told from what older releases wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from memreward.temporary import write_whole
from memreward.types import StoreError

FILE = "reward.json"
_OF_RELEASE_1 = ("live", "rows_seen")


def write_state(folder: str | Path, state: Mapping[str, Any]) -> None:
    target = Path(folder)
    try:
        write_whole(target / FILE, json.dumps(state))
    except OSError as error:
        raise StoreError(f"cannot write the reward's state to {target}: {error}; free space") from error


def read_state(folder: str | Path) -> dict[str, Any]:
    with named_errors(folder):
        state: dict[str, Any] = json.loads((Path(folder) / FILE).read_text(encoding="utf-8"))
    return state


@contextmanager
def named_errors(folder: str | Path) -> Iterator[None]:
    """Run a block that reads a reward's state, and say of what goes wrong which folder is meant.

    Raises:
        StoreError: the state is absent or damaged, lacks what the block looks for, or an older release wrote it.
    """
    source = Path(folder)
    _refuse_older(source)
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, StoreError) as error:
        raise StoreError(
            f"no state of a reward can be read from {source} ({error!r}); name a folder that `save` wrote"
        ) from error


def _refuse_older(folder: Path) -> None:
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if isinstance(found, dict) and any(name in found for name in _OF_RELEASE_1):
        raise StoreError(
            f"{folder} holds the state of a reward of release 0.1, whose predictor this release does not have: train "
            "from the beginning in another folder; the labels that the ledger holds cost nothing again"
        )
