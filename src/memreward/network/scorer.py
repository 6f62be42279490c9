"""The frozen memory and the incremental scorer over it.

Messages flow from memory to new nodes and never back, so the states of memory's queries before each round are computed
once, at `freeze`. Scoring a batch then costs its own nodes and their k neighbours. It equals the forward pass over the
whole graph, memory and batch together.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from memreward.evaluation.scaler import EvidenceScaler
from memreward.network.config import PredictorConfig
from memreward.network.crossfit import Alone, CrossFit, Member, Part
from memreward.network.inputs import UNKNOWN
from memreward.network.neighbours import NeighbourIndex
from memreward.network.propagate import LabelledRollouts
from memreward.types import Features


@dataclass(frozen=True)
class FrozenMemory:
    """Labelled queries as the scorer needs them.

    Attributes:
        query_ids: m ids.
        vectors: (m, d) query vectors.
        folds: (m,) fold of each query.
        states: Per member, per round, (m, hidden) query states before that round; rows of the member's own fold are 0.
        labelled: Outlines and labels of the labelled rollouts.
    """

    query_ids: tuple[str, ...]
    vectors: Tensor
    folds: Tensor
    states: tuple[tuple[Tensor, ...], ...]
    labelled: LabelledRollouts

    def nbytes(self) -> int:
        """Bytes held in tensors."""
        tensors = [self.vectors, self.folds, *(state for states in self.states for state in states)]
        return sum(t.nbytes for t in tensors) + self.labelled.nbytes()


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
        vectors, labelled = torch.from_numpy(features.query_vectors), LabelledRollouts.of(features, label)
        own = torch.arange(len(features.query_ids))
        rows, cosine = NeighbourIndex(vectors, fit.folds, config.folds).search(vectors, config.graph.neighbours, own)
        alone, states = Alone.of(features, fit.scaler, config), []
        for member in fit.members:
            found = (rows[member.fold], cosine[member.fold])
            part = Part.of(features, label, found, labelled, fit.scaler, config, alone)
            with torch.no_grad():
                _, kept = part.forward(member.network, label, part.neighbours, None)
            outside = (fit.folds != member.fold).unsqueeze(1)
            states.append(tuple((state * outside).clone() for state in kept))
        memory = FrozenMemory(features.query_ids, vectors, fit.folds, tuple(states), labelled)
        return cls(fit.members, fit.scaler, config, memory)

    def neighbours(self, features: Features) -> tuple[Tensor, Tensor]:
        """Find each query's labelled neighbours: (K, q, k) rows of memory and cosines, blind to fold and self."""
        own = torch.tensor([self._row.get(query_id, -1) for query_id in features.query_ids])
        return self._index.search(torch.from_numpy(features.query_vectors), self.config.graph.neighbours, own)

    def nearest(self, features: Features, found: tuple[Tensor, Tensor]) -> Tensor:
        """Return of n rollouts the (n,) cosine of their query to the nearest labelled one, -1 where there is none.

        Args:
            features: n rollouts.
            found: Result of `neighbours`; only members that may score a rollout count.
        """
        cosine = found[1].masked_fill(found[0] < 0, -1.0).amax(2)
        of_members = cosine[[member.fold for member in self.members]][:, features.group]
        return of_members.masked_fill(~self.blind_members(features), -1.0).amax(0)

    def logits(
        self, features: Features, found: tuple[Tensor, Tensor] | None = None, *, run_networks: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Score n rollouts with every member.

        Args:
            features: n rollouts of any queries.
            found: Result of `neighbours`, if it is known already.
            run_networks: False leaves the networks out, whose outputs are then zeros.

        Returns:
            (K, n) logits of the linear parts and (K, n) outputs of the networks.
        """
        known = found or self.neighbours(features)
        alone = Alone.of(features, self.scaler, self.config, edges=run_networks)
        linear, network = [], []
        for member, states in zip(self.members, self.memory.states, strict=True):
            part = self.part(features, member, known, alone)
            linear.append(member.linear(part.inputs.evidence))
            if not run_networks:
                network.append(torch.zeros_like(linear[-1]))
                continue
            with torch.no_grad():
                network.append(part.forward(member.network, part.label, part.neighbours, list(states))[0])
        return torch.stack(linear), torch.stack(network)

    def part(
        self,
        features: Features,
        member: Member,
        found: tuple[Tensor, Tensor],
        alone: Alone | None = None,
    ) -> Part:
        """Join new rollouts with what `member` hears from memory; `found` is the result of `neighbours`."""
        near = (found[0][member.fold], found[1][member.fold])
        unknown = torch.full((len(features),), UNKNOWN)
        return Part.of(features, unknown, near, self.memory.labelled, self.scaler, self.config, alone)

    def blind_members(self, features: Features) -> Tensor:
        """(K, n) which members may score which rollouts: all, or only the blind one where the query is labelled."""
        own = torch.tensor([self._row.get(query_id, -1) for query_id in features.query_ids])[features.group]
        member = torch.tensor([m.fold for m in self.members]).unsqueeze(1)
        return (own < 0) | (self.memory.folds[own.clamp(min=0)] == member)
