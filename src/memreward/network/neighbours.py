"""Nearest labelled queries by cosine."""

from __future__ import annotations

import torch
from torch import Tensor


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
