"""One SQLite file that threads and processes use at once: opened, versioned, and its errors given a remedy."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from memreward.types import SchemaVersionError, StoreError
from memreward.unicode import escape_surrogates, restore_surrogates

_SECONDS_TO_WAIT_FOR_WRITERS = 120.0
_PAUSE = 0.01
_VALUES_PER_STATEMENT = 500  # SQLite builds allow at least 999 parameters
_LITTLE_SPACE = 2**20
_FULL = "the disk is full: free space and repeat, what was acknowledged is kept"
_REMEDIES = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: "the file system is read-only, or permission is denied: choose a folder you may write to",
    sqlite3.SQLITE_BUSY: f"another process has held it for {_SECONDS_TO_WAIT_FOR_WRITERS:.0f} s: end that one, repeat",
}


class SqliteFile:
    """A file in write-ahead mode, which needs a local disk, with one fixed set of tables.

    Every write is one transaction: a killed process leaves whole ones only, and writers take turns. An instance may be
    pickled, forked and shared between threads.

    Args:
        path: The file, made if absent, its folder too; None keeps the tables in this process.
        tables: The statements that make them.
        noun: What the file is, e.g. "vector cache"; for messages.
        remedy: What helps where it cannot be used and SQLite does not say why.
        durable: Whether what was written outlives a power cut; a kill it outlives in any case.

    Raises StoreError where it cannot be made or read, or is something else, SchemaVersionError where a newer release
    made it.
    """

    def __init__(
        self, path: Path | None, tables: Sequence[str], version: int, *, noun: str, remedy: str, durable: bool = False
    ) -> None:
        self.path = path and path.absolute()
        self._tables, self._version = tables, version
        self._noun, self._remedy, self._durable = noun, remedy, durable
        self._open = threading.local()
        self._lock = threading.RLock()
        with self._reported("made"):
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._only = None if self.path else _connected(":memory:")
            self._idle = _Idle([] if self._only is None else [self._only])
            weakref.finalize(self, self._idle.close)  # Python 3.13 warns of one that is not closed
            self._make_tables()

    def __reduce__(self) -> tuple[Callable[[], SqliteFile], tuple[()]]:
        if self.path is None:
            raise StoreError(
                f"a {self._noun} that lives in this process cannot be sent to another: open it in a folder"
            )
        made = partial(SqliteFile, self.path, self._tables, self._version)
        return partial(made, noun=self._noun, remedy=self._remedy, durable=self._durable), ()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """See one state of the file, whatever others write meanwhile; inside `writing`, what it has written too."""
        with self._transaction("BEGIN", "read") as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Write, alone: all of it, or nothing after an exception. Inside another `writing` it is a part of that one."""
        with self._transaction("BEGIN IMMEDIATE", "written") as connection:
            yield connection

    @contextmanager
    def _transaction(self, begin: str, action: str) -> Iterator[sqlite3.Connection]:
        outer = getattr(self._open, "connection", None)
        if outer is not None:
            yield outer
            return
        with self._reported(action), self._connection() as connection:
            connection.execute(begin)
            self._open.connection = connection
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                self._open.connection = None
                connection.rollback()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        if self.path is None:
            assert self._only is not None
            with self._lock:
                yield self._only
            return
        kept, connection = True, self._idle.take() if self.path.exists() else None
        fresh = connection is None
        if connection is None:
            address = _address(self.path)
            kept, connection = address == str(self.path), _connected(address)
        try:
            if fresh:
                connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
            yield connection
        except sqlite3.DatabaseError:
            kept = kept and not fresh  # one that never was in order is closed, and not kept for the next
            raise
        finally:
            if kept:
                self._idle.give(connection)
            else:
                connection.close()

    def _make_tables(self) -> None:
        with self._connection() as connection:
            if self._version_in(connection) == self._version:
                return
            _write_ahead(connection)
        with self.writing() as connection:
            if self._version_in(connection) == self._version:
                return
            if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                raise StoreError(f"{self.path}: its tables are not those of the {self._noun}; choose another folder")
            for statement in self._tables:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {self._version}")

    def _version_in(self, connection: sqlite3.Connection) -> int:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > self._version:
            raise SchemaVersionError(
                f"{self.path}: this {self._noun} has schema version {version}, this release reads up to "
                f"{self._version}; update memreward (pip install -U memreward), or choose another folder"
            )
        return version

    @contextmanager
    def _reported(self, action: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            where = "" if self.path is None else f"{self.path}: "
            raise StoreError(f"{where}the {self._noun} cannot be {action}: {self._way_out(error)} ({error})") from error

    def _way_out(self, error: Exception) -> str:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte says which kind of error
        if code == sqlite3.SQLITE_IOERR and self.path and shutil.disk_usage(self.path.parent).free < _LITTLE_SPACE:
            return _FULL
        return _REMEDIES.get(code, self._remedy)


class _Idle:
    """Connections between transactions: the first and the last of a file cost more than most transactions."""

    def __init__(self, connections: list[sqlite3.Connection]) -> None:
        self._pid, self._free = os.getpid(), connections

    def take(self) -> sqlite3.Connection | None:
        if self._pid != os.getpid():  # a fork must neither use nor close what its parent has open
            _OF_PARENTS.append(self._free)
            self._pid, self._free = os.getpid(), []
        try:
            return self._free.pop()
        except IndexError:
            return None

    def give(self, connection: sqlite3.Connection) -> None:
        self._free.append(connection)

    def close(self) -> None:
        while (connection := self.take()) is not None:
            connection.close()


_OF_PARENTS: list[list[sqlite3.Connection]] = []


def stored(value: Any) -> Any:
    """Return a value as a column takes it: lone surrogates, which UTF-8 does not have, escaped."""
    return escape_surrogates(value) if isinstance(value, str) else value


def restored(value: Any) -> Any:
    """Undo `stored`, as every connection does for what it reads."""
    return restore_surrogates(value) if isinstance(value, str) else value


def select(
    connection: sqlite3.Connection, sql: str, column: str, values: Iterable[Any] | None, *before: Any
) -> Iterator[sqlite3.Row]:
    """Yield the rows in which `column` has one of `values`, looked up some hundred at a time; None is every row.

    The query has "{}" where a condition on the column may stand, and before it question marks for `before`.
    """
    if values is None:
        yield from connection.execute(sql.format("true"), before)
        return
    remaining = iter(dict.fromkeys(values))
    while some := [stored(value) for value in islice(remaining, _VALUES_PER_STATEMENT)]:
        yield from connection.execute(sql.format(f"{column} IN ({','.join('?' * len(some))})"), (*before, *some))


def insert(connection: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> sqlite3.Cursor:
    """Insert a row, unless its id is known; the cursor's `rowcount` says which."""
    sql = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({','.join('?' * len(row))}) ON CONFLICT (id) DO NOTHING"
    return connection.execute(sql, [stored(value) for value in row.values()])


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead mode; SQLite does not wait by itself for others that do the same at this moment."""
    end = time.monotonic() + _SECONDS_TO_WAIT_FOR_WRITERS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(_PAUSE)
        else:
            return


def _connected(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        address,
        timeout=_SECONDS_TO_WAIT_FOR_WRITERS,
        isolation_level=None,  # transactions begin where it is said
        check_same_thread=False,
        uri=address.startswith("file://"),
    )
    connection.row_factory = sqlite3.Row
    connection.text_factory = lambda text: restore_surrogates(text.decode())
    return connection


def _address(path: Path) -> str:
    # Where nothing can be written, SQLite cannot make the files beside it that coordinate readers with writers.
    quiet = not Path(f"{path}-wal").exists()
    if quiet and path.exists() and not os.access(path, os.W_OK):
        return f"{path.absolute().as_uri()}?immutable=1"
    return str(path)
