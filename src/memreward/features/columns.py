"""Columns of the evidence, by name: which of them mean something in a domain, their values, and their scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memreward.domains import rules_of
from memreward.types import ConfigurationError, Features

Floats = NDArray[np.float64]

CLIP = 4.0
"""Standardised signals are cut off at this many deviations."""

_OF_NUMBERS = ("number_", "arithmetic_", "answer_")
_OF_RUNNING = "run_"
_OF_CODE = ("code_", _OF_RUNNING)
_OF_OPTIONS = "option_"
_NOT_OF_AN_ANSWER = frozenset(
    {
        "agreement_share",
        "agreement_relative",
        "agreement_plurality",
        "cluster_count",
        "cluster_entropy",
        "pool_size_log",
        "query_length_log",
    }
)


def signals_of(domain: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the signals, of those named, that mean something in a domain; votes have their own columns."""
    rules = rules_of(domain)
    silent = ((rules.program, _OF_CODE), (rules.numeric, _OF_NUMBERS), (rules.lettered, (_OF_OPTIONS,)))
    prefixes = tuple(prefix for means, prefixes in silent if not means for prefix in prefixes)
    return tuple(name for name in names if name not in _NOT_OF_AN_ANSWER and not name.startswith(prefixes))


def evidence_columns(features: Features, names: Sequence[str]) -> Floats:
    """Return (n, s) evidence of these names as float64; what running code would tell is NaN where none was run.

    Raises ConfigurationError if another signal is not among the features'.
    """
    place = {name: i for i, name in enumerate(features.evidence_names)}
    missing = sorted(name for name in names if name not in place and not name.startswith(_OF_RUNNING))
    if missing:
        raise ConfigurationError(
            f"the prior reads signals that this evidence does not have: {', '.join(missing)}; name your own signals "
            "(memreward --signals FILE.py:NAME); a predictor of an earlier release needs warmup again, a prior of your "
            "own another fit (memreward prior fit)"
        )
    undefined = np.full(len(features), np.nan)
    columns = [features.evidence[:, place[name]] if name in place else undefined for name in names]
    return np.column_stack(columns).astype(np.float64)


@dataclass(frozen=True)
class Scaling:
    """Mean and deviation of each of s signals, the query's length among them, over `count` rollouts; no label is read.

    Attributes:
        mean: (s,); 0 where a signal was never defined.
        deviation: (s,); 0 where a signal never varied, which then says nothing.
    """

    names: tuple[str, ...]
    mean: Floats
    deviation: Floats
    count: float

    @classmethod
    def of(cls, names: Sequence[str], values: ArrayLike) -> Self:
        """Measure (n, s) values; NaN counts as nothing."""
        given = np.asarray(values, np.float64).reshape(-1, len(names))
        known = np.isfinite(given)
        count = np.maximum(known.sum(0), 1)
        mean = np.where(known, given, 0.0).sum(0) / count
        deviation = np.sqrt(np.where(known, (given - mean) ** 2, 0.0).sum(0) / count)
        # A constant in float32 misses its own mean by a rounding error.
        flat = deviation <= 1e-6 * np.maximum(np.abs(mean), 1.0)
        return cls(tuple(names), mean, np.where(flat, 0.0, deviation), float(len(given)))

    def blended(self, other: Scaling, weight: float) -> Scaling:
        """Mix with the scaling of other sources, which counts as `weight` rollouts; signals are the same."""
        own, total = self.count, self.count + weight
        mean = (own * self.mean + weight * other.mean) / total
        square = own * (self.deviation**2 + (self.mean - mean) ** 2)
        square += weight * (other.deviation**2 + (other.mean - mean) ** 2)
        deviation = np.where((self.deviation > 0) | (own == 0), np.sqrt(square / total), 0.0)
        return Scaling(self.names, mean, np.where(other.deviation > 0, deviation, 0.0), total)

    def apply(self, values: Floats) -> Floats:
        """Return (n, s) standardised values: undefined ones are 0, all are cut off at `CLIP`."""
        scale = np.divide(1.0, self.deviation, out=np.zeros_like(self.deviation), where=self.deviation > 0)
        return np.clip(np.nan_to_num((values - self.mean) * scale), -CLIP, CLIP)
