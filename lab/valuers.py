"""Rewards of the literature for questions without a label, beside ground truth for the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreward.answers.beliefs import AnswerBeliefs
from memreward.answers.choose import variances
from memreward.evaluation.baselines import RandomScorer
from memreward.reward.valuers import Certain, HardMajority, Majority
from memreward.types import Features, IntArray

Floats = NDArray[np.float64]


class Restrain(Majority):
    """RESTRAIN's weights of pseudo-labels (arXiv 2510.02172).

    Every distinct answer of a group is a pseudo-label, weighted by a bell curve of its share around 1. A group without
    a majority of at least `LEAST` learns nothing, and a question counts as much as the policy before training agreed on
    it. The paper also lowers the advantages of all rollouts of a group without a majority by a constant. A trainer that
    centres advantages in each group takes that away again, so it is no part of this arm.
    """

    name = "restrain"
    WIDTH = 0.5
    """Deviation of the bell curve."""
    LEAST = 0.25
    """Least share of the most frequent answer."""

    def __init__(self) -> None:
        super().__init__()
        self._agreed: dict[str, float] = {}

    def beliefs(self, features: Features) -> AnswerBeliefs:
        """Return each answer's weight as its probability: then the expected advantage is the weighted mean."""
        votes = super().beliefs(features)
        top = _top_shares(votes, features)
        for query, share in zip(features.query_ids, top, strict=True):
            self._agreed.setdefault(query, float(share))
        raw = np.where(votes.vote > 0, np.exp(-((votes.vote - 1) ** 2) / (2 * self.WIDTH**2)), 0.0)
        given = np.bincount(votes.answer)[votes.answer]  # each answer once
        total = np.bincount(features.group, raw / given, len(top))
        agreed = np.array([self._agreed[query] for query in features.query_ids])
        factor = np.where(top >= self.LEAST, agreed / np.maximum(total, 1e-12), 0.0)
        return votes._replace(right=raw * factor[features.group])

    def save(self, folder: Any, state: Mapping[str, Any]) -> None:
        """Write the agreement before training too."""
        super().save(folder, {**state, "agreed": self._agreed})

    def restore(self, folder: Any) -> dict[str, Any]:
        """Read it."""
        state = super().restore(folder)
        self._agreed = state.pop("agreed")
        return state


class Format(Certain):
    """Right is what has an answer that can be read."""

    name = "format"

    def _right(self, features: Features, votes: AnswerBeliefs) -> NDArray[np.generic]:  # noqa: ARG002
        return features.cluster >= 0


class Random(Certain):
    """Right is one rollout in two, by its id and a seed."""

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self._draw = RandomScorer(seed)

    def _right(self, features: Features, votes: AnswerBeliefs) -> NDArray[np.generic]:  # noqa: ARG002
        return self._draw.scores(features) < 0.5


class TraPO(HardMajority):
    """The group's majority, where a question learns as the labelled ones do; else an abstention (arXiv 2512.13106).

    A question's trajectory is its pass rate at each visit, by its verdicts if it is labelled and by its majority if
    not. Both are standardised; an unlabelled one is trusted if its cosine with the mean of the labelled ones is above
    `ABOVE`, or among the top `BEST` of all. In the first `VISITS` - 1 visits labelled questions alone are learned from.
    """

    name = "trapo"
    ABOVE, BEST, VISITS = 0.4, 0.1, 3

    def __init__(self) -> None:
        super().__init__()
        self._rates: dict[str, list[float]] = {}
        self._labelled: set[str] = set()

    def beliefs(self, features: Features) -> AnswerBeliefs:
        """Return 1 for the majority's rollouts and 0 for the others of trusted questions, NaN elsewhere."""
        votes = self._votes.beliefs(features)
        for query, share in zip(features.query_ids, _top_shares(votes, features), strict=True):
            self._rates.setdefault(query, []).append(float(share))
        trusted = self._trusted()
        silent = np.array([query not in trusted for query in features.query_ids])[features.group]
        believed = super().beliefs(features)
        return believed._replace(right=np.where(silent, np.nan, believed.right))

    def observe(self, features: Features, labels: NDArray[np.int8], step: int) -> None:  # noqa: ARG002
        """Put true pass rates in the place of the newest ones of labelled questions."""
        for index in np.unique(features.group[labels >= 0]):
            rows = (features.group == index) & (labels >= 0)
            query = features.query_ids[index]
            self._labelled.add(query)
            self._rates.setdefault(query, [0.0])[-1] = float(labels[rows].mean())

    def _trusted(self) -> set[str]:
        of_labelled = [self._rates[query] for query in self._labelled]
        longest = max((len(each) for each in of_labelled), default=0)
        mean = np.array([np.mean([each[i] for each in of_labelled if len(each) > i]) for i in range(longest)])
        cosine = {
            query: _cosine(np.array(rates[:longest]), mean)
            for query, rates in self._rates.items()
            if query not in self._labelled and min(len(rates), longest) >= self.VISITS
        }
        best = sorted(cosine, key=lambda query: -cosine[query])[: int(np.ceil(self.BEST * len(cosine)))]
        return {query for query, value in cosine.items() if value > self.ABOVE} | set(best)


def _top_shares(votes: AnswerBeliefs, features: Features) -> Floats:
    """(q,) share of the most frequent answer of each query."""
    top = np.zeros(len(features.query_ids))
    np.maximum.at(top, votes.group, votes.vote)
    return top


def _cosine(rates: Floats, mean: Floats) -> float:
    """Cosine of two trajectories, standardised, over the visits that both have; 0 of one that does not move."""
    visits = min(len(rates), len(mean))
    one, other = (each[:visits] - each[:visits].mean() for each in (rates, mean))
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / size if size > 1e-12 else 0.0


def corrected_first(votes: AnswerBeliefs, query_ids: Sequence[str]) -> list[str]:
    """Ids of queries by how much a label is expected to correct what the majority would teach (CARE, arXiv 2605.25864).

    That is the squared distance between the advantages under the right answer and under the majority's, in the mean
    over which answer is right, by their shares. The paper estimates how reliable a majority is with a model of its own;
    here it is its share.
    """
    queries = len(query_ids)
    top = _mode(votes, queries)
    expected = votes.advantages()
    taught = votes._replace(right=(votes.answer == top[votes.group]).astype(np.float64)).advantages()
    gap = variances(votes, queries) + np.bincount(votes.group, (expected - taught) ** 2, queries)
    return [query_ids[q] for q in sorted(range(queries), key=lambda q: (-round(float(gap[q]), 9), query_ids[q]))]


def _mode(votes: AnswerBeliefs, queries: int) -> IntArray:
    """(q,) the most frequent answer of each query; of equals the first."""
    top = np.full(queries, -1, np.int64)
    order = np.lexsort((-votes.answer, votes.vote))
    top[votes.group[order]] = votes.answer[order]
    return top
