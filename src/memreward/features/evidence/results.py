"""What thinkings come to by computing, beside the numbers that a question's options give."""

import math
import re
from functools import lru_cache

import numpy as np

from memreward.features.evidence.parts import CACHED_TEXTS
from memreward.features.evidence.pools import Column

NEAR = 0.02
"""Of a number: how far a result may be from an option, which is mostly rounded."""

_EQUALS = re.compile(
    r"(?:=|≈|≃|\\approx|\\simeq|\b(?:equals|gives|yields|approximately|about|roughly|get|obtain))"
    r"[\s$€£({\\:~]*(?:\\?(?:text|boxed|mathrm|mathbf)\{)?"
)
"""What stands in front of a result."""
_SIZE = re.compile(
    r"(?P<sign>[-−]?)\s?[$€£]?"
    r"(?:\\?[dt]?frac\{(?P<top>[\d.,]+)\}\{(?P<bottom>[\d.,]+)\}"
    r"|(?P<number>\d[\d,]*(?:\.\d+)?|\.\d+)(?:\s?/\s?(?P<under>\d[\d,]*(?:\.\d+)?)(?![\w.]))?)"
    r"(?:\s?(?:\\times|\\cdot|×|·|x|\*)\s?10\s?(?:\^|\*\*)?\s?[{(]?(?P<power>[-−]?\d{1,2})"
    r"|[eE](?P<exponent>[-+]?\d{1,2})(?!\w))?"
)


def size_of(text: str) -> float:
    r"""Return the first number in a text, a fraction or a power of ten counted; NaN where there is none.

    >>> size_of("about 3/4 of it"), size_of(r"-1.5 \times 10^{2} m")
    (0.75, -150.0)
    """
    found = _SIZE.search(text)
    return math.nan if found is None else _size(found)


@lru_cache(maxsize=CACHED_TEXTS)
def option_reached(thinking: str, sizes: tuple[float, ...]) -> Column:
    """(k,) whether the last result of a thinking is an option's number, of k; NaN where it has none, or no option has.

    A result is a number behind an equals sign, or words like "gives"; it is the nearest option's within `NEAR`.
    """
    numbers = np.array(sizes)
    if not np.isfinite(numbers).any():
        return np.full(len(numbers), np.nan)
    found = [size for begin in _EQUALS.finditer(thinking) if (size := _SIZE.match(thinking, begin.end()))]
    if not found:
        return np.full(len(numbers), np.nan)
    result = _size(found[-1])
    apart = np.nan_to_num(np.abs(result - numbers), nan=np.inf)
    reached: Column = ((apart == apart.min()) & (apart <= NEAR * np.abs(numbers))).astype(np.float64)
    return np.where(np.isfinite(numbers), reached, np.nan)


def _size(found: re.Match[str]) -> float:
    top, under = (_plain(found[one] or found[other]) for one, other in (("top", "number"), ("bottom", "under")))
    power = int((found["power"] or found["exponent"] or "0").replace("−", "-"))
    value = (top if math.isnan(under) else top / under if under else math.nan) * 10.0**power
    return -value if found["sign"] else value


def _plain(number: str | None) -> float:
    try:
        return float((number or "nan").replace(",", ""))
    except ValueError:  # two points
        return math.nan
