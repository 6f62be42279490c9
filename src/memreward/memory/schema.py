"""Tables of an experience memory, and the rows that queries, rollouts and ledger entries become.

All tables but `vectors_*` are fixed. Texts are UTF-8; lone surrogates are escaped (`memreward.data.unicode`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from memreward.data.unicode import escape_surrogates, restore_surrogates
from memreward.memory.ledger import LedgerEntry
from memreward.types import Query, Rollout, content_hash

SCHEMA_VERSION = 1


def _key(name: str) -> pa.Field:
    """A column whose values LanceDB keeps apart.

    Without this mark, two processes that merge the same new id at the same moment both insert it.
    """
    return pa.field(name, pa.string(), nullable=False, metadata={"lance-schema:unenforced-primary-key": "true"})


# `position` orders rows by insertion: nanoseconds since the epoch, by the writer's clock, made unique in a process.
SCHEMAS: dict[str, pa.Schema] = {
    "queries": pa.schema(
        [
            _key("id"),
            ("text", pa.large_string()),
            ("domain", pa.string()),
            ("dataset", pa.string()),
            ("provenance", pa.large_string()),
            ("position", pa.int64()),
        ]
    ),
    "rollouts": pa.schema(
        [
            _key("id"),
            ("query_id", pa.string()),
            ("text", pa.large_string()),
            ("thinking", pa.large_string()),
            ("answer", pa.large_string()),
            ("policy_version", pa.string()),
            ("token_logprobs", pa.list_(pa.float64())),
            ("truncated", pa.bool_()),
            ("provenance", pa.large_string()),
            ("position", pa.int64()),
            ("digest", pa.string()),
        ]
    ),
    "references": pa.schema([_key("query_id"), ("reference", pa.large_string())]),
    "verdicts": pa.schema(
        [_key("rollout_id"), ("query_id", pa.string()), ("correct", pa.bool_()), ("position", pa.int64())]
    ),
    "ledger": pa.schema(
        [
            _key("id"),
            ("query_id", pa.string()),
            ("rollout_id", pa.string()),
            ("correct", pa.bool_()),
            ("source", pa.string()),
            ("use", pa.string()),
            ("time", pa.float64()),
            ("position", pa.int64()),
        ]
    ),
    "encoders": pa.schema([_key("name"), ("table", pa.string()), ("dimension", pa.int64())]),
    "meta": pa.schema([_key("key"), ("value", pa.string())]),
}
KEYS = {
    "queries": "id",
    "rollouts": "id",
    "references": "query_id",
    "verdicts": "rollout_id",
    "ledger": "id",
    "encoders": "name",
    "meta": "key",
}
INDEXED: dict[str, tuple[str, ...]] = {
    "queries": ("id",),
    "rollouts": ("id", "query_id"),
    "references": ("query_id",),
    "verdicts": ("rollout_id", "query_id"),
    "ledger": ("query_id",),
    "encoders": (),
    "meta": (),
}

_DIGESTED = ("query_id", "text", "thinking", "answer", "policy_version", "truncated", "provenance")


def vector_schema(dimension: int) -> pa.Schema:
    """Return the schema of an encoder's vectors, keyed by content hash."""
    return pa.schema([_key("hash"), ("vector", pa.list_(pa.float32(), dimension))])


def escaped_ids(ids: Sequence[str] | None) -> list[str] | None:
    """Return ids as the tables hold them; None, which stands for all, stays None."""
    return None if ids is None else [escape_surrogates(identity) for identity in ids]


def query_row(query: Query, provenance: Mapping[str, Any], position: int) -> dict[str, Any]:
    """Return the row of a query."""
    return {
        "id": escape_surrogates(query.id),
        "text": escape_surrogates(query.text),
        "domain": query.domain,
        "dataset": escape_surrogates(query.dataset),
        "provenance": dump_json(provenance),
        "position": position,
    }


def query_from_row(row: Mapping[str, Any]) -> Query:
    """Undo `query_row`."""
    return Query(
        restore_surrogates(row["id"]),
        restore_surrogates(row["text"]),
        row["domain"],
        restore_surrogates(row["dataset"]),
    )


def rollout_row(rollout: Rollout, provenance: Mapping[str, Any], position: int) -> dict[str, Any]:
    """Return the row of a rollout, with a digest of all but its position."""
    row = {
        "id": escape_surrogates(rollout.id),
        "query_id": escape_surrogates(rollout.query.id),
        "text": escape_surrogates(rollout.text),
        "thinking": escape_surrogates(rollout.thinking),
        "answer": None if rollout.answer is None else escape_surrogates(rollout.answer),
        "policy_version": escape_surrogates(rollout.policy_version),
        "token_logprobs": None if rollout.token_logprobs is None else list(rollout.token_logprobs),
        "truncated": rollout.truncated,
        "provenance": dump_json(provenance),
    }
    return {**row, "position": position, "digest": rollout_digest(row)}


def rollout_digest(row: Mapping[str, Any]) -> str:
    """Return the hash of a rollout's row, its position and digest aside."""
    logprobs = row["token_logprobs"]
    # Bytes, because writing hundreds of numbers as JSON takes longer than everything else in an `add`.
    numbers = "" if logprobs is None else hashlib.sha256(np.array(logprobs, dtype="<f8").tobytes()).hexdigest()
    return content_hash(dump_json([numbers, *(row[key] for key in _DIGESTED)]))


def rollout_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows of the table of rollouts in the order of their positions."""
    table = table.sort_by("position").combine_chunks()
    index = table.schema.get_field_index("token_logprobs")
    rows: list[dict[str, Any]] = table.remove_column(index).to_pylist()
    # Arrow would make each number an object of its own class first.
    numbers = pc.list_flatten(table["token_logprobs"]).to_numpy().tolist()
    end = 0
    for row, count in zip(rows, pc.list_value_length(table["token_logprobs"]).to_pylist(), strict=True):
        row["token_logprobs"] = None if count is None else numbers[end : end + count]
        end += count or 0
    return rows


def rollout_from_row(row: Mapping[str, Any], query: Query) -> Rollout:
    """Undo `rollout_row`; nothing is parsed again."""
    logprobs = row["token_logprobs"]
    return Rollout(
        query=query,
        text=restore_surrogates(row["text"]),
        thinking=restore_surrogates(row["thinking"]),
        answer=None if row["answer"] is None else restore_surrogates(row["answer"]),
        id=restore_surrogates(row["id"]),
        policy_version=restore_surrogates(row["policy_version"]),
        token_logprobs=None if logprobs is None else tuple(logprobs),
        truncated=row["truncated"],
    )


def entry_row(entry: LedgerEntry, position: int) -> dict[str, Any]:
    """Return the row of a ledger entry."""
    return {
        "id": entry.id,
        "query_id": escape_surrogates(entry.query_id),
        "rollout_id": None if entry.rollout_id is None else escape_surrogates(entry.rollout_id),
        "correct": entry.correct,
        "source": escape_surrogates(entry.source),
        "use": escape_surrogates(entry.use),
        "time": entry.time,
        "position": position,
    }


def entry_from_row(row: Mapping[str, Any]) -> LedgerEntry:
    """Undo `entry_row`."""
    return LedgerEntry(
        query_id=restore_surrogates(row["query_id"]),
        rollout_id=None if row["rollout_id"] is None else restore_surrogates(row["rollout_id"]),
        correct=row["correct"],
        source=restore_surrogates(row["source"]),
        use=restore_surrogates(row["use"]),
        time=row["time"],
        id=row["id"],
    )


def dump_json(value: Any) -> str:
    """Return JSON that is the same for equal values; what JSON has no type for becomes its string."""
    return json.dumps(value, sort_keys=True, default=str)
