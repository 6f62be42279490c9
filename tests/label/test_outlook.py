"""What is believed after a judgement follows from the labels alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from label_toys import answer_of, group, groups, labelling

from memreward.answers.beliefs import AnswerBeliefs
from memreward.label.queue import chosen, ranked, triples


def beliefs(right: list[float], *, several: bool = False) -> AnswerBeliefs:
    n = len(right)
    return AnswerBeliefs(
        np.array(right), np.full(n, 1 / n), np.arange(n), np.zeros(n, np.int64), np.full(n, several, np.bool_)
    )


def test_a_wrong_answer_leaves_its_share_to_the_others_and_to_none() -> None:
    found = beliefs([0.5, 0.3, 0.1]).told(np.array([0, -1, -1], np.int8)).right
    assert found == pytest.approx([0.0, 0.6, 0.2])


def test_a_right_answer_leaves_nothing_to_the_others() -> None:
    found = beliefs([0.5, 0.3, 0.1]).told(np.array([-1, 1, -1], np.int8)).right
    assert found == pytest.approx([0.0, 1.0, 0.0])


def test_where_several_may_be_right_a_verdict_says_nothing_of_the_others() -> None:
    found = beliefs([0.5, 0.3, 0.9], several=True).told(np.array([1, -1, 0], np.int8)).right
    assert found == pytest.approx([1.0, 0.3, 0.0])


def test_rollouts_of_one_answer_count_once_for_what_is_refuted() -> None:
    two = AnswerBeliefs(
        np.array([0.5, 0.5, 0.25]), np.full(3, 1 / 3), np.array([0, 0, 1]), np.zeros(3, np.int64), np.zeros(3, np.bool_)
    )
    assert two.told(np.array([0, 0, -1], np.int8)).right == pytest.approx([0.0, 0.0, 0.5])


def test_beliefs_do_not_depend_on_the_order_of_judgements() -> None:
    outlook = labelling(groups()).outlook
    ids = outlook.features.rollout_ids
    labels = {key: key.endswith(("/0", "/1")) for key in ids[:30]}
    backwards = dict(reversed(labels.items()))
    one, two = outlook.told(labels), outlook.told({}).told(backwards)
    told = outlook.told({})
    for first, second in ((one, two), (told, outlook)):
        found = first.blind(np.arange(len(first))).right
        assert found == pytest.approx(second.blind(np.arange(len(second))).right, abs=1e-9)


def test_what_is_judged_whole_is_not_worth_asking_again() -> None:
    session = labelling(groups())
    right = answer_of(session, "q4", "10")
    session.decide("ann", "q4", [right])
    gains = session.outlook.gains(np.array([4]))
    assert gains.whole[0] == 0
    assert gains.one[0] == 0
    assert gains.asked[0] == -1


def test_rollouts_without_an_answer_are_not_asked_about() -> None:
    given = group("q0", "What is 2 + 3?", ["6", "6", "7", "8"])
    silent = replace(given.rollouts[3], text="I do not know.", answer=None)
    outlook = labelling([replace(given, rollouts=(*given.rollouts[:3], silent))]).outlook
    assert outlook.mute.sum() == 1
    told = outlook.told({"q0/0": False, "q0/2": False})
    assert told.gains(np.array([0])).asked.tolist() == [-1]


def test_one_answer_never_tells_more_than_all_and_less_by_the_minute_only_if_it_is_so() -> None:
    outlook = labelling(groups()).outlook
    gains = outlook.gains(np.arange(len(outlook)))
    assert (gains.one <= gains.whole + 1e-9).all()
    best = ranked(outlook, np.arange(len(outlook)))
    rates = [c.gain / {"whole": 30, "one": 10}[c.kind] for c in best]
    assert rates == sorted(rates, reverse=True)
    assert max(gains.whole / 30) <= rates[0] + 1e-12
    assert max(gains.one / 10) <= rates[0] + 1e-12


def test_near_copies_wait_for_the_next_round() -> None:
    texts = {0: "How many nuts has Ann if she has 3 and finds 4?", 1: "How many nuts has Ann if she has 8 and finds 9?"}
    texts[2] = "Which planet is nearest to the sun, and which one is next?"
    outlook = labelling(groups()).outlook
    ranking = ranked(outlook, np.array([0, 1, 2]))
    by_number = sorted(ranking, key=lambda c: c.question)
    assert chosen(by_number[1:], [texts[0]], texts.__getitem__).question == 2  # type: ignore[union-attr]
    assert chosen(by_number[1:2], [texts[0]], texts.__getitem__).question == 1  # type: ignore[union-attr]
    assert triples(texts[0]) == triples(texts[1])
