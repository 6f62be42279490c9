"""What judgements say of the weights: a conditional logit with an outside option, or one Bernoulli a rollout.

With at most one right answer (mathematics, choice, text), s_c = w . x_c the score of answer c, and 0 that of "none of
these"::

    P(c right) = exp(s_c) / (1 + sum over c' of exp(s_c')),    P(none) = 1 / (the same)

McFadden's conditional logit. A judgement leaves a set of outcomes possible (the right answer; none of these; not this
one; ...), and its likelihood is the probability of that set. Where several may be right (code) each rollout is a
Bernoulli with log-odds s_c, a question counting as two observations.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memreward.answers.table import AnswerTable, Floats

OBSERVATIONS_OF_CODE = 2.0
"""Observations that a question of code counts as, spread over its rollouts."""

_TINY = 1e-12
_IMPOSSIBLE = -1e30


class Slope(NamedTuple):
    """Log-likelihood at some weights: value, (p,) gradient, (p, p) expected information."""

    value: float
    gradient: Floats
    information: Floats


def right_probabilities(table: AnswerTable, scores: Floats) -> Floats:
    """(C, k) probability that each answer is right, for k columns of scores (C, k); 0 where there is no answer."""
    masked = np.where(table.mute[:, None], _IMPOSSIBLE, scores)
    if not len(table):
        return masked
    if table.several:
        return np.asarray(np.exp(-np.logaddexp(0.0, -masked)), np.float64)
    top = np.maximum(np.maximum.reduceat(masked, table.start, axis=0), 0.0)
    weight = np.exp(masked - top[table.question])
    total = np.add.reduceat(weight, table.start, axis=0) + np.exp(-top)
    return np.asarray(weight / total[table.question], np.float64)


def question_log_likelihood(table: AnswerTable, right: Floats, verdicts: NDArray[np.int8]) -> Floats:
    """(G,) log-probability of what was judged of each question, under (C,) probabilities; 0 where nothing was."""
    if table.several:
        hit = np.where(verdicts == 1, right, 1.0 - right)
        weight = OBSERVATIONS_OF_CODE * table.weight * ((verdicts >= 0) & ~table.mute)
        return _per_question(table, weight * np.log(np.maximum(hit, _TINY)))
    return np.log(np.clip(_chance(table, right, verdicts)[1], _TINY, 1.0))


def slope(table: AnswerTable, weights: Floats, verdicts: NDArray[np.int8], counts: Floats) -> Slope:
    """Log-likelihood of (C,) verdicts, 1, 0 or -1 not judged, at (p,) weights; questions count (G,) `counts`."""
    right = right_probabilities(table, (table.design @ weights)[:, None])[:, 0]
    counted = counts[table.question]
    if table.several:
        weight = counted * OBSERVATIONS_OF_CODE * table.weight * ((verdicts >= 0) & ~table.mute)
        hit = np.where(verdicts == 1, right, 1.0 - right)
        value = float(weight @ np.log(np.maximum(hit, _TINY)))
        gradient = table.design.T @ (weight * ((verdicts == 1) - right))
        information = (table.design * (weight * right * (1.0 - right))[:, None]).T @ table.design
        return Slope(value, gradient, information)
    possible, chance = _chance(table, right, verdicts)
    chance = np.maximum(chance, _TINY)
    known = counts * (_per_question(table, verdicts >= 0) > 0)
    given = right * possible / chance[table.question]
    gradient = table.design.T @ (known[table.question] * (given - right))
    return Slope(float(known @ np.log(chance)), gradient, _information(table, right, verdicts, known))


def _information(table: AnswerTable, right: Floats, verdicts: NDArray[np.int8], counts: Floats) -> Floats:
    """Expected information of asking what was asked: each answer judged is an outcome, all else together is one."""
    if not len(table):
        return np.zeros((table.design.shape[1],) * 2)
    found = _per_question(table, verdicts == 1) > 0
    judged = (verdicts >= 0) | found[table.question]
    weighted = table.design * right[:, None]
    mean = np.add.reduceat(weighted, table.start, axis=0)
    rest = np.add.reduceat(weighted * ~judged[:, None], table.start, axis=0)
    left = 1.0 - _per_question(table, right * judged)
    counted = weighted * (counts[table.question] * judged)[:, None]
    information: Floats = table.design.T @ counted
    information += (rest * (counts / np.maximum(left, _TINY))[:, None]).T @ rest
    return information - (mean * counts[:, None]).T @ mean


def _per_question(table: AnswerTable, values: NDArray[np.generic]) -> Floats:
    return np.bincount(table.question, values, len(table.query_ids)).astype(np.float64)


def _chance(table: AnswerTable, right: Floats, verdicts: NDArray[np.int8]) -> tuple[NDArray[np.bool_], Floats]:
    """Which answers may still be right (C,), and (G,) the probability that one of them, or still none, is."""
    found = _per_question(table, verdicts == 1) > 0
    possible = np.where(found[table.question], verdicts == 1, verdicts != 0)
    none = np.maximum(1.0 - _per_question(table, right), 0.0)
    return possible, _per_question(table, right * possible) + np.where(found, 0.0, none)
