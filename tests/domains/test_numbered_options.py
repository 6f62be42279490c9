"""Options with numbers instead of letters."""

import pytest

from memreward.domains import Verifiers, parse_rollout, rules_of
from memreward.domains.choice.numbered import numbered_options, spelled_out
from memreward.types import Claim, Query

LISTS = (
    "1) car\n2) apple\n3) dog",
    "1. car\n2. apple\n3. dog\nAnswer with a number.",
    "(1) car\n(2) apple\n(3) dog\n\nAnswer:",
    "Option 1: car\nOption 2: apple\nOption 3: dog",
    "**1.** car\n**2.** apple\n**3.** dog",
    "sol1: car\nsol2: apple\nsol3: dog",
)
NAMED = (
    "2",
    "(2)",
    "The answer is 2.",
    "Option 2 is right.",
    "\\boxed{2}",
    "So it is 2) apple. Answer: 2) apple",
    "Answer: apple",
)


def answered(listed: str, reply: str):
    return parse_rollout(Query("q", f"Which of these is a fruit?\n{listed}", "qa"), reply, id="r")


@pytest.mark.parametrize("listed", LISTS)
def test_a_number_names_what_stands_there(listed):
    assert {answered(listed, reply).answer for reply in NAMED} == {"apple"}
    assert answered(listed, "The answer is 3.").answer == "dog"
    assert spelled_out("7", f"Which?\n{listed}") == "7"


@pytest.mark.parametrize("reference", ["2", "apple", "(2)"])
def test_the_reference_may_be_the_number_or_the_text(reference):
    replies = ("The answer is 2.", "The answer is apple.", "The answer is 3.")
    told = [each.correct for each in Verifiers().verify([Claim(answered(LISTS[0], r), reference) for r in replies])]
    assert told[:2] == [True, True]
    assert told[2] is not True


def test_both_ways_to_say_it_are_one_answer():
    prompt = f"Which is a fruit?\n{LISTS[0]}"
    key = rules_of("qa").key
    assert key("2", prompt) == key("apple", prompt) == key("(2) apple", prompt) != key("3", prompt)


@pytest.mark.parametrize(
    "question",
    [
        "1. We add 2.\n2. We take 3.\nHow many are left?",
        "Facts:\n1. a\n3. c",
        "0. a\n1. b",
        "Only one:\n1. a",
        "What is 2 + 3?",
        "(A) one\n(B) two",
    ],
)
def test_what_is_no_list_of_options_is_none(question):
    assert numbered_options(question) == {}
    assert spelled_out("2", question) == "2"


def test_a_text_that_is_a_number_stays_what_it_says():
    listed = "1) 4\n2) 2\n3) 1"
    assert answered(listed, "The answer is 2.").answer == "2"
    assert answered(listed, "Option 1").answer == "4"


def test_roman_numbers_and_dashes_mark_options():
    assert answered("(i) car\n(ii) apple", "The answer is (ii).").answer == "apple"
    assert answered("A - car\nB - apple", "The answer is apple.").answer == "B"
