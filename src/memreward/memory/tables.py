"""The tables of an experience memory in LanceDB: opened, locked, read and written, and nothing known of their meaning.

Each write is one commit. Writers to a local memory take turns by a lock on a file, which the system lets go of when a
process dies. On an object store there is no such lock: writes are merged by LanceDB and tried again on a conflict.
"""

from __future__ import annotations

import errno
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import lancedb
import pyarrow as pa
import pyarrow.compute as pc
from lancedb.index import BTree

from memreward.memory.schema import INDEXED, KEYS, SCHEMA_VERSION, SCHEMAS
from memreward.types import SchemaVersionError, StoreError

IN_MEMORY = "memory://"
_LOCK_FILE = "memreward.lock"
_IDS_PER_FILTER = 2_000
# From this share of the rows on, a scan of few columns, or of all, is faster than a look-up of the ids.
_SCAN_FEW_COLUMNS = 1 / 50
_SCAN_ALL_COLUMNS = 1 / 2
_ATTEMPTS = 30
# Each commit adds a fragment, which every read has to open.
_COMMITS_BETWEEN_COMPACTIONS = 32
# A reader opens the newest version and is done in seconds; what is older can go.
_KEEP_VERSIONS = timedelta(minutes=10)
_REMEDIES = {
    errno.ENOSPC: "the disk is full: free space and repeat, what was acknowledged is kept",
    errno.EDQUOT: "the quota is used up: free space and repeat, what was acknowledged is kept",
    errno.EFBIG: "a file would be too large: raise the limit (ulimit -f) and repeat, what was acknowledged is kept",
    errno.EACCES: "permission is denied: choose a folder you may write to, or change its owner or mode",
    errno.EPERM: "permission is denied: choose a folder you may write to, or change its owner or mode",
    errno.EROFS: "the file system is read-only: choose a folder you may write to",
    errno.ENOTDIR: "a part of the path is a file: choose another folder",
    errno.EEXIST: "the path is a file: choose another folder",
}


class Tables:
    """The open tables of one memory.

    Args:
        uri: Local folder, object-store address, or `IN_MEMORY`.
        create: Make a memory where there is none.
    """

    def __init__(self, uri: str, *, create: bool) -> None:
        self.uri = uri
        self.folder = _local_folder(uri)
        self._thread_lock = threading.RLock()
        self._locked = False
        self._tables: dict[str, Any] = {}
        with self._reported("opened"):
            self._prepare_folder(create)
            self._database = lancedb.connect(
                str(self.folder) if self.folder else uri, read_consistency_interval=timedelta(0)
            )
            if self._version() is None:
                self._create(create)
        self._refuse_other_versions()

    def __reduce__(self) -> tuple[Callable[[str], Tables], tuple[str]]:
        if self.uri == IN_MEMORY:
            raise StoreError("a memory that lives in this process cannot be sent to another one: open it in a folder")
        return _open_again, (self.uri,)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other writers to this memory out: all threads of this process; locally, all processes. Re-entrant."""
        with self._thread_lock:
            if self._locked:
                yield
                return
            with self._process_lock():
                self._locked = True
                try:
                    yield
                finally:
                    self._locked = False

    def scan(
        self, name: str, columns: Sequence[str] | None = None, *, column: str = "", values: Sequence[str] | None = None
    ) -> pa.Table:
        """Return the rows of a table, or those whose `column` is one of `values`, in no particular order."""
        with self._reported("read"):
            if values is None:
                return self._read(name, columns, None)
            values = list(dict.fromkeys(values))
            share = _SCAN_ALL_COLUMNS if columns is None else _SCAN_FEW_COLUMNS
            if len(values) > share * self._table(name).count_rows():
                return self._scan_and_filter(name, columns, column, values)
            chunks = [values[start : start + _IDS_PER_FILTER] for start in range(0, len(values), _IDS_PER_FILTER)]
            return pa.concat_tables([self._read(name, columns, _is_in(column, chunk)) for chunk in chunks or [[]]])

    def upsert(self, name: str, rows: pa.Table) -> None:
        """Write rows; one with a known key replaces the row that has it."""
        if rows.num_rows:
            self._write(name, lambda table: _merge(table, name).when_matched_update_all().execute(rows))

    def insert(self, name: str, rows: pa.Table) -> None:
        """Write the rows whose key is not known yet."""
        if rows.num_rows:
            self._write(name, lambda table: _merge(table, name).execute(rows))

    def update(self, name: str, where: str, values: Mapping[str, str]) -> int:
        """Set columns to SQL expressions in the rows where `where` holds; returns how many they are."""
        results: list[Any] = []
        self._write(name, lambda table: results.append(table.update(where=where, values_sql=dict(values))))
        return int(results[-1].rows_updated)

    def count(self, name: str) -> int:
        """Return the number of rows."""
        with self._reported("read"):
            return int(self._table(name).count_rows())

    def ensure(self, name: str, schema: pa.Schema) -> None:
        """Make a table that is not one of the fixed ones, unless it is there."""
        with self._reported("written"):
            self._database.create_table(name, schema=schema, exist_ok=True)

    def compact(self, names: Sequence[str]) -> None:
        """Join the fragments that many small writes left, bring the indexes up to date, drop old versions."""
        with self.lock(), self._reported("compacted"):
            for name in names:
                _compact(self._table(name), name)

    def _write(self, name: str, operation: Callable[[Any], Any]) -> None:
        with self.lock(), self._reported("written"):
            table = self._table(name)
            _repeat_on_conflict(lambda: operation(table))
            exclusive = self.folder is not None or self.uri == IN_MEMORY
            if exclusive and table.version % _COMMITS_BETWEEN_COMPACTIONS == 0:
                _compact(table, name)

    def _table(self, name: str) -> Any:
        if name not in self._tables:
            self._tables[name] = self._database.open_table(name)
        return self._tables[name]

    def _read(self, name: str, columns: Sequence[str] | None, where: str | None) -> pa.Table:
        query = self._table(name).search()
        if columns is not None:
            query = query.select(list(columns))
        return (query.where(where) if where else query).to_arrow()

    def _scan_and_filter(self, name: str, columns: Sequence[str] | None, column: str, values: list[str]) -> pa.Table:
        wanted = None if columns is None else list(dict.fromkeys([*columns, column]))
        rows = self._read(name, wanted, None)
        return rows.filter(pc.is_in(rows[column], value_set=pa.array(values, rows.schema.field(column).type)))

    def _process_lock(self) -> AbstractContextManager[None]:
        return _file_lock(self.folder / _LOCK_FILE, self._reported) if self.folder else _no_lock()

    def _prepare_folder(self, create: bool) -> None:
        if self.folder is None:
            return
        if create:
            self.folder.mkdir(parents=True, exist_ok=True)
        elif not self.folder.is_dir():
            raise StoreError(f"{self.uri}: there is no experience memory; check the path, or open with create=True")
        ours = {_LOCK_FILE, *(f"{name}.lance" for name in SCHEMAS)}
        strangers = sorted(entry.name for entry in self.folder.iterdir() if entry.name not in ours)
        if strangers and not (self.folder / "meta.lance").exists():
            raise self._no_memory(f"it holds {strangers[0]!r}")

    def _create(self, create: bool) -> None:
        """Make the tables, `meta` last: a folder without it was left by a process that was killed right here."""
        if not create:
            raise self._no_memory("it has no tables of one")
        with self.lock():
            if self._version() is not None:
                return
            for name, schema in SCHEMAS.items():
                if name != "meta":
                    self._create_empty(name, schema)
            meta = pa.table({"key": ["schema_version"], "value": [str(SCHEMA_VERSION)]}, schema=SCHEMAS["meta"])
            self._database.create_table("meta", meta)

    def _create_empty(self, name: str, schema: pa.Schema) -> None:
        table = self._database.create_table(name, schema=schema, exist_ok=True)
        if table.count_rows():
            raise self._no_memory(f"table {name!r} has rows, but table 'meta' is lost")

    def _no_memory(self, reason: str) -> StoreError:
        return StoreError(f"{self.uri}: this is no experience memory: {reason}; choose another or an empty folder")

    def _version(self) -> str | None:
        try:
            rows = self._database.open_table("meta").search().where("key = 'schema_version'").to_arrow()
        except ValueError:
            return None
        return str(rows["value"][0].as_py()) if rows.num_rows else None

    def _refuse_other_versions(self) -> None:
        version = self._version() or ""
        if not version.isdecimal():
            raise self._no_memory(f"its schema version is {version!r}")
        if int(version) > SCHEMA_VERSION:
            raise SchemaVersionError(
                f"{self.uri}: this memory has schema version {version}, this release reads up to {SCHEMA_VERSION}; "
                "update memreward (pip install -U memreward)"
            )

    @contextmanager
    def _reported(self, action: str) -> Iterator[None]:
        """Turn what the disk and LanceDB raise into an error that says what to do."""
        try:
            yield
        except (OSError, RuntimeError, ValueError) as error:
            raise StoreError(f"{self.uri}: the memory cannot be {action}: {_remedy(error)} ({error})") from error


def _open_again(uri: str) -> Tables:
    return Tables(uri, create=False)


def _local_folder(uri: str) -> Path | None:
    if uri.startswith("file://"):
        uri = uri.removeprefix("file://")
    return None if "://" in uri else Path(uri).expanduser()


@contextmanager
def _no_lock() -> Iterator[None]:
    yield


@contextmanager
def _file_lock(path: Path, reported: Callable[[str], AbstractContextManager[None]]) -> Iterator[None]:
    # Imported here because Windows has no fcntl, where everything but a local memory works.
    import fcntl

    with reported("locked"):
        file = path.open("a")
    with file:
        with reported("locked"):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_in(column: str, values: Sequence[str]) -> str:
    quoted = ",".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"{column} IN ({quoted})" if values else "false"


def _merge(table: Any, name: str) -> Any:
    return table.merge_insert(KEYS.get(name, "hash")).when_not_matched_insert_all()


def _compact(table: Any, name: str) -> None:
    columns = INDEXED.get(name, ("hash",))
    existing = {column for index in table.list_indices() for column in index.columns}
    for column in columns:
        if column not in existing:
            table.create_index(column, config=BTree())
    table.optimize(cleanup_older_than=_KEEP_VERSIONS)


def _repeat_on_conflict(operation: Callable[[], Any]) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            operation()
            return
        except (OSError, RuntimeError, ValueError) as error:
            if "conflict" not in str(error).lower() or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(random.uniform(0, min(1.0, 0.02 * 2**attempt)))


def _remedy(error: Exception) -> str:
    code = error.errno if isinstance(error, OSError) else None
    text = str(error).lower()
    for number, remedy in _REMEDIES.items():
        # LanceDB passes the system's error on as text.
        if code == number or os.strerror(number).lower() in text:
            return remedy
    return "check the path, its permissions and the space on the disk"
