"""Nearest labelled queries by cosine: exact blocks of a matrix product, so no all-pairs matrix ever exists."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 65_536
"""Memory rows compared at a time; bounds working memory to (batch x BLOCK) floats."""


class NeighbourIndex:
    """Exact search among memory's query vectors, cut into folds.

    A search answers once per fold, blind to that fold: model f of a cross-fitted ensemble sees no query of fold f.

    Args:
        vectors: (m, d) unit vectors.
        folds: (m,) fold of each row, in [0, count).
        count: Number of folds; with 1, nothing is left out.
    """

    def __init__(self, vectors: Tensor, folds: Tensor, count: int) -> None:
        self._order = torch.argsort(folds, stable=True)
        self._vectors = vectors[self._order].contiguous()
        self._ends = torch.bincount(folds, minlength=count).cumsum(0).tolist()
        self._count = count

    def search(self, vectors: Tensor, k: int, own: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Find the k nearest rows outside each fold.

        Args:
            vectors: (b, d) unit vectors.
            k: Neighbours wanted.
            own: (b,) row that is the searcher itself and never its own neighbour; -1 for none.

        Returns:
            (count, b, k) rows, nearest first, -1 where memory holds fewer; and (count, b, k) cosines.
        """
        own_row = torch.full((len(vectors),), -1) if own is None else own
        starts = [0, *self._ends[:-1]]
        parts = [self._search_range(vectors, k, own_row, a, b) for a, b in zip(starts, self._ends, strict=True)]
        found = [
            self._merge([p for g, p in enumerate(parts) if g != f or self._count == 1], k) for f in range(len(parts))
        ]
        return torch.stack([rows for rows, _ in found]), torch.stack([cosine for _, cosine in found])

    def _search_range(self, vectors: Tensor, k: int, own: Tensor, start: int, end: int) -> tuple[Tensor, Tensor]:
        best = (torch.full((len(vectors), k), -1), torch.full((len(vectors), k), -torch.inf))
        for a in range(start, end, BLOCK):
            rows = self._order[a : min(a + BLOCK, end)]
            cosine = vectors @ self._vectors[a : a + len(rows)].T
            cosine = cosine.masked_fill(rows[None, :] == own[:, None], -torch.inf)
            top = cosine.topk(min(k, len(rows)), dim=1)
            best = self._merge([best, (rows[top.indices], top.values)], k)
        return best

    @staticmethod
    def _merge(parts: list[tuple[Tensor, Tensor]], k: int) -> tuple[Tensor, Tensor]:
        rows, cosine = torch.cat([p[0] for p in parts], 1), torch.cat([p[1] for p in parts], 1)
        top = cosine.topk(k, dim=1)
        found = rows.gather(1, top.indices).masked_fill(torch.isinf(top.values), -1)
        return found, top.values.masked_fill(torch.isinf(top.values), 0.0)
