"""Why an answer is held to be right: its rivals, and what speaks for each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from memreward.answers.likeness import COLUMN
from memreward.answers.model import AnswerModel
from memreward.answers.table import SHARE
from memreward.features.subset import subset
from memreward.types import DOMAINS, Features, Rollout, Score


@dataclass(frozen=True)
class AnswerShown:
    """One distinct answer of a question.

    Attributes:
        text: As one of its rollouts wrote it; None for the rollouts without an answer.
        votes: Rollouts of the pool that give it.
        right: Probability that it is right; of code that behaves alike the mean of its rollouts.
        vote_share: What majority vote gives it.
        reasons: Column and contribution to its score, against the mean of the question's answers; strongest first.
    """

    text: str | None
    votes: int
    right: float
    vote_share: float
    reasons: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Explanation:
    """Why a rollout was scored as it was: its question's answers, the likeliest first, and its own place in them."""

    score: Score
    answers: tuple[AnswerShown, ...]
    own: int
    trust: float


def explain(model: AnswerModel, features: Features, rollouts: Sequence[Rollout], row: int, present: int) -> Explanation:
    """Explain rollout `row` of those scored, the first `present` ones; the others are their pool."""
    beliefs = model.beliefs(features)
    score = beliefs.first(present).scores()[row]
    mine = np.flatnonzero(features.group == features.group[row])
    distinct = list(dict.fromkeys(beliefs.answer[mine].tolist()))
    first = {answer: int(mine[beliefs.answer[mine] == answer][0]) for answer in distinct}
    reasons = contributions(model, features, int(features.group[row]))
    shown = [
        AnswerShown(
            rollouts[first[answer]].answer,
            int((beliefs.answer[mine] == answer).sum()),
            float(beliefs.right[mine[beliefs.answer[mine] == answer]].mean()),
            float(beliefs.vote[first[answer]]),
            reasons.get(first[answer], ()),
        )
        for answer in distinct
    ]
    order = sorted(range(len(shown)), key=lambda i: (-shown[i].right, -shown[i].votes, i))
    own = order.index(distinct.index(int(beliefs.answer[row])))
    domain = rollouts[row].query.domain
    return Explanation(score, tuple(shown[i] for i in order), own, model.trust().get(domain, 0.0))


def contributions(model: AnswerModel, features: Features, query: int) -> dict[int, tuple[tuple[str, float], ...]]:
    """Say what speaks for each answer of a query: row of its first rollout -> columns with their contributions.

    A contribution is weight times value, less the mean over the query's answers; the strongest come first. Empty in a
    domain without a prior.
    """
    rows = np.flatnonzero(features.group == query)
    domain = DOMAINS[features.domain[query]]
    if domain not in model.prior.domains:
        return {}
    part = subset(features, rows)
    state = model.at(domain, part)
    table, signals = state.table(part), state.prior.signals
    # What the question's answers have in common tells none of them from another.
    kept = [*range(len(SHARE) + len(signals)), -1]
    moved = table.design[:, kept] * state.posterior.mean[kept]
    moved, names = moved - moved.mean(axis=0), (*SHARE, *signals, COLUMN)
    return {
        int(rows[np.flatnonzero(table.answer == answer)[0]]): tuple(
            (names[j], float(moved[answer, j])) for j in np.argsort(-np.abs(moved[answer]))
        )
        for answer in range(len(table))
    }
