"""One limit on the time of a piece of work, whatever it asks of child processes, and in whichever of its threads."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

from memreward.types import MemRewardError

_LAST_TENTH = 0.1
_ends: ContextVar[tuple[float, float]] = ContextVar("ends", default=(math.inf, math.inf))
"""When the time is over, and when its last tenth begins."""
Given = ParamSpec("Given")
Found = TypeVar("Found")


class OutOfTimeError(MemRewardError):
    """The time of all of it is over; what was decided is kept."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Bound all work inside to so many seconds together: child processes are killed, and `check` raises."""
    ends = time.monotonic() + seconds
    token = _ends.set(min(_ends.get(), (ends, ends - _LAST_TENTH * seconds)))
    try:
        yield
    finally:
        _ends.reset(token)


def left() -> float:
    """Return the seconds that are left, at most 0 where the time is over; inf where nothing is bounded."""
    return _ends.get()[0] - time.monotonic()


def ending() -> bool:
    """Return whether what did not come to an end may have been cut short: the last tenth of the time has begun."""
    return time.monotonic() >= _ends.get()[1]


def check() -> None:
    """Raise OutOfTimeError where the time is over."""
    if left() <= 0:
        raise OutOfTimeError("the time for reading, evidence and judging of what is scored together is over")


def carried(function: Callable[Given, Found]) -> Callable[Given, Found]:
    """Return the function as another thread is to call it: within this thread's limit."""
    ends = _ends.get()

    def bounded(*args: Given.args, **kwargs: Given.kwargs) -> Found:
        token = _ends.set(ends)
        try:
            return function(*args, **kwargs)
        finally:
            _ends.reset(token)

    return bounded
