"""What the paper's graph is made of, the one builder of its edges, and the nearest labelled queries by cosine."""

from __future__ import annotations

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


def similarity_edges(neighbours: Tensor, cosine: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """`similar_to` edges, (2, m) from memory to query, and their (m, 1) cosines, of at most `count` neighbours a query.

    Given are (q, c) indices of memory queries, nearest first, -1 for one not to be used, and their cosines.
    """
    usable = neighbours >= 0
    kept = usable & (usable.cumsum(dim=1) <= count)
    target, column = kept.nonzero(as_tuple=True)
    return torch.stack([neighbours[target, column], target]), cosine[target, column].unsqueeze(1)


class NeighbourIndex:
    """Exact search among memory's (m, d) unit vectors, cut into `count` folds; with 1, nothing is left out.

    A search answers once per fold, blind to that fold: model f of a cross-fitted ensemble sees no query of fold f.
    """

    def __init__(self, vectors: Tensor, folds: Tensor, count: int) -> None:
        self._vectors = vectors
        self._hidden = [(folds == fold) & (count > 1) for fold in range(count)]

    def search(self, vectors: Tensor, k: int, own: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Find the k nearest rows outside each fold for (b, d) unit vectors: (count, b, k) rows, -1 for none; cosines.

        `own` (b,) is the row that is the searcher itself and never its own neighbour; -1 for none.
        """
        missing = max(0, k - len(self._vectors))
        cosine = torch.nn.functional.pad(vectors @ self._vectors.T, (0, missing), value=-torch.inf)
        if own is not None:
            cosine = cosine.masked_fill(torch.arange(cosine.shape[1]) == own[:, None], -torch.inf)
        hidden = [torch.nn.functional.pad(fold, (0, missing)) for fold in self._hidden]
        top = torch.stack([cosine.masked_fill(fold, -torch.inf) for fold in hidden]).topk(k, dim=2)
        nothing = torch.isinf(top.values)
        return top.indices.masked_fill(nothing, -1), top.values.masked_fill(nothing, 0.0)
