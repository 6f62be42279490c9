"""Rewards of the literature against closed forms: pseudo-labels weighted by share, trust by trajectory, corrections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from lab.valuers import Restrain, TraPO, corrected_first
from memreward.evaluation.metrics import advantages
from memreward.reward.valuers import Majority
from memreward.types import DOMAINS, Features


def features_of(answers: dict[str, Sequence[int]]) -> Features:
    """Query -> number of each rollout's answer; -1 is none."""
    group = np.repeat(np.arange(len(answers)), [len(each) for each in answers.values()])
    flat = np.array([a for each in answers.values() for a in each])
    empty = np.zeros((len(flat), 0), np.float32)
    return Features(
        tuple(map(str, range(len(flat)))),
        tuple(answers),
        group,
        np.full(len(answers), DOMAINS.index("math"), np.int64),
        np.zeros((len(answers), 0), np.float32),
        empty,
        empty,
        np.where(flat < 0, -1, group * 100 + flat),
        empty,
        (),
    )


def test_restrain_pays_the_mean_of_the_advantages_under_each_answer_weighted_by_its_share() -> None:
    answers = [0, 0, 0, 1, 1, 2, 2, -1]
    found = Restrain().beliefs(features_of({"q": answers})).advantages()
    weight = np.exp(-((np.array([3, 2, 2]) / 8 - 1) ** 2) / (2 * Restrain.WIDTH**2))
    each = [advantages(np.equal(answers, a).astype(float), np.zeros(8, int), scaled=True) for a in range(3)]
    assert found == pytest.approx(3 / 8 * (weight / weight.sum()) @ np.stack(each))


def test_restrain_counts_a_question_by_what_the_policy_agreed_on_first_and_none_without_a_majority() -> None:
    valuer = Restrain()
    certain = valuer.beliefs(features_of({"q": [0, 0, 0, 0], "r": [0, 0, 1, 1]})).right
    assert certain[0] == pytest.approx(1)
    assert valuer.beliefs(features_of({"r": [0, 0, 0, 0]})).right[0] == pytest.approx(0.5)
    assert (valuer.beliefs(features_of({"s": [0, 1, 2, 3, 4, 5]})).right == 0).all()


def test_trapo_trusts_the_questions_that_rise_as_the_labelled_ones_do() -> None:
    valuer = TraPO()
    rising, falling = ([0, 0, 1, 2], [0, 0, 0, 1], [0, 0, 0, 0]), ([0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 2])
    for visit in range(3):
        given = features_of({"labelled": [0, 1, 2, 3], "up": rising[visit], "down": falling[visit]})
        right = valuer.beliefs(given).right
        labels = np.full(12, -1, np.int8)
        labels[:4] = [1] * (visit + 1) + [0] * (3 - visit)
        valuer.observe(given, labels, visit)
        if visit < 2:
            assert np.isnan(right).all()
    assert right[4:8].tolist() == [1, 1, 1, 1]
    assert np.isnan(right[8:]).all()
    assert np.isnan(right[:4]).all()


def test_the_label_that_is_expected_to_correct_most_comes_first() -> None:
    given = features_of({"sure": [0] * 8, "split": [0, 0, 0, 0, 1, 1, 1, 2], "nearly": [0] * 7 + [1]})
    assert corrected_first(Majority().beliefs(given), given.query_ids) == ["split", "nearly", "sure"]
