"""Verdicts that were reached before, by the content of what was judged."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from memreward.types import SchemaVersionError, StoreError, Verdict, content_hash

_SCHEMA_VERSION = 1
_IN_MEMORY = 100_000
_KEYS_PER_STATEMENT = 500  # SQLite builds allow at least 999 parameters
_SECONDS_TO_WAIT_FOR_LOCK = 60.0
_REMEDY = "free some space, delete the file (it only saves time), or name another local folder"


def verdict_key(*parts: str | None) -> str:
    """Return the key of one judgement: the verifier's name, then all that it looks at."""
    return content_hash(json.dumps(parts))


def storable(text: str) -> str:
    """Return a text that every store and stream takes: lone surrogates, which no encoding has, are written out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _storable_values(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable(str(key)): _storable_values(held) for key, held in value.items()}
    return [_storable_values(item) for item in value] if isinstance(value, list | tuple) else value


class VerdictCache:
    """Verdicts of this process and, in one SQLite file, of all processes that use it.

    A "cannot tell" is kept for this process only: a time-out on a busy machine must not stand for good. Every write to
    the file is one transaction. Safe in threads; may be pickled and forked, which leaves the process's part behind.

    Args:
        folder: Holds `verdicts.sqlite`, made if absent, on a local disk. None keeps verdicts in this process alone.

    Raises:
        StoreError: the file cannot be made, read or written.
        SchemaVersionError: a newer release of memreward made it.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.path = None if folder is None else Path(folder) / "verdicts.sqlite"
        self._lock = threading.Lock()
        self._recent: OrderedDict[str, Verdict] = OrderedDict()
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make the cache folder {self.path.parent}: {error}; {_REMEDY}") from error
        with self._connection() as connection:
            self._create_table(connection)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.path = state["path"]
        self._lock = threading.Lock()
        self._recent = OrderedDict()

    def get(self, keys: Sequence[str]) -> dict[str, Verdict]:
        """Return the known verdicts among `keys`, each with `seconds` 0."""
        with self._lock:
            found = {key: self._recent[key] for key in keys if key in self._recent}
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        if missing and self.path is not None:
            stored = self._stored(missing)
            self._remember(stored)
            found |= stored
        return found

    def put(self, verdicts: Mapping[str, Verdict]) -> None:
        """Keep verdicts by key; a key that is known keeps its first decision."""
        at_rest = {
            key: Verdict(verdict.correct, storable(verdict.reason), 0.0, _storable_values(dict(verdict.details)))
            for key, verdict in verdicts.items()
        }
        self._remember(at_rest)
        rows = [
            (bytes.fromhex(key), int(verdict.correct), verdict.reason, json.dumps(dict(verdict.details)))
            for key, verdict in at_rest.items()
            if verdict.correct is not None
        ]
        if rows and self.path is not None:
            with self._connection() as connection, connection:
                connection.executemany("INSERT OR IGNORE INTO verdicts VALUES (?, ?, ?, ?)", rows)

    def _remember(self, verdicts: Mapping[str, Verdict]) -> None:
        with self._lock:
            self._recent.update(verdicts)
            while len(self._recent) > _IN_MEMORY:
                self._recent.popitem(last=False)

    def _stored(self, keys: Sequence[str]) -> dict[str, Verdict]:
        found = {}
        with self._connection() as connection:
            for begin in range(0, len(keys), _KEYS_PER_STATEMENT):
                some = keys[begin : begin + _KEYS_PER_STATEMENT]
                marks = ",".join("?" * len(some))
                rows = connection.execute(
                    f"SELECT key, correct, reason, details FROM verdicts WHERE key IN ({marks})",
                    [bytes.fromhex(key) for key in some],
                )
                for key, correct, reason, details in rows:
                    found[key.hex()] = Verdict(bool(correct), reason, 0.0, json.loads(details))
        return found

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        assert self.path is not None
        try:
            with closing(sqlite3.connect(self.path, timeout=_SECONDS_TO_WAIT_FOR_LOCK)) as connection:
                connection.execute("PRAGMA synchronous = NORMAL")
                yield connection
        except sqlite3.Error as error:
            raise StoreError(f"cannot use the verdict cache {self.path}: {error}; {_REMEDY}") from error

    def _create_table(self, connection: sqlite3.Connection) -> None:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > _SCHEMA_VERSION:
            raise SchemaVersionError(
                f"the verdict cache {self.path} has schema version {version}, this release reads {_SCHEMA_VERSION}: "
                "update memreward, or name another folder"
            )
        if version == _SCHEMA_VERSION:
            return
        connection.execute("PRAGMA journal_mode = WAL")
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS verdicts "
                "(key BLOB PRIMARY KEY, correct INTEGER NOT NULL, reason TEXT NOT NULL, details TEXT NOT NULL)"
            )
            connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
