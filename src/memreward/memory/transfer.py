"""A memory as a folder of Parquet files with a JSON manifest: for backup, transport and other tools."""

import hashlib
import json
import shutil
import sqlite3
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memreward.data.containers import parquet
from memreward.memory.merge import AddReport, Merge
from memreward.memory.schema import ENTRY_COLUMNS, QUERY_COLUMNS, ROLLOUT_COLUMNS, SCHEMA_VERSION, Row, packed, unpacked
from memreward.sqlite import insert, restored, stored
from memreward.types import DataError, SchemaVersionError, StoreError

_FORMAT = "memreward memory"
_MANIFEST = "manifest.json"
# `position` orders the rows; a negative one marks a rollout that was set aside.
_ROLLOUT = ", ".join(f"r.{name}" for name in ROLLOUT_COLUMNS)
_TABLES = {
    "queries": f"SELECT {', '.join(QUERY_COLUMNS)}, number AS position FROM queries ORDER BY number",
    "rollouts": f"SELECT {_ROLLOUT}, q.id AS query_id, iif(r.aside, -r.place, r.place) AS position "
    "FROM rollouts r JOIN queries q ON q.number = r.query ORDER BY r.place",
    "references": "SELECT id AS query_id, reference FROM queries WHERE reference IS NOT NULL ORDER BY number",
    "verdicts": "SELECT r.id AS rollout_id, q.id AS query_id, r.correct, r.place AS position "
    "FROM rollouts r JOIN queries q ON q.number = r.query WHERE r.correct IS NOT NULL ORDER BY r.place",
    "ledger": f"SELECT {', '.join(ENTRY_COLUMNS)}, number AS position FROM ledger ORDER BY number",
}
_KINDS = {"position": "whole", "time": "real", "correct": "flag", "truncated": "flag", "token_logprobs": "reals"}


def write_folder(folder: Path, connection: sqlite3.Connection) -> None:
    """Write every table to `folder`, which appears whole or not at all."""
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        if folder.exists() and any(folder.iterdir()):
            raise StoreError(f"{folder}: the folder is not empty; export to a new one")
        temporary.mkdir(parents=True)
        files: dict[str, Any] = {}
        for name, sql in _TABLES.items():
            path, found = temporary / f"{name}.parquet", connection.execute(sql)
            kinds = {column: _KINDS.get(column, "text") for column, *_ in found.description}
            files[name] = {"rows": parquet().write_rows(path, map(_plain, found), kinds), "sha256": _digest(path)}
        manifest = {"format": _FORMAT, "schema_version": SCHEMA_VERSION, "tables": files}
        (temporary / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        temporary.replace(folder)
    except OSError as error:
        raise StoreError(f"{folder}: cannot export: {error}; free space or choose another folder") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_folder(folder: Path) -> dict[str, list[Row]]:
    """Return the rows of every table of an export in their order, checked against the manifest."""
    files = _manifest(folder)["tables"]
    return {name: _table(folder, name, files) for name in _TABLES}


def merge(exported: Mapping[str, list[Row]], connection: sqlite3.Connection) -> AddReport:
    """Merge what `read_folder` returned into a memory, within a transaction that writes."""
    references = {row["query_id"]: row["reference"] for row in exported["references"]}
    correct = {row["rollout_id"]: row["correct"] for row in exported["verdicts"]}
    merged = Merge(connection)
    for row in exported["queries"]:
        merged.query({name: row[name] for name in QUERY_COLUMNS} | {"reference": references.get(row["id"])})
    for row in exported["rollouts"]:
        sealed = {"aside": int(row["position"] < 0), "correct": correct.get(row["id"])}
        merged.rollout(packed({name: row[name] for name in ROLLOUT_COLUMNS}) | sealed, row["query_id"])
    for row in exported["ledger"]:
        insert(connection, "ledger", {name: row[name] for name in ENTRY_COLUMNS})
    return merged.report


def _plain(row: sqlite3.Row) -> Row:
    fields = unpacked(row) if "thinking" in row.keys() else dict(row)  # noqa: SIM118
    if fields.get("correct") is not None:
        fields["correct"] = bool(fields["correct"])
    return {name: stored(value) for name, value in fields.items()}


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / _MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version, known = int(manifest["schema_version"]), manifest["format"] == _FORMAT
        if not known or not isinstance(manifest["tables"], dict):
            raise ValueError("another format")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: no manifest of an exported memory ({error}); give the folder of an export") from error
    if version > SCHEMA_VERSION:
        raise SchemaVersionError(
            f"{folder}: this export has schema version {version}, this release reads up to {SCHEMA_VERSION}; "
            "update memreward (pip install -U memreward)"
        )
    return dict(manifest)


def _table(folder: Path, name: str, files: Mapping[str, Any]) -> list[Row]:
    path = folder / f"{name}.parquet"
    try:
        if _digest(path) != files[name]["sha256"]:
            raise ValueError("its checksum is not the manifest's")
        rows = sorted(parquet().read_rows(path), key=lambda row: abs(row.get("position", 0)))
        return [{name: restored(value) for name, value in row.items()} for row in rows]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: damaged or missing: {error}; copy or export it again") from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
