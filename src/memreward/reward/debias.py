"""Advantages whose expected gradient is that of full supervision, however wrong the predictor is.

With labelled share p, true rewards r and predicted rewards f (method.md, section 5), a rollout's advantage is

    A(r) / p - lambda (1/p - 1) A(f)    if its query is labelled,
    lambda A(f)                         if it is not.

Over the draw of the labelled queries its expectation is A(r) for every lambda. The variance that the draw adds is
(1/p - 1) |A(r) - lambda A(f)|^2, summed over rollouts, so that lambda = A(r).A(f) / A(f).A(f) has least variance.

What must hold for that, and where it ends:

- The labelled queries are drawn at random, each with probability p, and f of a labelled query is predicted blind to its
  labels, abstentions too. Queries that were chosen by a rule have no such p.
- f should be one function. Here a labelled query's f is that of the one cross-fitted member blind to it, an unlabelled
  one's the mean of all members, and live calibration is fitted on labelled rollouts, those of the present step among
  them. What remains of the difference is the bias lambda (1 - p) (A(f of the mean) - A(f of the blind member)).
- lambda may not depend on the labels that it weighs. Fitted on the same labelled queries it does, a little: the bias is
  of the order of one over their number.
- The trainer must leave the advantages as they are. Standardising the combined rewards of a group divides by a spread
  that depends on whether the query is labelled, so A is standardised here and the trainer's `scale_rewards` must be
  "none" (centring changes nothing: a group's advantages sum to 0).
- Clipping is not linear: where the probability ratio leaves the clipping range the gradient vanishes or not by the sign
  of the advantage. The expectation holds for the first update after sampling, where the ratio is 1, and approximately
  while few tokens are clipped. Labelled advantages grow by up to 1/p, which gradient clipping also cuts.
- Least variance is meant for gradients that are about orthogonal and of equal size from rollout to rollout.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memreward.types import ConfigurationError, DataError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DebiasConfig:
    """Whether and how advantages are debiased; the caveats are at the top of `memreward.reward.debias`.

    Attributes:
        share: Probability in (0, 1] with which each training query was labelled; None leaves debiasing off.
        coefficient: lambda in [0, 1]; None fits it on labelled rollouts predicted blind.

    Raises:
        ConfigurationError: if a value is out of its range.
    """

    share: float | None = None
    coefficient: float | None = None

    def __post_init__(self) -> None:
        if self.share is not None and not 0 < self.share <= 1:
            raise ConfigurationError(f"share={self.share} must lie in (0, 1], or be None")
        if self.coefficient is not None and not 0 <= self.coefficient <= 1:
            raise ConfigurationError(f"coefficient={self.coefficient} must lie in [0, 1], or be None to be fitted")


def fit_coefficient(true: ArrayLike, predicted: ArrayLike) -> float:
    """Return the lambda in [0, 1] of least variance.

    Args:
        true: (n,) advantages of labelled rollouts under their true rewards.
        predicted: (n,) advantages of the same rollouts under rewards predicted on held-out folds.

    Returns:
        0 where every predicted advantage is 0: the predictor then has nothing to say.
    """
    known, guessed = np.asarray(true, np.float64), np.asarray(predicted, np.float64)
    length = float(guessed @ guessed)
    return float(np.clip(known @ guessed / length, 0.0, 1.0)) if length > 0 else 0.0


def debiased_advantages(
    true: ArrayLike, predicted: ArrayLike, labelled: ArrayLike, *, share: float, coefficient: float
) -> Floats:
    """Combine true and predicted advantages.

    Args:
        true: (n,) advantages under true rewards; read where `labelled` only, so anything elsewhere.
        predicted: (n,) advantages under predicted rewards, of labelled and unlabelled rollouts alike; 0 abstains.
        labelled: (n,) whether the rollout's query is labelled.
        share: p, in (0, 1].
        coefficient: lambda.

    Returns:
        (n,) advantages.

    Raises:
        DataError: if a number that is needed is not finite.
    """
    known, guessed, paid = np.asarray(true, float), np.asarray(predicted, float), np.asarray(labelled, bool)
    result = np.where(paid, known / share - coefficient * (1 / share - 1) * guessed, coefficient * guessed)
    if not np.isfinite(result).all():
        raise DataError(
            f"{(~np.isfinite(result)).sum()} of {len(result)} advantages are not finite; "
            "give 0 for an abstention, and a true advantage for every labelled rollout"
        )
    return result
