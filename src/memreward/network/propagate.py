"""Labels of memory, carried along `similar_to` edges to rollouts that reason alike: a message with fixed attention.

A learned attention needs more labels than a small budget has; a kernel needs none. For rollout i of query q,

    w_ij = exp((cos(q, q_j) - 1) / QUERY_WIDTH) * exp((cos(o_i, o_j) - 1) / width)

over labelled rollouts j (outline o_j, label y_j) of q's k nearest labelled queries. The right share under w says what
became of like reasoning; the same without the second factor says how hard such questions are for the policy. This is
label propagation (Zhu and Ghahramani 2002) cut to one step, from memory to new nodes and never back.

Two kernels: `ANYWHERE` hears the nearest labelled queries however far they are, and its columns must be weighed by what
held-out labels say of them; `NEARBY` says nothing (0) where nothing is near, so that what it says can be taken at its
word, as the log-odds that it is (`PredictorConfig.trust`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from memreward.types import Features

QUERY_WIDTH = 0.1
"""Kernel width of queries."""

COLUMNS = ("memory_right_share", "memory_right_share_of_like_reasoning")
LIKE_REASONING = -1
"""Place of the second among the columns of evidence, of which these are the last."""


@dataclass(frozen=True)
class Kernel:
    """How labels are weighed.

    Attributes:
        width: Of outlines.
        shrink: Weight of the neighbourhood's right share (and of 1/2 for the neighbourhood itself) beside the labelled
            rollouts.
    """

    width: float
    shrink: float


ANYWHERE = Kernel(width=0.1, shrink=1e-3)
NEARBY = Kernel(width=0.2, shrink=0.3)


@dataclass(frozen=True)
class LabelledRollouts:
    """Labelled rollouts of memory, by query.

    Attributes:
        start: (m + 1,) first rollout of each memory query; those of query r are start[r] .. start[r + 1].
        outline: (l, o) unit outline vectors in half precision.
        right: (l,) label, True for right.
    """

    start: Tensor
    outline: Tensor
    right: Tensor

    @classmethod
    def of(cls, features: Features, label: Tensor) -> LabelledRollouts:
        """Keep the rollouts of `features` whose label (n,) is 0 or 1; memory's rows are the queries of `features`."""
        group = torch.from_numpy(features.group)
        known = ((label == 0) | (label == 1)).nonzero().squeeze(1)
        known = known[torch.argsort(group[known], stable=True)]
        counts = torch.bincount(group[known], minlength=len(features.query_ids))
        start = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
        return cls(start, _outline(features)[known].half(), label[known] == 1)

    def nbytes(self) -> int:
        """Bytes held."""
        return self.start.nbytes + self.outline.nbytes + self.right.nbytes


def propagate(
    features: Features,
    neighbours: Tensor,
    cosine: Tensor,
    memory: LabelledRollouts,
    kernel: Kernel = ANYWHERE,
) -> Tensor:
    """Carry labels from memory to a batch.

    Args:
        features: n rollouts of q queries.
        neighbours: (q, k) memory queries, -1 for none.
        cosine: (q, k) their cosines.
        memory: What is labelled.
        kernel: How labels are weighed.

    Returns:
        (n, 2) log-odds, see `COLUMNS`: of the neighbourhood's right share, and by how much the share among rollouts
        that reason alike exceeds it. Zeros without neighbours.
    """
    group = torch.from_numpy(features.group)
    rollout, slot, other = _pairs(group, neighbours, memory.start)
    outline = _outline(features)
    right = memory.right[other].float()
    weight = ((cosine[group[rollout], slot] - 1) / QUERY_WIDTH).exp()
    likeness = (outline[rollout] * memory.outline[other].float()).sum(1)
    alike = weight * ((likeness - 1) / kernel.width).exp()

    def share(weights: Tensor, prior: Tensor | float) -> Tensor:
        total = torch.zeros(len(group)).index_add(0, rollout, weights)
        hits = torch.zeros(len(group)).index_add(0, rollout, weights * right)
        return (hits + kernel.shrink * prior) / (total + kernel.shrink)

    around = share(weight, 0.5)
    return torch.stack([_log_odds(around), _log_odds(share(alike, around)) - _log_odds(around)], 1)


def mean_over_equivalent(values: Tensor, cluster: Tensor) -> Tensor:
    """Give rollouts with equivalent answers one value, since they are right or wrong together.

    Args:
        values: (..., n).
        cluster: (n,) class of equivalent answers, -1 without an answer.

    Returns:
        (..., n): along `agrees_with`, the mean over each class; values of rollouts without an answer stay.
    """
    alone = -1 - torch.arange(len(cluster))
    _, member = torch.unique(torch.where(cluster < 0, alone, cluster), return_inverse=True)
    count = torch.bincount(member).to(values.dtype)
    total = values.new_zeros(*values.shape[:-1], len(count)).index_add(-1, member, values)
    return (total / count)[..., member]


def _pairs(group: Tensor, neighbours: Tensor, start: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """All (rollout of the batch, neighbour slot of its query, labelled rollout of that neighbour)."""
    mine = neighbours[group]
    rollout, slot = (mine >= 0).nonzero(as_tuple=True)
    memory_query = mine[rollout, slot]
    first, count = start[memory_query], start[memory_query + 1] - start[memory_query]
    edge = torch.repeat_interleave(torch.arange(len(count)), count)
    within = torch.arange(len(edge)) - torch.repeat_interleave(count.cumsum(0) - count, count)
    return rollout[edge], slot[edge], first[edge] + within


def _outline(features: Features) -> Tensor:
    if features.outline_vectors is None:
        return torch.zeros(len(features), 1)
    return torch.from_numpy(features.outline_vectors)


def _log_odds(share: Tensor) -> Tensor:
    return torch.log((share + 0.05) / (1.05 - share))
