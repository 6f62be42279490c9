"""Vectors in an experience memory, by encoder and content hash."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from memreward.data.unicode import escape_surrogates
from memreward.memory.schema import SCHEMAS, vector_schema
from memreward.memory.tables import Tables
from memreward.types import FloatArray, StoreError, content_hash


class MemoryVectors:
    """Vectors of one encoder or reader in a memory: computed once, known to every process that opens it.

    It fits the `VectorStore` that `memreward.features` caches in.
    """

    def __init__(self, tables: Tables, encoder_name: str) -> None:
        self.encoder_name = encoder_name
        self._tables = tables
        self._name = escape_surrogates(encoder_name)
        self._table = f"vectors_{content_hash(encoder_name)[:16]}"

    def get(self, hashes: Sequence[str]) -> dict[str, FloatArray]:
        """Return the known ones among `hashes`, each a (d,) float32 vector."""
        if self._dimension() is None:
            return {}
        rows = self._tables.scan(self._table, column="hash", values=hashes).combine_chunks()
        if not rows.num_rows:
            return {}
        values = pc.list_flatten(rows["vector"]).to_numpy().reshape(rows.num_rows, -1)
        return dict(zip(rows["hash"].to_pylist(), np.array(values, dtype=np.float32), strict=True))

    def put(self, hashes: Sequence[str], vectors: FloatArray) -> None:
        """Keep row i of `vectors` (n, d) under `hashes[i]`; a hash that is known keeps its first vector.

        Raises:
            StoreError: the number or length of the vectors does not fit.
        """
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(hashes):
            raise StoreError(f"{len(hashes)} hashes with vectors of shape {vectors.shape}; give one row for each hash")
        if not len(hashes):
            return
        first = {key: index for index, key in reversed(list(enumerate(hashes)))}
        chosen = vectors[list(first.values())]
        column = pa.FixedSizeListArray.from_arrays(pa.array(chosen.ravel()), vectors.shape[1])
        schema = vector_schema(vectors.shape[1])
        self.put_rows(pa.Table.from_arrays([pa.array(list(first)), column], schema=schema))

    def put_rows(self, rows: pa.Table) -> None:
        """Keep rows of `schema.vector_schema`, with distinct hashes."""
        dimension = rows.schema.field("vector").type.list_size
        with self._tables.lock():
            known = self._dimension()
            if known not in (None, dimension):
                raise StoreError(
                    f"encoder {self.encoder_name!r} has vectors of length {known} in this memory, not {dimension}; "
                    "give encoders of another length another name"
                )
            if known is None:
                self._tables.ensure(self._table, rows.schema)
                entry = {"name": self._name, "table": self._table, "dimension": dimension}
                self._tables.insert("encoders", pa.Table.from_pylist([entry], schema=SCHEMAS["encoders"]))
            self._tables.insert(self._table, rows)

    def __len__(self) -> int:
        return 0 if self._dimension() is None else self._tables.count(self._table)

    def _dimension(self) -> int | None:
        rows = self._tables.scan("encoders", ["dimension"], column="name", values=[self._name])
        return int(rows["dimension"][0].as_py()) if rows.num_rows else None
