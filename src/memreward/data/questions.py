"""Questions of a file, or a sample of them."""

from collections.abc import Sequence
from pathlib import Path

from memreward.data.draw import stratified_order
from memreward.data.files import read_groups
from memreward.types import ConfigurationError, Group


def load_questions(*sources: str | Path, seed: int = 0) -> list[Group]:
    """Return the questions of files, each with its sealed reference and without rollouts; of "FILE:COUNT" a sample."""
    found: dict[str, Group] = {}
    for source in sources:
        for group in _load(source, seed):
            if group.query.id in found:
                raise ConfigurationError(f"question {group.query.id!r} is asked twice: name {str(source)!r} once")
            found[group.query.id] = group
    return list(found.values())


def _load(source: str | Path, seed: int) -> list[Group]:
    path, n = Path(source), None
    name, _, count = str(source).rpartition(":")
    if name and count.isdigit() and not path.exists():
        path, n = Path(name), int(count)
    if n == 0:
        raise ConfigurationError(f"questions {str(source)!r}: ask for at least 1")
    if not path.exists():
        raise ConfigurationError(
            f"questions {str(source)!r}: there is no such file; make one by memreward read, as docs/questions.md shows "
            "for benchmarks"
        )
    groups = [group.question() for group in read_groups(path)]
    return groups if n is None else sample_questions(groups, n, seed)


def sample_questions(groups: Sequence[Group], n: int, seed: int) -> list[Group]:
    """Draw n questions of each dataset, stratified by "subject"; a larger draw begins with a smaller one."""
    datasets: dict[str, list[Group]] = {}
    for group in groups:
        datasets.setdefault(group.query.dataset, []).append(group)
    drawn: list[Group] = []
    for members in datasets.values():
        by_id = {group.query.id: group for group in members}
        strata = {key: str(group.provenance.get("subject", "")) for key, group in by_id.items()}
        drawn += [by_id[key] for key in stratified_order(strata, seed, purpose="sample")[:n]]
    return drawn
