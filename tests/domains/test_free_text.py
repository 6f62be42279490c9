"""Short answers in words: which say the same, which differ in value, and patterns for formats of one's own."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from memreward.domains import equivalent, parse_completion, parse_rollout
from memreward.domains.shared.answer_pattern import AnswerPattern
from memreward.domains.text.key import differs_in_value, free_text_key, says_the_same
from memreward.types import ConfigurationError, Query
from rows import each_row

SAME = [
    ("The Eiffel Tower.", "eiffel tower"),
    ("São Paulo", "Sao Paulo"),
    ("New-York", "new york"),
    ("U.S.A.", "USA"),
    ("seven km", "7 kilometres"),
    ("7km", "7 km"),
    ("twenty-one", "21"),
    ("1,200", "1200.0"),
    ("$1,200.50", "1200.5 dollars"),
    ("10%", "ten percent"),
    ("May 1, 2021", "05/01/2021"),
    ("1st of May 2021", "2021-05-01"),
    ("salt & pepper", "salt and pepper"),
    ("**Paris**", '"Paris".'),
]
DIFFERENT = [
    ("C++", "C#"),
    ("C++", "C"),
    ("1,2", "12"),
    ("-5", "5"),
    ("7 km", "7 m"),
    ("05/01/2021", "01/05/2021"),
    ("York", "New York"),
    ("?", "!"),
    ("3.5", "35"),
]


@each_row(("a", "b"), SAME)
def test_the_same_in_words(a: str, b: str) -> None:
    assert equivalent(a, b, "other")
    assert equivalent(a, b, "qa", query_text="Who?")
    assert says_the_same(a, b)
    assert not differs_in_value(a, b)


@each_row(("a", "b"), DIFFERENT)
def test_different_in_words(a: str, b: str) -> None:
    assert not equivalent(a, b, "other")
    assert not says_the_same(a, b)


def test_a_unit_may_be_left_out_and_a_sentence_may_stand_around() -> None:
    assert says_the_same("42", "42 km")
    assert says_the_same("The capital is Paris.", "Paris")
    assert says_the_same("Paris is the capital", "Paris")
    assert not says_the_same("The capital is not Paris.", "Paris")
    assert not says_the_same("The capital was Paris, but is Lyon", "Paris")
    assert not says_the_same("42 apples", "42 km")


@each_row(
    ("question", "answer", "told"),
    [
        ("Which town is the seat of the oldest university?", "It is Bologna.", "Bologna"),
        (
            "Which town is the seat of the oldest university?",
            "Bologna is the seat of the oldest university.",
            "Bologna",
        ),
        ("Which town is the seat of the oldest university?", "The seat of the oldest university is Bologna", "Bologna"),
        ("Who painted the ceiling?", "The ceiling was painted by Ann Lee.", "Ann Lee"),
        ("Who painted the ceiling?", "Ann Lee painted the ceiling", "Ann Lee"),
        ("Read: it opened late.\nIn which year did it open?", "In the year 1908", "1908"),
    ],
)
def test_a_sentence_in_the_words_of_the_question_is_what_it_tells(question: str, answer: str, told: str) -> None:
    for domain in ("qa", "other"):
        assert equivalent(answer, told, domain, query_text=question)
    assert says_the_same(answer, told, question)


@each_row(
    ("question", "answer", "other"),
    [
        ("Which is older, Rome or Bologna?", "Rome is the older town", "Bologna is the older town"),
        ("Rome, Bologna: which of them is older?", "Rome is older than Bologna", "Bologna is older than Rome"),
        ("What is the new state?", "New Mexico", "Mexico"),
        ("Which is the town?", "The town is not Rome", "Rome"),
        ("Which is the town?", "The wrong town is Rome", "Rome"),
        ("Which is the town?", "Is it Rome?", "Rome"),
        ("Who is the father of Ann Lee?", "Ann Lee is the daughter of Tom", "Tom"),
        ("Who beat Ann in the race?", "Ann in the race beat Eve", "Eve in the race beat Ann"),
    ],
)
def test_words_of_the_question_are_not_left_out_where_they_tell(question: str, answer: str, other: str) -> None:
    assert not equivalent(answer, other, "other", query_text=question)
    assert not says_the_same(answer, other, question)


def test_values_that_differ() -> None:
    assert differs_in_value("9", "eight")
    assert differs_in_value("05/02/2021", "05/01/2021")
    assert not differs_in_value("nine planets", "8")
    assert not differs_in_value("Kiev", "Moscow")
    for question, other, differs in (
        ("Which is older, Rome or Bologna?", "Rome", True),
        ("Which is older, Rome, Italy, or Bologna?", "Italy", True),
        ("Rome or Bologna is nice.\nWhich town is it?", "Rome", False),
        ("Which is older, Rome or the city of Bologna?", "city of Bologna", False),
        ("Which is older, Rome or Bologna?", "The Eternal City", False),
        ("Does Rome lie near Bologna?", "Rome", False),
    ):
        assert differs_in_value(other, "Bologna", question) == differs, question


@example("❌")
@given(st.text(st.characters(), max_size=60))
def test_the_normal_form_is_stable(text: str) -> None:
    key = free_text_key(text)
    assert free_text_key(f"  {text.strip()} ") == key
    assert says_the_same(text, text)
    assert not differs_in_value(text, text)


@given(st.integers(0, 99))
def test_numbers_in_words(number: int) -> None:
    small = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    small += " seventeen eighteen nineteen"
    tens = ["", "", *"twenty thirty forty fifty sixty seventy eighty ninety".split()]  # noqa: SIM905
    unit = f"-{small.split()[number % 10]}" if number % 10 else ""
    word = small.split()[number] if number < 20 else tens[number // 10] + unit
    assert free_text_key(word) == str(number)


QUESTION = "Which?\n(A) one\n(B) two"


def test_a_pattern_alone_says_where_the_answer_is() -> None:
    found = parse_completion("The answer is A.\n=> B <=", "qa", QUESTION, answer_pattern=r"=> (\w) <=")
    assert (found.answer, found.form) == ("B", "pattern")
    assert parse_completion("The answer is A.", "qa", QUESTION, answer_pattern=r"=> (\w) <=").answer is None
    for pattern in (r"v=(?P<answer>\d+);(\w)", r"(?<=v=)\d+", r"v=(\d+)"):
        assert parse_completion("v=3;x v=4;y", "math", answer_pattern=pattern).answer == "4"
    assert parse_completion("<think>v=5</think>v=4", "math", answer_pattern=r"v=(\d)").answer == "4"
    assert parse_completion("=> two <=", "qa", QUESTION, answer_pattern=r"=> (\w+) <=").answer == "B"
    rollout = parse_rollout(Query("q", "How much?", "math"), "v=4", id="r", answer_pattern=r"v=(\d)")
    assert rollout.answer == "4"


@each_row("pattern", ["(", "[", "(?P<x>", "a*", "", "x?"])
def test_a_pattern_that_cannot_be_used_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(repr(pattern))):
        AnswerPattern(pattern)


@pytest.mark.slow
def test_a_pattern_that_runs_away_is_ended() -> None:
    parse_completion("x", "math", answer_pattern="y")  # the process may have to start
    start = time.monotonic()
    with pytest.raises(ConfigurationError, match="took more than"):
        parse_completion("a" * 60 + "!", "math", answer_pattern=r"(a+)+$")
    assert time.monotonic() - start < 30
    assert parse_completion("a=1", "math", answer_pattern=r"a=(\d)").answer == "1", "another process does the next"


@each_row(
    ("question", "text", "said"),
    [
        ("Can a whale fit in a bathtub?", "A whale is long. Therefore, a whale cannot fit in a bathtub.", "no"),
        (
            "Can a whale fit in a bathtub?",
            "The tub is small, so it is unlikely that a whale would fit in a bathtub.",
            "no",
        ),
        ("Can a whale fit in a bathtub?", "The tub is small. The answer is <it cannot>.", "no"),
        ("Did Dr. Brown ever live in Rome?", "Letters show it. It appears that Dr. Brown lived in Rome.", "yes"),
        ("Is a whale heavier than a bus?", "Thus a whale is heavier than a bus.", "yes"),
        (
            "Can a whale fit in a bathtub?",
            "As we know by now, most people think that a whale can fit in a bathtub.",
            None,
        ),
        (
            "Can a whale fit in a bathtub?",
            "It is a misconception that a whale can fit in a bathtub, or in any other",
            None,
        ),
        (
            "Is the coin still heads up?",
            "Ann turns it. The coin is tails up.\n\nFinal Answer: The coin is tails up.",
            "no",
        ),
        ("Is the coin still heads up?", "Nobody turns it.\nTherefore, the coin is heads up.", "yes"),
        ("Do most shops open at nine?", "Let us see. No, most shops do not open at nine. They open at ten.", "no"),
        # What says something else, or neither.
        (
            "Can a whale fit in a bathtub?",
            "Therefore, a whale cannot fit in a bathtub. Actually, it can, as they say it",
            None,
        ),
        (
            "Can a whale fit in a bathtub?",
            "That a whale cannot fit in a bathtub is a lie, and so is all the rest of it",
            None,
        ),
        (
            "Can a whale fit in a bathtub?",
            "I hope that a whale cannot fit in a bathtub, and so do all of the others",
            None,
        ),
        (
            "Is a whale heavier than a bus?",
            "Thus a bus is heavier than a whale, as it turns out to be in each case",
            None,
        ),
        (
            "Is a whale heavier than a bus?",
            "Therefore, a whale is lighter than a bus, as they are in each of the cases",
            None,
        ),
        (
            "Can a whale fit in a bathtub?",
            "Therefore, a whale might fit in a bathtub if that were as long as a pool",
            None,
        ),
        (
            "Can a whale fit in a bathtub?",
            "It is hard to say whether a whale can fit in a bathtub, or in another one",
            None,
        ),
        (
            "Did Ann skip the long meeting?",
            "Therefore, Ann did not attend the long meeting, and neither did all others",
            None,
        ),
        (
            "Is the coin still heads up?",
            "At first, the coin is heads up.\n\nThen Ann turns it around, and after her Bob",
            None,
        ),
        (
            "Can you name the whale in the bathtub?",
            "So the whale in the bathtub is called by its name, and that is Moby",
            None,
        ),
        (
            "Which whale can fit in a bathtub?",
            "Therefore, a whale cannot fit in a bathtub, and neither can any of the others",
            None,
        ),
    ],
)
def test_yes_or_no_in_words_of_the_question(question: str, text: str, said: str | None) -> None:
    found = parse_completion(text, "qa", question).answer
    assert (found if found in {"yes", "no"} else None) == said
    letter = parse_completion(text, "qa", f"{question}\n(A) no\n(B) yes").answer
    assert letter == {"no": "A", "yes": "B", None: None}[said]
