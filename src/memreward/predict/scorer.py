"""The frozen memory and the incremental scorer over it.

Messages flow from memory to new nodes and never back, so the states of memory's queries before each round are computed
once, at `freeze`. Scoring a batch then costs its own nodes and their k neighbours. It equals the forward pass over the
whole graph, memory and batch together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from memreward.graph.build import structural_edges
from memreward.graph.neighbours import NeighbourIndex
from memreward.predict.config import PredictorConfig
from memreward.predict.crossfit import CrossFit, Member, Part
from memreward.predict.inputs import UNKNOWN, EvidenceScaler, Inputs
from memreward.types import Features


@dataclass(frozen=True)
class FrozenMemory:
    """Labelled queries as the scorer needs them.

    Attributes:
        query_ids: m ids.
        vectors: (m, d) query vectors.
        folds: (m,) fold of each query.
        states: Per member, per round, (m, hidden) query states before that round; rows of the member's own fold are 0.
        right_share: (m,) share of right rollouts among the labelled ones, to show beside neighbours.
    """

    query_ids: tuple[str, ...]
    vectors: Tensor
    folds: Tensor
    states: tuple[tuple[Tensor, ...], ...]
    right_share: Tensor

    def nbytes(self) -> int:
        """Bytes held in tensors."""
        tensors = [self.vectors, self.folds, self.right_share, *(s for states in self.states for s in states)]
        return sum(t.nbytes for t in tensors)


class Scorer:
    """K models and the memory they look at.

    Args:
        members: The models.
        scaler: Their evidence scaling.
        config: Settings.
        memory: Frozen labelled queries.
    """

    def __init__(
        self, members: tuple[Member, ...], scaler: EvidenceScaler, config: PredictorConfig, memory: FrozenMemory
    ) -> None:
        self.members, self.scaler, self.config, self.memory = members, scaler, config, memory
        self._row = {query_id: row for row, query_id in enumerate(memory.query_ids)}
        self._index = NeighbourIndex(memory.vectors, memory.folds, config.folds)

    @classmethod
    def freeze(cls, fit: CrossFit, features: Features, label: Tensor, config: PredictorConfig) -> Scorer:
        """Compute memory's states once, from n labelled rollouts (label: 1 right, 0 wrong, 2 unknown)."""
        inputs = Inputs.of(features, fit.scaler)
        edges = structural_edges(features, config.graph)
        index = NeighbourIndex(inputs.query_vectors, fit.folds, config.folds)
        own = torch.arange(len(features.query_ids))
        neighbours, cosine = index.search(inputs.query_vectors, config.graph.neighbours, own)
        states = []
        for member in fit.members:
            part = Part(features, inputs, edges, label, neighbours[member.fold], cosine[member.fold])
            with torch.no_grad():
                _, kept = part.forward(member.network, label, part.neighbours, None)
            outside = (fit.folds != member.fold).unsqueeze(1)
            states.append(tuple((state * outside).clone() for state in kept))
        return cls(
            fit.members,
            fit.scaler,
            config,
            FrozenMemory(
                features.query_ids, inputs.query_vectors, fit.folds, tuple(states), _right_share(features, label)
            ),
        )

    def neighbours(self, features: Features) -> tuple[Tensor, Tensor]:
        """Find each query's labelled neighbours: (K, q, k) rows of memory and cosines, blind to fold and self."""
        own = torch.tensor([self._row.get(query_id, -1) for query_id in features.query_ids])
        return self._index.search(torch.from_numpy(features.query_vectors), self.config.graph.neighbours, own)

    def logits(self, features: Features, found: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Score n rollouts with every member.

        Args:
            features: n rollouts of any queries.
            found: Result of `neighbours`, if it is known already.

        Returns:
            (K, n) logits of the linear parts and (K, n) outputs of the networks.
        """
        neighbours, cosine = found or self.neighbours(features)
        inputs = Inputs.of(features, self.scaler)
        edges = structural_edges(features, self.config.graph)
        unknown = torch.full((len(features),), UNKNOWN)
        linear, network = [], []
        for member, states in zip(self.members, self.memory.states, strict=True):
            linear.append(member.linear(inputs.evidence))
            part = Part(features, inputs, edges, unknown, neighbours[member.fold], cosine[member.fold])
            with torch.no_grad():
                network.append(part.forward(member.network, unknown, part.neighbours, list(states))[0])
        return torch.stack(linear), torch.stack(network)

    def blind_members(self, features: Features) -> Tensor:
        """(K, n) which members may score which rollouts: all, or only the blind one where the query is labelled."""
        own = torch.tensor([self._row.get(query_id, -1) for query_id in features.query_ids])[features.group]
        member = torch.tensor([m.fold for m in self.members]).unsqueeze(1)
        return (own < 0) | (self.memory.folds[own.clamp(min=0)] == member)


def _right_share(features: Features, label: Tensor) -> Tensor:
    known, queries = (label != UNKNOWN).numpy(), len(features.query_ids)
    right = np.bincount(features.group, weights=(label == 1).numpy(), minlength=queries)
    counted = np.bincount(features.group, weights=known, minlength=queries)
    return torch.from_numpy((right / np.maximum(counted, 1)).astype(np.float32))
