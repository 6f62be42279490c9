"""Votes of earlier visits: what they say of an answer, in closed form, and through a training's reward."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sums import SIZE, Sums

from alike import ROUNDING
from memreward.answers.model import AnswerModel
from memreward.answers.prior import RewardPrior
from memreward.features.featurizer import Featurizer
from memreward.memory import ExperienceMemory
from memreward.reward import HybridReward
from memreward.reward.policy import PolicyReward
from memreward.reward.predictor import RewardPredictor
from memreward.reward.valuers import Majority
from memreward.reward.visits import HALF_LIFE, WEIGHT, EarlierVisits
from memreward.types import Query, Rollout

QUERY = Query("q", "How many apples are there?", "math")


def visit(*answers: str | None, query: Query = QUERY, mark: str = "") -> list[Rollout]:
    return [
        Rollout(query, f"It is {answer}.", f"It is {answer}.", answer, f"{query.id}-{mark}-{i}")
        for i, answer in enumerate(answers)
    ]


def test_a_first_visit_has_no_past() -> None:
    assert EarlierVisits().lean(visit("1", "2")).tolist() == [0, 0]


def test_what_it_adds_is_the_geometric_mean_of_present_earlier_and_first_share() -> None:
    visits = EarlierVisits()
    visits.add(visit("1", "1", "1", "2"), 0)
    visits.add(visit("1", "2", "2", None), 20)
    faded = 0.5 ** (20 / HALF_LIFE)
    # The group at hand counts as one rollout: half of it says 1, a quarter 2, a quarter nothing.
    first = {"1": (3 + 0.5) / 5, "2": (1 + 0.25) / 5}
    earlier = {"1": (3 * faded + 1 + 0.5) / (4 * faded + 4 + 1), "2": (faded + 2 + 0.25) / (4 * faded + 4 + 1)}
    present = {"1": 0.5, "2": 0.25}
    raw = {k: WEIGHT * (np.log(earlier[k] / present[k]) + np.log(first[k] / present[k])) for k in present}
    mean = (2 * raw["1"] + raw["2"]) / 3
    found = visits.lean(visit("1", "1", "2", None))
    np.testing.assert_allclose(found, [raw["1"] - mean, raw["1"] - mean, raw["2"] - mean, 0])


def test_equivalent_answers_are_one_answer_at_every_visit() -> None:
    visits = EarlierVisits()
    visits.add(visit("0.5", "1/2", "3"), 0)
    found = visits.lean(visit(r"\frac{1}{2}", "3", "3"))
    assert found[0] > 0 > found[1]
    assert found[1] == found[2]


def test_answers_that_no_visit_gave_are_not_told_apart() -> None:
    visits = EarlierVisits()
    visits.add(visit("7", "7"), 0)
    assert np.abs(visits.lean(visit("1", "2"))).max() < 1e-12


def test_order_of_rollouts_and_a_round_trip_change_nothing() -> None:
    visits = EarlierVisits()
    visits.add(visit("1", "2", "2", None), 0)
    visits.add(visit("1", "1", "2", "3"), 3)
    rollouts = visit("1", "2", "3", "3", None)
    kept = EarlierVisits.of_json(json.loads(json.dumps(visits.to_json())))
    np.testing.assert_allclose(kept.lean(rollouts[::-1])[::-1], visits.lean(rollouts), atol=ROUNDING)


def test_shares_lean_and_their_sum_stays() -> None:
    rollouts = visit("1", "1", "2", "2", None)
    past = EarlierVisits()
    past.add(visit("2", "2", "2", "1"), 0)
    model = AnswerModel(RewardPrior())
    features = Featurizer().features(rollouts)
    plain, leant = model.beliefs(features), model.beliefs(replace(features, lean=past.lean(rollouts)))
    assert plain.right.tolist() == pytest.approx([0.4, 0.4, 0.4, 0.4, 0])
    assert leant.right[2] == leant.right[3] > 0.4 > leant.right[0] == leant.right[1]
    assert leant.right[0] + leant.right[2] == pytest.approx(0.8)
    assert leant.vote.tolist() == plain.vote.tolist()
    assert leant.advantages()[2] > plain.advantages()[2]


def test_the_prior_s_model_leans_with_them(predictor: RewardPredictor, sums: Sums, unlabelled: list[int]) -> None:
    rollouts = predictor.memory.rollouts_of([f"q{unlabelled[0]}"])
    features = predictor.featurizer.features(rollouts)
    top = predictor.model.beliefs(features)
    lean = np.where(features.cluster == features.cluster[0], 1.0, -1.0)
    moved = predictor.model.beliefs(replace(features, lean=lean))
    assert moved.right[0] > top.right[0]


def test_a_training_remembers_its_visits_and_goes_on_with_them(
    tmp_path_factory: pytest.TempPathFactory, memory: ExperienceMemory, sums: Sums
) -> None:
    other = Query("apples", QUERY.text, "math")

    def made() -> PolicyReward:
        return PolicyReward(memory, Majority())

    reward = made()
    reward.step(visit("1", "1", "1", "2", query=other, mark="a"), 0)
    folder = tmp_path_factory.mktemp("state")
    reward.save(folder)
    told = reward.step(visit("1", "1", "2", "2", query=other, mark="b"), 1)
    assert told.probability[0] > 0.5 > told.probability[2]
    again = made()
    again.restore(folder)
    found = again.step(visit("1", "1", "2", "2", query=other, mark="b"), 1).probability
    np.testing.assert_allclose(found, told.probability, atol=ROUNDING)


def test_what_memory_held_before_the_training_is_the_first_visit(
    predictor: RewardPredictor, sums: Sums, unlabelled: list[int]
) -> None:
    query = f"q{unlabelled[0]}"
    held = predictor.memory.rollouts_of([query])
    reward = HybridReward(predictor)
    reward.step([replace(r, id=f"new-{i}") for i, r in enumerate(held)], 0)
    ((step, first, _),) = [value for key, value in reward.visits.to_json().items() if key == query]
    assert (step, sum(first.values())) == (0, sum(r.answer is not None for r in held))
    assert len(held) == SIZE
