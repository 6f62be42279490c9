"""The client of `worker`: values of expressions, with a time limit that holds anywhere, cached by content."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from memreward.domains.math.algebra import Values
from memreward.domains.shared.worker import Worker
from memreward.sandbox.deadline import check

TIME_LIMIT_S = 5.0
"""Most seconds of one answer, however many expressions it has."""


class LateError(Exception):
    """The values of an answer's expressions take longer than `TIME_LIMIT_S`."""


_FREE_S = 0.05
_worker = Worker(Path(__file__).with_name("worker.py"))


def begin() -> None:
    """Start the process, and do not wait for it: it loads for a second or two."""
    _worker.begin()


_clock = threading.local()


@contextmanager
def deadline() -> Iterator[None]:
    """Bound the time of all `values_of` inside, in this thread, to `TIME_LIMIT_S` together."""
    _clock.remaining = TIME_LIMIT_S
    try:
        yield
    finally:
        del _clock.remaining


def _ask_worker(expression: str) -> Any:
    remaining = getattr(_clock, "remaining", TIME_LIMIT_S)
    if remaining <= 0:
        raise LateError(expression)
    start = time.monotonic()
    reply = _worker.ask(expression, remaining)
    if reply.outcome == "late":
        check()  # where the time of all is over, nothing is known of this answer, and nothing is remembered
        _clock.remaining = 0.0
        raise LateError(expression)
    # What ends quickly costs nothing: only an answer of many slow expressions must be given up.
    _clock.remaining = remaining - max(time.monotonic() - start - _FREE_S, 0.0)
    return reply.value


_evaluate: Callable[[str], Any] = _ask_worker


def evaluate_here(evaluate: Callable[[str], dict[str, Any] | None]) -> None:
    """In a process that is itself a worker with a time limit: take values from `evaluate`, not from another process."""
    global _evaluate
    _evaluate = evaluate


@lru_cache(maxsize=65_536)
def values_of(expression: str) -> Values | None:
    """Return the values of a LaTeX expression, None where it has none; `LateError` where they take too long."""
    reply = _evaluate(expression)
    if reply is None:
        return None
    return Values(
        tuple(reply["symbols"]), tuple((Decimal(real), Decimal(imaginary)) for real, imaginary in reply["values"])
    )
