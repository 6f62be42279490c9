"""Fixed splits, by question and kept as a small file, so that a run can be repeated."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from memreward.data.draw import uniform
from memreward.temporary import write_whole
from memreward.types import ConfigurationError, DataError, Group, content_hash

PARTS = ("train", "validation", "test")
_VERSION = 2


@dataclass(frozen=True)
class SplitConfig:
    """How questions are split.

    Attributes:
        validation: Share of all questions that goes to validation, in [0, 1).
        test: Share of all questions that goes to the test, in [0, 1).
        seed: Decides the split, together with the questions' ids.
    """

    validation: float = 0.1
    test: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("validation", "test"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigurationError(f"{name} is {getattr(self, name)}: use a share of at least 0 and below 1")
        if self.validation + self.test >= 1:
            raise ConfigurationError(
                f"validation {self.validation} and test {self.test} leave nothing to train on: use smaller shares"
            )


@dataclass(frozen=True, slots=True)
class Split:
    """Which question is for what: ids sorted, numbers of questions by dataset and part, a hash of all ids and texts."""

    config: SplitConfig
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    datasets: dict[str, dict[str, int]]
    questions: str
    version: str


def part_of(query_id: str, config: SplitConfig) -> str:
    """Return the part of a question: its id and the configuration alone decide, whatever file it stands in."""
    place = uniform(config.seed, "split", query_id)
    if place < config.test:
        return "test"
    return "validation" if place < config.test + config.validation else "train"


def make_split(groups: Sequence[Group], config: SplitConfig | None = None) -> Split:
    """Split questions by id; which of them are labelled, whoever spends the labels decides (`LabelLedger.choose`)."""
    config = config or SplitConfig()
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    datasets = {home: dict.fromkeys(PARTS, 0) for home in sorted({group.query.dataset for group in groups})}
    seen: set[str] = set()
    for query in (group.query for group in groups):
        if query.id in seen:
            raise DataError(f"question {query.id!r} stands twice: give each question once")
        seen.add(query.id)
        part = part_of(query.id, config)
        parts[part].append(query.id)
        datasets[query.dataset][part] += 1
    train, validation, test = (tuple(sorted(parts[part])) for part in PARTS)
    return Split(config, train, validation, test, datasets, _digest(groups), version("memreward"))


def write_split(path: str | Path, split: Split) -> None:
    """Write a split as JSON; the file appears whole or not at all."""
    path = Path(path)
    record = {"split": _VERSION, "memreward": split.version, "settings": vars(split.config)}
    record |= {name: getattr(split, name) for name in ("questions", "datasets", *PARTS)}
    try:
        write_whole(path, json.dumps(record, indent=1) + "\n")
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written: {error.strerror or error}; free space or choose another folder"
        ) from error


def read_split(path: str | Path, groups: Iterable[Group] | None = None) -> Split:
    """Read what `write_split` wrote; DataError where it holds no split, or one of other questions than `groups`."""
    try:
        split = _from_record(json.loads(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}; check the path") from error
    except (ValueError, KeyError, TypeError, AttributeError, ConfigurationError) as error:
        raise DataError(f"{path}: not a split of this release ({error!r}); draw it again") from error
    if groups is not None and _digest(groups) != split.questions:
        raise DataError(f"{path}: was drawn from other questions; give the file that was written together with it")
    return split


def _from_record(record: dict[str, Any]) -> Split:
    if record["split"] != _VERSION:
        raise ValueError(f"it has version {record['split']!r}, and {_VERSION} is known")
    train, validation, test = (tuple(record[part]) for part in PARTS)
    config = SplitConfig(**record["settings"])
    return Split(config, train, validation, test, record["datasets"], record["questions"], record["memreward"])


def _digest(groups: Iterable[Group]) -> str:
    return content_hash("\n".join(sorted(content_hash(f"{g.query.id}\0{g.query.text}") for g in groups)))
