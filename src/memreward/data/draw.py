"""Random draws that depend on a seed and on names alone: stratified orders, shares, and splits by id."""

import re
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Literal

from memreward.types import ConfigurationError, content_hash

Count = int | float | Literal["all"]
"""How many of something: a whole number, a share above 0 and below 1, or "all". 1 and 1.0 both are one."""

_FORMS = 'a share such as 20% or 0.2, a whole number such as 200, 0 for none, or "all"'


def count_from(labels: Count | str) -> Count:
    """Return a count, of text read: "20%" and "0.2" are shares, "200" and "1" numbers, "all" and "100%" all.

    Raises ConfigurationError for what is none.
    """
    if isinstance(labels, str):
        return _read(labels)
    if isinstance(labels, bool) or not isinstance(labels, Real):
        raise ConfigurationError(f"labels={labels!r} is not a number: give {_FORMS}")
    if labels < 0:
        raise ConfigurationError(f"labels={labels!r} is below 0: give {_FORMS}")
    if isinstance(labels, Integral):
        return int(labels)
    number = float(labels)
    if number == 1:
        raise ConfigurationError('labels=1.0 reads as one and as all of them: write 1 for one, or "all"')
    if 0 < number < 1:
        return number
    if number.is_integer():
        return int(number)
    raise ConfigurationError(f"labels={labels!r} is neither a share between 0 and 1 nor a whole number: give {_FORMS}")


def _read(labels: str) -> Count:
    given = labels.strip().lower()
    if re.fullmatch(r"[0-9]{1,18}", given):
        return int(given)
    # What has a point or a percent sign is a share, so that "1.0" and "100%" are all.
    if re.fullmatch(r"[0-9]*\.[0-9]+|[0-9]+(\.[0-9]*)?%", given):
        share = float(given.removesuffix("%")) / (100 if given.endswith("%") else 1)
        if share <= 1:
            return "all" if share == 1 else share or 0
    if given == "all":
        return "all"
    raise ConfigurationError(f"{labels!r} is not a count: write {_FORMS}")


def uniform(seed: int, *names: str) -> float:
    """Return a number in [0, 1) that seed and names decide, whatever else is drawn."""
    return int(content_hash("\0".join((str(seed), *names)))[:13], 16) / 16**13


def stratified_order(stratum_of: Mapping[str, str], seed: int, *, purpose: str = "") -> list[str]:
    """Return all ids, given with the stratum of each, in random order; every prefix holds each stratum in proportion.

    The order depends on seed, purpose, strata and ids alone, so a larger draw begins with a smaller one. Under one seed
    each purpose has a draw of its own; "" is that of labelled queries.
    """
    mark, places = (purpose,) if purpose else (), dict[str, float]()
    strata: dict[str, list[str]] = {}
    for identity, stratum in stratum_of.items():
        strata.setdefault(stratum, []).append(identity)
    for stratum, members in strata.items():
        # Shuffled, a stratum's members are spread evenly over (0, 1), by a random offset.
        offset = uniform(seed, *mark, "stratum", stratum)
        shuffled = sorted(members, key=lambda identity: (uniform(seed, *mark, "query", identity), identity))
        places |= {identity: (rank + offset) / len(members) for rank, identity in enumerate(shuffled)}
    return sorted(places, key=lambda identity: (places[identity], identity))


def count_of(limit: Count, total: int) -> int:
    """Return a whole number as it is, a share of `total` rounded down to at least one, and `total` for "all"."""
    if limit == "all":
        return total
    if isinstance(limit, Integral):
        return int(limit)
    # The small term keeps 0.29 * 100 = 28.999999999999996 from losing a query.
    return max(1, int(float(limit) * total + 1e-9))
