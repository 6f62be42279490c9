"""What labels of like solutions say: closed form, whose label may speak, and what the model makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from memreward.answers.domain import SHARPNESS, START_ODDS
from memreward.answers.likeness import (
    MOST,
    OTHERWISE,
    SHARP,
    VARIANCE,
    WEIGHT,
    LikeSolutions,
    corrected,
    with_likeness,
)
from memreward.answers.model import AnswerModel
from memreward.answers.posterior import Gaussian
from memreward.answers.table import AnswerTable
from memreward.features.columns import Scaling, evidence_columns
from memreward.features.featurizer import Featurizer
from memreward.features.outline import template_vectors
from memreward.reward.explain import contributions
from memreward.types import Features, Query, Rollout

RIGHT_WAY, WRONG_WAY = "{b} * {c} = {p}\n{a} + {p} = {r}", "{a} + {b} = {s}\n{s} * {c} = {w}"


def solved(number: int, a: int, b: int, c: int, right: int, wrong: int) -> list[Rollout]:
    """A question of one template, so many rollouts that multiply first, and so many that add first."""
    query = Query(f"q{number}", f"What is {a} + {b} * {c}?", "math")
    values = {"a": a, "b": b, "c": c, "p": b * c, "r": a + b * c, "s": a + b, "w": (a + b) * c}
    ways = [(RIGHT_WAY, values["r"])] * right + [(WRONG_WAY, values["w"])] * wrong
    rollouts = []
    for i, (way, answer) in enumerate(ways):
        thinking = way.format(**values)
        rollouts.append(Rollout(query, f"{thinking}\nThe answer is {answer}.", thinking, str(answer), f"{number}/{i}"))
    return rollouts


def features(*groups: list[Rollout]) -> Features:
    return Featurizer().features([rollout for group in groups for rollout in group])


def labelled(count: int, of: Features, right: int) -> NDArray[np.int8]:
    """Labels of the first question's rollouts, of which the first `right` are right; the rest is not judged."""
    labels = np.full(len(of), -1, np.int8)
    labels[:count] = [1] * right + [0] * (count - right)
    return labels


def test_in_closed_form() -> None:
    of = features(solved(0, 3, 4, 5, 1, 3), solved(1, 6, 2, 9, 2, 2))
    like = LikeSolutions.none().given(of, labelled(4, of, 1), np.array([0.25, 0.75, 0.75, 0.75, 0.5, 0.5, 0.5, 0.5]))
    said = like.say(of)
    outlines, templates = np.asarray(of.outline_vectors, np.float64), np.asarray(of.template_vectors, np.float64)
    beyond = np.array([0.75, -0.75, -0.75, -0.75])
    question = max(templates[1] @ templates[0], 0) ** SHARP
    for row in range(4, 8):
        near = np.maximum(outlines[row] @ outlines[:4].T, 0) ** SHARP * question
        assert said[row] == pytest.approx(near @ beyond / (OTHERWISE + near.sum()), abs=1e-5)
    assert said[4] > 0.3
    assert said[6] < -0.3


def test_a_question_s_own_labels_say_nothing_of_it() -> None:
    of = features(solved(0, 3, 4, 5, 1, 3))
    like = LikeSolutions.none().given(of, labelled(4, of, 1), np.full(4, 0.5))
    assert like.say(of).tolist() == [0, 0, 0, 0]


def test_no_label_and_unlike_questions_change_nothing() -> None:
    of = features(solved(0, 3, 4, 5, 2, 2))
    assert LikeSolutions.none().say(of).tolist() == [0] * 4
    query = Query("other", "Sarah buys some apples, and gives away a third. Who is her brother?", "math")
    other = [Rollout(query, "The answer is 7.", "3 * 4 = 12", "7", f"o{i}") for i in range(4)]
    both = features(solved(0, 3, 4, 5, 2, 2), other)
    like = LikeSolutions.none().given(both, labelled(4, both, 2), np.full(8, 0.5))
    assert np.abs(like.say(both)).max() < 1e-3


def test_order_changes_nothing_and_only_the_newest_are_kept() -> None:
    of = features(solved(0, 3, 4, 5, 1, 3), solved(1, 6, 2, 9, 2, 2), solved(2, 7, 3, 8, 3, 1))
    labels = np.array([1, 0, 0, 0, 1, 1, 0, 0, -1, -1, -1, -1], np.int8)
    one = LikeSolutions.none().given(of, labels, np.full(12, 0.5))
    first, second = labels.copy(), labels.copy()
    first[4:], second[:4] = -1, -1
    other = LikeSolutions.none().given(of, second, np.full(12, 0.5)).given(of, first, np.full(12, 0.5))
    np.testing.assert_allclose(one.say(of), other.say(of), atol=1e-6)
    for _ in range(MOST // 8 + 2):
        one = one.given(of, labels, np.full(12, 0.5))
    assert len(one.beyond) == len(one.questions) == MOST


def test_one_template_is_near_whatever_its_numbers_and_another_word_sets_apart() -> None:
    same, numbers, word = template_vectors(
        ["What is 3 less than 40?", "What is 12 less than 7?", "What is 3 more than 40?"]
    )
    assert same @ numbers == pytest.approx(1)
    assert (same @ word) ** SHARP < 0.3
    assert template_vectors([""]).tolist() == [[0.0] * 256]


def test_weights_begin_with_its_own() -> None:
    found = with_likeness(Gaussian.diagonal(np.array([1.0, 2.0]), np.array([3.0, 4.0])))
    assert found.mean.tolist() == [1, 2, WEIGHT]
    assert np.diag(found.covariance).tolist() == [3, 4, VARIANCE]


def test_votes_are_moved_by_what_was_said_and_stay_probabilities() -> None:
    """Three add first and one multiplies first; where nothing was said the shares stand to the last bit."""
    of = features(solved(0, 3, 4, 5, 1, 3))
    bare = AnswerTable.of(
        of, "math", (), Scaling.of(("query_length_log",), evidence_columns(of, ("query_length_log",)))
    )
    way = of.cluster == of.cluster[0]  # of the first rollout, which is right

    def moved(said: NDArray[np.float64]) -> list[float]:
        table = bare.beside(said)
        return [float(corrected(table.share, table)[table.answer[row]]) for row in (0, 3)]

    assert moved(np.zeros(4)) == [0.25, 0.75]
    assert moved(np.where(way, 0.5, -0.5)) == pytest.approx([0.75, 0.25])
    assert moved(np.where(way, 0.9, -0.9)) == pytest.approx([1.0, 0.0])
    assert moved(np.full(4, 0.5)) == pytest.approx([0.75 / 1.75, 1 / 1.75]), "at most one is right"
    mute = replace(bare, mute=np.ones(len(bare), np.bool_)).beside(np.full(4, 0.5))
    assert corrected(np.zeros(len(mute)), mute).tolist() == [0] * len(mute)


def test_programs_are_alike_whatever_function_and_parameters_are_called() -> None:
    """Asked for max, some answer with min: the labels of one function turn the vote on another of its kind."""

    def asked(number: int, name: str, a: str, b: str, right: int, wrong: int) -> list[Rollout]:
        query = Query(
            f"q{number}", f'def {name}({a}, {b}: int = 0):\n    """Return the larger of {a} and {b}."""', "code"
        )
        bodies = [f"    s = {way}({a}, {b})\n    return s" for way in ["max"] * right + ["min"] * wrong]
        return [Rollout(query, body, body, f"{query.text}\n{body}", f"{number}/{i}") for i, body in enumerate(bodies)]

    judged, other = asked(0, "f", "x", "y", 1, 3), asked(1, "largest", "left", "right_one", 1, 3)
    of = features(judged, other)
    assert (of.template_vectors[0] == of.template_vectors[1]).all()
    assert (of.outline_vectors[0] == of.outline_vectors[4]).all()
    said = LikeSolutions.none().given(of, labelled(4, of, 1), np.array([0.25, 0.75, 0.75, 0.75] * 2)).say(of)
    assert said[4] > 0.3
    assert said[5] < -0.3


def test_the_vote_itself_heeds_what_like_solutions_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the model's weight at nothing only the vote is left, and labels of like questions turn it."""
    judged = [solved(number, 3 + number, 4, 5 + number, 1, 3) for number in range(3)]
    of = features(*judged, solved(3, 6, 2, 9, 1, 3))
    monkeypatch.setitem(START_ODDS, "math", -50.0)
    monkeypatch.setitem(SHARPNESS, "math", 1.0)
    labels = np.array([1, 0, 0, 0] * 3 + [-1] * 4, np.int8)
    found = AnswerModel().fit(of, labels).beliefs(of).right[12:]
    assert found[0] > 0.5 > found[1]
    without = AnswerModel().fit(of, np.full(16, -1, np.int8)).beliefs(of).right[12:]
    assert without.tolist() == pytest.approx([0.25, 0.75, 0.75, 0.75])


def test_labels_turn_a_majority_that_reasons_as_what_was_wrong_and_survive_a_file(tmp_path: Path) -> None:
    """Three questions are judged, in each the majority adds first and is wrong; the fourth is like them."""
    judged = [solved(number, 3 + number, 4, 5 + number, 1, 3) for number in range(3)]
    asked = solved(3, 6, 2, 9, 1, 3)
    of = features(*judged, asked)
    labels = np.array([1, 0, 0, 0] * 3 + [-1] * 4, np.int8)
    model = AnswerModel().fit(of, labels)
    found = model.beliefs(of).right[12:]
    assert found[0] > 0.5 > found[1]
    plain = AnswerModel().fit(replace(of, outline_vectors=None, template_vectors=None), labels).beliefs(of).right[12:]
    assert plain[0] < found[0] - 0.2
    model.save(tmp_path / "model.safetensors")
    again, _ = AnswerModel.load(tmp_path / "model.safetensors")
    assert again.beliefs(of).right[12:] == pytest.approx(found, abs=1e-9)
    again.observe(of, labels, 1)
    assert model.observe(of, labels, 1).beliefs(of).right.tolist() == again.beliefs(of).right.tolist()


def test_what_it_says_is_among_what_speaks_for_an_answer() -> None:
    of = features(*(solved(number, 3 + number, 4, 5 + number, 1, 3) for number in range(3)), solved(3, 6, 2, 9, 1, 3))
    model = AnswerModel().fit(of, np.array([1, 0, 0, 0] * 3 + [-1] * 4, np.int8))
    said = contributions(model, of, 3)
    assert dict(said[12])["like_solutions"] > 0 > dict(said[13])["like_solutions"]
