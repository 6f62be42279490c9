"""Majority vote: self-consistency (Wang et al. 2023, arXiv 2203.11171), soft, hard as TTRL rewards it, calibrated.

TTRL: Zuo et al. 2025, arXiv 2504.16084.
"""

import numpy as np

from memreward.evaluation.baselines.crossfit import Floats, Labels
from memreward.features.subset import vote_share
from memreward.types import Features


def majority(features: Features) -> Floats:
    """Return (n,) share of the query's pool that gives an equivalent answer, as it is."""
    return vote_share(features).astype(np.float64)


def majority_hard(features: Features) -> Floats:
    """Return (n,) 1 for the most frequent answer, 0 for all others; of several as frequent, each an equal part."""
    share, top = majority(features), np.zeros(len(features.query_ids))
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
        return majority(features)
