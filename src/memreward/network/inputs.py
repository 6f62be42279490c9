"""From `Features` to the tensors that enter the network: evidence standardised, labels masked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from memreward.evaluation.scaler import EvidenceScaler
from memreward.network import schema
from memreward.network.encoder import unit_rows
from memreward.types import Features, FloatArray

UNKNOWN = 2
"""Label input of an answer whose label is hidden; 0 is wrong and 1 is right."""


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
            torch.from_numpy(scaler.apply(features.evidence)),
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
