"""A predictor from anything that orders rollouts: held-out scores, calibrated on the labels, a threshold.

Calibration is Platt's sigmoid(slope * score + intercept), by maximum likelihood on rollouts the scorer has not seen:
two parameters are what some dozens of queries can carry, and isotonic regression would tie rollouts of one group.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memreward.evaluation.held_out import assign_folds
from memreward.features.subset import subset
from memreward.threads import single_threaded
from memreward.types import DataError, Features, LabelError, Prediction

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]

FOLDS = 5
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


class RolloutScorer(Protocol):
    """Orders rollouts; `CrossFitted` turns the order into probabilities."""

    def fit(self, features: Features, labels: Labels) -> object:
        """Learn from `labels` (n,): 1 right, 0 wrong, -1 unknown; both classes occur."""
        ...

    def scores(self, features: Features) -> Floats:
        """Return (n,) real numbers, higher for a rollout more likely right."""
        ...


class CrossFitted:
    """A `Predictor` from any `RolloutScorer`, cross-fitted by query.

    K scorers, each blind to its fold of the labelled queries, give held-out scores, on which calibration and threshold
    are fitted. New queries are predicted by a scorer of all labels, labelled ones by the scorer that is blind to them;
    a fold is blind itself where the others hold one class only.
    """

    def __init__(self, name: str, scorer: Callable[[], RolloutScorer], *, seed: int = 0) -> None:
        self.name = name
        self.calibration: Calibration | None = None
        self.fold_of_query: dict[str, int] = {}
        self.blind_folds: tuple[int, ...] = ()
        self._make, self._seed = scorer, seed
        self._fold_scorers: dict[int, RolloutScorer] = {}
        self._final: RolloutScorer | None = None

    @property
    def threshold(self) -> float:
        """Probability from which a rollout is held to be right; one half before `fit`."""
        return 0.5 if self.calibration is None else self.calibration.threshold

    @single_threaded()
    def fit(self, features: Features, labels: NDArray[np.int8]) -> Self:
        """Fit scorers, calibration and threshold.

        Raises LabelError if no rollout is labelled, all are in one class, or one query holds all that is needed.
        """
        check_classes(labels)
        known = np.bincount(features.group, labels >= 0, len(features.query_ids)) > 0
        rows = known[features.group]
        labelled, labels = subset(features, rows), labels[rows]
        count = min(FOLDS, len(labelled.query_ids))
        folds = assign_folds(labelled.query_ids, count, self._seed)
        self.fold_of_query = dict(zip(labelled.query_ids, folds.tolist(), strict=True))
        held_out = self._fit_folds(labelled, labels, folds[labelled.group], count)
        try:
            self.calibration = fit_calibration(held_out, labels, labelled.group)
        except LabelError as error:
            raise LabelError(
                f"{self.name}: {len(labelled.query_ids)} labelled queries do not hold right and wrong rollouts on "
                "both sides of a fold: label more queries, or ones whose answers disagree"
            ) from error
        self._final = self._make()
        self._final.fit(labelled, labels)
        return self

    def predict(self, features: Features) -> Prediction:
        if self._final is None or self.calibration is None:
            raise LabelError(f"{self.name} has seen no labels: call fit(features, labels) first")
        fold = np.array([self.fold_of_query.get(query, -1) for query in features.query_ids], np.int64)
        fold_of_row = fold[features.group]
        scores = np.full(len(features), np.nan)
        for present in np.unique(fold_of_row):
            rows = fold_of_row == present
            scorer = self._final if present < 0 else self._fold_scorers.get(int(present))
            if scorer is not None:
                scores[rows] = scorer.scores(subset(features, rows))
        reason = "without its own query the labels hold one class only: label more queries"
        return as_prediction(self.calibration.apply(scores), reason)

    def _fit_folds(self, features: Features, labels: Labels, fold_of_row: NDArray[np.int64], count: int) -> Floats:
        held_out, blind = np.full(len(features), np.nan), []
        self._fold_scorers = {}
        for fold in range(count):
            rows = fold_of_row != fold
            if not {0, 1} <= set(labels[rows].tolist()):
                blind.append(fold)
                continue
            scorer = self._make()
            scorer.fit(subset(features, rows), labels[rows])
            held_out[~rows] = scorer.scores(subset(features, ~rows))
            self._fold_scorers[fold] = scorer
        self.blind_folds = tuple(blind)
        return held_out


class Unlearned:
    """A `Predictor` that learns nothing: (n,) probabilities as a function of features, NaN, for `reason`, abstains."""

    threshold = 0.5

    def __init__(self, name: str, values: Callable[[Features], Floats], reason: str = "") -> None:
        self.name, self._values, self._reason = name, values, reason

    def fit(self, features: Features, labels: Labels) -> Self:  # noqa: ARG002
        return self

    def predict(self, features: Features) -> Prediction:
        return as_prediction(self._values(features), self._reason)


def as_prediction(probabilities: Floats, reason: str) -> Prediction:
    """Wrap probabilities; confidence is |2 p - 1|, and `reason` goes to NaN ones."""
    abstained = np.isnan(probabilities)
    return Prediction(
        value=probabilities.astype(np.float32),
        confidence=np.where(abstained, 0.0, np.abs(2 * probabilities - 1)).astype(np.float32),
        reasons=tuple(reason if absent else "" for absent in abstained),
    )


def check_classes(labels: NDArray[np.int8]) -> None:
    right, wrong = int((labels == 1).sum()), int((labels == 0).sum())
    if not right + wrong:
        raise LabelError(
            "no rollout is labelled, so there is nothing to learn from: release labels, or raise the budget"
        )
    if not right or not wrong:
        verdict = "right" if right else "wrong"
        raise LabelError(
            f"all {right + wrong} labelled rollouts are {verdict}, and both classes are needed: label more queries, or "
            "ones whose answers disagree"
        )
