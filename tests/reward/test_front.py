"""Lists of strings in, one result object out; and what people see of objects."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import memreward
from memreward import ExperienceMemory, RewardPredictor, Scores
from memreward.reward.notebook import notebook_progress
from memreward.types import DataError, UnknownDomainError, silent
from rows import each_row

QUESTIONS = [f"What is {n} + 3?" for n in range(6)]
COMPLETIONS = [[f"The answer is {n + 3 + k}." for k in (0, 0, 1)] for n in range(6)]


def test_lists_of_strings_are_scored_in_their_order() -> None:
    scores = memreward.score(QUESTIONS, COMPLETIONS)
    assert isinstance(scores, Scores)
    assert scores.values.shape == scores.advantages.shape == (18,)
    values = scores.values.reshape(6, 3)
    assert (values[:, 0] > values[:, 2]).all(), "two of three agree"
    assert (scores.advantages.reshape(6, 3)[:, 0] > 0).all()
    assert [len(part) for part in scores.by_question.values()] == [3] * 6
    assert not scores.known
    flat = memreward.score([q for q in QUESTIONS for _ in range(3)], [t for each in COMPLETIONS for t in each])
    assert list(flat.values) == pytest.approx(list(scores.values))


@pytest.mark.parametrize(
    "labels",
    [
        ["3", None, "6", None, None, None],
        [3, None, 6.0, None, None, None],
        [[True, True, False], None, [False, False, True], None, None, None],
    ],
)
def test_labels_are_references_or_verdicts_and_stand_where_they_are(labels: list[Any]) -> None:
    scores = memreward.score(QUESTIONS, COMPLETIONS, labels=labels)
    assert list(scores.values[:3]) == [1, 1, 0]
    assert list(scores.values[6:9]) == [0, 0, 1]
    assert len(scores.known) == 6
    assert [row["source"] for row in scores.rows()[:4]] == ["true", "true", "true", "predicted"]
    assert ((scores.values[9:] > 0) & (scores.values[9:] < 1)).all()
    assert scores.advantages[0] == pytest.approx(1 / np.sqrt(3), abs=1e-3), "the true advantage"


@each_row(
    ("given", "error", "message"),
    [
        (("What?", ["a"]), TypeError, "questions is str, not a list"),
        ((["What?"], "a"), TypeError, "completions is str, not a list"),
        ((["What?"], [["a", 3]]), TypeError, "int among the completions"),
        (([1], [["a"]]), TypeError, "int among the questions"),
        ((["What?"], [["a"], ["b"]]), DataError, "1 questions and 2 completions"),
        ((["What?"], [["a"]], ["1", "2"]), DataError, "1 questions and 2 labels"),
        ((["What?"], [["a", "b"]], [[True]]), DataError, "1 verdicts on 2 completions"),
        ((["What?"], [["a"]], [[0.5]]), TypeError, "neither a reference .* nor verdicts"),
        ((["What?", "What?"], ["a", "b"], ["1", "2"]), DataError, "two references"),
        ((["What?"], [["a"]], None, "maths"), UnknownDomainError, "did you mean 'math'"),
    ],
)
def test_what_cannot_be_scored_says_what_was_expected(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        memreward.score(*given)


def test_scores_become_tables() -> None:
    scores = memreward.score(QUESTIONS[:2], COMPLETIONS[:2], labels=["3", None])
    frame = scores.to_pandas(keep=["question"])
    assert list(frame["value"]) == pytest.approx(list(scores.values))
    assert list(frame["question"]) == [q for q in QUESTIONS[:2] for _ in range(3)]
    assert scores.to_dataset()["answer"][:3] == ["3", "3", "4"]
    assert repr(scores).startswith("Scores(6 rollouts of 2 questions, 3 labelled, mean value ")
    assert "<td>known to be right</td>" in scores._repr_html_()
    assert repr(memreward.score([], [])) == "Scores(0 rollouts of 0 questions, 0 labelled)"


def test_objects_say_what_they_hold(tmp_path: Path) -> None:
    memory = ExperienceMemory.open(tmp_path / "m5")
    predictor = RewardPredictor
    assert repr(memory) == f"ExperienceMemory({str(tmp_path / 'm5')!r}: 0 questions, 0 rollouts, 0 labelled)"
    from memreward.reward.plain import groups_of_plain

    memory.add(groups_of_plain(QUESTIONS, COMPLETIONS, [[True, True, False], *[None] * 5], "math")[0])
    made = predictor.warmup(memory)
    assert "6 questions, 18 rollouts, 1 labelled" in repr(memory)
    assert repr(made).startswith("RewardPredictor(1 labelled questions, prior 'default', ExperienceMemory(")


def test_a_notebook_is_shown_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    assert notebook_progress() is silent
    shown: list[Any] = []

    class Handle:
        def display(self, data: Any, raw: bool) -> None:
            shown.append(data)

        update = display

    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(DisplayHandle=Handle))
    tell = notebook_progress()
    tell("learning", 1, 3)
    tell("learning", 2, 3)
    assert shown == [{"text/plain": "learning: 1 of 3"}, {"text/plain": "learning: 2 of 3"}]


def test_help_tells_how_to_begin() -> None:
    assert "memreward.score(questions, completions" in str(memreward.__doc__)
    assert {"HybridReward", "Budget", "read_groups", "score"} <= set(dir(memreward))
