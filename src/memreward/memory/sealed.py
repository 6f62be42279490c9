"""Sealed ground truth and ledger entries as an experience memory keeps them: what its label ledger works on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from memreward.memory.entries import LedgerEntry
from memreward.memory.schema import ENTRY_COLUMNS, SCHEMA_VERSION, TABLES
from memreward.sqlite import SqliteFile, insert, select
from memreward.types import DataError, Group

_VERDICT_ALONE = (
    "INSERT INTO rollouts (id, query, correct, text, thinking, policy_version, provenance, aside) "
    "VALUES (?, ?, ?, '', '', '', '', 0)"
)


@dataclass(frozen=True, slots=True)
class SealedTruth:
    """Ground truth of one query: its reference, and the verdicts there are by rollout id, in the rollouts' order."""

    reference: str | None
    correct: Mapping[str, bool]


class SealedStore:
    """What a ledger works on: sealed truths and its entries. Unknown queries are absent in what is returned."""

    def __init__(self, file: SqliteFile, groups: Callable[[Sequence[str]], list[Group]]) -> None:
        self._file = file
        self.groups = groups

    @classmethod
    def of_groups(cls, groups: Iterable[Group]) -> SealedStore:
        held = {group.query.id: group for group in groups}
        file = SqliteFile(None, TABLES, SCHEMA_VERSION, noun="ledger", remedy="start again")
        with file.writing() as connection:
            for number, (name, group) in enumerate(held.items()):
                about = {"number": number, "id": name, "dataset": group.query.dataset, "text": "", "domain": ""}
                insert(connection, "queries", about | {"provenance": "", "reference": group.truth.reference})
                rows = [(rollout_id, number, correct) for rollout_id, correct in verdicts_of(group).items()]
                connection.executemany(_VERDICT_ALONE, rows)
        return cls(file, lambda query_ids: [held[query_id] for query_id in query_ids if query_id in held])

    def datasets(self) -> dict[str, str]:
        rows = self._rows("SELECT id, dataset FROM queries WHERE {} ORDER BY number", "id", None)
        return {row["id"]: row["dataset"] for row in rows}

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


def verdicts_of(group: Group) -> dict[str, bool]:
    """Return the verdicts of a group's truth by rollout id; DataError where there is not one for each rollout."""
    if group.truth.correct and len(group.truth.correct) != len(group.rollouts):
        raise DataError(
            f"query {group.query.id!r}: {len(group.rollouts)} rollouts with {len(group.truth.correct)} verdicts; "
            "give one verdict (or None) for each rollout, or none at all"
        )
    given = zip(group.rollouts, group.truth.correct, strict=False)
    return {rollout.id: verdict for rollout, verdict in given if verdict is not None}
