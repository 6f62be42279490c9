"""Where votes mean something else: a third expert, for questions whose most frequent answer is not the right one.

On some questions (puzzles that trick a weak policy, options that all look alike) votes speak against an answer, and
prior and majority vote are too sure of the contrary for a few labels to turn them round. This small model assumes
nothing and is fitted on the labels alone. Its weight is Bayes' rule, from `BEFORE`, against the better of the others.
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
    """The third expert as the labels of one domain leave it; `weight`, in [0, 1], is its own beside the others."""

    weights: Gaussian
    weight: float

    @classmethod
    def none(cls) -> Self:
        """Before any label it has no say."""
        return cls(Gaussian(np.zeros(len(_COLUMNS)), np.eye(len(_COLUMNS))), 0.0)

    @classmethod
    @single_threaded()
    def of(cls, observed: Observed, signals: int, others: float, before: Doubt) -> Self:
        """Weigh it against the others, of which `others` is the better one's log-evidence.

        The observed table's columns hold `signals` signals. The search for its weights begins at those of `before`.
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
