"""A predictor from anything that orders rollouts: held-out scores, calibrated on the labels, a threshold."""

from collections.abc import Callable
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from memreward.evaluation.calibration import Calibration, fit_calibration
from memreward.evaluation.held_out import assign_folds
from memreward.features.subset import subset
from memreward.threads import single_threaded
from memreward.types import Features, LabelError, Prediction

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]

FOLDS = 5


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
