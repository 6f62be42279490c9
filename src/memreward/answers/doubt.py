"""Where votes mean something else: a third expert, for questions whose most frequent answer is not the right one.

The prior has learned from many sources that votes speak for an answer, and majority vote assumes it. On some questions
(puzzles that trick a weak policy, options that all look alike) they do not, or speak against it, and the prior is too
sure of itself for a few labels to turn it round. So a small model that assumes nothing, a weight for ln of an answer's
share, for the most frequent answer, and for "none of these", is fitted on the labels alone. Its weight is Bayes' rule
with `BEFORE` as its probability before any label, against the better of the other two experts: next to nothing where
votes mean what they mostly do, most of it where they do not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from memreward.answers.posterior import Gaussian, Observed
from memreward.answers.table import QUESTION, SHARE, AnswerTable, Floats
from memreward.threads import single_threaded

BEFORE = 0.05
"""Probability, before any label, that votes mean something else; .03 to .1 measured alike where they do not."""
_COLUMNS = ("log_share", "plurality", "intercept")
_SURE = 30.0


@dataclass(frozen=True)
class Doubt:
    """The third expert as the labels of one domain leave it.

    Attributes:
        weights: Of its three columns.
        weight: Its own weight beside the other experts, in [0, 1].
    """

    weights: Gaussian
    weight: float

    @classmethod
    def none(cls) -> Self:
        """Before any label it has no say: it knows nothing."""
        return cls(Gaussian(np.zeros(len(_COLUMNS)), np.eye(len(_COLUMNS))), 0.0)

    @classmethod
    @single_threaded()
    def of(cls, observed: Observed, signals: int, others: float, before: Doubt) -> Self:
        """Weigh it against the others.

        Args:
            observed: What was judged in the domain.
            signals: How many signals the columns of its table hold.
            others: Log-evidence of the better of the other two experts.
            before: Where the search for its weights begins; what is found does not depend on it beyond rounding.
        """
        start = cls.none().weights
        own = replace(observed, table=_votes(observed.table, signals))
        weights = start.given([own], before.weights.mean)
        odds = np.log(BEFORE / (1 - BEFORE)) + start.log_evidence(own, weights) - others
        return cls(weights, float(1 / (1 + np.exp(-np.clip(odds, -_SURE, _SURE)))))

    def beside(self, others: Floats, table: AnswerTable, signals: int) -> Floats:
        """(C,) mean, by its weight, of its own probabilities and the others' for the answers of a table."""
        if not self.weight:
            return others
        own = self.weights.probabilities(_votes(table, signals))
        return self.weight * own + (1 - self.weight) * others


def _votes(table: AnswerTable, signals: int) -> AnswerTable:
    place = {name: i for i, name in enumerate(SHARE)} | {
        name: len(SHARE) + signals + i for i, name in enumerate(QUESTION)
    }
    return replace(table, design=table.design[:, [place[name] for name in _COLUMNS]])
