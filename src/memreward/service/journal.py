"""What the service has promised: answers by name, and which state of the reward they led to, in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from memreward.service.asked import Answer
from memreward.types import StoreError, content_hash

_NAMES_PER_STATEMENT = 500
_TABLES = """
CREATE TABLE IF NOT EXISTS answers (name TEXT PRIMARY KEY, text TEXT NOT NULL, answer TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS learned (name TEXT PRIMARY KEY, correct INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1), generation INTEGER NOT NULL);
INSERT OR IGNORE INTO state VALUES (1, 0);
"""


class Kept(NamedTuple):
    """An answer that was given.

    Attributes:
        text: Hash of the rollout's text.
        answer: The same answer again.
    """

    text: str
    answer: Answer


class Journal:
    """Answers that were promised; a commit is on disk, whole, before anybody is answered. Safe from several threads.

    Args:
        file: Where; None keeps it in this process.
        most: Answers that are kept; the oldest go first.

    Raises:
        StoreError: the file cannot be opened, or is none of ours.
    """

    def __init__(self, file: Path | None, most: int) -> None:
        self._file, self._most, self._lock = file, most, threading.Lock()
        try:
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(file or ":memory:", check_same_thread=False, timeout=30)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            raise self._error("opened", error) from error

    @property
    def generation(self) -> int:
        """Number of the reward's state that stands; 0 before any was written."""
        with self._lock:
            return int(self._database.execute("SELECT generation FROM state").fetchone()[0])

    def answers(self, names: Sequence[str]) -> dict[str, Kept]:
        """Return those of the answers that were given and are still kept, by name.

        Raises:
            StoreError: the file cannot be read.
        """
        found: dict[str, Kept] = {}
        for some, marks in _portions(names):
            rows = self._rows(f"SELECT name, text, answer FROM answers WHERE name IN ({marks})", some)
            found.update((name, Kept(text, Answer(**json.loads(answer)))) for name, text, answer in rows)
        return found

    def learned(self, names: Sequence[str]) -> dict[str, bool]:
        """Return the verdicts from outside that the reward has learned from, by name.

        Raises:
            StoreError: the file cannot be read.
        """
        found: dict[str, bool] = {}
        for some, marks in _portions(names):
            rows = self._rows(f"SELECT name, correct FROM learned WHERE name IN ({marks})", some)
            found.update((name, bool(correct)) for name, correct in rows)
        return found

    def commit(
        self,
        answers: Iterable[tuple[str, str, Answer]] = (),
        learned: Mapping[str, bool] | None = None,
        generation: int | None = None,
    ) -> None:
        """Keep answers (name, text, answer), what was learned, and the state's number: all or, on a failure, nothing.

        Raises:
            StoreError: the file cannot be written.
        """
        now = time.time()
        rows = [(name, content_hash(text), json.dumps(asdict(answer)), now) for name, text, answer in answers]
        try:
            with self._lock, self._database:
                self._database.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)", rows)
                self._database.executemany("INSERT OR REPLACE INTO learned VALUES (?, ?)", (learned or {}).items())
                if generation is not None:
                    self._database.execute("UPDATE state SET generation = ?", (generation,))
                last = self._database.execute("SELECT max(rowid) FROM answers").fetchone()[0] or 0
                self._database.execute("DELETE FROM answers WHERE rowid <= ?", (last - self._most,))
        except sqlite3.Error as error:
            raise self._error("written", error) from error

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()

    def _rows(self, statement: str, values: Sequence[str]) -> list[tuple[str, ...]]:
        try:
            with self._lock, closing(self._database.execute(statement, values)) as cursor:
                return cursor.fetchall()
        except sqlite3.Error as error:
            raise self._error("read", error) from error

    def _error(self, what: str, error: Exception) -> StoreError:
        return StoreError(f"the service's journal {self._file or 'in memory'} cannot be {what}: {error}")


def _portions(names: Sequence[str]) -> Iterable[tuple[Sequence[str], str]]:
    for start in range(0, len(names), _NAMES_PER_STATEMENT):
        some = names[start : start + _NAMES_PER_STATEMENT]
        yield some, ",".join("?" * len(some))
