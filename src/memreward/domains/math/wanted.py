"""What a question asks an answer to be given in: a percentage, a unit, a base, millions, a point."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from memreward.domains.math.magnitudes import SMALL
from memreward.domains.math.quantity import Quantity, mentioned_units

_PERCENTAGE = re.compile(r"per\s?cent|\b(?:what|how many|which|in|as a) \\?%", re.IGNORECASE)
_CHANCE = re.compile(r"\bprobability\b|\bchances?\b", re.IGNORECASE)
_POINT = re.compile(
    r"\b(?:points?|coordinates?|ordered|vectors?|vertex|vertices|pairs?|tuples?|triples?|cent(?:er|re)|centroid|foci"
    r"|focus|intersect\w*)\b",
    re.IGNORECASE,
)
_RATIO = re.compile(r"\bratios?\b|\bodds\b", re.IGNORECASE)
_INTERVAL = re.compile(r"\b(?:intervals?|range|domain|inequalit(?:y|ies)|values of)\b", re.IGNORECASE)
_BASE = re.compile(
    r"\bbase[ -_$]{0,3}\{?(\d{1,2}|two|three|four|five|six|seven|eight|nine|ten|twelve|sixteen)\b", re.IGNORECASE
)
_MAGNITUDE = re.compile(
    r"\b(?:how many|in|number of|as) (?:\w+ )?((?:hundred|thousand|million|billion|trillion|dozen)s?)\b", re.IGNORECASE
)
_DEGREES = re.compile(r"\bdegrees\b|degree measure|\\circ|°")
_RADIANS = re.compile(r"radian|\\pi|π")
_SQUARE = re.compile(r"\b(?:areas?|square|surface)\b|\^\{?2|²", re.IGNORECASE)
_CUBIC = re.compile(r"\b(?:volumes?|cubic|cube)\b|\^\{?3|³", re.IGNORECASE)
_COUNTED = re.compile(r"\bhow many ([a-zA-Z]{2,})\b(?! (?:per|an?)\b)|\bin ([a-zA-Z]{2,})\s?\?", re.IGNORECASE)
_CURRENCIES = frozenset({"dollars", "euros", "pounds sterling"})
_LONGEST = 20_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a question asks for.

    Attributes:
        percentage: A percentage.
        chance: A probability.
        point: A point, a vector, or another list whose order matters.
        ratio: A ratio.
        interval: An interval, a range, or the solution of an inequality.
        bases: Bases of numerals that it names.
        magnitudes: Words of magnitude that it asks to count in.
        units: Units as (dimension, factor) that it names, where it names no other of the dimension.
        counted: The one unit that follows "how many", or "in" at the end; None where it is none, or one of several.
    """

    percentage: bool = False
    chance: bool = False
    point: bool = False
    ratio: bool = False
    interval: bool = False
    bases: frozenset[str] = frozenset()
    magnitudes: frozenset[str] = frozenset()
    units: frozenset[tuple[str, Fraction]] = frozenset()
    counted: tuple[str, Fraction] | None = None

    def has(self, measured: Quantity) -> bool:
        """Whether it asks for the unit in which something is measured."""
        if measured.dimension == "percent":
            return self.percentage
        return (measured.dimension, measured.factor) in self.units

    def other_unit(self, measured: Quantity) -> Fraction | None:
        """The factor of the unit that it asks for where that is not the answer's: 0 for one of another kind."""
        kind = measured.dimension.partition("/")[0]
        if self.counted is not None and kind not in ("", self.counted[0]):
            return Fraction(0)
        asked = {factor for dimension, factor in self.units if dimension == measured.dimension}
        if measured.dimension in _CURRENCIES and not asked:
            return Fraction(0) if any(dimension in _CURRENCIES for dimension, _ in self.units) else None
        return next(iter(asked)) if len(asked) == 1 and measured.factor not in asked else None


@lru_cache(maxsize=1024)
def wanted(query_text: str) -> Wanted:
    """Read what a question asks for; of a long one, its begin and its end."""
    if len(query_text) > _LONGEST:
        query_text = query_text[: _LONGEST // 2] + query_text[-_LONGEST // 2 :]
    return Wanted(
        percentage=_PERCENTAGE.search(query_text) is not None,
        chance=_CHANCE.search(query_text) is not None,
        point=_POINT.search(query_text) is not None,
        ratio=_RATIO.search(query_text) is not None,
        interval=_INTERVAL.search(query_text) is not None,
        bases=frozenset(map(number_of_base, _BASE.findall(query_text))),
        magnitudes=frozenset(word.lower().removesuffix("s") for word in _MAGNITUDE.findall(query_text)),
        units=frozenset(_units(query_text)),
        counted=_counted(query_text),
    )


def number_of_base(name: str) -> str:
    """Return the digits of a base that is named in digits or in words."""
    return str(SMALL.get(name.lower(), name))


def _units(text: str) -> Iterator[tuple[str, Fraction]]:
    factors: dict[str, set[Fraction]] = {}
    for dimension, factor in mentioned_units(text):
        factors.setdefault(dimension, set()).add(factor)
    if _DEGREES.search(text) and not _RADIANS.search(text):
        yield "angle", Fraction(1)
    single = {dimension: next(iter(found)) for dimension, found in factors.items() if len(found) == 1}
    counted = _counted(text)
    single |= {} if counted is None else {counted[0]: counted[1]}
    for dimension, factor in single.items():
        square, cubic = (dimension == "length" and pattern.search(text) is not None for pattern in (_SQUARE, _CUBIC))
        yield from ((f"length^{power}", factor**power) for power, asked in ((2, square), (3, cubic)) if asked)
        if not (square or cubic):
            yield dimension, factor
        yield from ((f"{dimension}/{other}", factor / below) for other, below in single.items() if other != dimension)


def _counted(text: str) -> tuple[str, Fraction] | None:
    found = set(mentioned_units(" ".join(word for words in _COUNTED.findall(text) for word in words)))
    return found.pop() if len(found) == 1 else None
