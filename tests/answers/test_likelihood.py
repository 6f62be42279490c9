"""The conditional logit: closed forms on toys, judgements of every kind, slopes against differences."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from answer_toys import features_of, sampled_answers, table_of

from memreward.answers.likelihood import question_log_likelihood, right_probabilities, slope
from memreward.answers.posterior import Gaussian, Observed
from memreward.features.columns import CLIP, Scaling
from rows import each_row


def table(domain: str = "math", questions: int = 5, seed: int = 1):
    rng = np.random.default_rng(seed)
    return table_of(features_of(sampled_answers(rng, questions), domain=domain), domain)


def test_two_answers_with_known_scores() -> None:
    two = table_of(features_of([[0, 0, 1]]))
    right = right_probabilities(two, np.array([[np.log(6.0)], [np.log(3.0)]]))
    assert right[:, 0] == pytest.approx([0.6, 0.3])  # and none of them 1 / (1 + 6 + 3)


def test_solutions_of_code_are_judged_one_by_one_and_count_as_two_questions() -> None:
    three = table_of(features_of([[0, 0, 1]], domain="code"), "code")
    assert three.share == pytest.approx([2 / 3, 2 / 3, 1 / 3])
    right = right_probabilities(three, np.log([[1.0], [3.0], [3.0]]))[:, 0]
    assert right == pytest.approx([0.5, 0.75, 0.75])
    found = question_log_likelihood(three, right, np.array([1, 0, -1], np.int8))
    assert found == pytest.approx([2 / 3 * (np.log(0.5) + np.log(0.25))])


def test_rollouts_without_an_answer_cannot_be_right() -> None:
    for domain in ("math", "code"):
        mixed = table_of(features_of([[0, -1, -1], [-1, -1, -1]], domain=domain), domain)
        right = right_probabilities(mixed, np.full((len(mixed), 1), 5.0))[:, 0]
        assert (right[mixed.mute] == 0).all()
        assert (right[~mixed.mute] > 0.9).all()


def test_the_likelihoods_of_every_way_to_judge_sum_to_one() -> None:
    one = table(questions=1)
    right = right_probabilities(one, one.design @ np.full((one.design.shape[1], 1), 0.2))[:, 0]
    n = len(one)

    def chance(verdicts: list[int]) -> float:
        return float(np.exp(question_log_likelihood(one, right, np.array(verdicts, np.int8))[0]))

    whole = [[int(i == j) for i in range(n)] for j in range(n)] + [[0] * n]
    assert sum(map(chance, whole)) == pytest.approx(1)
    for j in range(n):  # "this answer is right", "this answer is wrong"
        yes, no = ([verdict if i == j else -1 for i in range(n)] for verdict in (1, 0))
        assert chance(yes) + chance(no) == pytest.approx(1)
        assert chance(yes) == pytest.approx(right[j])
    assert chance([-1] * n) == pytest.approx(1)


@each_row("domain", ["math", "code"])
@each_row("kind", ["whole", "partial"])
def test_the_gradient_is_that_of_the_log_likelihood(domain: str, kind: str) -> None:
    some = table(domain, 6)
    rng = np.random.default_rng(2)
    verdicts = np.zeros(len(some), np.int8)
    verdicts[some.start[[0, 2, 3]]] = 1
    if kind == "partial":
        verdicts[rng.random(len(some)) < 0.5] = -1
    counts = rng.random(6)
    weights = rng.normal(0, 0.3, some.design.shape[1])
    step = 1e-6 * np.eye(len(weights))
    numeric = [
        (slope(some, weights + d, verdicts, counts).value - slope(some, weights - d, verdicts, counts).value) / 2e-6
        for d in step
    ]
    assert slope(some, weights, verdicts, counts).gradient == pytest.approx(numeric, abs=1e-6)


@pytest.mark.parametrize("asked", ["whole", "first"])
def test_the_information_is_the_mean_square_of_the_gradient_over_what_might_be_judged(asked: str) -> None:
    one = table(questions=1, seed=4)
    n = len(one)
    weights = np.random.default_rng(3).normal(0, 0.3, one.design.shape[1])
    ones = np.ones(1)
    whole = [[int(i == j) for i in range(n)] for j in range(n)] + [[0] * n]
    first = [[1] + [-1] * (n - 1), [0] + [-1] * (n - 1)]
    outcomes = [np.array(each, np.int8) for each in (whole if asked == "whole" else first)]
    found = [slope(one, weights, each, ones) for each in outcomes]
    expected = sum(np.exp(each.value) * np.outer(each.gradient, each.gradient) for each in found)
    for each in found if asked == "whole" else found[1:]:
        assert each.information == pytest.approx(expected, abs=1e-9)


def test_what_is_not_judged_moves_nothing() -> None:
    some = table()
    prior = Gaussian.diagonal(np.full(some.design.shape[1], 0.1), np.full(some.design.shape[1], 0.5))
    after = prior.given([Observed.whole(some, np.full(len(some), -1, np.int8))])
    assert after.mean == pytest.approx(prior.mean)
    assert after.covariance == pytest.approx(prior.covariance)


def test_the_mode_is_where_the_slope_ends_whatever_the_start() -> None:
    some = table(questions=40, seed=5)
    verdicts = np.zeros(len(some), np.int8)
    verdicts[some.start] = 1
    size = some.design.shape[1]
    prior = Gaussian.diagonal(np.zeros(size), np.full(size, 0.5))
    observed = [Observed.whole(some, verdicts)]
    starts = [None, np.full(size, 1.0), np.random.default_rng(0).normal(size=size)]
    found = [prior.given(observed, start) for start in starts]
    ones = np.ones(len(some.query_ids))
    left = slope(some, found[0].mean, verdicts, ones).gradient - found[0].mean / 0.5
    assert np.abs(left).max() < 1e-3
    for a, b in itertools.pairwise(found):
        assert a.mean == pytest.approx(b.mean, abs=1e-4)


def test_probabilities_are_averaged_over_draws_and_their_opposites() -> None:
    one = replace(table_of(features_of([[0]])), design=np.ones((1, 1)))
    wide = Gaussian(np.zeros(1), np.full((1, 1), 4.0))
    assert wide.probabilities(one) == pytest.approx([0.5], abs=1e-12)


def test_signals_are_standardised_cut_off_and_silent_where_they_never_varied() -> None:
    values = np.array([[0.1, -1.0], [0.1, 1.0], [0.1, np.nan]], np.float32)
    scaling = Scaling.of(["constant", "varied"], values)
    assert scaling.apply(np.array([[7.0, 1.0], [0.1, np.nan], [0.1, 1e9]])).tolist() == [[0, 1], [0, 0], [0, CLIP]]
