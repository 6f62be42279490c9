"""From scores that order rollouts to probabilities, and the threshold that turns these into verdicts.

Platt's sigmoid(slope * score + intercept), by maximum likelihood on rollouts the scorer has not seen: two parameters
are what some dozens of queries can carry, and isotonic regression would tie rollouts of one group.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memreward.types import DataError, LabelError

Floats = NDArray[np.float64]

MINIMUM_SLOPE = 1e-3


@dataclass(frozen=True, slots=True)
class Calibration:
    """A strictly increasing map from scores to probabilities.

    Scores are standardised by `mean` and `scale`, `intercept` is the log-odds at the mean; from the probability
    `threshold` on a rollout is held to be right.
    """

    slope: float
    intercept: float
    mean: float
    scale: float
    threshold: float

    def apply(self, scores: ArrayLike) -> Floats:
        """Return probabilities in [0, 1] for scores of any shape; NaN stays NaN."""
        standardised = (np.asarray(scores, np.float64) - self.mean) / self.scale
        return sigmoid(self.slope * standardised + self.intercept)


def fit_calibration(scores: ArrayLike, labels: ArrayLike, group: ArrayLike | None = None) -> Calibration:
    """Fit Platt's sigmoid and the threshold on (n,) scores by models that were not trained on these rollouts.

    Labels are 1 right, 0 wrong; rows of -1, or with a NaN score, are left out. Platt's smoothing of the targets counts
    queries, (n,) `group`; without it every rollout is one. Raises LabelError without right and wrong rollouts,
    DataError where the arrays differ in length.
    """
    values, truth = np.asarray(scores, np.float64), np.asarray(labels, np.int64)
    query = np.arange(len(truth)) if group is None else np.asarray(group)
    if not len(values) == len(truth) == len(query):
        raise DataError(f"{len(values)} scores, {len(truth)} labels, {len(query)} group entries: give one a rollout")
    used = ~np.isnan(values) & (truth >= 0)
    values, right, query = values[used], truth[used] == 1, query[used]
    if right.all() or not right.any():
        verdict = "no labelled rollout" if not len(right) else f"all {len(right)} labelled rollouts in one class"
        raise LabelError(f"calibration needs right and wrong rollouts, and has {verdict}: label more queries")
    mean, scale = float(values.mean()), float(values.std()) or 1.0
    targets = _smoothed_targets(right, len(np.unique(query)))
    slope, intercept = _fit_sigmoid((values - mean) / scale, targets)
    probabilities = sigmoid(slope * (values - mean) / scale + intercept)
    return Calibration(slope, intercept, mean, scale, best_threshold(probabilities, right))


def best_threshold(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Threshold t at which `probability >= t` is right most often on (n,) labelled rollouts, 1 right, 0 wrong.

    Candidates lie halfway between neighbouring distinct probabilities, and below and above all; of equals the one
    nearest to one half is taken.
    """
    values, right = np.asarray(probabilities, np.float64), np.asarray(labels, np.int64) == 1
    levels, level = np.unique(values, return_inverse=True)
    candidates = np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2, [1.0 + 1e-9]])
    right_at = np.bincount(level, right, len(levels))
    wrong_at = np.bincount(level, ~right, len(levels))
    claimed_right = right.sum() - np.append(0.0, np.cumsum(right_at))
    claimed_wrong = (~right).sum() - np.append(0.0, np.cumsum(wrong_at))
    hits = claimed_right + ((~right).sum() - claimed_wrong)
    best = candidates[hits >= hits.max()]
    return float(best[np.argmin(np.abs(best - 0.5))])


def sigmoid(logits: ArrayLike) -> Floats:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * np.asarray(logits, np.float64))), np.float64)


def logit(probabilities: ArrayLike, margin: float = 1e-6) -> Floats:
    """Log-odds of probabilities, held within `margin` of 0 and 1."""
    inside = np.clip(np.asarray(probabilities, np.float64), margin, 1 - margin)
    return np.asarray(np.log(inside) - np.log1p(-inside), np.float64)


def _smoothed_targets(right: NDArray[np.bool_], queries: int) -> Floats:
    share = queries / len(right)
    positives, negatives = right.sum() * share, (~right).sum() * share
    return np.asarray(np.where(right, (positives + 1) / (positives + 2), 1 / (negatives + 2)), np.float64)


def _fit_sigmoid(scores: Floats, targets: Floats) -> tuple[float, float]:
    """Damped Newton on the cross-entropy; a slope that would turn the order round is held at the least one."""
    design = np.stack([scores, np.ones_like(scores)], axis=1)
    weights = np.array([0.0, float(logit(targets.mean()))])
    loss = _cross_entropy(design @ weights, targets)
    for _ in range(100):
        probabilities = sigmoid(design @ weights)
        gradient = design.T @ (probabilities - targets)
        curvature = design.T @ (design * (probabilities * (1 - probabilities))[:, None]) + 1e-9 * np.eye(2)
        step: Floats = np.linalg.solve(curvature, gradient).astype(np.float64)
        trials = ((weights - shrink * step) for shrink in 0.5 ** np.arange(12))
        lower = next((trial for trial in trials if _cross_entropy(design @ trial, targets) < loss - 1e-12), None)
        if lower is None:
            break
        weights, loss = lower, _cross_entropy(design @ lower, targets)
    if weights[0] < MINIMUM_SLOPE:
        return MINIMUM_SLOPE, float(logit(targets.mean()))
    return float(weights[0]), float(weights[1])


def _cross_entropy(logits: Floats, targets: Floats) -> float:
    return float((np.logaddexp(0.0, logits) - targets * logits).sum())
