"""Where computed vectors are kept, keyed by the hash of the text they came from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from memreward.sqlite import SqliteFile, select
from memreward.types import FloatArray

_SCHEMA_VERSION = 1
_TABLES = (
    "CREATE TABLE vectors "
    "(namespace TEXT NOT NULL, hash BLOB NOT NULL, vector BLOB NOT NULL, UNIQUE (namespace, hash))",
)


class VectorStore:
    """Vectors by content hash in one SQLite file, which may be pickled, forked and shared; namespaces never meet."""

    def __init__(self, namespace: str, folder: str | Path | None = None, *, in_process: bool = False) -> None:
        elsewhere = "set MEMREWARD_CACHE to another local folder" if folder is None else "name another local folder"
        remedy = f"free some space, delete the file (it only saves time), or {elsewhere}"
        self.namespace = namespace
        self.path = (
            None if in_process else Path(default_cache_folder() if folder is None else folder) / "vectors.sqlite"
        )
        self._file = SqliteFile(self.path, _TABLES, _SCHEMA_VERSION, noun="vector cache", remedy=remedy)

    @classmethod
    def in_memory(cls) -> VectorStore:
        """Return a store of this process, gone with it."""
        return cls("", in_process=True)

    def get(self, hashes: Sequence[str]) -> dict[str, FloatArray]:
        """Return the known ones among `hashes`, each a (d,) float32 vector."""
        sql = "SELECT hash, vector FROM vectors WHERE namespace = ? AND {}"
        with self._file.reading() as connection:
            rows = select(connection, sql, "hash", map(bytes.fromhex, hashes), self.namespace)
            return {key.hex(): np.frombuffer(blob, dtype="<f4").astype(np.float32) for key, blob in rows}

    def put(self, hashes: Sequence[str], vectors: Sequence[FloatArray] | FloatArray) -> None:
        """Keep vector i under `hashes[i]`; a hash that is known keeps its first vector. They may differ in length."""
        rows = [
            (self.namespace, bytes.fromhex(key), np.asarray(vector, dtype="<f4").tobytes())
            for key, vector in zip(hashes, vectors, strict=True)
        ]
        with self._file.writing() as connection:
            connection.executemany("INSERT OR IGNORE INTO vectors (namespace, hash, vector) VALUES (?, ?, ?)", rows)

    def __len__(self) -> int:
        with self._file.reading() as connection:
            count = connection.execute("SELECT count(*) FROM vectors WHERE namespace = ?", (self.namespace,))
            return int(count.fetchone()[0])


def default_cache_folder() -> Path:
    """Return the folder for vectors: `$MEMREWARD_CACHE`, or memreward's place in the platform's cache folder."""
    if own := os.environ.get("MEMREWARD_CACHE"):
        return Path(own).expanduser()
    return user_cache_path("memreward", appauthor=False, opinion=False)
