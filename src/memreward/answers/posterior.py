"""A Gaussian over the weights, moved by judgements: mode by Newton's method, covariance by Laplace's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from memreward.answers.likelihood import question_log_likelihood, right_probabilities, slope
from memreward.answers.table import AnswerTable, Floats
from memreward.threads import single_threaded

DRAWS = 64
"""Antithetic draws that probabilities are averaged over."""

_STEPS = 50
_CONVERGED = 1e-8
_ENOUGH = 1e-4
_JITTER = 1e-9


@dataclass(frozen=True)
class Observed:
    """Judged answers: a table, its (C,) verdicts (1 right, 0 wrong, -1 not judged), how much each question counts."""

    table: AnswerTable
    verdicts: NDArray[np.int8]
    counts: Floats

    @classmethod
    def whole(cls, table: AnswerTable, verdicts: NDArray[np.int8]) -> Self:
        """Every question counts once."""
        return cls(table, verdicts, np.ones(len(table.query_ids)))

    def log_likelihood(self, right: Floats) -> float:
        """Log-probability of what was judged, under (C,) probabilities that the answers are right."""
        return float(self.counts @ question_log_likelihood(self.table, right, self.verdicts))


@dataclass(frozen=True)
class Gaussian:
    """N(mean, covariance) over p weights."""

    mean: Floats
    covariance: Floats

    @classmethod
    def diagonal(cls, mean: Floats, variance: Floats) -> Self:
        return cls(mean, np.diag(variance))

    @single_threaded()
    def given(self, observed: Sequence[Observed], start: Floats | None = None) -> Gaussian:
        """Return the Laplace approximation of the posterior: its mode, and the inverse of its expected information.

        The search begins at `start`, else at the mean; what is found does not depend on it beyond rounding.
        """
        precision: Floats = np.asarray(np.linalg.inv(self.covariance), np.float64)
        weights: Floats = self.mean if start is None else start
        value, gradient, information = self._slope(observed, weights, precision)
        for _ in range(_STEPS):
            step: Floats = np.asarray(np.linalg.solve(information, gradient), np.float64)
            gain = float(gradient @ step)
            if gain < _CONVERGED:
                break
            length = 1.0
            while True:
                moved: Floats = np.asarray(weights + length * step, np.float64)
                found = self._slope(observed, moved, precision)
                if found[0] >= value + _ENOUGH * length * gain or length < _ENOUGH:
                    break
                length /= 2
            weights = moved
            value, gradient, information = found
        covariance = np.asarray(np.linalg.inv(information), np.float64)
        return Gaussian(weights, (covariance + covariance.T) / 2)

    @single_threaded()
    def log_evidence(self, observed: Observed, posterior: Gaussian) -> float:
        """Laplace's approximation of the log-probability of what was judged; `posterior` is `given([observed])`."""
        away = posterior.mean - self.mean
        table = observed.table
        right = right_probabilities(table, (table.design @ posterior.mean)[:, None])[:, 0]
        narrowed = np.linalg.slogdet(posterior.covariance)[1] - np.linalg.slogdet(self.covariance)[1]
        return float(
            observed.log_likelihood(right) - 0.5 * away @ np.linalg.solve(self.covariance, away) + 0.5 * narrowed
        )

    def _slope(self, observed: Sequence[Observed], weights: Floats, precision: Floats) -> tuple[float, Floats, Floats]:
        away = weights - self.mean
        value, gradient, information = -0.5 * float(away @ precision @ away), -precision @ away, precision.copy()
        for one in observed:
            found = slope(one.table, weights, one.verdicts, one.counts)
            value, gradient = value + found.value, gradient + found.gradient
            information += found.information
        return value, gradient, information

    @single_threaded()
    def probabilities(self, table: AnswerTable) -> Floats:
        """(C,) probability that each answer is right, averaged over the weights; the same draws at every call."""
        if not len(table):
            return np.zeros(0)
        root = np.linalg.cholesky(self.covariance + _JITTER * np.eye(len(self.mean)))
        weights = self.mean[:, None] + root @ _draws(len(self.mean))
        return np.asarray(right_probabilities(table, table.design @ weights).mean(axis=1), np.float64)


@lru_cache(maxsize=16)
def _draws(size: int) -> Floats:
    """(size, DRAWS) standard normal draws, each with its opposite."""
    half = np.random.default_rng(0).standard_normal((size, DRAWS // 2))
    return np.concatenate([half, -half], axis=1)
