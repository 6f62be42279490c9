"""The questions of a session, what labels alone say of their answers, and what the next one would change."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memreward.answers import AnswerModel
from memreward.answers.beliefs import AnswerBeliefs
from memreward.answers.choose import told_by_judging, variances
from memreward.features.featurizer import Featurizer
from memreward.features.subset import joined, subset
from memreward.memory import ExperienceMemory
from memreward.types import Features, Group, IntArray, Rollout, content_hash

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
RECENT = 32
"""Rollouts of a question, at most."""


class Gains(NamedTuple):
    """What asking about (q,) questions is expected to change, in squared advantages summed over their rollouts.

    `whole` by a judgement of all their answers, `one` by asking whether `asked` is right, the most probable answer that
    is not judged yet; -1 where none is left.
    """

    questions: IntArray
    whole: Floats
    one: Floats
    asked: IntArray


class Outlook:
    """Beliefs about the C distinct answers of all questions that a session may ask about; learning begins at `model`.

    Attributes:
        question: (C,) question of each distinct answer; those of one question stand together.
        answer: (n,) distinct answer of each rollout.
        mute: (C,) whether it is the class of rollouts without an answer, which cannot be right.
        verdicts: (C,) 1 right, 0 wrong, -1 not judged.
    """

    def __init__(self, features: Features, model: AnswerModel) -> None:
        self.features = features
        n, count = len(features), len(features.query_ids)
        self._base = copy.deepcopy(model, {id(model.prior): model.prior}).fit(features, np.full(n, -1, np.int8))
        pairs = np.stack([features.group, features.cluster], axis=1)
        distinct, first, answer = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
        self.answer = answer.reshape(-1).astype(np.int64)
        self.question = distinct[:, 0].astype(np.int64)
        self.mute: Bools = distinct[:, 1] < 0
        self.votes = np.bincount(self.answer, minlength=len(distinct))
        self.start = np.searchsorted(self.question, np.arange(count + 1))
        self._first_row = first
        self._rows = np.argsort(features.group, kind="stable")
        self._row_start = np.searchsorted(features.group[self._rows], np.arange(count + 1))
        self._place = {query_id: q for q, query_id in enumerate(features.query_ids)}
        self.several = self._base.beliefs(subset(features, first)).several if n else np.zeros(0, np.bool_)
        self.verdicts = np.full(len(distinct), -1, np.int8)
        self.model = self._base

    def __len__(self) -> int:
        return len(self.features.query_ids)

    def place(self, query_id: str) -> int | None:
        """Return the number of a question, None where it is not among those of this session."""
        return self._place.get(query_id)

    def answers(self, question: int) -> range:
        """Return the distinct answers of a question, the class without an answer among them."""
        return range(int(self.start[question]), int(self.start[question + 1]))

    def rows(self, answer: int) -> IntArray:
        mine = self.rows_of(np.array([self.question[answer]]))
        return np.asarray(mine[self.answer[mine] == answer], np.int64)

    def told(self, labels: Mapping[str, bool], without: Collection[str] = ()) -> Outlook:
        """Return what is believed when these are all the labels, by rollout id, and nothing is learned `without`."""
        ids, made = self.features.rollout_ids, copy.copy(self)
        given = np.array([-1 if (verdict := labels.get(key)) is None else int(verdict) for key in ids], np.int8)
        right = np.bincount(self.answer, given == 1, len(self.question))
        wrong = np.bincount(self.answer, given == 0, len(self.question))
        made.verdicts = np.where(right > wrong, 1, np.where(right + wrong > 0, 0, -1)).astype(np.int8)
        left_out = [q for query_id in without if (q := self._place.get(query_id)) is not None]
        judged = np.setdiff1d(np.unique(self.question[made.verdicts >= 0]), left_out)
        made.model = copy.deepcopy(self._base, {id(self._base.prior): self._base.prior})
        if len(judged):
            rows = self.rows_of(judged)
            made.model.observe(subset(self.features, rows), made.verdicts[self.answer[rows]])
        return made

    def blind(self, questions: IntArray) -> AnswerBeliefs:
        """Return what the model holds of these questions' rollouts, whatever was judged of themselves."""
        return self.model.beliefs(subset(self.features, self.rows_of(questions)))

    def beliefs(self, questions: IntArray) -> AnswerBeliefs:
        """Return what is held of these questions' rollouts now that some of their answers may be judged."""
        verdicts = self.verdicts[self.answer[self.rows_of(questions)]]
        return self.blind(questions).told(verdicts)

    def gains(self, questions: IntArray) -> Gains:
        """Say what asking about each of these questions is expected to change."""
        rows = self.rows_of(questions)
        answer = self.answer[rows]
        beliefs = self.blind(questions).told(self.verdicts[answer])
        open_ = (self.verdicts[answer] < 0) & ~self.mute[answer]
        top = np.full(len(questions), -1.0)
        np.maximum.at(top, beliefs.group[open_], beliefs.right[open_])
        asked = np.full(len(questions), np.iinfo(np.int64).max)
        best = open_ & (beliefs.right >= top[beliefs.group])
        np.minimum.at(asked, beliefs.group[best], answer[best])
        asked[top < 0] = -1
        one = told_by_judging(beliefs, answer == asked[beliefs.group], len(questions))
        return Gains(questions, variances(beliefs, len(questions)), one, asked)

    def representative(self, answer: int) -> int:
        return int(self._first_row[answer])

    def rows_of(self, questions: IntArray) -> IntArray:
        parts = [self._rows[self._row_start[q] : self._row_start[q + 1]] for q in questions]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)


@dataclass(frozen=True)
class Pool:
    """Questions with their rollouts."""

    groups: Mapping[str, Group]
    features: Features

    @classmethod
    def read(cls, memory: ExperienceMemory, featurizer: Featurizer, query_ids: Sequence[str]) -> Pool:
        """Read questions from memory; those without rollouts are left out."""
        groups = [group for group in memory.groups(query_ids, recent=RECENT) if group.rollouts]
        rollouts = [rollout for group in groups for rollout in group.rollouts]
        return cls({group.query.id: group for group in groups}, featurizer.features(rollouts))

    def joined(self, other: Pool) -> Pool:
        """Return both pools' questions; `other` holds none of this one's."""
        return Pool({**self.groups, **other.groups}, joined([self.features, other.features]))

    def rollout(self, row: int) -> Rollout:
        group = self.groups[self.features.query_ids[self.features.group[row]]]
        wanted = self.features.rollout_ids[row]
        return next(rollout for rollout in group.rollouts if rollout.id == wanted)


def reading_order(query_ids: Sequence[str], first: Sequence[str]) -> list[str]:
    """Return all ids: `first` ones, then the others in an order that has nothing to do with how they were added."""
    known = set(query_ids)
    ahead = [query_id for query_id in dict.fromkeys(first) if query_id in known]
    return [*ahead, *sorted(known.difference(ahead), key=content_hash)]
