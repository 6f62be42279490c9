"""Files spread over a Ray cluster, each done as one process does it; a call goes on where one stopped."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from memreward.cli.output import Output
from memreward.types import ConfigurationError, MissingExtraError

Engine = Literal["process", "ray"]
Given = TypeVar("Given")
Found = TypeVar("Found")
Scorer = Callable[[Output, Sequence[Path], Path], Found]
"""Scores files into one table."""


def score_shards(files: Sequence[Path], folder: Path, scorer: Scorer[Found]) -> Iterator[Found]:
    """Score each file into a table FILE.parquet of its own, on the cluster that RAY_ADDRESS names, else here.

    All nodes see files, folder and memory. A file whose table is there is left out: tables are whole or absent, so the
    same call goes on. Yields what the scorer, which is sent to the nodes, returns.
    """
    tables = {file: (folder / f"{file.name.partition('.')[0]}.parquet").absolute() for file in files}
    if len(set(tables.values())) < len(tables):
        raise ConfigurationError(f"two of the files have one name, and so one table in {folder}: rename one")
    folder.mkdir(parents=True, exist_ok=True)
    waiting = [
        {"file": str(file.absolute()), "table": str(table)} for file, table in tables.items() if not table.exists()
    ]
    yield from spread(waiting, lambda row: scorer(Output(True), [Path(row["file"])], Path(row["table"])))


def spread(given: Sequence[Given], work: Callable[[Given], Found]) -> Iterator[Found]:
    """Do work on each of some plain values on a Ray cluster, RAY_ADDRESS's or one here; yields what it returns."""
    try:
        import ray
        from ray.data import DataContext, from_items
    except ImportError as error:
        raise MissingExtraError(error.name or "ray", "ray", "work on a Ray cluster") from error
    if not given:
        return
    if not ray.is_initialized():
        ray.init(log_to_driver=False, logging_level=logging.WARNING)
    DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    blocks = from_items([{"given": one} for one in given], override_num_blocks=len(given))
    for row in blocks.map(lambda row: {"found": [work(row["given"])]}).iter_rows():
        yield row["found"][0]
