"""Sealed ground truth and ledger entries as an experience memory keeps them: what its label ledger works on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from operator import itemgetter
from typing import Any

from memreward.memory.entries import LedgerEntry
from memreward.memory.ledger import SealedTruth
from memreward.memory.schema import ENTRY_COLUMNS
from memreward.sqlite import SqliteFile, insert, select
from memreward.types import Group


class SealedStore:
    """The `LedgerBackend` of a memory."""

    def __init__(self, file: SqliteFile, groups: Callable[[Sequence[str]], list[Group]]) -> None:
        self._file = file
        self._groups = groups

    def datasets(self) -> dict[str, str]:
        rows = self._rows("SELECT id, dataset FROM queries WHERE {} ORDER BY number", "id", None)
        return {row["id"]: row["dataset"] for row in rows}

    def groups(self, query_ids: Sequence[str]) -> list[Group]:
        return self._groups(query_ids)

    def truths(self, query_ids: Sequence[str] | None = None) -> dict[str, SealedTruth]:
        verdicts = (
            "SELECT q.id AS query_id, r.id, r.correct FROM queries q JOIN rollouts r ON r.query = q.number "
            "WHERE r.correct IS NOT NULL AND {} ORDER BY r.place"
        )
        references = "SELECT id, reference FROM queries WHERE reference IS NOT NULL AND {}"
        correct: dict[str, dict[str, bool]] = {}
        for row in self._rows(verdicts, "q.id", query_ids):
            correct.setdefault(row["query_id"], {})[row["id"]] = bool(row["correct"])
        reference = {row["id"]: row["reference"] for row in self._rows(references, "id", query_ids)}
        known = dict.fromkeys([*correct, *reference] if query_ids is None else query_ids)
        return {
            query_id: SealedTruth(reference.get(query_id), correct.get(query_id, {}))
            for query_id in known
            if query_id in reference or query_id in correct
        }

    def truth_count(self) -> int:
        queries = (
            "SELECT number FROM queries WHERE reference IS NOT NULL "
            "UNION SELECT query FROM rollouts WHERE correct IS NOT NULL"
        )
        return self._count(queries)

    def entries(self, query_ids: Sequence[str] | None = None) -> list[LedgerEntry]:
        sql = f"SELECT number, {', '.join(ENTRY_COLUMNS)} FROM ledger WHERE {{}}"
        return [_entry(row) for row in sorted(self._rows(sql, "query_id", query_ids), key=itemgetter("number"))]

    def entry_count(self) -> int:
        return self._count("SELECT 1 FROM ledger")

    def spent(self) -> tuple[int, int]:
        judgements = (
            "SELECT DISTINCT query_id, rollout_id, CASE WHEN rollout_id IS NULL THEN answers END, correct FROM ledger "
            "WHERE withdraws = ''"
        )
        return self._count("SELECT DISTINCT query_id FROM ledger"), self._count(judgements)

    def append(self, entries: Sequence[LedgerEntry]) -> None:
        with self._file.writing() as connection:
            for entry in entries:
                row = {name: getattr(entry, name) for name in ENTRY_COLUMNS}
                insert(connection, "ledger", row | {"answers": json.dumps(entry.answers)})

    def lock(self) -> AbstractContextManager[Any]:
        """Keep other writers out; what is written inside is kept as a whole, or not at all after an exception."""
        return self._file.writing()

    def _rows(self, sql: str, column: str, values: Sequence[str] | None) -> list[sqlite3.Row]:
        with self._file.reading() as connection:
            return list(select(connection, sql, column, values))

    def _count(self, rows: str) -> int:
        with self._file.reading() as connection:
            return int(connection.execute(f"SELECT count(*) FROM ({rows})").fetchone()[0])


def _entry(row: sqlite3.Row) -> LedgerEntry:
    correct = None if row["correct"] is None else bool(row["correct"])
    fields = {name: row[name] for name in ENTRY_COLUMNS}
    return LedgerEntry(**fields | {"correct": correct, "answers": tuple(json.loads(row["answers"]))})
