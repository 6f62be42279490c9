"""Verdicts that were reached before, by the content of what was judged."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

from memreward.sqlite import SqliteFile, select
from memreward.types import Verdict, content_hash

_SCHEMA_VERSION = 1
_FILE = "judged.sqlite"
"""Not verdicts.sqlite, which builds before 0.2 left with other columns."""
_IN_MEMORY = 100_000
_TABLES = ("CREATE TABLE verdicts (key BLOB PRIMARY KEY, correct INTEGER NOT NULL, reason TEXT NOT NULL)",)
_REMEDY = "free some space, delete the file (it only saves time), or name another local folder"


def verdict_key(*parts: str | None) -> str:
    """Return the key of one judgement: the verifier's name, then all that it looks at."""
    return content_hash(json.dumps(parts))


def storable(text: str) -> str:
    """Return a text that every store and stream takes: lone surrogates, which no encoding has, are written out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class VerdictCache:
    """Verdicts of this process and, in `judged.sqlite` of a folder if one is given, of all that use it.

    A "cannot tell" is kept for this process only: a time-out on a busy machine must not stand for good. Safe in
    threads; may be pickled and forked, which leaves the process's part behind.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.path = None if folder is None else Path(folder) / _FILE
        self._file = self.path and SqliteFile(self.path, _TABLES, _SCHEMA_VERSION, noun="verdict cache", remedy=_REMEDY)
        self._lock = threading.Lock()
        self._recent: OrderedDict[str, Verdict] = OrderedDict()

    def __reduce__(self) -> tuple[type[VerdictCache], tuple[Path | None]]:
        return type(self), (self.path and self.path.parent,)

    def get(self, keys: Sequence[str]) -> dict[str, Verdict]:
        """Return the known verdicts among `keys`."""
        with self._lock:
            found = {key: self._recent[key] for key in keys if key in self._recent}
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        if missing and self._file:
            sql = "SELECT key, correct, reason FROM verdicts WHERE {}"
            with self._file.reading() as connection:
                rows = select(connection, sql, "key", map(bytes.fromhex, missing))
                stored = {key.hex(): Verdict(bool(correct), reason) for key, correct, reason in rows}
            self._remember(stored)
            found |= stored
        return found

    def put(self, verdicts: Mapping[str, Verdict]) -> None:
        """Keep verdicts by key; a key that is known keeps its first decision."""
        at_rest = {key: Verdict(verdict.correct, storable(verdict.reason)) for key, verdict in verdicts.items()}
        self._remember(at_rest)
        rows = [
            (bytes.fromhex(key), int(verdict.correct), verdict.reason)
            for key, verdict in at_rest.items()
            if verdict.correct is not None
        ]
        if rows and self._file:
            with self._file.writing() as connection:
                connection.executemany("INSERT OR IGNORE INTO verdicts (key, correct, reason) VALUES (?, ?, ?)", rows)

    def _remember(self, verdicts: Mapping[str, Verdict]) -> None:
        with self._lock:
            self._recent.update(verdicts)
            while len(self._recent) > _IN_MEMORY:
                self._recent.popitem(last=False)
