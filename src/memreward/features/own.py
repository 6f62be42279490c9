"""Signals that people add: each a function of the rollouts of one question, in one file.

    def log_length(rollouts):
        return [math.log1p(len(rollout.text)) for rollout in rollouts]

A package adds one by an entry point of the group "memreward.signals"; anybody by `use_signals`, or for every command
and all of its processes by the environment: MEMREWARD_SIGNALS="mine.py:log_length".
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreward.plugins import SIGNALS, called, installed, keep_in_environment, load_named, numbers, of_environment
from memreward.types import OWN, ConfigurationError, FloatArray, Rollout

GROUP = "memreward.signals"

Signal = Callable[[Sequence[Rollout]], Any]
"""The rollouts of one question to one number each; what is None or not finite is not defined."""

_SIGNALS: dict[str, tuple[str, Signal]] = {}
"""Name -> where it is from, and the function."""


def use_signals(named: Sequence[str]) -> None:
    """Add signals named as "mine.py:log_length" or "package.module:log_length", here and in processes started later."""
    for one in named:
        _add(one)
    keep_in_environment(SIGNALS, named)


def own_signals(rollouts: Sequence[Rollout], group: NDArray[np.int64]) -> dict[str, FloatArray]:
    """Return name -> (n,) values of every added signal, question by question; DataError or ConfigurationError."""
    _load_all()
    order = np.argsort(group, kind="stable")
    pools = np.split(order, np.flatnonzero(np.diff(group[order])) + 1) if len(order) else []
    found = {}
    for name, (source, signal) in _SIGNALS.items():
        values = np.full(len(rollouts), np.nan, np.float32)
        for rows in pools:
            values[rows] = _of_question([rollouts[row] for row in rows], source, signal)
        found[OWN + name] = values
    return found


def require_signals(names: Iterable[str]) -> None:
    """Raise ConfigurationError where a model has learned from a signal of somebody's own that was not added here."""
    _load_all()
    if missing := sorted({name.removeprefix(OWN) for name in names if name.startswith(OWN)} - _SIGNALS.keys()):
        raise ConfigurationError(
            f"the predictor has learned from signals of your own that are not there: {', '.join(missing)}; name them "
            f"in front of the command, memreward --signals FILE.py:{missing[0]}, in Python by "
            "memreward.features.own.use_signals"
        )


def _of_question(rollouts: list[Rollout], source: str, signal: Signal) -> NDArray[np.float64]:
    question = rollouts[0].query.id
    given = called(signal, rollouts, name=f"signal {source}", doing=f"on question {question!r}")
    values = numbers(given, len(rollouts), name=f"signal {source}, asked of question {question!r},")
    return np.where(np.isfinite(values), values, np.nan)


def _add(named: str) -> None:
    signal = load_named(named, "signal")
    name = getattr(signal, "__name__", "")
    if not callable(signal) or isinstance(signal, type) or not name.isidentifier():
        raise ConfigurationError(f"signal {named!r} is not a function: name one that takes the rollouts of a question")
    known = _SIGNALS.get(name)
    if known is not None and known[1].__module__ != signal.__module__:
        raise ConfigurationError(f"signals {known[0]!r} and {named!r} have one name: rename one of the functions")
    _SIGNALS[name] = (named, signal)


@cache
def _load_all() -> None:
    """Add the signals of installed packages and of the environment, once in a process."""
    for named in (*installed(GROUP).values(), *of_environment(SIGNALS)):
        _add(named)
