"""Options with numbers in place of letters: read, compared and verified as lettered ones are."""

from __future__ import annotations

from memreward.domains import parse_completion
from memreward.domains.choice.parse import option_of_reference, options
from memreward.domains.completion import parse_rollout
from memreward.domains.verifiers import Verifiers
from memreward.types import Claim, Query
from rows import each_row

LINES = "Which animal barks?\n1. cat\n2. dog\n3. cow"
BRACKETS = "Which animal barks?\nOptions: (1) cat (2) dog (3) cow"
NAMED = (
    "Fill in: The cup is not in the box, as the _ is small.\nOption1: cup Option2: box Answer format: option1/option2"
)
ENDINGS = "A man\n\nEnding1: sings.\nEnding2: sings loud.\nEnding3: eats 3 drums.\nAnswer format: ending1/ending2"
ASKED_FOR = "The cup is not in the box, as the _ is too small.\n1. cup\n2. box\nAnswer with 1 or 2."
AMOUNTS = "How many apples are left?\n1. 2 apples\n2. 3 apples"


def verdict(question: str, text: str, reference: str) -> bool | None:
    rollout = parse_rollout(Query("q", question, "qa"), text, id="r")
    return Verifiers().verify([Claim(rollout, reference)])[0].correct


def test_options_by_number() -> None:
    animals = {"1": "cat", "2": "dog", "3": "cow"}
    assert options(LINES) == options(BRACKETS) == options(LINES.replace(".", ")")) == animals
    assert options(NAMED) == options(ASKED_FOR) == {"1": "cup", "2": "box"}
    assert options(ENDINGS) == {"1": "sings.", "2": "sings loud.", "3": "eats 3 drums."}


@each_row(
    "question",
    [
        "Premises:\n1. All men are mortal.\n2. Ann is one.\nIs Ann mortal?",
        "Follow these steps.\n1. Read it.\n2. Answer.",
        "Which number is even?\n1. 3\n2. 1\n3. 5",  # "1" may be the number or the option
        "Which?\n2. cat\n3. dog",
    ],
)
def test_other_lists_are_no_options(question: str) -> None:
    assert options(question) == {}


def test_letters_stand_above_numbers() -> None:
    both = "Which of these hold?\n1. Cats purr.\n2. Dogs bark.\n(A) only 1\n(B) both"
    assert list(options(both)) == ["A", "B"]


@each_row(
    "text",
    [
        "2",
        "(2)",
        "**2**",
        "2. dog",
        "2) dog",
        "dog",
        "Answer: 2",
        "Answer: (2) dog",
        "The answer is 2.",
        "The answer is 2, because dogs bark.",
        "The correct option is 2.",
        "So the answer is option 2: dog.",
        "Dogs bark, so option 2 is correct.",
        "\\boxed{2}",
        "<answer>2</answer>",
        '{"answer": 2}',
        "1. Cats purr.\n2. Cows moo.\n\nThe answer is 2.",
        "The answer is 1. No, wait, it's 2.",
        "The answer is not 1 but 2.",
    ],
)
def test_a_reply_names_a_number(text: str) -> None:
    for question in (LINES, BRACKETS):
        assert parse_completion(text, "qa", question).answer == "2"
        assert [verdict(question, text, reference) for reference in ("2", "(2)", "dog", "option2")] == [True] * 4
        assert verdict(question, text, "1") is False


@each_row(
    ("question", "text", "right"),
    [
        (NAMED, "the correct answer is option2", "option2"),
        (NAMED, "Option2: box", "2"),
        (NAMED, "Not option1. The correct answer is Option 2.", "option2"),
        (ENDINGS, "the correct answer is ending3", "ending3"),
        (ENDINGS, "Ending2", "ending2"),
        (ENDINGS, "eats 3 drums", "ending3"),
        (AMOUNTS, "The answer is 2 apples.", "1"),
        (AMOUNTS, "The answer is option 2.", "2"),
    ],
)
def test_a_reply_names_a_numbered_option(question: str, text: str, right: str) -> None:
    number = option_of_reference(right, options(question))
    assert parse_completion(text, "qa", question).answer == number
    assert [verdict(question, text, other) for other in options(question)] == [
        key == number for key in options(question)
    ]


@each_row(
    "text",
    [
        "There are 2 of them.",
        "1. I look.\n2. I look again.",
        "The answer is 1 or 2.",
        "Both 1 and 2.",
        "Neither.",
    ],
)
def test_other_numbers_of_a_reply_name_no_option(text: str) -> None:
    assert parse_completion(text, "qa", LINES).answer not in options(LINES)
    assert verdict(LINES, text, "2") is not True


def test_yes_is_read_beside_numbered_options_too() -> None:
    assert parse_completion("Yes, it does.", "qa", LINES).answer == "yes"


def test_options_that_begin_at_0_are_none_by_number() -> None:
    assert options("Which animal barks?\nChoice 0: cat\nChoice 1: dog\nChoice 2: cow") == {}
