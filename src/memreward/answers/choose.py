"""What to label next: the question whose advantages are most uncertain.

Var_g = sum over the group's rollouts of Var A_i under what may still be right is what a label of the question is
expected to change. The choice depends on inputs alone, so a fit on chosen questions stays unbiased (method.md, section
7: ten chosen so do what twenty at random do).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memreward.answers.advantage import advantage_variance
from memreward.answers.model import AnswerBeliefs, AnswerModel
from memreward.answers.table import Floats
from memreward.types import Features

ROUNDS = 4
"""Rounds in which a budget is spent: what the first labels teach says where the next ones are needed."""


class Proposal(NamedTuple):
    """A question to label.

    Attributes:
        query_id: Which.
        variance: What its label is expected to change, in squared advantages summed over its rollouts.
        cheap: What judging only its most probable answer, right or wrong, is expected to change of that.
        top: Probability of its most probable answer.
        answers: Distinct answers it has.
    """

    query_id: str
    variance: float
    cheap: float
    top: float
    answers: int


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
    beliefs, queries = model.beliefs(features), len(features.query_ids)
    variance = variances(beliefs, queries)
    top = np.zeros(queries)
    np.maximum.at(top, beliefs.group, beliefs.right)
    cheap = told_by_judging(beliefs, most_probable(beliefs, queries), queries)
    given = np.unique(np.stack([features.group, features.cluster], 1)[features.cluster >= 0], axis=0)
    answers = np.bincount(given[:, 0], minlength=len(top))
    done = set(labelled)
    order = sorted(range(len(top)), key=lambda q: (-round(float(variance[q]), 9), features.query_ids[q]))
    waiting = [q for q in order if features.query_ids[q] not in done]
    return [
        Proposal(features.query_ids[q], float(variance[q]), float(cheap[q]), float(top[q]), int(answers[q]))
        for q in waiting[:count]
    ]


def most_probable(beliefs: AnswerBeliefs, queries: int) -> NDArray[np.bool_]:
    """(n,) whether the rollout gives the most probable answer of its query; of equals the first."""
    top = np.zeros(queries)
    np.maximum.at(top, beliefs.group, beliefs.right)
    first = np.full(queries, np.iinfo(np.int64).max)
    is_top = beliefs.right >= top[beliefs.group]
    np.minimum.at(first, beliefs.group[is_top], beliefs.answer[is_top])
    return np.asarray(beliefs.answer == first[beliefs.group], np.bool_)


def told_by_judging(beliefs: AnswerBeliefs, asked: NDArray[np.bool_], queries: int) -> Floats:
    """(q,) what "is this answer right?" is expected to change: the variance of E[A | the reply], over the rollouts.

    Args:
        beliefs: Of n rollouts.
        asked: (n,) whether the rollout gives the answer that is asked about; one answer a query, or none. Of code that
            behaves alike it is the likeliest rollout that is judged.
        queries: How many there are.
    """
    chance = np.zeros(queries)
    np.maximum.at(chance, beliefs.group[asked], beliefs.right[asked])
    chance = chance[beliefs.group]
    rest = np.where(beliefs.several, beliefs.right, beliefs.right / np.maximum(1 - chance, 1e-12))
    told_of = np.zeros(queries, np.bool_)
    told_of[beliefs.group[asked]] = True
    others_if_right = np.where(beliefs.several | ~told_of[beliefs.group], beliefs.right, 0.0)
    asked_if_right = beliefs.right / np.maximum(chance, 1e-12)
    if_right = beliefs._replace(right=np.where(asked, asked_if_right, others_if_right))
    if_wrong = beliefs._replace(right=np.where(asked, 0.0, np.minimum(rest, 1.0)))
    now, yes, no = (each.advantages() for each in (beliefs, if_right, if_wrong))
    told = np.bincount(beliefs.group, chance * yes**2 + (1 - chance) * no**2 - now**2, queries)
    return np.maximum(told, 0.0)


def variances(beliefs: AnswerBeliefs, queries: int) -> Floats:
    """(q,) how uncertain the advantages of each query's rollouts are, summed over them."""
    found = np.zeros(queries)
    for several in (False, True):
        rows = beliefs.several == several
        if rows.any():
            group = beliefs.group[rows]
            found[np.unique(group)] = advantage_variance(
                group, beliefs.answer[rows], beliefs.right[rows], several=several
            )
    return found
