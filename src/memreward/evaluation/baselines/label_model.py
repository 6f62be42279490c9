"""The label model of weak supervision: signals as labelling functions, weighed by EM without a label."""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from memreward.evaluation.baselines.crossfit import Floats, as_prediction
from memreward.evaluation.metrics import nanmean
from memreward.features.subset import vote_share
from memreward.types import Features, LabelError, Prediction


class LabelModel:
    """Naive Bayes over signals as labelling functions, fitted by EM that starts at majority vote.

    Ratner et al. 2016; Dawid and Skene 1979. Each signal votes "right" where it is above its mean over the rollouts at
    hand, with a rate of its own among right and among wrong rollouts. The base rate stays at the mean vote share.
    """

    name, threshold = "label_model", 0.5
    _ROUNDS = 20

    def fit(self, features: Features, labels: NDArray[np.int8]) -> Self:  # noqa: ARG002  labels are not read
        self._centre = np.nan_to_num(nanmean(features.evidence.astype(np.float64)))
        above, known = self._signals(features)
        right = np.clip(vote_share(features).astype(np.float64), 0.05, 0.95)
        self._base = float(np.log(right.mean() / (1 - right.mean())))
        for _ in range(self._ROUNDS):
            rates = [(1 + (p[:, None] * above).sum(0)) / (2 + (p[:, None] * known).sum(0)) for p in (right, 1 - right)]
            self._yes, self._no = np.log(rates[0] / rates[1]), np.log((1 - rates[0]) / (1 - rates[1]))
            right = self._right(above, known)
        return self

    def predict(self, features: Features) -> Prediction:
        if not hasattr(self, "_yes"):
            raise LabelError(f"{self.name} has seen no rollouts: call fit(features, labels) first")
        return as_prediction(self._right(*self._signals(features)), "")

    def _signals(self, features: Features) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        known = np.isfinite(features.evidence)
        return (np.nan_to_num(features.evidence) > self._centre) & known, known

    def _right(self, above: NDArray[np.bool_], known: NDArray[np.bool_]) -> Floats:
        # Signals repeat each other: dividing by a root keeps naive Bayes from being sure of itself.
        votes = np.where(above, self._yes, np.where(known, self._no, 0.0)).sum(1)
        odds: Floats = self._base + votes / np.sqrt(np.maximum(known.sum(1), 1))
        return 1 / (1 + np.exp(-odds))
