"""Rows of a data set on the Hugging Face hub, by its name, configuration and split."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from memreward.types import DataError, MissingExtraError

_PREFIX = "hub:"


def on_hub(path: Path) -> bool:
    """Whether a name is hub:OWNER/NAME[/CONFIGURATION]/SPLIT."""
    return str(path).startswith(_PREFIX)


def hub_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield where each row stands, and the row. A folder OWNER/NAME here, a copy of the repository, goes first."""
    owner, *rest = str(path).removeprefix(_PREFIX).split("/")
    if not 2 <= len(rest) <= 3:
        raise DataError(f"{path}: name it as hub:OWNER/NAME/SPLIT or hub:OWNER/NAME/CONFIGURATION/SPLIT")
    try:
        from datasets import disable_progress_bars, load_dataset
    except ImportError as error:
        raise MissingExtraError("datasets", "hub", "reading data sets of the hub") from error
    disable_progress_bars()
    try:
        table = load_dataset(f"{owner}/{rest[0]}", *rest[1:-1], split=rest[-1])
    except Exception as error:  # the hub's client raises errors of whichever HTTP library it is built on
        said = " ".join(str(error).split())[:300]
        raise DataError(
            f"{path}: cannot be loaded ({type(error).__name__}: {said}); check configuration, split, network and "
            f"HF_HUB_OFFLINE; where its terms must be accepted, do so and log in by `hf auth login`; or put a copy of "
            f"the repository into the folder {owner}/{rest[0]}"
        ) from error
    yield from ((f"{path}, row {number}", row) for number, row in enumerate(table))
