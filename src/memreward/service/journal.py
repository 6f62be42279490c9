"""What the service has promised, in one SQLite file: answers by name, and the steps that the saved state lacks.

The reward's state is megabytes and changes with every step, so it is saved now and then. What was scored since is a
few ids a step: doing these steps again, in their order, leads to the same state.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from memreward.service.asked import Answer
from memreward.types import StoreError, content_hash

_NAMES_PER_STATEMENT = 500
_TABLES = """
CREATE TABLE IF NOT EXISTS answers (name TEXT PRIMARY KEY, text TEXT NOT NULL, answer TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS steps (number INTEGER PRIMARY KEY, step INTEGER NOT NULL, rollouts TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL);
"""


class Kept(NamedTuple):
    """An answer that was given.

    Attributes:
        text: Hash of the rollout's text.
    """

    text: str
    answer: Answer


class Done(NamedTuple):
    """A step that the reward was asked to do.

    Attributes:
        rollouts: Query id and rollout id of each rollout, in order; memory holds them.
    """

    step: int
    rollouts: Sequence[tuple[str, str]]


class Journal:
    """Answers that were promised, `most` at most; a commit is on disk, whole, before anybody is answered.

    Without a file they are kept in this process. Safe from several threads. Raises StoreError where the file cannot be
    used.
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
    def saved(self) -> int | None:
        rows = self._rows("SELECT number FROM state")
        return int(rows[0][0]) if rows else None

    def undone(self) -> list[Done]:
        """Return the steps since the reward was saved, in order."""
        rows = self._rows("SELECT step, rollouts FROM steps ORDER BY number")
        return [Done(int(step), [(query, rollout) for query, rollout in json.loads(ids)]) for step, ids in rows]

    def answers(self, names: Sequence[str]) -> dict[str, Kept]:
        """Return those of the answers that were given and are still kept, by name."""
        found: dict[str, Kept] = {}
        for some, marks in _portions(names):
            rows = self._rows(f"SELECT name, text, answer FROM answers WHERE name IN ({marks})", some)
            found.update((name, Kept(text, Answer(**json.loads(answer)))) for name, text, answer in rows)
        return found

    def commit(self, answers: Iterable[tuple[str, str, Answer]], done: Iterable[Done]) -> None:
        """Keep answers (name, text, answer) and the steps that led to them: all or, on a failure, nothing."""
        now = time.time()
        rows = [(name, content_hash(text), json.dumps(answer.record()), now) for name, text, answer in answers]
        with self._written() as database:
            database.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)", rows)
            steps = [(one.step, json.dumps(one.rollouts)) for one in done]
            database.executemany("INSERT INTO steps (step, rollouts) VALUES (?, ?)", steps)
            last = database.execute("SELECT max(rowid) FROM answers").fetchone()[0] or 0
            database.execute("DELETE FROM answers WHERE rowid <= ?", (last - self._most,))

    def save(self, number: int) -> None:
        """Note that the reward was saved under a number, and forget the steps before."""
        with self._written() as database:
            database.execute("INSERT OR REPLACE INTO state VALUES (1, ?)", (number,))
            database.execute("DELETE FROM steps")

    def close(self) -> None:
        with self._lock:
            self._database.close()

    @contextmanager
    def _written(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock, self._database:
                yield self._database
        except sqlite3.Error as error:
            raise self._error("written", error) from error

    def _rows(self, statement: str, values: Sequence[str] = ()) -> list[tuple[str, ...]]:
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
