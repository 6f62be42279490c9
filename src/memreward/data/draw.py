"""Random draws that depend on a seed and on names alone: stratified orders, shares, and splits by id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral

from memreward.types import content_hash


def uniform(seed: int, *names: str) -> float:
    """Return a number in [0, 1) that seed and names decide, whatever else is drawn."""
    return int(content_hash("\0".join((str(seed), *names)))[:13], 16) / 16**13


def stratified_order(strata: Mapping[str, Sequence[str]], seed: int, *, purpose: str = "") -> list[str]:
    """Return all ids in random order such that every prefix holds each stratum in proportion.

    The order depends on seed, purpose, strata and ids alone, not on the order in which they are given. So a larger
    draw begins with a smaller one.

    Args:
        strata: Ids by stratum; an id stands in one stratum.
        seed: Of the draw.
        purpose: Keeps draws for different ends independent under one seed. "" is the draw of labelled queries.
    """
    mark = (purpose,) if purpose else ()
    places = {
        identity: place
        for stratum, members in strata.items()
        for identity, place in _places(stratum, members, seed, mark).items()
    }
    return sorted(places, key=lambda identity: (places[identity], identity))


def by_stratum(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return ids by stratum, of pairs of id and stratum."""
    strata: dict[str, list[str]] = {}
    for identity, stratum in pairs:
        strata.setdefault(stratum, []).append(identity)
    return strata


def count_of(limit: int | float, total: int) -> int:
    """Return a count as it is, and a share of `total` rounded down, to at least one."""
    if isinstance(limit, Integral):
        return int(limit)
    # The small term keeps 0.29 * 100 = 28.999999999999996 from losing a query.
    return max(1, int(limit * total + 1e-9))


def _places(stratum: str, members: Sequence[str], seed: int, mark: tuple[str, ...]) -> dict[str, float]:
    """Spread a stratum's members, shuffled, evenly over (0, 1), so that every prefix of the draw is stratified.

    A random offset gives the members of small strata the same chance as all others.
    """
    offset = uniform(seed, *mark, "stratum", stratum)
    shuffled = sorted(members, key=lambda identity: (uniform(seed, *mark, "query", identity), identity))
    return {identity: (rank + offset) / len(members) for rank, identity in enumerate(shuffled)}
