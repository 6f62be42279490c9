"""Which queries to label next: those that the policy's own answers leave open, and unlike those labelled already.

Where nearly all rollouts of a query agree, or none do, a label tells little that agreement does not; where about half
do, it decides (method.md, section 4 f). Such queries crowd in a few templates, though, and a label speaks for the
queries that are like its own: `spread` therefore takes each next query far from those taken before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from memreward.domains import cluster_answers
from memreward.types import Encoder, FloatArray, Group

ChoiceRule = Literal["random", "contested", "spread"]
"""How queries are chosen for labels: drawn; by `contested_order`; by `spread_order`."""

WIDTH = 0.1
"""Width of the kernel by which a labelled query covers another one, in cosine."""
_LEAST_OPEN = 0.05
"""Openness of a query whose rollouts all agree: without it, such queries would be taken in any order."""

_TIE = 1e-3
"""Lets openness decide between queries that are covered alike."""


def label_order(
    rule: ChoiceRule, groups: Sequence[Group], encoder: Callable[[], Encoder], seed: int, count: int | None
) -> list[str] | None:
    """Return in which order queries are labelled by a rule; None where they are drawn.

    Args:
        rule: How.
        groups: Queries with their rollouts; labels are not looked at.
        encoder: Loads the encoder, if the rule has use for one.
        seed: Decides between equals.
        count: Queries that the budget reaches, if known.
    """
    if rule == "random":
        return None
    return contested_order(groups, seed) if rule == "contested" else spread_order(groups, encoder(), seed, count)


def contested_order(groups: Sequence[Group], seed: int) -> list[str]:
    """Return the ids of queries by the distance of their majority share from one half, the nearest first.

    Args:
        groups: Queries with their rollouts; labels are not looked at.
        seed: Decides between equals.
    """
    return [groups[i].query.id for i in _shuffled_by(-_openness(groups), seed)]


def spread_order(groups: Sequence[Group], encoder: Encoder, seed: int, count: int | None = None) -> list[str]:
    """Return the ids of queries, each next one contested and unlike those before it.

    The next query has the largest (openness) x (1 - k), k = max exp((cos - 1) / `WIDTH`) over those taken before;
    openness falls from 1, where half of the rollouts agree, to nearly 0, where all or none do.

    Args:
        groups: Queries with their rollouts; labels are not looked at.
        encoder: Of the queries' texts.
        seed: Decides between equals.
        count: Queries to choose in this way; the rest follows by openness. None chooses all so.
    """
    unordered = _openness(groups)
    order = _shuffled_by(-unordered, seed)
    openness = unordered[order]
    vectors: FloatArray = encoder.encode([groups[i].query.text for i in order])
    covered = np.zeros(len(order))
    taken: list[int] = []
    waiting = np.ones(len(order), bool)
    for _ in range(len(order) if count is None else min(count, len(order))):
        worth = np.where(waiting, openness * (1 + _TIE - covered), -np.inf)
        best = int(worth.argmax())
        taken.append(best)
        waiting[best] = False
        covered = np.maximum(covered, np.exp((vectors @ vectors[best] - 1) / WIDTH))
    return [groups[order[i]].query.id for i in [*taken, *np.flatnonzero(waiting)]]


def _openness(groups: Sequence[Group]) -> FloatArray:
    """(q,) how open each query is: 1 - |2 majority share - 1|, at least `_LEAST_OPEN`."""
    shares = np.array([_majority_share(group) for group in groups], np.float32).reshape(len(groups))
    return np.asarray(np.maximum(1 - np.abs(2 * shares - 1), _LEAST_OPEN), np.float32)


def _majority_share(group: Group) -> float:
    answers = [rollout.answer for rollout in group.rollouts]
    members = cluster_answers(answers, group.query.domain, query_text=group.query.text)
    votes = Counter(member for member in members if member >= 0)
    return max(votes.values(), default=0) / max(len(members), 1)


def _shuffled_by(key: FloatArray, seed: int) -> list[int]:
    """Positions in ascending order of `key`, equals in random order."""
    return [int(i) for i in np.lexsort((np.random.default_rng(seed).random(len(key)), key))]
