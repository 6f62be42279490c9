"""What is held of rollouts: a probability of being right for each, and the advantages that follow from it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memreward.answers.advantage import expected_advantages
from memreward.answers.table import Bools, Floats
from memreward.types import IntArray, Score


class AnswerBeliefs(NamedTuple):
    """What the model holds of n rollouts.

    Attributes:
        right: (n,) probability of being right, equal for equivalent answers except in code; 0 without an answer.
        vote: (n,) share of the pool that gives an equivalent answer, earlier visits apart; 0 without an answer.
        answer: (n,) number of the answer within the call.
        group: (n,) query, an index into the features' ids.
        several: (n,) whether several answers of the query may be right.
    """

    right: Floats
    vote: Floats
    answer: IntArray
    group: IntArray
    several: Bools

    def first(self, count: int) -> AnswerBeliefs:
        """Return what is held of the first rollouts; the others were their pool."""
        return AnswerBeliefs._make(part[:count] for part in self)

    def told(self, verdicts: NDArray[np.int8]) -> AnswerBeliefs:
        """Return what is held after (n,) verdicts on the rollouts' answers: 1 right, 0 wrong, -1 not judged.

        Where at most one answer can be right, a right one leaves nothing to the others, and what a wrong one held goes
        to the others and to "none of these" in proportion.
        """
        count = int(self.group.max()) + 1 if len(self.group) else 0
        found = np.bincount(self.group, verdicts == 1, count)[self.group] > 0
        judged = np.bincount(self.answer, verdicts == 0)[self.answer] if len(self.answer) else np.zeros(0)
        part = np.where(verdicts == 0, self.right / np.maximum(judged, 1), 0.0)
        refuted = np.bincount(self.group, part, count)[self.group]
        spread = np.minimum(self.right / np.maximum(1.0 - refuted, 1e-12), 1.0)
        open_ = np.where(self.several, self.right, np.where(found, 0.0, spread))
        return self._replace(right=np.where(verdicts >= 0, (verdicts == 1).astype(np.float64), open_))

    def scores(self) -> list[Score]:
        return [
            Score(float(p), float(abs(2 * p - 1)), advantage=float(a))
            for p, a in zip(self.right, self.advantages(), strict=True)
        ]

    def advantages(self, among: IntArray | None = None) -> Floats:
        """(n,) expected advantages of these rollouts alone, in groups `among` (n,); None takes those of a query."""
        group = self.group if among is None else among
        return expected_advantages(group, self.answer, self.right, several=self.several)
