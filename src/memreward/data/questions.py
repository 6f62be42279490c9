"""Questions by name: of a benchmark, a local file, or a family of generated ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from memreward.data.benchmarks import benchmarks
from memreward.data.draw import by_stratum, stratified_order
from memreward.data.families import FAMILIES, questions
from memreward.data.files import read_groups
from memreward.data.hub import SAMPLE, load_benchmark
from memreward.types import ConfigurationError, DataError, Group

_GENERATED = {"source": "reasoning-gym", "license": "Apache-2.0"}


def load_questions(
    source: str | Path, *, split: str | None = None, n: int | None = None, seed: int = 0, root: str | Path = ""
) -> list[Group]:
    """Load questions, each with its sealed reference and without rollouts.

    Args:
        source: Name of a benchmark ("gsm8k"), path of a file of the rollout schema, or name of a family of generated
            questions ("gcd"), each with ":COUNT" or without; several have commas between them ("gcd:50,lcm:50").
        split: The benchmark's own split; None for its default. Files and families have none.
        n: At most so many of each dataset, where no ":COUNT" says so; None for all. A sample is drawn by id,
            stratified by subject where the questions have one, and begins with the sample of a smaller n.
        seed: Of the draw, and of generated questions.
        root: Folder with copies of the hub's dataset repositories as OWNER/NAME; "" for the hub.
    """
    found: dict[str, Group] = {}
    for piece in [str(source)] if Path(source).is_file() else str(source).split(","):
        for group in _load(piece, split, n, seed, root):
            if group.query.id in found:
                raise ConfigurationError(f"question {group.query.id!r} is asked twice: name {piece!r} once")
            found[group.query.id] = group
    return list(found.values())


def _load(source: str, split: str | None, n: int | None, seed: int, root: str | Path) -> list[Group]:
    name, n = _counted(source, n)
    if name.lower() in benchmarks():
        return load_benchmark(benchmarks()[name.lower()], split=split, n=n, seed=seed, root=root)
    if split is not None:
        raise ConfigurationError(f"{source!r} has no split {split!r}: only benchmarks have splits of their own")
    if name in FAMILIES:
        if n is None:
            raise ConfigurationError(f"questions {source!r}: say how many, as {name}:100")
        return [Group(query, (), truth, _GENERATED) for query, truth in questions(name, n, seed)]
    if Path(name).is_file():
        groups = [group.question() for group in read_groups(name)]
        return groups if n is None else sample_questions(groups, n, seed)
    raise ConfigurationError(
        f"questions {source!r}: neither a file, nor a benchmark ({', '.join(benchmarks())}), nor a family of generated "
        f"questions ({', '.join(sorted(FAMILIES))})"
    )


def _counted(source: str, n: int | None) -> tuple[str, int | None]:
    name, _, count = source.rpartition(":")
    named = bool(name) and count.isdigit() and not Path(source).is_file()
    name, n = (name, int(count)) if named else (source, n)
    if n is not None and n < 1:
        raise ConfigurationError(f"questions {source!r}: {n} is not a number of questions; ask for at least 1")
    return name, n


def sample_questions(groups: Sequence[Group], n: int, seed: int) -> list[Group]:
    """Draw at most n questions of each dataset by id, stratified by their provenance's "subject" where they have one.

    The draw depends on seed, ids and subjects alone; that of a larger n begins with that of a smaller one.
    """
    datasets: dict[str, list[Group]] = {}
    for group in groups:
        datasets.setdefault(group.query.dataset, []).append(group)
    drawn: list[Group] = []
    for members in datasets.values():
        by_id = {group.query.id: group for group in members}
        strata = by_stratum((key, str(group.provenance.get("subject", ""))) for key, group in by_id.items())
        drawn += [by_id[key] for key in stratified_order(strata, seed, purpose=SAMPLE)[:n]]
    return drawn


def distinct(groups: Sequence[Group]) -> tuple[list[Group], int]:
    """Leave out questions whose text stood before, white space aside; return the others, and how many were left out.

    DataError where an id stands before two different texts.
    """
    texts: dict[str, str] = {}
    kept: dict[str, Group] = {}
    for group in groups:
        text = " ".join(group.query.text.split())
        if texts.setdefault(group.query.id, text) != text:
            raise DataError(f"id {group.query.id!r} names two questions: give each its own")
        kept.setdefault(text, group)
    return list(kept.values()), len(groups) - len(kept)
