"""From the evidence of rollouts to the distinct answers of their questions: the table that the model is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memreward.domains import rules_of
from memreward.features.columns import Scaling, evidence_columns
from memreward.features.subset import distinct_pairs
from memreward.types import DOMAINS, ConfigurationError, Features, IntArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SHARE = ("log_share", "plurality", "share")
"""What votes say of an answer, on their own scale: ln of its share of the pool, moved by what earlier visits of the
question said (`Features.lean`); whether none has more; the share."""

QUESTION = ("intercept", "answers_log", "top_share", "query_length")
"""What a question says of "none of these": 1, ln of its distinct answers, its largest share, its length."""

POOLED = "pool:"
"""Prefix of the columns that hold the mean of a signal over a question's pool."""

_BY_ANSWER = ("votes", "share", "mute", "design")


def columns_of(signals: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the model's columns for these signals: an answer's, then those of "none of these"."""
    return (*SHARE, *signals, *QUESTION, *(POOLED + name for name in signals))


@dataclass(frozen=True)
class AnswerTable:
    """The C distinct answers of G questions of one domain, given by n rollouts.

    Where several answers may be right, as in code, each rollout has a row of its own: solutions that behave alike on
    the examples share their votes, and may still differ elsewhere. Rollouts without an answer form one class a question
    that cannot be right. Answers of one question stand together, in the order of their class. The score of "none of
    these" is 0: its columns stand with a minus in the row of every answer, so that an answer's score is one product.

    Attributes:
        query_ids: G ids.
        answer: (n,) each rollout's answer.
        question: (C,) each answer's question.
        start: (G,) first answer of each question.
        votes: (C,) rollouts that the row stands for.
        share: (C,) share of the question's rollouts that give this answer or an equivalent one.
        mute: (C,) whether it is the class of those without an answer.
        design: (C, p) columns, those of `columns_of`.
    """

    domain: str
    query_ids: tuple[str, ...]
    answer: IntArray
    question: IntArray
    start: IntArray
    votes: Floats
    share: Floats
    mute: Bools
    design: Floats

    @property
    def several(self) -> bool:
        return rules_of(self.domain).several_right

    @property
    def weight(self) -> Floats:
        """(C,) share of its question's rollouts that each row stands for."""
        return self.votes / np.bincount(self.question, self.votes, len(self.query_ids))[self.question]

    def __len__(self) -> int:
        return len(self.question)

    @classmethod
    def of(cls, features: Features, domain: str, signals: Sequence[str], scaling: Scaling) -> Self:
        """Merge the rollouts of `features`, all of one domain, into answers.

        Raises ConfigurationError if a signal is not among the features', or a query is of another domain.
        """
        if not (features.domain == DOMAINS.index(domain)).all():
            raise ConfigurationError(f"a table of {domain} cannot hold queries of another domain")
        values = scaling.apply(evidence_columns(features, scaling.names))
        questions = len(features.query_ids)
        pairs, alike = distinct_pairs(features.group, features.cluster)
        question = pairs[:, 0]
        size = np.bincount(features.group, minlength=questions).astype(np.float64)
        distinct = np.bincount(question, minlength=questions)
        share = np.bincount(alike, minlength=len(question)) / size[question]
        answer = alike
        if rules_of(domain).several_right:
            order = np.argsort(alike, kind="stable")
            answer = np.empty_like(alike)
            answer[order] = np.arange(len(alike))
            question, share = features.group[order], share[alike[order]]
        votes = np.bincount(answer, minlength=len(question)).astype(np.float64)
        mute = np.zeros(len(question), np.bool_)
        mute[answer] = features.cluster < 0
        start = np.searchsorted(question, np.arange(questions))
        top = np.maximum.reduceat(share, start) if questions else share
        column = [scaling.names.index(name) for name in signals]
        length = values[:, scaling.names.index("query_length_log")]
        of_answer = _means(values[:, column], answer, votes)
        of_question = _means(np.column_stack([length, values[:, column]]), features.group, size)
        lean = np.zeros(len(features)) if features.lean is None else features.lean
        moved = np.log(share) + np.bincount(answer, lean, len(question)) / np.maximum(votes, 1)
        plain = [moved, share >= top[question] - 1e-9, share]
        none = np.column_stack([np.ones(questions), np.log(np.maximum(distinct, 1)), top, of_question])
        design = np.column_stack([*plain, of_answer, -none[question]]) if len(question) else np.zeros((0, 0))
        return cls(domain, features.query_ids, answer, question, start, votes, share, mute, design)

    def verdicts(self, labels: ArrayLike) -> NDArray[np.int8]:
        """(C,) 1 right, 0 wrong, -1 not judged, from the (n,) labels of its rollouts: most of those judged decide."""
        given = np.asarray(labels)
        right = np.bincount(self.answer, given == 1, len(self))
        wrong = np.bincount(self.answer, given == 0, len(self))
        return np.where(right > wrong, 1, np.where(right + wrong > 0, 0, -1)).astype(np.int8)

    def beside(self, values: Floats) -> AnswerTable:
        """Return the table with one more column, the mean of (n,) values over each answer's rollouts."""
        column = np.bincount(self.answer, values, len(self)) / np.maximum(self.votes, 1)
        return replace(self, design=np.column_stack([self.design, column]) if len(self) else self.design)

    def only(self, questions: ArrayLike) -> AnswerTable:
        """Return the table of some questions, by index, in the table's order; their rollouts are left out."""
        keep = np.zeros(len(self.query_ids), np.bool_)
        keep[np.asarray(questions, np.int64)] = True
        rows = keep[self.question]
        question = (np.cumsum(keep) - 1)[self.question[rows]]
        names = tuple(name for name, kept in zip(self.query_ids, keep, strict=True) if kept)
        start = np.searchsorted(question, np.arange(len(names)))
        parts = {name: getattr(self, name)[rows] for name in _BY_ANSWER}
        return AnswerTable(self.domain, names, np.zeros(0, np.int64), question, start, **parts)

    @classmethod
    def joined(cls, tables: Sequence[AnswerTable]) -> Self:
        """Put tables of one domain and the same columns together; their rollouts are left out."""
        questions = np.cumsum([0, *(len(table.query_ids) for table in tables)])
        answers = np.cumsum([0, *(len(table) for table in tables)])
        names = tuple(name for table in tables for name in table.query_ids)
        question = np.concatenate([table.question + first for table, first in zip(tables, questions, strict=False)])
        start = np.concatenate([table.start + first for table, first in zip(tables, answers, strict=False)])
        parts = {name: np.concatenate([getattr(table, name) for table in tables]) for name in _BY_ANSWER}
        return cls(tables[0].domain, names, np.zeros(0, np.int64), question, start, **parts)


def leaning(share: Floats, lean: Floats, weight: Floats, group: IntArray) -> Floats:
    """(n,) shares of votes, moved by exp(lean); each group's sum, `weight` (n,) rollouts a row, stays what it was."""
    moved = np.exp(lean)
    total = np.bincount(group, weight)
    now = np.bincount(group, weight * moved)
    kept = np.divide(total, now, out=np.ones_like(now), where=now > 0)
    return share * moved * kept[group]


def _means(values: Floats, bins: IntArray, count: Floats) -> Floats:
    """(bins, s) mean of the rows of `values` in each bin."""
    order = np.argsort(bins, kind="stable")
    if not len(order):
        return np.zeros((len(count), values.shape[1]))
    first = np.searchsorted(bins[order], np.arange(len(count)))
    sums: Floats = np.add.reduceat(values[order], first, axis=0)
    return sums / count[:, None]
