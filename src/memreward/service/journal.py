"""What the service has promised, in one SQLite file: answers by name, and the steps that the saved state lacks.

The reward's state is megabytes and changes with every step, so it is saved now and then. What was scored since is a
few ids a step: doing these steps again, in their order, leads to the same state.
"""

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from memreward.integrations.client import Scored
from memreward.sqlite import SqliteFile, select
from memreward.types import content_hash

_VERSION = 1
_TABLES = (
    "CREATE TABLE answers (name TEXT PRIMARY KEY, text TEXT NOT NULL, answer TEXT NOT NULL, at REAL NOT NULL)",
    "CREATE TABLE steps (number INTEGER PRIMARY KEY, step INTEGER NOT NULL, rollouts TEXT NOT NULL)",
    "CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL, live TEXT NOT NULL)",
)


class Kept(NamedTuple):
    """An answer that was given.

    Attributes:
        text: Hash of the rollout's text.
    """

    text: str
    answer: Scored


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
        remedy = "choose another folder, or move this one away: labels are in the ledger"
        self._file = SqliteFile(file, _TABLES, _VERSION, noun="journal of the service", remedy=remedy, durable=True)
        self._most = most

    @property
    def saved(self) -> tuple[int, list[tuple[bool, bool]]] | None:
        """What `save` was told last."""
        with self._file.reading() as connection:
            row = connection.execute("SELECT number, live FROM state").fetchone()
        return None if row is None else (row["number"], [(held, truth) for held, truth in json.loads(row["live"])])

    def undone(self) -> list[Done]:
        """Return the steps since the reward was saved, in order."""
        with self._file.reading() as connection:
            rows = connection.execute("SELECT step, rollouts FROM steps ORDER BY number").fetchall()
        return [Done(step, [(query, rollout) for query, rollout in json.loads(ids)]) for step, ids in rows]

    def answers(self, names: Sequence[str]) -> dict[str, Kept]:
        """Return those of the answers that were given and are still kept, by name."""
        with self._file.reading() as connection:
            rows = list(select(connection, "SELECT name, text, answer FROM answers WHERE {}", "name", names))
        return {name: Kept(text, Scored(**json.loads(answer))) for name, text, answer in rows}

    def commit(self, answers: Iterable[tuple[str, str, Scored]], done: Iterable[Done]) -> None:
        """Keep answers (name, text, answer) and the steps that led to them: all or, on a failure, nothing."""
        now = time.time()
        rows = [(name, content_hash(text), json.dumps(answer.record()), now) for name, text, answer in answers]
        steps = [(one.step, json.dumps(one.rollouts)) for one in done]
        with self._file.writing() as connection:
            connection.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)", rows)
            connection.executemany("INSERT INTO steps (step, rollouts) VALUES (?, ?)", steps)
            last = connection.execute("SELECT max(rowid) FROM answers").fetchone()[0] or 0
            connection.execute("DELETE FROM answers WHERE rowid <= ?", (last - self._most,))

    def save(self, number: int, live: Iterable[tuple[bool, bool]]) -> None:
        """Note that the reward was saved under a number, and what the live rates are of; forget the steps before."""
        with self._file.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO state VALUES (1, ?, ?)", (number, json.dumps(list(live))))
            connection.execute("DELETE FROM steps")
