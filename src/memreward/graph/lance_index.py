"""Nearest labelled queries through LanceDB's IVF index, for memories too large for exact search."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from memreward.graph.neighbours import NeighbourIndex
from memreward.temporary import TemporaryFolder

EXACT_LIMIT = 500_000
"""Memory queries up to which the exact search is used (method notes: LanceDB pays near a million rows)."""
PROBES = 20
"""Partitions that a search looks into."""


def neighbour_index(vectors: Tensor, folds: Tensor, count: int) -> NeighbourIndex | LanceNeighbourIndex:
    """Return the exact index up to `EXACT_LIMIT` rows and the approximate one above; both search alike."""
    kind = NeighbourIndex if len(vectors) <= EXACT_LIMIT else LanceNeighbourIndex
    return kind(vectors, folds, count)


class LanceNeighbourIndex:
    """Approximate search with the interface of `NeighbourIndex`; its table lives in a temporary folder.

    Args:
        vectors: (m, d) unit vectors.
        folds: (m,) fold of each row, in [0, count).
        count: Number of folds; with 1, nothing is left out.
    """

    def __init__(self, vectors: Tensor, folds: Tensor, count: int) -> None:
        # LanceDB takes seconds to import, and memories of the usual size never come here.
        import lancedb
        from lancedb.index import IvfFlat

        folder = TemporaryFolder("neighbours-")
        weakref.finalize(self, folder.remove)
        self._count = count
        flat = pa.array(vectors.numpy().ravel())
        rows = {
            "row": np.arange(len(vectors)),
            "fold": folds.numpy(),
            "vector": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
        }
        self._table = lancedb.connect(folder.path).create_table("queries", pa.table(rows))
        partitions = max(1, int(len(vectors) ** 0.5))
        self._table.create_index("vector", config=IvfFlat(distance_type="cosine", num_partitions=partitions))

    def search(self, vectors: Tensor, k: int, own: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Find about the k nearest rows outside each fold; see `NeighbourIndex.search`."""
        own_row = torch.full((len(vectors),), -1) if own is None else own
        found = [self._search_outside(vectors, fold, k, own_row) for fold in range(self._count)]
        return torch.stack([rows for rows, _ in found]), torch.stack([cosine for _, cosine in found])

    def _search_outside(self, vectors: Tensor, fold: int, k: int, own: Tensor) -> tuple[Tensor, Tensor]:
        query_builder: Any = self._table.search(vectors.numpy())
        search = query_builder.distance_type("cosine").nprobes(PROBES).limit(k + 1)
        if self._count > 1:
            search = search.where(f"fold != {fold}", prefilter=True)
        hits = search.select(["row", "_distance"]).to_arrow()
        # A search for one vector comes back without query_index.
        single = "query_index" not in hits.column_names
        query = np.zeros(len(hits), np.int64) if single else hits["query_index"].to_numpy()
        row, distance = hits["row"].to_numpy(), hits["_distance"].to_numpy()
        kept = row != own.numpy()[query]
        query, row, distance = query[kept], row[kept], distance[kept]
        order = np.lexsort((distance, query))
        query, row, distance = query[order], row[order], distance[order]
        place = np.arange(len(query)) - np.searchsorted(query, query)
        first = place < k
        rows, cosine = torch.full((len(vectors), k), -1), torch.zeros(len(vectors), k)
        at = (torch.from_numpy(query[first]), torch.from_numpy(place[first]))
        rows[at] = torch.from_numpy(row[first].copy())
        cosine[at] = torch.from_numpy(1 - distance[first])
        return rows, cosine
