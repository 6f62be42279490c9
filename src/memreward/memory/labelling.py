"""What a labelling must remember beside the ledger, durably: who has what open, skips, flags, predictions."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from memreward.memory.store import ExperienceMemory
from memreward.sqlite import SqliteFile, stored

FLAGGED = "people flagged this question as broken"
"""Why nothing is said of it."""
DECIDED, UNDONE, SKIPPED, BROKEN, PROPOSED = "decided", "undone", "skipped", "broken", "proposed"
FILE = "labelling.sqlite"

_VERSION = 1
_TABLES = (
    "CREATE TABLE events (id INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, query_id TEXT NOT NULL, "
    "annotator TEXT NOT NULL, data TEXT NOT NULL)",
    "CREATE TABLE leases (query_id TEXT PRIMARY KEY, annotator TEXT NOT NULL, until REAL NOT NULL)",
)


class Proposed(NamedTuple):
    """A question that a training would have labelled: what its label is expected to change, and why it is asked."""

    gain: float
    why: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that an annotator did, or a training.

    Attributes:
        kind: "decided", "undone", "skipped", "broken" or "proposed".
        query_id: The question; "" of proposals.
        annotator: Who; "" is a training.
        data: Of a decision: "verdicts" by rollout id (one rollout an answer), "kind", "seconds", "second" and
            "predicted"; of a skip: "reason"; of an undoing: "event", the id of what it takes back; of
            proposals: "questions", all that wait from then on.
    """

    id: int
    time: float
    kind: str
    query_id: str
    annotator: str
    data: Mapping[str, Any] = field(default_factory=dict)


class Journal:
    """Events and leases of all annotators of one memory; without a path they are kept in this process only.

    Raises StoreError where the file cannot be used, SchemaVersionError where a newer release made it.
    """

    def __init__(self, path: str | Path | None, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        place = None if path is None else Path(path)
        remedy = "choose another folder, or move the file away: labels are in the ledger"
        # The page says that a judgement is kept: so it must be on the disk, not only with the system.
        self._file = SqliteFile(place, _TABLES, _VERSION, noun="journal of labelling", remedy=remedy, durable=True)

    def add(self, kind: str, query_id: str, annotator: str, data: Mapping[str, Any] | None = None) -> Event:
        now, told = self._clock(), dict(data or {})
        sql = "INSERT INTO events (time, kind, query_id, annotator, data) VALUES (?, ?, ?, ?, ?)"
        with self._file.writing() as connection:
            cursor = connection.execute(sql, (now, kind, stored(query_id), stored(annotator), json.dumps(told)))
        return Event(int(cursor.lastrowid or 0), now, kind, query_id, annotator, told)

    def events(self) -> list[Event]:
        """Return what stands, in order: what was undone, and the undoing itself, are left out."""
        found = self.history()
        gone = {event.data["event"] for event in found if event.kind == UNDONE}
        return [event for event in found if event.kind != UNDONE and event.id not in gone]

    def propose(self, questions: Mapping[str, Proposed]) -> None:
        self.add(PROPOSED, "", "", {"questions": questions})

    def proposed(self) -> dict[str, Proposed]:
        """Return the questions that are to be asked first, the most uncertain first."""
        with self._file.reading() as connection:
            sql = "SELECT data FROM events WHERE kind = 'proposed' ORDER BY id DESC LIMIT 1"
            row = connection.execute(sql).fetchone()
        return {} if row is None else {key: Proposed(*one) for key, one in json.loads(row["data"])["questions"].items()}

    def broken(self) -> frozenset[str]:
        """Return the questions that somebody flagged as broken and nobody took back."""
        undone = "SELECT json_extract(data, '$.event') FROM events WHERE kind = 'undone'"
        with self._file.reading() as connection:
            sql = f"SELECT DISTINCT query_id FROM events WHERE kind = 'broken' AND id NOT IN ({undone})"
            return frozenset(row["query_id"] for row in connection.execute(sql))

    def last(self) -> int:
        with self._file.reading() as connection:
            return int(connection.execute("SELECT COALESCE(MAX(id), 0) FROM events").fetchone()[0])

    def history(self) -> list[Event]:
        with self._file.reading() as connection:
            rows = connection.execute("SELECT id, time, kind, query_id, annotator, data FROM events ORDER BY id")
            return [Event(i, t, kind, query, who, json.loads(data)) for i, t, kind, query, who, data in rows]

    def lease(self, query_id: str, annotator: str, seconds: float) -> bool:
        """Give an annotator a question for so long, or longer if it is theirs; False where another has it open."""
        now = self._clock()
        sql = (
            "INSERT INTO leases VALUES (?, ?, ?) ON CONFLICT (query_id) DO UPDATE SET annotator = excluded.annotator, "
            "until = excluded.until WHERE leases.until <= ? OR leases.annotator = excluded.annotator"
        )
        with self._file.writing() as connection:
            return connection.execute(sql, (stored(query_id), stored(annotator), now + seconds, now)).rowcount > 0

    def release(self, query_id: str, annotator: str) -> None:
        with self._file.writing() as connection:
            sql = "DELETE FROM leases WHERE query_id = ? AND annotator = ?"
            connection.execute(sql, (stored(query_id), stored(annotator)))

    def leases(self) -> dict[str, str]:
        with self._file.reading() as connection:
            rows = connection.execute("SELECT query_id, annotator FROM leases WHERE until > ?", (self._clock(),))
            return dict(map(tuple, rows))


def flagged(memory: ExperienceMemory) -> frozenset[str]:
    """Return the questions of a memory that people flagged as broken: nothing is to be said of them.

    Raises StoreError where the journal of labelling cannot be read.
    """
    file = Path(memory.uri) / FILE
    return Journal(file).broken() if file.exists() else frozenset()
