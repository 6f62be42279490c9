"""How a row of a benchmark becomes a question: one reader for each layout of columns."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from memreward.data.options import LETTERS, lettered, with_options
from memreward.domains.shared.markers import boxed

Row = Mapping[str, Any]

_ANSWERS = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


@dataclass(frozen=True, slots=True)
class Question:
    """What a row holds; `extras` are kept as provenance, and never shown to a policy or a predictor."""

    text: str
    reference: str
    extras: Mapping[str, Any] = field(default_factory=dict)


class Layout(NamedTuple):
    """The columns that it needs, and what makes the question of a row: None of a row without an answer.

    Where a layout has options without an order, the generator orders them.
    """

    columns: tuple[str, ...]
    read: Callable[[Row, random.Random], Question | None]


LAYOUTS: dict[str, Layout] = {}
"""By the name of the function that reads it."""

Read = TypeVar("Read", bound=Callable[[Row, random.Random], Question | None])


def _layout(*columns: str) -> Callable[[Read], Read]:
    def add(read: Read) -> Read:
        LAYOUTS[read.__name__] = Layout(columns, read)
        return read

    return add


@_layout("question", "answer")
def worked_solution(row: Row, _: random.Random) -> Question | None:
    """The answer is worked out and ends with "#### 1,234"."""
    _, mark, answer = row["answer"].rpartition("####")
    reference = answer.strip().replace(",", "")
    return Question(row["question"].strip(), reference, {"solution": row["answer"]}) if mark and reference else None


@_layout("problem", "solution")
def boxed_solution(row: Row, _: random.Random) -> Question | None:
    """The solution has its answer in a box; proofs have none."""
    answer = boxed(row["solution"])
    if answer is None or not answer.content.strip():
        return None
    extras = {"solution": row["solution"], **({"level": row["level"]} if "level" in row else {})}
    return Question(row["problem"].strip(), answer.content.strip(), extras)


@_layout("question", "choices", "answer")
def numbered_choice(row: Row, _: random.Random) -> Question:
    """A list of options, and the index of the right one."""
    return Question(lettered(row["question"].strip(), row["choices"]), _letter(row["answer"], len(row["choices"])))


@_layout("question", "choices", "answerKey")
def labelled_choice(row: Row, _: random.Random) -> Question | None:
    """Options with labels, A to E or 1 to 5, and the label of the right one; "" where it is withheld."""
    labels, key = list(row["choices"]["label"]), row["answerKey"]
    if not key:
        return None
    text = lettered(row["question"].strip(), row["choices"]["text"])
    return Question(text, _letter(labels.index(key), len(labels)))


@_layout("Question", *_ANSWERS)
def right_and_wrong_answers(row: Row, rng: random.Random) -> Question:
    """The right answer and three wrong ones, in no order."""
    answer, *others = (row[column].strip() for column in _ANSWERS)
    return Question(*with_options(row["Question"].strip(), answer, others, rng))


@_layout("prompt", "test", "entry_point", "canonical_solution")
def function_to_complete(row: Row, _: random.Random) -> Question:
    """The head of a function, and a definition of `check` that the finished one must pass."""
    tests = [f"{row['test'].rstrip()}\n\ncheck({row['entry_point']})"]
    extras = {"entry_point": row["entry_point"], "canonical_solution": row["canonical_solution"]}
    return Question(row["prompt"], json.dumps(tests), extras)


@_layout("prompt", "test_imports", "test_list", "test", "code")
def task_with_tests(row: Row, _: random.Random) -> Question:
    """A task in words; of its tests, the basic ones are part of the question."""
    basic = list(row["test_list"])
    text = "\n".join([row["prompt"].strip(), "Your code should satisfy these tests:", *basic])
    tests = ["\n".join([*row["test_imports"], *basic]), row["test"]]
    return Question(text, json.dumps(tests), {"canonical_solution": row["code"], "test_list": basic})


@_layout("goal", "sol1", "sol2", "label")
def two_solutions(row: Row, _: random.Random) -> Question | None:
    """A goal, two ways to it, and the index of the better one; -1 where it is withheld."""
    if row["label"] == -1:
        return None
    return Question(lettered(row["goal"].strip(), [row["sol1"].strip(), row["sol2"].strip()]), _letter(row["label"], 2))


@_layout("context", "question", "answerA", "answerB", "answerC", "label")
def three_answers(row: Row, _: random.Random) -> Question | None:
    """A situation, a question about it, three answers, and the number of the right one, from 1; "" if withheld."""
    if not row["label"].strip():
        return None
    text = f"{row['context'].strip()} {row['question'].strip()}"
    answers = [row[column].strip() for column in ("answerA", "answerB", "answerC")]
    return Question(lettered(text, answers), _letter(int(row["label"]) - 1, 3))


def _letter(index: int, options: int) -> str:
    if not 0 <= index < options:
        raise ValueError(f"the right option is number {index}, counted from 0, of {options}")
    return LETTERS[index]
