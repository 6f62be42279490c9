"""One call for those who have lists of strings: `memreward.score`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from memreward.memory import Budget, ExperienceMemory
from memreward.reward.plain import groups_of_plain
from memreward.reward.predictor import RewardPredictor
from memreward.reward.scores import Scores


def score(
    questions: Sequence[str],
    completions: Sequence[str] | Sequence[Sequence[str]],
    labels: Sequence[Any] | None = None,
    domain: str = "math",
) -> Scores:
    """Score completions, learning from the labels there are; nothing is kept. What is labelled has its label.

    Examples::

        memreward.score(["What is 2 + 3?"], [["It is 5.", "It is 5.", "It is 6."]]).values
        memreward.score(questions, completions, labels=["5", None, "12"])  # references
        memreward.score(questions, completions, labels=[[True, False], None, [None, False]])  # verdicts

    Args:
        questions: n texts, multiple choice with its options as "(A) ...". One that stands twice is one question.
        completions: n lists of texts, or n texts.
        domain: "math", "qa", "code" or "other".

    Raises:
        TypeError: these are no lists of texts.
        DataError: there are not as many completions, or labels, as questions.
    """
    groups, rollouts = groups_of_plain(questions, completions, labels, domain)
    if not rollouts:
        return Scores([], [])
    memory = ExperienceMemory.in_memory()
    memory.add(groups)
    predictor = RewardPredictor.warmup(memory, budget=Budget(queries=0) if labels is None else None)
    return predictor.score(rollouts, labels=labels is not None)
