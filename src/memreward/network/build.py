"""The one builder of edges, for warmup and for serving, from `Features` alone. Group sizes are free."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from memreward.network import schema
from memreward.network.schema import GraphConfig, Relation
from memreward.types import Features, IntArray


def structural_edges(features: Features, config: GraphConfig) -> dict[Relation, Tensor]:
    """Edges inside a batch: everything but `similar_to`.

    Args:
        features: n rollouts of q queries.
        config: Which relations to build.

    Returns:
        Per relation a (2, m) int64 tensor of source and target: queries by their index in `features.query_ids`,
        thinkings and answers by the index of their rollout. A rollout without an answer has no answer edges.
    """
    rollout = np.arange(len(features))
    answered = rollout[features.cluster >= 0]
    edges: dict[Relation, IntArray] = {
        schema.ASKS: np.stack([features.group, rollout]),
        schema.YIELDS: np.stack([answered, answered]),
        schema.ANSWERED_WITH: np.stack([features.group[answered], answered]),
    }
    edges[schema.ASKED_BY] = edges[schema.ASKS][::-1]
    edges[schema.YIELDED_BY] = edges[schema.YIELDS]
    edges[schema.ANSWERS] = edges[schema.ANSWERED_WITH][::-1]
    wanted = config.relations()
    if schema.AGREES_WITH in wanted:
        edges[schema.AGREES_WITH] = pairs_within(features.cluster)
    if schema.NEAR in wanted:
        edges[schema.NEAR] = _nearest_thinkings(features, config.near)
    return {
        relation: torch.from_numpy(np.ascontiguousarray(edges[relation]))
        for relation in wanted
        if relation != schema.SIMILAR_TO
    }


def pairs_within(label: IntArray) -> IntArray:
    """All ordered pairs of different positions that share a non-negative label.

    Args:
        label: (n,) integers; negative ones join nothing.

    Returns:
        (2, m) positions, sorted by target; m is the sum of s (s - 1) over classes of size s.
    """
    order = np.argsort(label, kind="stable")
    order = order[label[order] >= 0]
    if not len(order):
        return np.zeros((2, 0), dtype=np.int64)
    _, starts, sizes = np.unique(label[order], return_index=True, return_counts=True)
    size_of, start_of = np.repeat(sizes, sizes), np.repeat(starts, sizes)
    target = np.repeat(np.arange(len(order)), size_of)
    first = np.repeat(np.cumsum(size_of) - size_of, size_of)
    source = start_of[target] + np.arange(len(target)) - first
    different = source != target
    return np.stack([order[source[different]], order[target[different]]])


def _nearest_thinkings(features: Features, count: int) -> IntArray:
    source, target = pairs_within(features.group)
    cosine = np.einsum("md,md->m", features.thinking_vectors[source], features.thinking_vectors[target])
    order = np.lexsort((-cosine, target))
    by_target = target[order]
    rank = np.arange(len(order)) - np.searchsorted(by_target, by_target)
    kept = order[rank < count]
    return np.stack([source[kept], target[kept]])


def similarity_edges(neighbours: Tensor, cosine: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """`similar_to` edges from lists of candidate neighbours.

    Args:
        neighbours: (q, c) indices of memory queries, nearest first; -1 where there is none or it must not be used.
        cosine: (q, c) their cosines.
        count: How many to keep a query, at most.

    Returns:
        (2, m) edges from memory to query, and (m, 1) cosines as edge attributes.
    """
    usable = neighbours >= 0
    kept = usable & (usable.cumsum(dim=1) <= count)
    target, column = kept.nonzero(as_tuple=True)
    return torch.stack([neighbours[target, column], target]), cosine[target, column].unsqueeze(1)
