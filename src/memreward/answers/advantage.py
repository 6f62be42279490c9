"""The reward: what a rollout's advantage is expected to be, given what may still be right.

GRPO uses advantages: a reward less its group's mean, divided by its group's standard deviation (n - 1 in the
denominator), 0 where all rewards are equal. A rollout is paid the expectation, which is 0 on average in each group and
shrinks with doubt (method.md, section 7).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from memreward.answers.table import Bools, Floats
from memreward.features.subset import distinct_pairs
from memreward.types import IntArray


class _Answers(NamedTuple):
    """C answers of m groups: `group` (C,) ascending, `votes` (C,) rollouts; `row` (n,) answer of each rollout."""

    group: IntArray
    votes: IntArray
    row: IntArray


def expected_advantages(group: IntArray, answer: IntArray, right: Floats, *, several: bool | Bools) -> Floats:
    """(n,) expected advantage of each rollout: the first of its `moments`."""
    return moments(group, answer, right, several=several)[0]


def moments(group: IntArray, answer: IntArray, right: Floats, *, several: bool | Bools) -> tuple[Floats, Floats]:
    """(n,) expected advantage of each rollout, and (n,) expectation of its square.

    Args:
        group: (n,) group of each rollout. Only the rollouts given count: pool the probabilities over earlier visits of
            a question, and give the present group alone.
        answer: (n,) answer of each rollout; equal numbers in one group are one answer.
        right: (n,) probability that the rollout is right. Where at most one answer may be right, it is equal for equal
            answers; else rollouts of one answer are right together, the likelier first.
        several: Whether several answers of a group may be right, independently of each other; of all, or (n,).
    """
    first, second = np.zeros(len(group)), np.zeros(len(group))
    for kind, of_kind in ((False, _one_moments), (True, _several_moments)):
        rows = np.flatnonzero(np.broadcast_to(several, len(group)) == kind)
        if len(rows):
            pairs, row = distinct_pairs(np.unique(group[rows], return_inverse=True)[1].reshape(-1), answer[rows])
            given = _Answers(pairs[:, 0], np.bincount(row, minlength=len(pairs)), row)
            first[rows], second[rows] = of_kind(given, np.clip(right[rows], 0.0, 1.0))
    return first, second


def _one_moments(given: _Answers, chance: Floats) -> tuple[Floats, Floats]:
    """If answer c with share q is right, its rollouts have (1 - q) / sd and all others -q / sd."""
    right = np.zeros(len(given.votes))
    right[given.row] = chance
    size = np.bincount(given.group, given.votes)[given.group]
    high, low = _advantages(given.votes.astype(np.float64), size)
    lost = right * low
    lost_squared = right * low**2
    others = np.bincount(given.group, lost)[given.group] - lost
    others_squared = np.bincount(given.group, lost_squared)[given.group] - lost_squared
    first, second = others + right * high, others_squared + right * high**2
    return first[given.row], second[given.row]


def _several_moments(given: _Answers, chance: Floats) -> tuple[Floats, Floats]:
    """Each answer is right or wrong by itself, and its rollouts with it, the likelier first.

    So k rollouts of an answer are right with the probability of its k-th likeliest less that of the next. The
    distribution of the number of right rollouts is built answer by answer, all groups at once; for each answer its own
    part is left out.
    """
    size = np.bincount(given.group, given.votes)
    place = np.arange(len(given.group)) - np.searchsorted(given.group, given.group)
    width, most = int(place.max()) + 1, int(size.max())
    group, own = given.group[given.row], place[given.row]
    rank = _rank(given.row, chance)
    reached = np.zeros((len(size), width, most + 2))
    reached[:, :, 0] = 1.0
    reached[group, own, rank] = chance
    number = reached[:, :, :-1] - reached[:, :, 1:]
    before, after = _running(number), _running(number[:, ::-1])
    right = np.minimum(np.arange(most + 1)[None, :], size[:, None]).astype(np.float64)
    high, low = _advantages(right, size[:, None])
    first, second = (np.zeros((len(size), width, most + 1)) for _ in range(2))
    for answer in range(width):
        others, mine = _convolved(before[answer], after[width - 1 - answer]), number[:, answer]
        for power, found in ((1, first), (2, second)):
            found[:, answer] = _by_rank(
                mine * _shifted_mean(others, high**power), mine * _shifted_mean(others, low**power)
            )
    return first[group, own, rank], second[group, own, rank]


def _rank(row: IntArray, chance: Floats) -> IntArray:
    """(n,) 1 for the likeliest rollout of each answer, 2 for the next; ties in any order, for they change nothing."""
    order = np.lexsort((-chance, row))
    rank = np.empty(len(row), np.int64)
    rank[order] = np.arange(len(row)) - np.searchsorted(row[order], row[order]) + 1
    return rank


def _by_rank(high: Floats, low: Floats) -> Floats:
    """Column r: the sum of `high` over numbers of right rollouts from r on, and of `low` over those below r."""
    return np.cumsum(high[:, ::-1], axis=1)[:, ::-1] + np.cumsum(low, axis=1) - low


def _shifted_mean(others: Floats, values: Floats) -> Floats:
    """Column k: mean of `values` at k more than a number that is distributed as `others`."""
    width = others.shape[1]
    return np.stack([(others[:, : width - k] * values[:, k:]).sum(axis=1) for k in range(width)], axis=1)


def _advantages(right: Floats, size: NDArray[Any]) -> tuple[Floats, Floats]:
    total = np.asarray(size, np.float64)
    share = right / total
    variance = share * (1 - share) * total / np.maximum(total - 1, 1)
    mixed = (right > 0) & (right < total)
    deviation = np.sqrt(np.where(mixed, variance, 1.0))
    return np.where(mixed, (1 - share) / deviation, 0.0), np.where(mixed, -share / deviation, 0.0)


def _running(number: Floats) -> list[Floats]:
    """For k = 0 .. width: (groups, most + 1) distribution of the right rollouts among the first k answers."""
    found = [np.zeros_like(number[:, 0])]
    found[0][:, 0] = 1.0
    for k in range(number.shape[1]):
        found.append(_convolved(found[-1], number[:, k]))
    return found


def _convolved(left: Floats, right: Floats) -> Floats:
    """Row by row the distribution of the sum, as wide as its parts: beyond is impossible here."""
    width = left.shape[1]
    total = np.zeros_like(left)
    for k in range(width):
        total[:, k:] += left[:, k, None] * right[:, : width - k]
    return total
