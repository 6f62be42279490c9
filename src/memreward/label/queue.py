"""What somebody is asked: what is expected to change most in a minute of their time, no near-copies in one round.

A question is asked by all its answers at once, or by one: "is this answer right?" tells less and takes a third of the
time. By minute it wins clearly: benchmarks/results/labelling.md.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from memreward.label.outlook import Outlook
from memreward.types import IntArray

Kind = Literal["whole", "one"]
Ask = Literal["auto", "whole", "one"]

SECONDS: dict[Kind, float] = {"whole": 30.0, "one": 10.0}
"""What a judgement is held to take."""
ROUND = 10
"""Questions in a round, among which there are no near-copies."""
NEAR = 0.6
"""Share of common word triples, numbers apart, from which on two questions are near-copies."""

_LOOKED_AT = 200
_WORD = re.compile(r"[^\W\d_]+|\d+")
TWICE = 0.1
"""Share of the questions that a second person judges too, blind to the first."""
LEASE = 600.0
"""Seconds for which a question that somebody has open is kept from others."""
REASONS = ("I cannot tell", "It takes too long", "Not my subject", "Another reason")
"""Why a question is skipped."""


class Candidate(NamedTuple):
    """A question's number in the outlook, to be asked by all its answers or by one (else -1), and the gain."""

    question: int
    kind: Kind
    asked: int
    gain: float


def ranked(outlook: Outlook, questions: IntArray, ask: Ask = "auto") -> list[Candidate]:
    """Return the questions that are worth asking, those that change most in a second first."""
    gains = outlook.gains(questions)
    kinds: tuple[Kind, ...] = ("one", "whole") if ask == "auto" else (ask,)
    found = []
    for question, whole, one, asked in zip(*(part.tolist() for part in gains), strict=True):
        of = {"whole": whole, "one": one if asked >= 0 else 0.0}
        kind = max(kinds, key=lambda k: of[k] / SECONDS[k])
        if of[kind] > 1e-9:
            found.append(Candidate(question, kind, asked if kind == "one" else -1, of[kind]))
    names = outlook.features.query_ids
    return sorted(found, key=lambda c: (-round(c.gain / SECONDS[c.kind], 9), names[c.question]))


def chosen(ranking: Iterable[Candidate], recent: Sequence[str], text: Callable[[int], str]) -> Candidate | None:
    """Return the first that is no near-copy of a recent question; a near-copy where nothing else is left."""
    shown = [triples(each) for each in recent[-(ROUND - 1) :]]
    fallback = None
    for looked_at, candidate in enumerate(ranking):
        fallback = fallback or candidate
        if looked_at >= _LOOKED_AT:
            break
        own = triples(text(candidate.question))
        if all(len(own & other) < NEAR * max(len(own | other), 1) for other in shown):
            return candidate
    return fallback


def triples(text: str) -> frozenset[tuple[str, ...]]:
    """Return the word triples of a text, every number as the same word."""
    words = ["0" if word.isdigit() else word.lower() for word in _WORD.findall(text[:2000])]
    return frozenset(tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2)))


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
