"""What the paper's graph is made of, the one builder of its edges, and the nearest labelled queries by cosine."""

import numpy as np
import torch
from torch import Tensor

from memreward.types import Features, IntArray

Relation = tuple[str, str, str]

QUERY, THINKING, ANSWER = "query", "thinking", "answer"
MEMORY = "memory"
"""Labelled queries of memory, seen as sources only: messages flow from them and never back."""

ASKS: Relation = (QUERY, "asks", THINKING)
ASKED_BY: Relation = (THINKING, "asked_by", QUERY)
YIELDS: Relation = (THINKING, "yields", ANSWER)
YIELDED_BY: Relation = (ANSWER, "yielded_by", THINKING)
SIMILAR_TO: Relation = (MEMORY, "similar_to", QUERY)

NODE_TYPES = (QUERY, THINKING, ANSWER)
RELATIONS = (ASKS, ASKED_BY, YIELDS, YIELDED_BY, SIMILAR_TO)
"""Those that carry messages."""


def structural_edges(features: Features) -> dict[Relation, Tensor]:
    """Edges inside a batch of n rollouts of q queries: everything but `similar_to`.

    Per relation a (2, m) int64 tensor of source and target: queries by their index in `features.query_ids`, thinkings
    and answers by the index of their rollout. A rollout without an answer has no answer edges.
    """
    rollout = np.arange(len(features))
    answered = rollout[features.cluster >= 0]
    edges: dict[Relation, IntArray] = {
        ASKS: np.stack([features.group, rollout]),
        ASKED_BY: np.stack([rollout, features.group]),
        YIELDS: np.stack([answered, answered]),
        YIELDED_BY: np.stack([answered, answered]),
    }
    return {relation: torch.from_numpy(pairs) for relation, pairs in edges.items()}


def nearest(vectors: Tensor, memory: Tensor, k: int, own: Tensor) -> tuple[Tensor, Tensor]:
    """Find the k nearest of (m, d) unit vectors of memory for (b, d) others: (b, k) rows, -1 for none; cosines.

    `own` (b,) is the row that is the searcher itself and never its own neighbour; -1 for none.
    """
    missing = max(0, k - len(memory))
    cosine = torch.nn.functional.pad(vectors @ memory.T, (0, missing), value=-torch.inf)
    top = cosine.masked_fill(torch.arange(cosine.shape[1]) == own[:, None], -torch.inf).topk(k, dim=1)
    nothing = torch.isinf(top.values)
    return top.indices.masked_fill(nothing, -1), top.values.masked_fill(nothing, 0.0)


def similarity_edges(neighbours: Tensor, cosine: Tensor) -> tuple[Tensor, Tensor]:
    """`similar_to` edges, (2, m) from memory to query, and their (m, 1) cosines.

    Given are (q, k) indices of memory queries, -1 for none, and their cosines.
    """
    target, column = (neighbours >= 0).nonzero(as_tuple=True)
    return torch.stack([neighbours[target, column], target]), cosine[target, column].unsqueeze(1)
