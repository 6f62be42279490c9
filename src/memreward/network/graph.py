"""What the paper's graph is made of, and the one builder of its edges, for warmup and for serving."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from memreward.network.config import NetworkConfig
from memreward.types import Features, IntArray

Relation = tuple[str, str, str]

QUERY, THINKING, ANSWER = "query", "thinking", "answer"
MEMORY = "memory"
"""Labelled queries of memory, seen as sources only: messages flow from them and never back."""

ASKS: Relation = (QUERY, "asks", THINKING)
ASKED_BY: Relation = (THINKING, "asked_by", QUERY)
YIELDS: Relation = (THINKING, "yields", ANSWER)
YIELDED_BY: Relation = (ANSWER, "yielded_by", THINKING)
ANSWERED_WITH: Relation = (QUERY, "answered_with", ANSWER)
ANSWERS: Relation = (ANSWER, "answers", QUERY)
SIMILAR_TO: Relation = (MEMORY, "similar_to", QUERY)

NODE_TYPES = (QUERY, THINKING, ANSWER)


def relations(config: NetworkConfig) -> tuple[Relation, ...]:
    """Relations that carry messages; without thinking nodes, queries and answers are joined directly."""
    if config.ablation == "no_graph":
        return ()
    inside = (ANSWERED_WITH, ANSWERS) if config.ablation == "no_thinking" else (ASKS, ASKED_BY, YIELDS, YIELDED_BY)
    return (*inside, SIMILAR_TO)


def structural_edges(features: Features, config: NetworkConfig) -> dict[Relation, Tensor]:
    """Edges inside a batch of n rollouts of q queries: everything but `similar_to`.

    Per relation a (2, m) int64 tensor of source and target: queries by their index in `features.query_ids`, thinkings
    and answers by the index of their rollout. A rollout without an answer has no answer edges.
    """
    rollout = np.arange(len(features))
    answered = rollout[features.cluster >= 0]
    edges: dict[Relation, IntArray] = {
        ASKS: np.stack([features.group, rollout]),
        YIELDS: np.stack([answered, answered]),
        ANSWERED_WITH: np.stack([features.group[answered], answered]),
    }
    edges[ASKED_BY] = edges[ASKS][::-1]
    edges[YIELDED_BY] = edges[YIELDS]
    edges[ANSWERS] = edges[ANSWERED_WITH][::-1]
    wanted = [relation for relation in relations(config) if relation != SIMILAR_TO]
    return {relation: torch.from_numpy(np.ascontiguousarray(edges[relation])) for relation in wanted}


def similarity_edges(neighbours: Tensor, cosine: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """`similar_to` edges, (2, m) from memory to query, and their (m, 1) cosines, of at most `count` neighbours a query.

    Given are (q, c) indices of memory queries, nearest first, -1 for one not to be used, and their cosines.
    """
    usable = neighbours >= 0
    kept = usable & (usable.cumsum(dim=1) <= count)
    target, column = kept.nonzero(as_tuple=True)
    return torch.stack([neighbours[target, column], target]), cosine[target, column].unsqueeze(1)
