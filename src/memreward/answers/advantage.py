"""The reward: what a rollout's advantage is expected to be, given what may still be right.

GRPO uses no rewards but advantages: a reward less its group's mean, divided by its group's standard deviation (n - 1 in
the denominator), 0 where all rewards are equal. If it were known which answers are right, every advantage would be
known. So a rollout is paid its expectation. It is 0 on average in each group, doubt shrinks it by itself, and a flat
group gets nothing; no threshold and no gate are needed (method.md, section 7).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from memreward.answers.table import Floats
from memreward.types import IntArray


class Votes(NamedTuple):
    """The answers given in m groups: C rows, those of one group together.

    `group` (C,), `votes` (C,) rollouts of the group that give the answer, `right` (C,) probability that it is right.
    """

    group: IntArray
    votes: IntArray
    right: Floats


def expected_advantages(group: IntArray, answer: IntArray, right: Floats, *, several: bool) -> Floats:
    """(n,) expected advantage of each rollout.

    Args:
        group: (n,) group of each rollout. Only the rollouts given count: pool the probabilities over earlier visits of
            a question, and give the present group alone.
        answer: (n,) answer of each rollout; equal numbers in one group are one answer.
        right: (n,) probability that the rollout's answer is right; equal for equal answers.
        several: Whether several answers of a group may be right, independently of each other; else at most one is.
    """
    votes, row = _votes(group, answer, right)
    if not len(row):
        return np.zeros(0)
    first, _ = (_several_moments if several else _one_moments)(votes)
    return first[row]


def advantage_variance(group: IntArray, answer: IntArray, right: Floats, *, several: bool) -> Floats:
    """(m,) how uncertain each group's advantages are: the sum over its rollouts of Var A_i; groups in ascending order.

    What a label of the whole question is expected to change, in squared advantages. Arguments as in
    `expected_advantages`.
    """
    votes, row = _votes(group, answer, right)
    if not len(row):
        return np.zeros(0)
    first, second = (_several_moments if several else _one_moments)(votes)
    return np.bincount(votes.group, votes.votes * np.maximum(second - first**2, 0.0)).astype(np.float64)


def _votes(group: IntArray, answer: IntArray, right: Floats) -> tuple[Votes, IntArray]:
    """Count the votes; also (n,) row of each rollout."""
    pairs = np.stack([np.unique(group, return_inverse=True)[1].reshape(-1), answer], axis=1)
    distinct, row = np.unique(pairs, axis=0, return_inverse=True)
    row = row.reshape(-1)
    chance = np.zeros(len(distinct))
    chance[row] = np.clip(right, 0.0, 1.0)
    return Votes(distinct[:, 0], np.bincount(row, minlength=len(distinct)), chance), row


def _one_moments(votes: Votes) -> tuple[Floats, Floats]:
    """(C,) E[A] and E[A^2] of each answer's rollouts if at most one answer is right.

    If answer c with share q is right, its rollouts have (1 - q) / sd and all others -q / sd.
    """
    size = np.bincount(votes.group, votes.votes)[votes.group]
    high, low = _advantages(votes.votes.astype(np.float64), size)
    lost = votes.right * low
    lost_squared = votes.right * low**2
    others = np.bincount(votes.group, lost)[votes.group] - lost
    others_squared = np.bincount(votes.group, lost_squared)[votes.group] - lost_squared
    return others + votes.right * high, others_squared + votes.right * high**2


def _several_moments(votes: Votes) -> tuple[Floats, Floats]:
    """(C,) the same if each answer is right or wrong by itself.

    An advantage depends on its own answer and on how many rollouts of the group are right. The distribution of that
    number is built answer by answer, all groups at once; for each answer its own part is left out.
    """
    groups = int(votes.group[-1]) + 1
    size = np.bincount(votes.group, votes.votes)
    place = np.arange(len(votes.group)) - np.searchsorted(votes.group, votes.group)
    width, most = int(place.max()) + 1, int(size.max())
    count = np.zeros((groups, width), np.int64)
    chance = np.zeros((groups, width))
    count[votes.group, place], chance[votes.group, place] = votes.votes, votes.right
    before = _running(count, chance, most)
    after = _running(count[:, ::-1], chance[:, ::-1], most)
    number = np.arange(most + 1)
    high, low = _advantages(np.minimum(number[None, :], size[:, None]).astype(np.float64), size[:, None])
    first, second = np.zeros((groups, width)), np.zeros((groups, width))
    for own in range(width):
        others = _convolved(before[own], after[width - 1 - own])
        mine = _shifted(others, count[:, own])
        p = chance[:, own]
        first[:, own] = p * (mine * high).sum(1) + (1 - p) * (others * low).sum(1)
        second[:, own] = p * (mine * high**2).sum(1) + (1 - p) * (others * low**2).sum(1)
    return first[votes.group, place], second[votes.group, place]


def _advantages(right: Floats, size: NDArray[Any]) -> tuple[Floats, Floats]:
    """Advantage of a right and of a wrong rollout where `right` of `size` are right; 0 where all or none are."""
    total = np.asarray(size, np.float64)
    share = right / total
    variance = share * (1 - share) * total / np.maximum(total - 1, 1)
    mixed = (right > 0) & (right < total)
    deviation = np.sqrt(np.where(mixed, variance, 1.0))
    return np.where(mixed, (1 - share) / deviation, 0.0), np.where(mixed, -share / deviation, 0.0)


def _running(count: IntArray, chance: Floats, most: int) -> list[Floats]:
    """For k = 0 .. width: (groups, most + 1) distribution of the right rollouts among the first k answers."""
    now = np.zeros((len(count), most + 1))
    now[:, 0] = 1.0
    found = [now]
    for k in range(count.shape[1]):
        p = chance[:, k, None]
        now = now * (1 - p) + _shifted(now, count[:, k]) * p
        found.append(now)
    return found


def _shifted(distribution: Floats, by: IntArray) -> Floats:
    """Each row moved `by` places to the right."""
    source = np.arange(distribution.shape[1])[None, :] - by[:, None]
    moved = np.take_along_axis(distribution, np.maximum(source, 0), axis=1)
    return np.where(source >= 0, moved, 0.0)


def _convolved(left: Floats, right: Floats) -> Floats:
    """Row by row the distribution of the sum, as wide as its parts: beyond is impossible here."""
    width = left.shape[1]
    total = np.zeros_like(left)
    for k in range(width):
        total[:, k:] += left[:, k, None] * right[:, : width - k]
    return total
