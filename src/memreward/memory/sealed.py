"""Sealed ground truth and ledger entries as an experience memory keeps them: what its label ledger works on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from memreward.data.unicode import restore_surrogates
from memreward.memory.ledger import LedgerEntry, SealedTruth
from memreward.memory.schema import SCHEMAS, entry_from_row, entry_row, escaped_ids
from memreward.memory.tables import Tables


class SealedStore:
    """The `LedgerBackend` of a memory.

    Args:
        tables: Of the memory.
        next_position: Gives each new entry its place.
    """

    def __init__(self, tables: Tables, next_position: Callable[[], int]) -> None:
        self._tables = tables
        self._next_position = next_position

    def datasets(self) -> dict[str, str]:
        """Return the dataset of every query, by query id."""
        rows = self._tables.scan("queries", ["id", "dataset", "position"]).sort_by("position").to_pylist()
        return {restore_surrogates(row["id"]): restore_surrogates(row["dataset"]) for row in rows}

    def rollout_ids(self, query_id: str) -> set[str]:
        """Return the ids of a query's rollouts; none where the query is unknown."""
        rows = self._tables.scan("rollouts", ["id"], column="query_id", values=escaped_ids([query_id]))
        return {restore_surrogates(identity) for identity in rows["id"].to_pylist()}

    def truths(self, query_ids: Sequence[str] | None = None) -> dict[str, SealedTruth]:
        """Return the truths of these queries, or of all; a query without any is absent."""
        asked = escaped_ids(query_ids)
        references = self._tables.scan("references", column="query_id", values=asked).to_pylist()
        reference = {row["query_id"]: restore_surrogates(row["reference"]) for row in references}
        correct: dict[str, dict[str, bool]] = {}
        rows = self._tables.scan("verdicts", column="query_id", values=asked).sort_by("position").to_pylist()
        for row in rows:
            correct.setdefault(row["query_id"], {})[restore_surrogates(row["rollout_id"])] = row["correct"]
        known = dict.fromkeys([*correct, *reference]) if asked is None else dict.fromkeys(asked)
        return {
            restore_surrogates(query_id): SealedTruth(reference.get(query_id), correct.get(query_id, {}))
            for query_id in known
            if query_id in reference or query_id in correct
        }

    def truth_counts(self) -> tuple[int, int]:
        """Return the number of queries with any truth, and of verdicts."""
        verdicts = self._tables.scan("verdicts", ["query_id"])["query_id"]
        references = self._tables.scan("references", ["query_id"])["query_id"]
        queries = pa.chunked_array([*verdicts.chunks, *references.chunks], pa.string())
        return pc.count_distinct(queries).as_py(), len(verdicts)

    def entries(self, query_ids: Sequence[str] | None = None) -> list[LedgerEntry]:
        """Return the entries of these queries, or all, in the order they were made."""
        rows = self._tables.scan("ledger", column="query_id", values=escaped_ids(query_ids))
        return [entry_from_row(row) for row in rows.sort_by("position").to_pylist()]

    def spent(self) -> tuple[int, int]:
        """Return the number of distinct queries and judgements in the entries."""
        rows = self._tables.scan("ledger", ["query_id", "rollout_id", "correct"])
        judgements = rows.group_by(["query_id", "rollout_id", "correct"]).aggregate([]).num_rows
        return pc.count_distinct(rows["query_id"]).as_py(), judgements

    def append(self, entries: Sequence[LedgerEntry]) -> None:
        """Keep entries; they are durable on return."""
        rows = [entry_row(entry, self._next_position()) for entry in entries]
        self._tables.insert("ledger", pa.Table.from_pylist(rows, schema=SCHEMAS["ledger"]))

    def lock(self) -> AbstractContextManager[Any]:
        """Keep other writers out."""
        return self._tables.lock()
