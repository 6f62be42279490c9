"""Which questions a training would have labelled: those unlike any labelled one, or all where nothing is trusted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sums import SIZE, Sums, asked

from memreward.answers.beliefs import AnswerBeliefs
from memreward.domains import parse_rollout
from memreward.features.featurizer import Featurizer
from memreward.memory import ExperienceMemory, Judgement, Told, label
from memreward.memory.labelling import BROKEN, FILE, Journal
from memreward.reward import HybridReward
from memreward.reward.asking import PARTED, UNLIKE, WAITING, Asking
from memreward.reward.predictor import RewardPredictor
from memreward.types import ConfigurationError, Query, Rollout

PLACES = "Where does the river begin and where does it end, and which towns lie along number {}?"


def rivers(number: int, answers: str = "1213") -> list[Rollout]:
    """A question that is like no sum, and rollouts that differ on it."""
    query = Query(f"river{number}", PLACES.format(number), "math")
    return [parse_rollout(query, f"#### {one}", id=f"{query.id}/{i}") for i, one in enumerate(answers)]


def test_a_question_unlike_any_labelled_one_waits_until_it_has_a_label(
    sums: Sums, predictor: RewardPredictor, unlabelled: list[int]
) -> None:
    waits: list[str] = []
    journal = Journal(Path(predictor.memory.uri) / FILE)
    reward = HybridReward(predictor, ask=True)
    reward.ask(lambda: waits.append("now"))
    _, judged = asked(reward, sums, unlabelled[:3])
    assert judged.metrics["asked"] == 0, "sums are labelled already"
    assert (journal.proposed(), waits) == ({}, [])
    judged = reward.step([*rivers(1), *rivers(2)], 1)
    assert judged.metrics["asked"] == 2
    assert {name: one.why for name, one in journal.proposed().items()} == {"river1": UNLIKE, "river2": UNLIKE}
    assert waits == ["now"]
    person = ExperienceMemory.open(predictor.memory.uri, create=False)
    label(person, None, Told("ann", [Judgement("river1", True, answers=("1",))]), use="labelling")
    again = [replace(one, id=f"{one.id}+") for one in rivers(1)]
    judged = reward.step(again, 2)
    assert judged.source == ("truth",) * 4, "what a person said counts from the next step on"
    assert list(journal.proposed()) == ["river2"], "of what no step has met again nothing is known anew"
    assert reward.step(rivers(3), 3).metrics["asked"] == 1, "river3 is like river1, which has a label"
    judged = reward.step([*rivers(2, "1214")], 4)
    assert (judged.metrics["asked"], journal.proposed()) == (0, {})
    assert waits == ["now"]


def test_where_predictions_are_not_trusted_the_most_uncertain_wait(
    sums: Sums,
    predictor: RewardPredictor,
    labelled: list[int],
    unlabelled: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {"GROUPS": 2, "FIRST": 2, "FEWEST": 2, "RISE": 0.001, "DEVIATIONS": 0.0}.items():
        monkeypatch.setattr(f"memreward.reward.monitor.{name}", value)
    reward = HybridReward(predictor, ask=True)
    asked(reward, sums, labelled[:2], accuracy=1.0)
    asked(reward, sums, labelled[:2], step=1, accuracy=0.0)
    texts = {n: [sums.text(n, off=place if n % 2 else 0) for place in range(SIZE)] for n in unlabelled}
    rollouts = [parse_rollout(sums.query(n), text, id=f"q{n}@2/{i}") for n in texts for i, text in enumerate(texts[n])]
    assert reward.monitor.distrusts
    judged = reward.step(rollouts, 2)
    divided = {f"q{n}" for n in unlabelled if n % 2}
    assert judged.metrics["asked"] == min(WAITING, len(divided))
    proposed = Journal(Path(predictor.memory.uri) / FILE).proposed()
    assert {one.why for one in proposed.values()} == {PARTED}
    gains = [one.gain for one in proposed.values()]
    assert gains == sorted(gains, reverse=True)
    assert set(proposed) <= divided, "where all rollouts agree, a label changes no advantage"


def test_what_waits_is_taken_up_again_and_broken_or_silent_questions_do_not_wait(predictor: RewardPredictor) -> None:
    features = Featurizer().features([*rivers(1), *rivers(2)])
    held = predictor.model.beliefs(features)
    first = Asking(predictor.memory)
    first.consider(features, held, (), parted=False)
    second = Asking(predictor.memory)
    assert second.waiting == first.waiting != {}
    nothing = held._replace(right=np.full(len(features), np.nan))
    second.consider(features, AnswerBeliefs(*nothing), (), parted=True)
    assert second.waiting == {}
    reward = HybridReward(predictor, ask=True)
    Journal(Path(predictor.memory.uri) / FILE).add(BROKEN, "river1", "ann")
    reward.step([*rivers(1), *rivers(2)], 0)
    assert list(Journal(Path(predictor.memory.uri) / FILE).proposed()) == ["river2"]


def test_what_nobody_could_label_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="in a folder"):
        Asking(ExperienceMemory.in_memory())
