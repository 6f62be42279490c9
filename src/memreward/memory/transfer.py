"""A memory as a folder of Parquet files with a JSON manifest, for backup, transport and other tools."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from memreward.memory.schema import SCHEMA_VERSION, SCHEMAS, vector_schema
from memreward.memory.tables import Tables
from memreward.types import DataError, SchemaVersionError, StoreError

_FORMAT = "memreward memory"
_MANIFEST = "manifest.json"
_FIXED = tuple(name for name in SCHEMAS if name != "meta")


def write_folder(folder: Path, tables: Tables, vector_tables: Mapping[str, str]) -> None:
    """Write every table to `folder`, which appears whole or not at all."""
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        if folder.exists() and any(folder.iterdir()):
            raise StoreError(f"{folder}: the folder is not empty; export to a new one")
        temporary.mkdir(parents=True)
        files: dict[str, Any] = {}
        for name in (*_FIXED, *vector_tables.values()):
            rows = tables.scan(name)
            path = temporary / f"{name}.parquet"
            pq.write_table(rows, path, compression="zstd")
            files[name] = {"rows": rows.num_rows, "sha256": _digest(path)}
        manifest = {"format": _FORMAT, "schema_version": SCHEMA_VERSION, "tables": files}
        (temporary / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        temporary.replace(folder)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{folder}: cannot export: {error}; free space or choose another folder") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_folder(folder: Path) -> dict[str, pa.Table]:
    """Return the tables of an export, checked against manifest and schema.

    Raises:
        DataError: it is no export, or it is damaged.
        SchemaVersionError: a newer release wrote it.
    """
    files = _manifest(folder)["tables"]
    found = {name: _table(folder, name, files) for name in _FIXED}
    for row in found["encoders"].to_pylist():
        found[row["table"]] = _table(folder, row["table"], files)
        _check_schema(folder, row["table"], found[row["table"]], vector_schema(row["dimension"]))
    for name in _FIXED:
        _check_schema(folder, name, found[name], SCHEMAS[name])
    return found


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


def _table(folder: Path, name: str, files: Mapping[str, Any]) -> pa.Table:
    path = folder / f"{name}.parquet"
    try:
        if _digest(path) != files[name]["sha256"]:
            raise ValueError("its checksum is not the manifest's")
        return pq.read_table(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: damaged or missing: {error}; copy or export it again") from error


def _check_schema(folder: Path, name: str, rows: pa.Table, schema: pa.Schema) -> None:
    if not rows.schema.equals(schema):
        raise DataError(f"{folder / name}.parquet: its columns are not those of an export; export it again")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
