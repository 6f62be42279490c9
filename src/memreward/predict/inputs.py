"""From `Features` to the tensors that enter the network: evidence filled in and standardised, labels masked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memreward.features.encoder import unit_rows
from memreward.graph import schema
from memreward.types import Features, FloatArray

CLIP = 5.0
"""Standardised evidence is clipped here: one odd rollout must not carry a prediction."""

UNKNOWN = 2
"""Label input of an answer whose label is hidden; 0 is wrong and 1 is right."""


@dataclass(frozen=True)
class EvidenceScaler:
    """Fills missing evidence with the median and standardises it; fitted without labels.

    Attributes:
        median, mean, scale: (e,) each; a column that never varies has scale 0 and gives 0.
        missing: (j,) columns that get a second, "is missing" column, since they are missing for some only.
    """

    median: FloatArray
    mean: FloatArray
    scale: FloatArray
    missing: NDArray[np.int64]

    @classmethod
    def fit(cls, evidence: FloatArray) -> Self:
        """Fit on (n, e) evidence with NaN where undefined."""
        absent = np.isnan(evidence)
        never = absent.all(axis=0)
        median = np.zeros(evidence.shape[1], dtype=np.float32)
        median[~never] = np.nanmedian(evidence[:, ~never], axis=0)
        filled = np.where(absent, median, evidence)
        spread = filled.std(axis=0)
        scale = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0).astype(np.float32)
        return cls(median, filled.mean(axis=0), scale, np.flatnonzero(absent.any(axis=0) & ~never))

    @property
    def width(self) -> int:
        """Columns of `apply`'s result."""
        return len(self.median) + len(self.missing)

    def apply(self, evidence: FloatArray) -> Tensor:
        """Return (n, `width`) float32: standardised columns, then indicators of missing ones."""
        absent = np.isnan(evidence)
        filled = (np.where(absent, self.median, evidence) - self.mean) * self.scale
        columns = [np.clip(filled, -CLIP, CLIP), absent[:, self.missing]]
        return torch.from_numpy(np.concatenate(columns, axis=1).astype(np.float32))


@dataclass(frozen=True)
class Inputs:
    """Tensors of n rollouts to q queries, ready for the network.

    Attributes:
        query_vectors: (q, d).
        thinking_vectors: (n, t), those of the outline appended where there are any, and where they are asked for a
            reader's states, scaled to length one.
        answer_vectors: (n, d).
        evidence: (n, e) standardised, with what was propagated from memory's labels appended by `hearing`.
        group: (n,) index of each rollout's query.
    """

    query_vectors: Tensor
    thinking_vectors: Tensor
    answer_vectors: Tensor
    evidence: Tensor
    group: Tensor

    @classmethod
    def of(cls, features: Features, scaler: EvidenceScaler, *, read_states: bool) -> Self:
        """Join the parts of `features` that nodes are made of, without memory."""
        thinking = _thinking_blocks(features, read_states)
        if read_states and features.hidden is not None:
            thinking[-1] = unit_rows(thinking[-1])  # as long as vectors of text
        return cls(
            torch.from_numpy(features.query_vectors),
            torch.from_numpy(np.concatenate(thinking, axis=1)),
            torch.from_numpy(features.answer_vectors),
            scaler.apply(features.evidence),
            torch.from_numpy(features.group),
        )

    def hearing(self, propagated: Tensor) -> Self:
        """Return these inputs with (n, c) columns, any c, that came from memory's labels."""
        return replace(self, evidence=torch.cat([self.evidence, propagated], 1))


def _thinking_blocks(features: Features, read_states: bool) -> list[FloatArray]:
    """(n, ...) vectors of the thinking, of its outline if there is one, and a reader's states if they are asked for."""
    states = features.hidden if read_states else None
    return [block for block in (features.thinking_vectors, features.outline_vectors, states) if block is not None]


def text_dims(features: Features, read_states: bool) -> dict[str, int]:
    """Width of the text vectors that `Inputs` gives to each node type."""
    return {
        schema.QUERY: features.query_vectors.shape[1],
        schema.THINKING: sum(block.shape[1] for block in _thinking_blocks(features, read_states)),
        schema.ANSWER: features.answer_vectors.shape[1],
    }
