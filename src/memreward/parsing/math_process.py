"""The client of `math_worker`: values of expressions, with a time limit that holds anywhere, cached by content."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from memreward.parsing.algebra import Values
from memreward.parsing.worker import Worker

TIME_LIMIT_S = 5.0

_worker = Worker(Path(__file__).with_name("math_worker.py"))


def _ask_worker(expression: str) -> Any:
    return _worker.ask(expression, TIME_LIMIT_S).value


_evaluate: Callable[[str], Any] = _ask_worker


def evaluate_here(evaluate: Callable[[str], dict[str, Any] | None]) -> None:
    """In a process that is itself a worker with a time limit: take values from `evaluate`, not from another process."""
    global _evaluate
    _evaluate = evaluate


@lru_cache(maxsize=65_536)
def values_of(expression: str) -> Values | None:
    """Return the values of a LaTeX expression, or None where it has none or they take longer than `TIME_LIMIT_S`.

    Safe in any thread, event loop, forked or spawned process.

    Raises:
        MemRewardError: if the worker process cannot start.
    """
    reply = _evaluate(expression)
    if reply is None:
        return None
    return Values(
        tuple(reply["symbols"]), tuple((Decimal(real), Decimal(imaginary)) for real, imaginary in reply["values"])
    )
