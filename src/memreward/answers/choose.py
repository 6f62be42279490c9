"""What to label next: the question whose advantages are most uncertain, and that of many like it.

A label of a question is expected to change Var_g, the sum over its rollouts of Var A_i, and speaks for like questions
(`likeness`) too, the less the more of those have a label. So questions are taken one after the other by

    Var_q + TEACHES * sum_g k_qg Var_g / (1 + n_g)^2,    k_qg = cos(templates)^SHARP,    n_g = sum of k_gl, labelled l,

where questions that have a label, or were taken, no longer count among g: else the labels of a set made from few
templates all fall on the least certain one. The choice depends on inputs alone, so a fit on it stays unbiased.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memreward.answers.advantage import moments
from memreward.answers.beliefs import AnswerBeliefs
from memreward.answers.likeness import alike
from memreward.answers.model import AnswerModel
from memreward.answers.table import Floats
from memreward.features.subset import distinct_pairs, subset
from memreward.types import Features, FloatArray, IntArray

ROUNDS = 4
"""Rounds in which a budget is spent: what the first labels teach says where the next ones are needed."""
TEACHES = 0.1
"""Share of a like question's uncertainty that a label is counted to take away; .05 to .4 measured alike."""
MORE = 8
"""Further samples that a question is costed for."""
DRAWS = 16
"""Of their votes."""
_COMPARED = 512
"""The most uncertain questions, among which like ones are looked for; those behind them follow by uncertainty."""


class Proposal(NamedTuple):
    """A question to label.

    Attributes:
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
    """Return up to `count` questions to label next, of all the features', those first that tell most; equals by id."""
    beliefs, queries = model.beliefs(features), len(features.query_ids)
    variance = variances(beliefs, queries)
    top = np.zeros(queries)
    np.maximum.at(top, beliefs.group, beliefs.right)
    cheap = told_by_judging(beliefs, _most_probable(beliefs, top), queries)
    given = features.cluster >= 0
    answers = np.bincount(distinct_pairs(features.group[given], features.cluster[given])[0][:, 0], minlength=queries)
    done = set(labelled)
    order = sorted(range(len(top)), key=lambda q: (-round(float(variance[q]), 9), features.query_ids[q]))
    waiting = np.array([q for q in order if features.query_ids[q] not in done], np.int64)
    if features.template_vectors is not None:
        told = [q for q in order if features.query_ids[q] in done]
        first = waiting[:_COMPARED]
        turn = _in_turn(variance[first], features.template_vectors[first], features.template_vectors[told], count)
        waiting = np.concatenate([first[turn], np.delete(first, turn), waiting[_COMPARED:]])
    return [
        Proposal(features.query_ids[q], float(variance[q]), float(cheap[q]), float(top[q]), int(answers[q]))
        for q in waiting[:count]
    ]


def _in_turn(variance: Floats, templates: FloatArray, told: FloatArray, count: int | None) -> IntArray:
    """(k,) order in which k of n questions are taken; templates (n, t), and (m, t) of labelled questions."""
    like = alike(templates, templates).astype(np.float64)
    np.fill_diagonal(like, 0.0)
    taught = alike(templates, told).sum(axis=1, dtype=np.float64)
    open_, taken = variance.copy(), np.zeros(len(variance), np.bool_)
    order = np.zeros(len(variance) if count is None else min(count, len(variance)), np.int64)
    for place in range(len(order)):
        worth = variance + TEACHES * (like @ (open_ / (1 + taught) ** 2))
        order[place] = now = int(np.argmax(np.where(taken, -1.0, np.round(worth, 9))))
        taken[now], open_[now] = True, 0.0
        taught += like[now]
    return order


def _most_probable(beliefs: AnswerBeliefs, top: Floats) -> NDArray[np.bool_]:
    """(n,) whether the rollout gives the most probable answer of its query, `top` (q,) its probability; of equals 1."""
    first = np.full(len(top), np.iinfo(np.int64).max)
    is_top = beliefs.right >= top[beliefs.group]
    np.minimum.at(first, beliefs.group[is_top], beliefs.answer[is_top])
    return np.asarray(beliefs.answer == first[beliefs.group], np.bool_)


def told_by_judging(beliefs: AnswerBeliefs, asked: NDArray[np.bool_], queries: int) -> Floats:
    """(q,) what "is this answer right?" is expected to change: the variance of E[A | the reply], over the rollouts.

    `asked` (n,) are the rollouts that give the answer asked about: one answer a query, or none. Of code that behaves
    alike it is the likeliest rollout that is judged.
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


def told_by_sampling(model: AnswerModel, features: Features, query_ids: Sequence[str]) -> Floats:
    """(k,) what `MORE` further samples of k questions are expected to change: the variance of E[A | their votes].

    They are drawn `DRAWS` times from the question's rollouts among the features; that new answers come is left out.
    """
    part = subset(features, np.isin(np.array(features.query_ids), query_ids)[features.group])
    if not len(part):
        return np.zeros(0)
    order, size = np.argsort(part.group, kind="stable"), np.bincount(part.group)
    first, rng, then = np.cumsum(size) - size, np.random.default_rng(0), []
    for _ in range(DRAWS):
        more = order[first[:, None] + rng.integers(size[:, None], size=(len(size), MORE))]
        drawn = subset(part, np.concatenate([np.arange(len(part)), more.ravel()]))
        then.append(model.beliefs(drawn).first(len(part)).advantages())
    told = np.bincount(part.group, np.var(then, axis=0), len(size))
    return np.array([told[part.query_ids.index(name)] for name in query_ids])


def variances(beliefs: AnswerBeliefs, queries: int) -> Floats:
    """(q,) how uncertain the advantages of each query's rollouts are: Var A_i, summed over them."""
    first, second = moments(beliefs.group, beliefs.answer, beliefs.right, several=beliefs.several)
    return np.bincount(beliefs.group, np.maximum(second - first**2, 0.0), queries).astype(np.float64)
