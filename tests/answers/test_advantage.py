"""Expected advantages and their variance against enumeration of everything that may be right."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memreward.answers.advantage import expected_advantages
from memreward.answers.beliefs import AnswerBeliefs
from memreward.answers.choose import variances
from memreward.evaluation.metrics import advantages

SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=4)


def variance_of(group: np.ndarray, answer: np.ndarray, right: np.ndarray, *, several: bool) -> np.ndarray:
    """(groups,) summed variance of the advantages; groups count from 0."""
    beliefs = AnswerBeliefs(right, right, answer, group, np.full(len(group), several))
    return variances(beliefs, int(group.max()) + 1)


def enumerated(votes: list[int], chances: list[float], *, several: bool) -> tuple[np.ndarray, float]:
    """E[A] of every rollout and the summed variance, by going through every set of right answers."""
    answer = np.repeat(np.arange(len(votes)), votes)
    group = np.zeros(len(answer), int)
    if several:
        sets = list(itertools.product([0, 1], repeat=len(votes)))
        weight = [np.prod([p if r else 1 - p for p, r in zip(chances, s, strict=True)]) for s in sets]
    else:
        sets = [tuple(int(i == j) for i in range(len(votes))) for j in range(len(votes))] + [(0,) * len(votes)]
        weight = [*chances, 1 - sum(chances)]
    each = np.stack([advantages(np.array(s, float)[answer], group, scaled=True) for s in sets])
    mean = np.asarray(weight) @ each
    return mean, float((np.asarray(weight) @ each**2 - mean**2).sum())


@pytest.mark.parametrize("several", [False, True])
@given(votes=SIZES, data=st.data())
def test_equal_to_enumeration(several: bool, votes: list[int], data: st.DataObject) -> None:
    raw = np.array([data.draw(st.floats(0.01, 1)) for _ in votes])
    chances = raw if several else raw / (raw.sum() + data.draw(st.floats(0.01, 2)))
    mean, variance = enumerated(votes, chances.tolist(), several=several)
    answer = np.repeat(np.arange(len(votes)), votes)
    group = np.zeros(len(answer), int)
    found = expected_advantages(group, answer, chances[answer], several=several)
    assert found == pytest.approx(mean, abs=1e-9)
    assert variance_of(group, answer, chances[answer], several=several) == pytest.approx([variance], abs=1e-9)
    assert found.sum() == pytest.approx(0, abs=1e-9)


@given(votes=SIZES, data=st.data())
def test_rollouts_of_one_answer_are_right_together_the_likelier_first(votes: list[int], data: st.DataObject) -> None:
    answer = np.repeat(np.arange(len(votes)), votes)
    chance = np.array([data.draw(st.sampled_from([0.0, 0.2, 0.45, 0.7, 1.0])) for _ in answer])
    group = np.zeros(len(answer), int)
    first, second = np.zeros(len(answer)), np.zeros(len(answer))
    # One number below 1 an answer; a rollout is right if it is below its chance. Between chances nothing changes.
    cuts = [0.0, 0.2, 0.45, 0.7, 1.0]
    for cell in itertools.product(range(4), repeat=len(votes)):
        weight = np.prod([cuts[c + 1] - cuts[c] for c in cell])
        right = chance >= np.array([cuts[c + 1] for c in cell])[answer]
        found = advantages(right.astype(float), group, scaled=True)
        first, second = first + weight * found, second + weight * found**2
    assert expected_advantages(group, answer, chance, several=True) == pytest.approx(first, abs=1e-9)
    variance = float((second - first**2).sum())
    assert variance_of(group, answer, chance, several=True) == pytest.approx([variance], abs=1e-9)


@pytest.mark.parametrize("several", [False, True])
def test_groups_do_not_mix_and_order_does_not_matter(several: bool) -> None:
    rng = np.random.default_rng(0)
    group = np.repeat([4, 1, 9], [8, 3, 5])
    answer = rng.integers(0, 4, 16)
    chance = rng.random((10, 4))[group, answer] / 4
    together = expected_advantages(group, answer, chance, several=several)
    order = rng.permutation(16)
    shuffled = expected_advantages(group[order], answer[order], chance[order], several=several)
    assert shuffled == pytest.approx(together[order], abs=1e-12)
    for each in (1, 4, 9):
        rows = group == each
        alone = expected_advantages(group[rows], answer[rows], chance[rows], several=several)
        assert alone == pytest.approx(together[rows], abs=1e-12)
    variance = variance_of(group, answer, chance, several=several)
    assert set(np.flatnonzero(variance).tolist()) == {1, 4, 9}


def test_certain_groups_have_nothing_to_learn() -> None:
    group, answer = np.zeros(4, int), np.array([0, 0, 1, 1])
    assert variance_of(group, answer, np.array([1.0, 1.0, 0, 0]), several=False) == pytest.approx([0])
    flat = expected_advantages(group, np.zeros(4, int), np.full(4, 0.7), several=False)
    assert (flat == 0).all()
    assert expected_advantages(np.zeros(0, int), np.zeros(0, int), np.zeros(0), several=False).shape == (0,)


def test_a_certain_answer_gives_the_trainers_own_advantage() -> None:
    group, answer = np.zeros(8, int), np.array([0, 0, 0, 1, 1, 2, 2, 2])
    right = (answer == 1).astype(float)
    for several in (False, True):
        found = expected_advantages(group, answer, right, several=several)
        assert found == pytest.approx(advantages(right, group, scaled=True))
