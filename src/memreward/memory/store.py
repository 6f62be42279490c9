"""The experience memory: queries, rollouts, vectors and sealed ground truth, durable in LanceDB.

Ground truth is stored as it arrives and read by nothing but the label ledger: groups come back without it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from memreward.data.unicode import escape_surrogates, restore_surrogates
from memreward.memory import transfer
from memreward.memory.ledger import LabelLedger, verdicts_of
from memreward.memory.schema import (
    SCHEMAS,
    dump_json,
    escaped_ids,
    query_from_row,
    query_row,
    rollout_digest,
    rollout_from_row,
    rollout_row,
    rollout_rows,
)
from memreward.memory.sealed import SealedStore
from memreward.memory.tables import IN_MEMORY, Tables
from memreward.memory.vectors import MemoryVectors
from memreward.types import DataError, FloatArray, Group, Query, Rollout, Truth

_GROUPS_PER_COMMIT = 1_000
_Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class AddReport:
    """What `ExperienceMemory.add` changed.

    Attributes:
        new_queries: Queries that were not there.
        new_rollouts: Rollouts that were not there.
        updated: Queries and rollouts that were there and learned something new.
    """

    new_queries: int = 0
    new_rollouts: int = 0
    updated: int = 0

    def __add__(self, other: AddReport) -> AddReport:
        return AddReport(
            self.new_queries + other.new_queries,
            self.new_rollouts + other.new_rollouts,
            self.updated + other.updated,
        )


class ExperienceMemory:
    """A durable store of groups that several processes may write to at once; make it with `open` or `in_memory`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._last_position = 0

    @classmethod
    def open(cls, uri: str | Path, *, create: bool = True) -> ExperienceMemory:
        """Open the memory at a local path or an object-store address such as "s3://bucket/memory".

        On a local path, writers take turns by a file lock. On an object store, concurrent writes are merged by id, but
        nothing keeps two ledgers that release at the same moment from exceeding a budget together.

        Args:
            uri: Where the memory is.
            create: Make it where there is none.

        Raises:
            StoreError: there is none, the folder holds something else, or it cannot be read or written.
            SchemaVersionError: a newer release wrote it.
        """
        return cls(Tables(str(uri), create=create))

    @classmethod
    def in_memory(cls) -> ExperienceMemory:
        """Return a memory that lives as long as this object."""
        return cls(Tables(IN_MEMORY, create=True))

    @property
    def uri(self) -> str:
        """Where the memory is, as it was opened."""
        return self._tables.uri

    @property
    def ledger(self) -> LabelLedger:
        """The only way to ground truth; its entries are kept in this memory."""
        return LabelLedger(SealedStore(self._tables, self._next_position))

    def __len__(self) -> int:
        return self._tables.count("queries")

    def counts(self) -> dict[str, int]:
        """Return the number of rows: queries, rollouts, references, verdicts (sealed ones included), ledger.

        Rollouts that `rewind` set aside count.
        """
        return {name: self._tables.count(name) for name in ("queries", "rollouts", "references", "verdicts", "ledger")}

    def add(self, groups: Iterable[Group]) -> AddReport:
        """Append groups and merge what is known already, by query id and rollout id; all is durable on return.

        Adding the same again changes nothing. What a later arrival leaves empty (dataset, policy version,
        log-probabilities, verdict, provenance keys) keeps its value. Groups are committed by the thousand: after an
        error or a kill, whole groups up to some point are there, and adding all of them again completes the rest.

        Raises:
            DataError: an id arrives again with another text, domain or query; or a group does not fit together.
            StoreError: the memory cannot be written, e.g. because the disk is full.
        """
        report = AddReport()
        remaining = iter(groups)
        while batch := list(islice(remaining, _GROUPS_PER_COMMIT)):
            report += self._add_batch(batch)
        return report

    def groups(self, query_ids: Sequence[str] | None = None, *, recent: int | None = None) -> list[Group]:
        """Return groups in the order their queries arrived, without any ground truth.

        Args:
            query_ids: Only these; ids that are not in memory are left out. None is all.
            recent: Only the last so many rollouts of each query.
        """
        asked = escaped_ids(query_ids)
        query_rows = self._tables.scan("queries", column="id", values=asked).sort_by("position").to_pylist()
        rows_of: dict[str, list[_Row]] = {row["id"]: [] for row in query_rows}
        # Read after the queries, so that a query which is being added comes with all its rollouts.
        for row in self._rollout_rows(asked, recent):
            if row["query_id"] in rows_of:
                rows_of[row["query_id"]].append(row)
        return [_group(row, rows_of[row["id"]]) for row in query_rows]

    def rollouts_of(self, query_ids: Sequence[str]) -> list[Rollout]:
        """Return all rollouts of these queries, query by query."""
        return [rollout for group in self.groups(query_ids) for rollout in group.rollouts]

    def query_ids(self) -> list[str]:
        """Return the ids of all queries, in the order they arrived."""
        rows = self._tables.scan("queries", ["id", "position"]).sort_by("position")
        return [restore_surrogates(identity) for identity in rows["id"].to_pylist()]

    def vector_store(self, encoder_name: str) -> MemoryVectors:
        """Return the vectors of one encoder or reader, by content hash."""
        return MemoryVectors(self._tables, encoder_name)

    def vectors(self, hashes: Sequence[str], encoder_name: str) -> dict[str, FloatArray]:
        """Return the known ones among `hashes`, each a (d,) float32 vector."""
        return self.vector_store(encoder_name).get(hashes)

    def add_vectors(self, hashes: Sequence[str], vectors: FloatArray, encoder_name: str) -> None:
        """Keep row i of `vectors` (n, d) under `hashes[i]`; a hash that is known keeps its first vector."""
        self.vector_store(encoder_name).put(hashes, vectors)

    def position(self) -> int:
        """Return a mark that lies behind everything that was added so far, and before everything that will be."""
        return self._next_position()

    def rewind(self, position: int) -> int:
        """Set aside the rollouts that were added after `position`, as if they had not been.

        They are not deleted, since the ledger's entries refer to them, but `groups` leaves them out until they are
        added again; then they take a new place. The ledger itself forgets nothing, and a label that is released again
        costs nothing again.

        Args:
            position: What `position()` returned once.

        Returns:
            The number of rollouts set aside.
        """
        self._last_position = max(self._last_position, position)
        # A negative place marks a rollout as set aside.
        return self._tables.update("rollouts", f"position > {position}", {"position": "-position"})

    def compact(self) -> None:
        """Join what many small writes left and bring the indexes up to date; a local memory does so by itself."""
        self._tables.compact([*SCHEMAS, *_vector_tables(self._tables).values()])

    def export(self, folder: str | Path) -> None:
        """Write the whole memory, ledger, sealed truth and vectors too, as Parquet files and a JSON manifest.

        Raises:
            StoreError: `folder` exists and is not empty, or cannot be written.
        """
        with self._tables.lock():
            transfer.write_folder(Path(folder), self._tables, _vector_tables(self._tables))

    def import_(self, folder: str | Path) -> AddReport:
        """Merge what `export` wrote into this memory, by id.

        Raises:
            DataError: the folder holds no export or a damaged one, or an id has another text here.
            SchemaVersionError: a newer release wrote it.
        """
        exported = transfer.read_folder(Path(folder))
        with self._tables.lock():
            queries = self._merge_queries(exported["queries"].to_pylist())
            rollouts = self._merge_rollouts(rollout_rows(exported["rollouts"]))
            for name in ("references", "verdicts"):
                self._tables.upsert(name, exported[name])
            self._tables.insert("ledger", exported["ledger"])
            self._tables.upsert("rollouts", rollouts.rows())
            self._tables.upsert("queries", queries.rows())
            for row in exported["encoders"].to_pylist():
                self.vector_store(restore_surrogates(row["name"])).put_rows(exported[row["table"]])
        return AddReport(queries.new, rollouts.new, queries.updated + rollouts.updated)

    def _add_batch(self, groups: list[Group]) -> AddReport:
        query_rows = [query_row(group.query, group.provenance, self._next_position()) for group in groups]
        rollouts_to_add: list[_Row] = []
        references: dict[str, str] = {}
        verdicts: dict[str, _Row] = {}
        for group in groups:
            _refuse_misfits(group)
            query_id = escape_surrogates(group.query.id)
            if group.truth.reference is not None:
                references[query_id] = escape_surrogates(group.truth.reference)
            correct = verdicts_of(group)
            provenance = group.rollout_provenance or ({},) * len(group.rollouts)
            for rollout, extra in zip(group.rollouts, provenance, strict=True):
                row = rollout_row(rollout, extra, self._next_position())
                rollouts_to_add.append(row)
                if rollout.id in correct:
                    verdicts[row["id"]] = {
                        "rollout_id": row["id"],
                        "query_id": query_id,
                        "correct": correct[rollout.id],
                        "position": row["position"],
                    }
        with self._tables.lock():
            queries = self._merge_queries(query_rows)
            rollouts = self._merge_rollouts(rollouts_to_add)
            # The query last: what is visible is whole. Truth first: a rollout is never there without its truth.
            self._write_truths(references, verdicts)
            self._tables.upsert("rollouts", rollouts.rows())
            self._tables.upsert("queries", queries.rows())
        return AddReport(queries.new, rollouts.new, queries.updated + rollouts.updated)

    def _write_truths(self, references: dict[str, str], verdicts: dict[str, _Row]) -> None:
        known = self._tables.scan("references", column="query_id", values=list(references)).to_pylist()
        for row in known:
            if references[row["query_id"]] == row["reference"]:
                del references[row["query_id"]]
        for row in self._tables.scan("verdicts", column="rollout_id", values=list(verdicts)).to_pylist():
            if verdicts[row["rollout_id"]]["correct"] == row["correct"]:
                del verdicts[row["rollout_id"]]
            else:
                verdicts[row["rollout_id"]]["position"] = row["position"]
        rows = [{"query_id": query_id, "reference": reference} for query_id, reference in references.items()]
        self._tables.upsert("references", pa.Table.from_pylist(rows, schema=SCHEMAS["references"]))
        self._tables.upsert("verdicts", pa.Table.from_pylist(list(verdicts.values()), schema=SCHEMAS["verdicts"]))

    def _merge_queries(self, rows: list[_Row]) -> _Merged:
        known = self._tables.scan("queries", column="id", values=[row["id"] for row in rows])
        merged = _Merged("queries", known.to_pylist())
        for row in rows:
            old = merged.known(row["id"])
            if old is not None:
                _refuse_change("query", old, row, ("text", "domain"))
                row = {**row, "dataset": row["dataset"] or old["dataset"], "provenance": _joined(old, row)}
            merged.put(row, old)
        return merged

    def _merge_rollouts(self, rows: list[_Row]) -> _Merged:
        identities = [row["id"] for row in rows]
        found = self._tables.scan("rollouts", ["id", "digest", "position"], column="id", values=identities)
        # What was set aside has no digest, so that it is written again.
        digests = {row["id"]: row["digest"] if row["position"] >= 0 else "" for row in found.to_pylist()}
        changed = [row["id"] for row in rows if digests.get(row["id"], row["digest"]) != row["digest"]]
        merged = _Merged("rollouts", rollout_rows(self._tables.scan("rollouts", column="id", values=changed)))
        for row in rows:
            old = merged.known(row["id"])
            if old is None and row["id"] in digests:
                continue
            if old is not None:
                _refuse_change("rollout", old, row, ("query_id", "text"))
                row = {**row, "provenance": _joined(old, row)}
                for key in ("policy_version", "token_logprobs", "truncated"):
                    row[key] = old[key] if row[key] in (None, "") else row[key]
                row["digest"] = rollout_digest(row)
            merged.put(row, old)
        return merged

    def _rollout_rows(self, query_ids: Sequence[str] | None, recent: int | None) -> list[_Row]:
        if recent is None:
            return rollout_rows(_present(self._tables.scan("rollouts", column="query_id", values=query_ids)))
        if recent < 1:
            return []
        columns = ["id", "query_id", "position"]
        places = _present(self._tables.scan("rollouts", columns, column="query_id", values=query_ids))
        kept: dict[str, list[str]] = {}
        for row in places.sort_by([("position", "descending")]).to_pylist():
            newest = kept.setdefault(row["query_id"], [])
            if len(newest) < recent:
                newest.append(row["id"])
        wanted = [identity for newest in kept.values() for identity in newest]
        return rollout_rows(self._tables.scan("rollouts", column="id", values=wanted))

    def _next_position(self) -> int:
        self._last_position = max(time.time_ns(), self._last_position + 1)
        return self._last_position


class _Merged:
    """Rows to write: arrivals over what is known, at most one for each id."""

    def __init__(self, name: str, known: list[_Row]) -> None:
        self.name = name
        self.new = 0
        self.updated = 0
        self._known = {row["id"]: row for row in known}
        self._stored = frozenset(self._known)
        self._changed: dict[str, _Row] = {}

    def known(self, identity: str) -> _Row | None:
        return self._known.get(identity)

    def put(self, row: _Row, old: _Row | None) -> None:
        if old is not None:
            if old["position"] >= 0 or row["position"] < 0:
                row["position"] = old["position"]
            if row == old:
                return
        identity = row["id"]
        if identity not in self._changed:
            stored = identity in self._stored
            self.updated += stored
            self.new += not stored
        self._known[identity] = self._changed[identity] = row

    def rows(self) -> pa.Table:
        return pa.Table.from_pylist(list(self._changed.values()), schema=SCHEMAS[self.name])


def _group(row: _Row, rollouts: list[_Row]) -> Group:
    query: Query = query_from_row(row)
    return Group(
        query,
        tuple(rollout_from_row(rollout, query) for rollout in rollouts),
        Truth(),
        json.loads(row["provenance"]),
        tuple(json.loads(rollout["provenance"]) for rollout in rollouts),
    )


def _present(rollouts: pa.Table) -> pa.Table:
    """Leave out what was set aside."""
    return rollouts.filter(pc.greater_equal(rollouts["position"], 0))


def _vector_tables(tables: Tables) -> dict[str, str]:
    return {row["name"]: row["table"] for row in tables.scan("encoders").to_pylist()}


def _refuse_misfits(group: Group) -> None:
    if group.rollout_provenance and len(group.rollout_provenance) != len(group.rollouts):
        raise DataError(
            f"query {group.query.id!r}: {len(group.rollouts)} rollouts with {len(group.rollout_provenance)} provenance "
            "entries; give one for each rollout, or none at all"
        )
    for rollout in group.rollouts:
        if rollout.query.id != group.query.id:
            raise DataError(
                f"rollout {rollout.id!r} answers query {rollout.query.id!r} but stands in the group of "
                f"{group.query.id!r}; put it in its own query's group"
            )


def _refuse_change(noun: str, old: _Row, new: _Row, keys: Iterable[str]) -> None:
    for key in keys:
        if old[key] != new[key]:
            raise DataError(
                f"{noun} {restore_surrogates(new['id'])!r} is in the memory with another {key}: {_shown(old[key])}, "
                f"now {_shown(new[key])}; give a different {noun} a different id"
            )


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _joined(old: _Row, new: _Row) -> str:
    if old["provenance"] == new["provenance"]:
        return str(old["provenance"])
    return dump_json({**json.loads(old["provenance"]), **json.loads(new["provenance"])})
