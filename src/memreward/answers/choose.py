"""What to label next: the question whose advantages are most uncertain.

Var_g = sum over the group's rollouts of Var A_i under what may still be right is what a label of the question is
expected to change. The choice depends on inputs alone, so a fit on chosen questions stays unbiased (method.md, section
7: ten chosen so do what twenty at random do).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from memreward.answers.advantage import advantage_variance
from memreward.answers.model import AnswerModel
from memreward.answers.table import Floats
from memreward.types import Features

ROUNDS = 4
"""Rounds in which a budget is spent: what the first labels teach says where the next ones are needed."""


class Proposal(NamedTuple):
    """A question to label.

    Attributes:
        query_id: Which.
        variance: What its label is expected to change, in squared advantages summed over its rollouts.
        top: Probability of its most probable answer.
        answers: Distinct answers it has.
    """

    query_id: str
    variance: float
    top: float
    answers: int


def advantage_variances(model: AnswerModel, features: Features) -> Floats:
    """(q,) how uncertain the advantages of each query's rollouts are."""
    beliefs = model.beliefs(features)
    found = np.zeros(len(features.query_ids))
    for several in (False, True):
        rows = beliefs.several == several
        if rows.any():
            group = beliefs.group[rows]
            found[np.unique(group)] = advantage_variance(
                group, beliefs.answer[rows], beliefs.right[rows], several=several
            )
    return found


def proposals(
    model: AnswerModel, features: Features, count: int | None = None, labelled: Collection[str] = ()
) -> list[Proposal]:
    """Return the questions to label next, the most uncertain first; equals in the order of their ids.

    Args:
        model: What is believed now.
        features: All rollouts of the questions.
        count: How many; None orders all.
        labelled: Ids of questions that have a label already.
    """
    beliefs, variance = model.beliefs(features), advantage_variances(model, features)
    top = np.zeros(len(features.query_ids))
    np.maximum.at(top, beliefs.group, beliefs.right)
    given = np.unique(np.stack([features.group, features.cluster], 1)[features.cluster >= 0], axis=0)
    answers = np.bincount(given[:, 0], minlength=len(top))
    done = set(labelled)
    order = sorted(range(len(top)), key=lambda q: (-round(float(variance[q]), 9), features.query_ids[q]))
    waiting = [q for q in order if features.query_ids[q] not in done]
    return [
        Proposal(features.query_ids[q], float(variance[q]), float(top[q]), int(answers[q])) for q in waiting[:count]
    ]
