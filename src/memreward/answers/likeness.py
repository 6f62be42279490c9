"""What labels of like solutions say: the labelled share of memory speaks for rollouts that reason alike elsewhere.

Two solutions whose outlines are near, to two questions made from one template, are right or wrong together more often
than not. So of each rollout i, over the labelled rollouts j of other questions,

    m_i = sum_j k_ij (y_j - s_j) / (OTHERWISE + sum_j k_ij),    k_ij = cos(outlines)^SHARP cos(templates)^SHARP,

where y_j is 1 or 0 and s_j the share of its group that agreed. Its mean over an answer's rollouts is one more column of
the model, with a weight that begins at WEIGHT; and majority vote's shares are corrected by it. WEIGHT and SHARP were
chosen on recorded trainings of the testbed (benchmarks/results/replay.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from memreward.answers.posterior import Gaussian
from memreward.answers.table import AnswerTable, Floats
from memreward.types import Features, FloatArray

WEIGHT, VARIANCE = 8.0, 4.0
"""Where the column's weight begins, and how far labels may move it."""
SHARP = 8
OTHERWISE = 0.3
"""Weight of "nothing is known" beside the labels: one nearly equal solution decides, a vague likeness does not."""
MOST = 4096
"""Labelled rollouts, at most, that are kept in a domain; the newest."""
COLUMN = "like_solutions"


@dataclass(frozen=True)
class LikeSolutions:
    """The m labelled rollouts of one domain: unit vectors, ids of their questions, label less vote share."""

    outlines: FloatArray
    templates: FloatArray
    questions: tuple[str, ...]
    beyond: Floats

    @classmethod
    def none(cls) -> Self:
        return cls(np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32), (), np.zeros(0))

    def given(self, features: Features, labels: NDArray[np.int8], vote: Floats) -> LikeSolutions:
        """Return them with the labelled ones among n rollouts: (n,) labels, -1 unknown, and (n,) shares that agree."""
        rows = np.flatnonzero(labels >= 0)
        if not len(rows) or features.outline_vectors is None or features.template_vectors is None:
            return self
        group = features.group[rows]
        new = LikeSolutions(
            features.outline_vectors[rows],
            features.template_vectors[group],
            tuple(features.query_ids[query] for query in group),
            labels[rows] - vote[rows],
        )
        if not len(self.beyond):
            return new
        return LikeSolutions(
            np.concatenate([self.outlines, new.outlines])[-MOST:],
            np.concatenate([self.templates, new.templates])[-MOST:],
            (*self.questions, *new.questions)[-MOST:],
            np.concatenate([self.beyond, new.beyond])[-MOST:],
        )

    def say(self, features: Features) -> Floats:
        """(n,) what they say of n rollouts, in (-1, 1); a question's own labels are left out."""
        if not len(self.beyond) or features.outline_vectors is None or features.template_vectors is None:
            return np.zeros(len(features))
        by_question = alike(features.template_vectors, self.templates)
        by_question[np.array(features.query_ids)[:, None] == np.array(self.questions)[None, :]] = 0.0
        near = alike(features.outline_vectors, self.outlines) * by_question[features.group]
        said: Floats = near.astype(np.float64) @ self.beyond / (OTHERWISE + near.sum(axis=1, dtype=np.float64))
        return said


def alike(one: FloatArray, other: FloatArray) -> FloatArray:
    """(n, m) likeness in [0, 1] of (n, d) unit vectors with (m, d) others: their cosine, sharpened."""
    near: FloatArray = np.maximum(one @ other.T, 0.0) ** SHARP
    return near


def corrected(share: Floats, table: AnswerTable) -> Floats:
    """(C,) shares of answers plus the table's last column, what labels of like solutions said, as probabilities."""
    moved = np.where(table.mute, 0.0, np.clip(share + table.design[:, -1], 0.0, 1.0))
    if table.several:
        return moved
    total = np.bincount(table.question, moved, len(table.query_ids))
    return np.asarray(moved / np.maximum(total, 1.0)[table.question], np.float64)


def with_likeness(weights: Gaussian) -> Gaussian:
    """Return the weights of the model's columns with that of `COLUMN` after them."""
    covariance = np.zeros((len(weights.mean) + 1,) * 2)
    covariance[:-1, :-1] = weights.covariance
    covariance[-1, -1] = VARIANCE
    return Gaussian(np.append(weights.mean, WEIGHT), covariance)
