"""What somebody is asked, and what they see afterwards."""

from typing import NamedTuple

from memreward.label.queue import Kind

TWICE = 0.1
"""Share of the questions that a second person judges too, blind to the first."""
LEASE = 600.0
"""Seconds for which a question that somebody has open is kept from others."""
REASONS = ("I cannot tell", "It takes too long", "Not my subject", "Another reason")
"""Why a question is skipped."""


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
