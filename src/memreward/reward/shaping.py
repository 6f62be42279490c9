"""From a predicted probability to the reward a policy is trained with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memreward.types import ConfigurationError, LabelError

Floats = NDArray[np.float64]

RULES = ("soft", "threshold", "precision")
_FLAT = 1e-9


@dataclass(frozen=True)
class ShapingConfig:
    """How a predicted value becomes a reward. Defaults: benchmarks/results/shaping.md.

    Attributes:
        rule: "soft" pays the calibrated probability; "threshold" pays 1 from the threshold on and 0 below it (the
            paper's); "precision" does so with a threshold that leans to precision.
        threshold: Of the rule "threshold", in (0, 1) (paper: .5); None takes the one that is best on labelled rollouts
            predicted blind.
        beta: Of the rule "precision": its threshold maximises F-beta; below 1 a wrong rollout that is paid weighs more
            than a right one that is not.
        gate: A group whose predicted values have a standard deviation of at most this gets one reward throughout, hence
            no advantage (method.md, section 4 e); 0 gates exactly flat groups only.

    Raises:
        ConfigurationError: if a value is out of its range.
    """

    rule: str = "soft"
    threshold: float | None = None
    beta: float = 0.5
    gate: float = 0.1

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ConfigurationError(f"rule={self.rule!r} is unknown; use one of {', '.join(RULES)}")
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise ConfigurationError(f"threshold={self.threshold} must lie in (0, 1), or be None to be fitted")
        if not self.beta > 0:
            raise ConfigurationError(f"beta={self.beta} must be above 0")
        if not self.gate >= 0:
            raise ConfigurationError(f"gate={self.gate} must be at least 0")

    @classmethod
    def paper(cls) -> ShapingConfig:
        """Return the paper's rule: threshold at one half, no gate (method.md, section 2)."""
        return cls(rule="threshold", threshold=0.5, gate=0.0)


def shape(values: ArrayLike, group: ArrayLike, config: ShapingConfig, threshold: float) -> Floats:
    """Return the rewards of n rollouts.

    Args:
        values: (n,) predicted probabilities in [0, 1]; NaN abstains.
        group: (n,) query of each rollout.
        config: The rule.
        threshold: Probability from which a rollout is held to be right; see `threshold_for`.

    Returns:
        (n,) rewards in [0, 1]; NaN where `values` is. The rewards of a group that is gated are equal.
    """
    flattened = flatten(values, group, config.gate)
    if config.rule == "soft":
        return flattened
    return np.where(np.isnan(flattened), np.nan, flattened >= threshold)


def flatten(values: ArrayLike, group: ArrayLike, gate: float) -> Floats:
    """Return (n,) `values` with each nearly flat group's replaced by their mean; NaN stays NaN and counts as nothing.

    Args:
        values: (n,) predicted values; NaN abstains.
        group: (n,) query of each rollout.
        gate: Largest standard deviation (n - 1 in the denominator, as in TRL) of a group that is flattened.
    """
    scores = np.asarray(values, np.float64)
    query = np.unique(np.asarray(group), return_inverse=True)[1]
    covered = ~np.isnan(scores)
    count = np.bincount(query, covered)
    filled = np.where(covered, scores, 0.0)
    mean = np.bincount(query, filled) / np.maximum(count, 1)
    squares = np.bincount(query, np.where(covered, filled - mean[query], 0.0) ** 2)
    spread = np.sqrt(squares / np.maximum(count - 1, 1))
    flat = spread <= max(gate, _FLAT)
    return np.where(covered & flat[query], mean[query], scores)


def threshold_for(config: ShapingConfig, values: ArrayLike, correct: ArrayLike, fallback: float) -> float:
    """Return the threshold that the rule asks for.

    Args:
        config: The rule.
        values: (n,) probabilities of labelled rollouts, each predicted blind to its query; NaN rows are left out.
        correct: (n,) 1 right, 0 wrong.
        fallback: Threshold of the predictor; taken where nothing else is asked for, or one class only is at hand.
    """
    if config.rule == "precision":
        try:
            return precise_threshold(values, correct, config.beta)
        except LabelError:
            return fallback
    return fallback if config.threshold is None or config.rule == "soft" else config.threshold


def precise_threshold(values: ArrayLike, correct: ArrayLike, beta: float) -> float:
    """Return the threshold t at which `value >= t` has the greatest F-beta on labelled rollouts.

    F-beta is (1 + beta^2) TP / (TP + FP + beta^2 (TP + FN)). Candidates lie halfway between neighbouring distinct
    values, and below all of them; of those that do equally well the highest, the one that pays fewest, is taken.

    Args:
        values: (n,) probabilities; NaN rows are left out.
        correct: (n,) 1 right, 0 wrong.
        beta: Weight of recall against precision.

    Raises:
        LabelError: unless right and wrong rollouts occur.
    """
    scores, truth = np.asarray(values, np.float64), np.asarray(correct)
    covered = ~np.isnan(scores)
    scores, right = scores[covered], truth[covered] == 1
    if right.all() or not right.any():
        raise LabelError(
            f"a threshold needs right and wrong rollouts, and all {len(right)} are of one class: label more queries"
        )
    levels, level = np.unique(scores, return_inverse=True)
    candidates = np.append(levels[0] - 1.0, (levels[1:] + levels[:-1]) / 2)
    hits = right.sum() - np.append(0.0, np.cumsum(np.bincount(level, right))[:-1])
    claimed = len(right) - np.append(0.0, np.cumsum(np.bincount(level))[:-1])
    merit = hits / (claimed + beta**2 * right.sum())
    return float(max(0.0, candidates[np.flatnonzero(merit >= merit.max() - 1e-12)[-1]]))
