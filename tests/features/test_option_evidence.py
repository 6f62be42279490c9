"""Signals of multiple choice: the options beside each other, and what rollouts say of those they did not choose."""

from __future__ import annotations

import math

import numpy as np
import pytest

from memreward.domains import parse_rollout
from memreward.features.evidence import compute_evidence
from memreward.features.evidence.options import OPTION_SIGNALS, options_of
from memreward.features.evidence.results import option_reached
from memreward.types import Query

SNOW = "What colour is fresh snow?\n(A) pure white\n(B) dark red\n(C) light green\n(D) none of the above"


def signals(question: str, *texts: str) -> dict[str, np.ndarray]:
    query = Query("q", question, "qa")
    evidence = compute_evidence([parse_rollout(query, t, id=str(i)) for i, t in enumerate(texts)])
    return {name: evidence.values[:, evidence.names.index(name)] for name in OPTION_SIGNALS}


def test_what_is_said_of_an_option_counts_for_and_against_it() -> None:
    found = signals(
        SNOW,
        "(B) is wrong and unlikely. (C) fits less. The answer is (A).",
        "(A) is not it, it is no colour. The answer is (B).",
    )
    others = (-2 + (1 - 1)) / 2  # (B) two words against it; (C) one for and one against
    assert found["option_verdict_others"] == pytest.approx([others, -2])
    assert found["option_verdict_rivals"] == pytest.approx([-2, -2])


def test_an_option_is_named_by_its_text_and_another_mention_ends_the_passage() -> None:
    found = signals(SNOW, "Dark red fits best, Light Green is wrong. The answer is (A).", "The answer is (B).")
    assert found["option_verdict_others"] == pytest.approx([(2 - 1) / 2, np.nan], nan_ok=True)
    assert found["option_verdict_rivals"] == pytest.approx([np.nan, 2], nan_ok=True)


def test_rivals_count_and_allies_do_not() -> None:
    texts = (
        "The answer is (A).",
        "(A) is wrong. The answer is (B).",
        "(A) is right. The answer is (C).",
        "(A) is right. It fits best. The answer is (A).",
    )
    assert signals(SNOW, *texts)["option_verdict_rivals"][0] == pytest.approx(0)


def test_words_of_an_option_are_looked_for_in_every_rollout() -> None:
    found = signals(SNOW, "pure and white. The answer is (A).", "The answer is (B).")
    shares = np.array([0.5, 0, 0, 0])  # of the pool's two texts one has both words of (A)
    assert found["option_words"] == pytest.approx(shares[:2] - shares.mean())


EGGS = "How many eggs are left?\n(A) 12\n(B) 15 eggs\n(C) 3/4 of them\n(D) it depends"


def test_what_the_pool_comes_to_votes_for_options_whatever_it_chose() -> None:
    found = signals(
        EGGS,
        "20 - 5 = 15. The answer is (B).",
        "20 - 5 = 15, so none fits. The answer is (A).",
        "20 - 8 = 12, and 12 / 16 = \\frac{3}{4}. The answer is (C).",
        "I do not know. The answer is (A).",
        "4 + 4 = 8. The answer is (D).",
    )["option_result_votes"]
    assert found == pytest.approx([2 / 4, 0, 1 / 4, 0, np.nan], nan_ok=True)


def test_without_a_result_or_a_number_nothing_is_said_of_results() -> None:
    assert np.isnan(signals(EGGS, "The answer is (A).", "It is 15. (B)")["option_result_votes"]).all()
    assert np.isnan(signals(SNOW, "1 + 1 = 2. The answer is (A).")["option_result_votes"]).all()


def test_a_result_is_of_the_nearest_option_within_what_rounding_explains() -> None:
    sizes = (12.5, 125.0, 0.75, 5000.0, np.nan)
    reached = {
        "v = 5 m / 0.4 s = 12.48 m/s": 0,
        "$v \\approx 1.24\\times 10^{2}$": 1,
        "x = \\boxed{\\frac{3}{4}}": 2,
        "approximately \\$5,010 in all": 3,
        "= 12, or rather = 3/4": 2,
    }
    for thinking, option in reached.items():
        expected = np.where(np.isnan(sizes), np.nan, np.arange(5) == option)
        np.testing.assert_array_equal(option_reached(thinking, sizes), expected)
    for thinking in ("= 13", "= -12.5", "= 0", "= 5/0"):
        np.testing.assert_array_equal(option_reached(thinking, sizes), [0, 0, 0, 0, np.nan])
    np.testing.assert_array_equal(option_reached("= 12.5", (12.4, 12.6)), [1, 1])  # as near
    np.testing.assert_array_equal(option_reached("= 12.5", (12.45, 12.6)), [1, 0])


def test_middle_numbers_and_options_about_options() -> None:
    found = signals("How many?\n(A) 1,200 eggs\n(B) 7 eggs\n(C) 30 eggs", "(A)", "(B)", "(C)")
    assert found["option_outlying"].tolist() == [0.5, 0.5, 0]
    equal = signals("How many?\n(A) 5\n(B) 5.0\n(C) 9", "(A)", "(B)", "(C)")
    assert equal["option_outlying"].tolist() == [0.25, 0.25, 0.5]
    found = signals(SNOW, "(A)", "(D)")
    assert np.isnan(found["option_outlying"]).all()
    assert found["option_of_options"].tolist() == [0, 1]


def test_words_of_the_question_and_likeness_are_taken_against_the_mean() -> None:
    question = "Which river flows to the sea?\n(A) the river Rhine\n(B) the Rhine\n(C) Everest"
    found = signals(question, "(A)", "(B)", "(C)")
    assert found["option_from_question"] == pytest.approx([0.5 - 1 / 6, -1 / 6, -1 / 6])
    assert found["option_alike"].sum() == pytest.approx(0, abs=1e-6)
    assert found["option_alike"].argmin() == 2
    rarity = options_of(question).words[0]  # type: ignore[union-attr]
    assert rarity == pytest.approx({"river": math.log(4), "rhine": math.log(2)})


@pytest.mark.parametrize("question", ["Which?", "Which?\n(A) only one"])
def test_without_options_there_is_nothing_to_say(question: str) -> None:
    assert options_of(question) is None
    assert all(np.isnan(column).all() for column in signals(question, "It is (A).").values())


def test_who_chose_no_option_has_none_of_these_signals() -> None:
    found = signals(SNOW, "no idea", "It is (A).")
    assert all(np.isnan(column[0]) for column in found.values())
    assert np.isfinite(found["option_words"][1])


def test_odd_options_and_texts_are_read() -> None:
    question = "Which?\nOptions:\n- \u212aelvin scale\n- K+\n- (?:a|b)"
    assert options_of(question) is not None
    signals(question, "The answer is kelvin scale", "\u212aELVIN SCALE", "(?:a|b) " * 5_000)
