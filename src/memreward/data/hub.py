"""Benchmarks from the Hugging Face hub, or from a folder that is laid out like it."""

from __future__ import annotations

import random
import string
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memreward.data.benchmarks import Benchmark
from memreward.data.draw import by_stratum, stratified_order
from memreward.data.layouts import LAYOUTS
from memreward.types import ConfigurationError, DataError, Group, MissingExtraError, Query, Truth, content_hash

SAMPLE = "sample"
"""Purpose of the draw that cuts a dataset down to n questions."""

_OWN_NAMES = {"split", "configuration", "row", "row_of_subject"}


def load_benchmark(
    benchmark: Benchmark, *, split: str | None = None, n: int | None = None, seed: int = 0, root: str | Path = ""
) -> list[Group]:
    """Load questions of a benchmark, each with its sealed reference and without rollouts.

    Rows without an answer (withheld, or a proof) are left out. A sample is drawn by id, stratified by subject where the
    benchmark has subjects; only rows that are drawn are read, so a sample of a large benchmark is quick. The arguments
    are those of `memreward.data.load_questions`.
    """
    split = split or benchmark.default_split
    if split not in benchmark.splits:
        raise ConfigurationError(
            f"{benchmark.name} has no split {split!r} with answers; use one of {', '.join(benchmark.splits)}"
        )
    shelf = _Shelf(benchmark, split, _source(benchmark, split, local=bool(root)))
    for configuration in benchmark.configurations or (None,):
        shelf.add(configuration, _open(benchmark, configuration, benchmark.splits[split], root))
    found: list[Group] = []
    for identity in shelf.order(n, seed):
        if len(found) == n:
            break
        group = shelf.group(identity)
        if group is not None:
            found.append(group)
    if not found:
        raise DataError(f"{benchmark.repository}, split {split}: no row has an answer; choose another split")
    return found


@dataclass
class _Shelf:
    """The rows of a split by question id, read when they are asked for."""

    benchmark: Benchmark
    split: str
    source: str
    places: dict[str, tuple[Any, int]] = field(default_factory=dict)
    subjects: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, configuration: str | None, table: Any) -> None:
        self._refuse_other_columns(table.column_names)
        for index, row in enumerate(self._naming_columns(table)):
            subject = str(row[self.benchmark.subject]) if self.benchmark.subject else ""
            own = {
                "split": self.split,
                "configuration": configuration,
                "row": index,
                "row_of_subject": self.counts[subject],
            }
            identity = self.benchmark.id.format_map({**row, **own})
            if identity in self.places:
                raise DataError(
                    f"{self.benchmark.repository}, split {self.split}, row {index}: id {identity!r} stands twice; the "
                    "repository is not the one that was expected, so use the revision in benchmarks.toml"
                )
            self.counts[subject] += 1
            self.places[identity] = table, index
            self.subjects[identity] = subject

    def order(self, n: int | None, seed: int) -> Iterable[str]:
        return self.places if n is None else stratified_order(by_stratum(self.subjects.items()), seed, purpose=SAMPLE)

    def group(self, identity: str) -> Group | None:
        table, index = self.places[identity]
        row = {self.benchmark.rename.get(column, column): value for column, value in table[index].items()}
        try:
            question = LAYOUTS[self.benchmark.layout].read(row, random.Random(content_hash(identity)))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(
                f"{self.benchmark.repository}, split {self.split}, row {index}: not in the expected layout "
                f"({error!r}); use the revision in benchmarks.toml"
            ) from error
        if question is None:
            return None
        subject = self.subjects[identity]
        provenance = {"source": self.source, "license": self.benchmark.license, **question.extras}
        query = Query(identity, question.text, self.benchmark.domain, self.benchmark.title)
        return Group(query, (), Truth(question.reference), provenance | ({"subject": subject} if subject else {}))

    def _naming_columns(self, table: Any) -> Iterator[dict[str, Any]]:
        columns = {name for _, name, _, _ in string.Formatter().parse(self.benchmark.id) if name}
        needed = sorted({*columns, self.benchmark.subject} - _OWN_NAMES - {""})
        if not needed:
            return ({} for _ in range(len(table)))
        # Whole columns at once: row by row takes a minute for NuminaMath.
        values = table.select_columns(needed).to_dict()
        return (dict(zip(needed, row, strict=True)) for row in zip(*(values[name] for name in needed), strict=True))

    def _refuse_other_columns(self, columns: list[str]) -> None:
        there = {self.benchmark.rename.get(column, column) for column in columns}
        missing = set(LAYOUTS[self.benchmark.layout].columns) - there
        if missing:
            raise DataError(
                f"{self.benchmark.repository}, split {self.split}: column {', '.join(sorted(missing))} is missing; it "
                f"has {', '.join(columns)}: use the revision in benchmarks.toml"
            )


def _source(benchmark: Benchmark, split: str, *, local: bool) -> str:
    """Where rows are from, as their provenance says it; of a local copy nobody knows the commit."""
    revision = "" if local else f"@{benchmark.revision or 'main'}"
    return f"{benchmark.repository}{revision}:{benchmark.splits[split]}"


def _open(benchmark: Benchmark, configuration: str | None, split: str, root: str | Path) -> Any:
    """One table of the hub, mapped from its cache on disk."""
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise MissingExtraError("datasets", "questions", f"loading {benchmark.title} from the hub") from error
    folder = Path(root) / benchmark.repository if root else None
    if folder is not None and not folder.is_dir():
        raise DataError(f"{folder}: no such folder; put a copy of the dataset repository {benchmark.repository} there")
    try:
        return load_dataset(
            benchmark.repository if folder is None else str(folder),
            name=configuration,
            split=split,
            revision=None if folder else benchmark.revision or None,
        )
    except Exception as error:  # the hub's client raises errors of whichever HTTP library it is built on
        raise DataError(_remedy(benchmark, error, local=folder is not None)) from error


def _remedy(benchmark: Benchmark, error: Exception, *, local: bool) -> str:
    repository = benchmark.repository
    copied = f"or copy the repository to DIR/{repository} and name DIR as the hub (--hub DIR)"
    if local:
        return f"the copy of {repository} cannot be read ({_shown(error)}); copy the repository again, with its README"
    if isinstance(error, ConnectionError):
        return f"{repository} cannot be reached ({_shown(error)}); check the network and HF_HUB_OFFLINE, {copied}"
    if benchmark.gated:
        page = f"https://huggingface.co/datasets/{repository}"
        return (
            f"{repository} is gated ({_shown(error)}); accept its terms at {page}, log in with `hf auth login` or set "
            f"HF_TOKEN, and try again, {copied}"
        )
    return f"{repository} cannot be loaded from the hub ({_shown(error)}); try again, {copied}"


def _shown(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text if len(text) <= 200 else f'{text[:197]}...'}"
