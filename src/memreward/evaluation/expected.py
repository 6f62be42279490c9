"""Predictors as the evaluation needs them: advantages under anybody's values, and answer models for many files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreward.answers.advantage import expected_advantages
from memreward.answers.model import AnswerModel
from memreward.answers.prior import RewardPrior
from memreward.domains import rules_of
from memreward.features.subset import distinct_pairs
from memreward.types import DOMAINS, Features, Query


@dataclass(frozen=True)
class AnswerModels:
    """Makes answer models that start at one prior, for an evaluation over many files."""

    prior: RewardPrior

    def __call__(self, seed: int) -> AnswerModel:  # noqa: ARG002  nothing is drawn
        return AnswerModel(self.prior)

    def blind_to(self, queries: Sequence[Query]) -> AnswerModels:
        """Return the same without the sources of the prior that share a question with `queries`."""
        return AnswerModels(self.prior.without(queries))

    def describe(self) -> str:
        """Name what decides the outcome: a hash of the prior's numbers."""
        return f"AnswerModels({self.prior.digest()})"


def advantages_of_values(features: Features, values: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.float64]:
    """(n,) expected advantages under any predictor's (n,) probabilities, among `rows` (a mask or indices), elsewhere 0.

    An answer's probability is the mean of its rollouts'; where at most one answer can be right and they sum to more
    than 1, they are divided by their sum. An abstention (NaN) is 0.
    """
    expected = np.zeros(len(features))
    index = np.arange(len(features))[rows]
    given = np.clip(np.nan_to_num(np.asarray(values, np.float64)[index]), 0.0, 1.0)
    group = features.group[index]
    answer = distinct_pairs(group, features.cluster[index])[1]
    votes = np.bincount(answer)
    mean = np.bincount(answer, given) / np.maximum(votes, 1)
    total = np.bincount(group, given / votes[answer], len(features.query_ids))
    several = np.array([rules_of(name).several_right for name in DOMAINS])[features.domain[group]]
    right = np.where(several, mean[answer], mean[answer] / np.maximum(total[group], 1.0))
    expected[index] = expected_advantages(group, answer, right, several=several)
    return expected
