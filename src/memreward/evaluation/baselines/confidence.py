"""Votes weighed by confidence: each rollout counts by the probability of its tokens.

The normalised weighted sum of self-consistency (Wang et al. 2023, arXiv 2203.11171, table 1), which CISC refines
(Taubenfeld et al. 2025, arXiv 2502.06233): an answer's share of the weights exp(mean log-probability of a token).
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from memreward.evaluation.baselines.crossfit import as_prediction
from memreward.types import Features, LabelError, Prediction


class ConfidenceVote:
    """An answer's share of the weights of its question's rollouts; a rollout of unknown probability has the mean."""

    name, threshold = "confidence", 0.5

    def fit(self, features: Features, labels: NDArray[np.int8]) -> Self:  # noqa: ARG002  nothing is learned
        if not np.isfinite(_log_probabilities(features)).any():
            raise LabelError("no rollout has token log-probabilities")
        return self

    def predict(self, features: Features) -> Prediction:
        weight = np.exp(_log_probabilities(features))
        known = np.isfinite(weight)
        weight = np.where(known, weight, weight[known].mean() if known.any() else 1.0)
        total = np.bincount(features.group, weight)[features.group]
        given = features.cluster >= 0
        votes = np.bincount(features.cluster[given], weight[given], minlength=1)[features.cluster]
        return as_prediction(np.where(given, votes / total, 0.0), "")


def _log_probabilities(features: Features) -> NDArray[np.float64]:
    if "logprob_mean" not in features.evidence_names:
        return np.full(len(features), np.nan)
    return features.signal("logprob_mean").astype(np.float64)
