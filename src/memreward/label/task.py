"""What somebody is asked, what they see afterwards, and the settings of a labelling."""

from dataclasses import dataclass
from typing import NamedTuple

from memreward.label.queue import Ask, Kind
from memreward.types import ConfigurationError

LEASE = 600.0
"""Seconds for which a question that somebody has open is kept from others."""
REASONS = ("I cannot tell", "It takes too long", "Not my subject", "Another reason")
"""Why a question is skipped."""


@dataclass(frozen=True)
class LabelConfig:
    """Settings of a labelling.

    Attributes:
        ask: "one" asks whether one answer is right, "whole" shows all answers of a question, "auto" takes what is
            expected to change more in a minute.
        blind: Counts and beliefs stay hidden until a question is answered, and answers come in a shuffled order.
        twice: Share of the questions that a second person judges too, blind to the first.
    """

    ask: Ask = "auto"
    blind: bool = True
    twice: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.twice <= 1:
            raise ConfigurationError(f"twice={self.twice} must be a share between 0 and 1")


class Task(NamedTuple):
    """What somebody is asked: whether the answer `asked` is right (kind "one"), or which are ("whole").

    Attributes:
        answers: Its distinct answers in the order in which they are shown, without the class of no answer.
        second: Whether another person has judged it before.
        settles: Whether two people disagree on it and this decides.
        why: Why a training would have it labelled; "" where none does.
    """

    query_id: str
    kind: Kind
    answers: tuple[int, ...]
    asked: int
    several: bool
    second: bool = False
    settles: bool = False
    why: str = ""


class AnswerSeen(NamedTuple):
    """What is shown of an answer after the decision: its votes, and what was believed before the first judgement."""

    answer: int
    votes: int
    rollouts: int
    believed: float
    correct: bool | None
