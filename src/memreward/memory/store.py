"""The experience memory: queries, rollouts, sealed ground truth and the label ledger, in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import islice
from operator import itemgetter
from pathlib import Path

from memreward.memory import transfer
from memreward.memory.ledger import LabelLedger
from memreward.memory.merge import AddReport, Merge
from memreward.memory.schema import (
    QUERY_COLUMNS,
    ROLLOUT_COLUMNS,
    SCHEMA_VERSION,
    TABLES,
    Row,
    query_row,
    rollout_from_row,
    rollout_row,
)
from memreward.memory.sealed import SealedStore, verdicts_of
from memreward.sqlite import SqliteFile, select
from memreward.types import DataError, Group, Query, Rollout, StoreError, Truth

FILE = "memory.sqlite"
_GROUPS_PER_TRANSACTION = 1_000
_NOUN = "experience memory"
_REMEDY = "check the path, its permissions and the disk, or restore the file from a copy"
_COUNTS = {
    "queries": "count(*) FROM queries",
    "rollouts": "count(*) FROM rollouts",
    "references": "count(*) FROM queries WHERE reference IS NOT NULL",
    "verdicts": "count(*) FROM rollouts WHERE correct IS NOT NULL",
    "ledger": "count(*) FROM ledger",
}


class ExperienceMemory:
    """A durable store of groups, a folder on a local disk with `memory.sqlite`; make it with `open` or `in_memory`."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    @classmethod
    def open(cls, uri: str | Path, *, create: bool = True) -> ExperienceMemory:
        """Open the memory in a local folder (or its "file://" address); writers of all processes take turns.

        Raises StoreError where there is none, the folder holds something else, or it cannot be read or written,
        SchemaVersionError where a newer release wrote it.
        """
        folder = _folder(str(uri))
        _refuse_others(folder, create)
        return cls(SqliteFile(folder / FILE, TABLES, SCHEMA_VERSION, noun=_NOUN, remedy=_REMEDY, durable=True))

    @classmethod
    def in_memory(cls) -> ExperienceMemory:
        return cls(SqliteFile(None, TABLES, SCHEMA_VERSION, noun=_NOUN, remedy=_REMEDY))

    @property
    def uri(self) -> str:
        return "memory" if self._file.path is None else str(self._file.path.parent)

    @property
    def ledger(self) -> LabelLedger:
        return LabelLedger(SealedStore(self._file, self.groups))

    def __repr__(self) -> str:
        counts = self.counts()
        held = f"{counts['queries']} questions, {counts['rollouts']} rollouts, {len(self.ledger.labelled())} labelled"
        return f"ExperienceMemory({self.uri!r}: {held})"

    def __len__(self) -> int:
        return self._number("count(*) FROM queries")

    def counts(self) -> dict[str, int]:
        """Return the number of queries, rollouts, references, verdicts and ledger entries, sealed or set aside."""
        return {name: self._number(sql) for name, sql in _COUNTS.items()}

    def add(self, groups: Iterable[Group]) -> AddReport:
        """Append groups and merge what is known already, by query id and rollout id; all is durable on return.

        Adding the same again changes nothing; what a later arrival leaves empty keeps its value. A thousand groups are
        one transaction. Raises DataError where an id arrives with another text, domain or query, StoreError where the
        memory cannot be written.
        """
        report, remaining = AddReport(), iter(groups)
        while batch := [_rows_of(group) for group in islice(remaining, _GROUPS_PER_TRANSACTION)]:
            with self._file.writing() as connection:
                merge = Merge(connection)
                for query, rollouts in batch:
                    merge.query(query)
                    for rollout in rollouts:
                        merge.rollout(rollout, query["id"])
            report += merge.report
        return report

    def groups(self, query_ids: Sequence[str] | None = None, *, recent: int | None = None) -> list[Group]:
        """Return groups in the order of arrival, without ground truth; `recent` limits each one's rollouts."""
        rollouts = f"SELECT place, query, {', '.join(ROLLOUT_COLUMNS)} FROM rollouts WHERE aside = 0 AND {{}}"
        if recent is not None:
            places = "SELECT place, row_number() OVER (PARTITION BY query ORDER BY place DESC) AS age FROM rollouts"
            newest = f"SELECT place FROM ({places} WHERE aside = 0 AND {{}}) WHERE age <= {int(recent)}"
            rollouts = rollouts.format(f"place IN ({newest})")
        with self._file.reading() as connection:
            sql = f"SELECT number, {', '.join(QUERY_COLUMNS)} FROM queries WHERE {{}}"
            queries = sorted(select(connection, sql, "id", query_ids), key=itemgetter("number"))
            numbers = None if query_ids is None else [row["number"] for row in queries]
            pools: dict[int, list[sqlite3.Row]] = {row["number"]: [] for row in queries}
            for row in sorted(select(connection, rollouts, "query", numbers), key=itemgetter("place")):
                pools[row["query"]].append(row)
        return [_group(row, pools[row["number"]]) for row in queries]

    def rollouts_of(self, query_ids: Sequence[str]) -> list[Rollout]:
        return [rollout for group in self.groups(query_ids) for rollout in group.rollouts]

    def query_ids(self, *, answered: bool = False) -> list[str]:
        """Return the ids of all queries, or of those that have rollouts, in the order they arrived."""
        which = "WHERE number IN (SELECT query FROM rollouts WHERE aside = 0)" if answered else ""
        with self._file.reading() as connection:
            return [row["id"] for row in connection.execute(f"SELECT id FROM queries {which} ORDER BY number")]

    def position(self) -> int:
        """Return a mark that lies behind every rollout that was added so far, and before every one that will be."""
        return self._number("coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'rollouts'")

    def rewind(self, position: int) -> int:
        """Set aside the rollouts added after a `position()`, until they are added again; returns how many."""
        with self._file.writing() as connection:
            sql = "UPDATE rollouts SET aside = 1 WHERE place > ? AND aside = 0"
            return connection.execute(sql, (position,)).rowcount

    def export(self, folder: str | Path) -> None:
        """Write all, ledger and sealed truth too, as Parquet files with a JSON manifest to a new folder.

        Raises StoreError where the folder is not empty or cannot be written, MissingExtraError without pyarrow.
        """
        with self._file.reading() as connection:
            transfer.write_folder(Path(folder), connection)

    def import_(self, folder: str | Path) -> AddReport:
        """Merge what `export` wrote into this memory, by id; all of it, or nothing.

        Raises DataError where the folder holds no export or a damaged one, or an id has another text here,
        SchemaVersionError where a newer release wrote it.
        """
        exported = transfer.read_folder(Path(folder))
        with self._file.writing() as connection:
            return transfer.merge(exported, connection)

    def _number(self, sql: str) -> int:
        with self._file.reading() as connection:
            return int(connection.execute(f"SELECT {sql}").fetchone()[0])


def _folder(uri: str) -> Path:
    address = uri.removeprefix("file://")
    if "://" in address:
        raise StoreError(
            f"{uri}: a memory is a folder on a local disk; open one there, and copy what `export` writes to where it "
            "shall be kept"
        )
    return Path(address).expanduser()


def _refuse_others(folder: Path, create: bool) -> None:
    """Look before anything is made in a folder that is not a memory's."""
    if (folder / FILE).exists():
        return
    if (folder / "meta.lance").exists() or (folder / "queries.lance").exists():
        raise StoreError(
            f"{folder}: a release before 0.2 wrote this memory, with LanceDB. Carry it over: with that release, run "
            f"python -c \"from memreward import ExperienceMemory as M; M.open({str(folder)!r}).export('exported')\"; "
            "then, with this one, ExperienceMemory.open(NEW_FOLDER).import_('exported')"
        )
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder}: the path is a file: choose another folder")
    if not folder.exists() and not create:
        raise StoreError(f"{folder}: there is no experience memory; check the path, or run memreward warmup")
    held = sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []
    if FILE in held:  # by another process, since it was looked for above
        return
    if held or not create:
        reason = f"it holds {held[0]!r}" if held else f"it has no {FILE}"
        raise StoreError(f"{folder}: this is not an experience memory: {reason}; choose another or an empty folder")


def _rows_of(group: Group) -> tuple[Row, list[Row]]:
    if group.rollout_provenance and len(group.rollout_provenance) != len(group.rollouts):
        raise DataError(
            f"query {group.query.id!r}: {len(group.rollouts)} rollouts with {len(group.rollout_provenance)} provenance "
            "entries; give one for each rollout, or none at all"
        )
    correct, rows = verdicts_of(group), []
    provenance = group.rollout_provenance or ({},) * len(group.rollouts)
    for rollout, extra in zip(group.rollouts, provenance, strict=True):
        if rollout.query.id != group.query.id:
            raise DataError(
                f"rollout {rollout.id!r} answers query {rollout.query.id!r} but stands in the group of "
                f"{group.query.id!r}; put it in its own query's group"
            )
        rows.append(rollout_row(rollout, extra) | {"correct": correct.get(rollout.id)})
    return query_row(group.query, group.provenance) | {"reference": group.truth.reference}, rows


def _group(row: sqlite3.Row, rollouts: Sequence[sqlite3.Row]) -> Group:
    query = Query(row["id"], row["text"], row["domain"], row["dataset"])
    return Group(
        query,
        tuple(rollout_from_row(rollout, query) for rollout in rollouts),
        Truth(),
        json.loads(row["provenance"]),
        tuple(json.loads(rollout["provenance"]) for rollout in rollouts),
    )
