"""What arrives, merged by id into the tables of a memory."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from memreward.memory.schema import Row, dump_json
from memreward.sqlite import insert, stored
from memreward.types import DataError


@dataclass(frozen=True, slots=True)
class AddReport:
    """What `ExperienceMemory.add` changed; `updated` were there and learned something new."""

    new_queries: int = 0
    new_rollouts: int = 0
    updated: int = 0

    def __add__(self, other: AddReport) -> AddReport:
        return AddReport(
            self.new_queries + other.new_queries, self.new_rollouts + other.new_rollouts, self.updated + other.updated
        )


class Merge:
    """Rows written within one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._new = {"queries": 0, "rollouts": 0}
        self._updated: set[tuple[str, str]] = set()
        self._numbers: dict[str, int] = {}

    @property
    def report(self) -> AddReport:
        return AddReport(self._new["queries"], self._new["rollouts"], len(self._updated))

    def query(self, row: Row) -> None:
        """Write a row of `schema.query_row`, with its reference; DataError where the id has another text or domain."""
        self._write("queries", row, fixed=("text", "domain"))

    def rollout(self, row: Row, query_id: str) -> None:
        """Write a row of `schema.rollout_row`, with its verdict; DataError where the id has another text or query."""
        if query_id not in self._numbers:
            found = self._connection.execute("SELECT number FROM queries WHERE id = ?", (stored(query_id),)).fetchone()
            self._numbers[query_id] = found["number"]
        self._write("rollouts", {"query": self._numbers[query_id], "aside": 0, **row}, fixed=("query", "text"))

    def _write(self, table: str, row: Row, fixed: Iterable[str]) -> None:
        if insert(self._connection, table, row).rowcount:
            self._new[table] += 1
            return
        sql = f"SELECT * FROM {table} WHERE id = ?"
        old = dict(self._connection.execute(sql, (stored(row["id"]),)).fetchone())
        for column in fixed:
            if old[column] != row[column]:
                raise self._other_meaning(table, column, old, row)
        merged = old | {name: value for name, value in row.items() if value not in (None, "") or name == "answer"}
        merged["provenance"] = _joined(old["provenance"], row["provenance"])
        if table == "rollouts" and old["aside"] > row["aside"]:
            merged["place"] = None  # a new one: it comes after all that were added since
        elif table == "rollouts":
            merged["aside"] = old["aside"]
        if merged != old:
            sql = f"REPLACE INTO {table} ({', '.join(merged)}) VALUES ({','.join('?' * len(merged))})"
            self._connection.execute(sql, [stored(value) for value in merged.values()])
            self._updated.add((table, row["id"]))

    def _other_meaning(self, table: str, column: str, old: Row, new: Row) -> DataError:
        noun = {"queries": "query", "rollouts": "rollout"}[table]
        values = [old[column], new[column]]
        if column == "query":
            sql = "SELECT id FROM queries WHERE number = ?"
            values = [self._connection.execute(sql, (number,)).fetchone()["id"] for number in values]
        return DataError(
            f"{noun} {new['id']!r} is in the memory with another {column}: {_shown(values[0])}, now "
            f"{_shown(values[1])}; give a different {noun} a different id"
        )


def _joined(old: str, new: str) -> str:
    return old if old == new else dump_json({**json.loads(old), **json.loads(new)})


def _shown(text: Any) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
