"""Majority vote: self-consistency (Wang et al. 2023, arXiv 2203.11171), soft, hard as TTRL rewards it, calibrated.

TTRL: Zuo et al. 2025, arXiv 2504.16084.
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from memreward.evaluation.baselines.crossfit import Floats, Labels, as_prediction
from memreward.features.subset import vote_share
from memreward.types import Features, Prediction


class MajorityVote:
    """Share of the query's pool that gives an equivalent answer, as it is; learns nothing.

    `hard`: 1 for the most frequent answer, 0 for all others; of several that are equally frequent, each an equal part.
    """

    threshold = 0.5

    def __init__(self, *, hard: bool = False) -> None:
        self.name, self._hard = "majority_hard" if hard else "majority", hard

    def fit(self, features: Features, labels: NDArray[np.int8]) -> Self:  # noqa: ARG002  nothing is learned
        return self

    def predict(self, features: Features) -> Prediction:
        share = vote_share(features).astype(np.float64)
        return as_prediction(_hardened(share, features) if self._hard else share, "")


def _hardened(share: Floats, features: Features) -> Floats:
    top = np.zeros(len(features.query_ids))
    np.maximum.at(top, features.group, share)
    is_top = (share > 0) & (share >= top[features.group] - 1e-9)
    pairs = np.unique(np.stack([features.group, features.cluster], axis=1)[is_top], axis=0)
    tied = np.bincount(pairs[:, 0], minlength=len(top))
    return np.where(is_top, 1.0 / np.maximum(tied, 1)[features.group], 0.0)


class VoteScorer:
    """`vote_share`, to be calibrated."""

    def fit(self, features: Features, labels: Labels) -> None:
        pass

    def scores(self, features: Features) -> Floats:
        return vote_share(features).astype(np.float64)
