"""Parquet files, which the extra `parquet` reads and writes: rollout files, and the tables of an exported memory."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from memreward.data.records import QUERY_KEYS, ROLLOUT_KEYS
from memreward.types import DataError, MissingExtraError
from memreward.unicode import escape_surrogates, restore_surrogates

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as error:
    raise MissingExtraError("pyarrow", "parquet", "reading Parquet, Arrow or inspect_ai's .eval") from error

_BATCH = 256
# Our own Parquet files keep provenance as JSON, which Arrow types cannot hold without loss; this key marks them.
_PARQUET_MARK = b"memreward.provenance"
_PROVENANCE = "provenance"
_TYPES = {
    "text": pa.large_string(),
    "whole": pa.int64(),
    "real": pa.float64(),
    "reals": pa.list_(pa.float64()),
    "flag": pa.bool_(),
}
_ROLLOUT_TYPE = pa.struct(
    [
        ("id", pa.string()),
        ("text", pa.large_string()),
        ("correct", pa.bool_()),
        ("policy_version", pa.string()),
        ("token_logprobs", pa.list_(pa.float64())),
        ("truncated", pa.bool_()),
        (_PROVENANCE, pa.large_string()),
    ]
)
_PARQUET_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("dataset", pa.string()),
        ("domain", pa.string()),
        ("query", pa.large_string()),
        ("reference", pa.large_string()),
        ("rollouts", pa.list_(_ROLLOUT_TYPE)),
        (_PROVENANCE, pa.large_string()),
    ],
    metadata={_PARQUET_MARK: b"json"},
)


def entries(path: Path) -> Iterator[tuple[str, Any | DataError]]:
    """Yield where each row of a rollout file stands, and its record or what is wrong; DataError if it is no Parquet."""
    try:
        with path.open("rb") as source, pq.ParquetFile(source) as file:
            ours = _PARQUET_MARK in (file.schema_arrow.metadata or {})
            yield from _rows(path, file.iter_batches(batch_size=_BATCH), ours=ours)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a Parquet file that can be read ({error}); write it again") from error


def arrow_rows(paths: Iterable[Path]) -> Iterator[tuple[str, Any | DataError]]:
    for path in paths:
        try:
            with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as stream:
                yield from _rows(path, stream, ours=False)
        except pa.ArrowException as error:
            raise DataError(f"{path}: not an Arrow file that can be read ({error}); write it again") from error


def decompressed(data: bytes, size: int) -> bytes:
    """Return the first `size` bytes of what Zstandard compressed, in one frame or several; else ValueError."""
    try:
        return bytes(pa.input_stream(pa.BufferReader(data), compression="zstd").read(size))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(str(error)) from error


def _rows(path: Path, batches: Iterable[pa.RecordBatch], *, ours: bool) -> Iterator[tuple[str, Any | DataError]]:
    rows = (batch.slice(index, 1) for batch in batches for index in range(batch.num_rows))
    for number, row in enumerate(rows, start=1):
        where = f"{path}, row {number}"
        yield where, _entry(row, where, ours=ours)


def _entry(row: pa.RecordBatch, where: str, *, ours: bool) -> dict[str, Any] | DataError:
    try:
        record: dict[str, Any] = row.to_pylist()[0]
    except UnicodeDecodeError as error:
        return DataError(f"{where}: a text is not UTF-8 ({error.reason}); write the column as UTF-8 strings")
    except (pa.ArrowException, ValueError, OverflowError, LookupError) as error:
        # Arrow holds times and time zones that Python does not.
        return DataError(f"{where}: a value has no form in Python ({error}); write its column as strings")
    if not ours:
        return _without_absent(record) if "rollouts" in record else record
    try:
        rollouts = [_with_provenance(rollout) for rollout in record["rollouts"]]
        return {**_with_provenance(record), "rollouts": rollouts}
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        return DataError(
            f"{where}: marked as written by memreward, and its provenance is not ({error!r}); "
            "remove the mark memreward.provenance from the file's metadata, or write the file again"
        )


def _with_provenance(entry: dict[str, Any]) -> dict[str, Any]:
    """A row of our own: surrogates and provenance as they were."""
    restored = {key: restore_surrogates(value) if isinstance(value, str) else value for key, value in entry.items()}
    provenance = json.loads(restored.pop(_PROVENANCE))
    return {**restored, **provenance}


def _without_absent(record: dict[str, Any]) -> dict[str, Any]:
    """A row of anyone's: Arrow fills keys that a rollout did not have with null."""
    if isinstance(record.get("rollouts"), list):
        record["rollouts"] = list(map(_present, record["rollouts"]))
    return _present(record)  # type: ignore[no-any-return]


def _present(entry: Any) -> Any:
    return {key: value for key, value in entry.items() if value is not None} if isinstance(entry, dict) else entry


def write(file: Any, records: Iterable[dict[str, Any]]) -> int:
    """Write the records of a rollout file, and return how many they are."""
    return _write_batches(file, map(_row, records), _PARQUET_SCHEMA)


def _row(record: dict[str, Any]) -> dict[str, Any]:
    row = _packed(record, QUERY_KEYS)
    row["rollouts"] = [_packed(rollout, ROLLOUT_KEYS) for rollout in record["rollouts"]]
    return row


def _packed(record: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    row = {key: escape_surrogates(value) if isinstance(value, str) else value for key, value in record.items()}
    provenance = {key: record[key] for key in record if key not in keys}
    return {**{key: row.get(key) for key in keys}, _PROVENANCE: json.dumps(provenance, default=str)}


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]], kinds: Mapping[str, str]) -> int:
    """Write rows of one table; kinds are "text" (no lone surrogates), "whole", "real", "reals" or "flag"."""
    schema = pa.schema([(name, _TYPES[kind]) for name, kind in kinds.items()])
    return _write_batches(path, rows, schema)


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of what `write_rows` wrote; ValueError where it is no such file."""
    try:
        with path.open("rb") as source, pq.ParquetFile(source) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error


def _write_batches(where: Any, rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> int:
    count, remaining = 0, iter(rows)
    with pq.ParquetWriter(where, schema, compression="zstd") as writer:
        while batch := list(islice(remaining, _BATCH)):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
            count += len(batch)
    return count
