"""The tables of an experience memory, and the rows that queries, rollouts and ledger entries become."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

import numpy as np

from memreward.types import Query, Rollout

Row = dict[str, Any]

SCHEMA_VERSION = 2
"""1 was the memory on LanceDB, and its exports."""

TABLES = (
    # `reference` and `correct` are sealed ground truth, which `sealed.py` alone hands out.
    """CREATE TABLE queries (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        text TEXT NOT NULL,
        domain TEXT NOT NULL,
        dataset TEXT NOT NULL,
        provenance TEXT NOT NULL,
        reference TEXT
    )""",
    # `place` orders by arrival and is never used twice. `thinking` is a number where it is so much of the text's
    # beginning, as it mostly is. `aside` marks what `rewind` has set aside.
    """CREATE TABLE rollouts (
        place INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        query INTEGER NOT NULL,
        text TEXT NOT NULL,
        thinking NOT NULL,
        answer TEXT,
        policy_version TEXT NOT NULL,
        token_logprobs BLOB,
        truncated INTEGER,
        provenance TEXT NOT NULL,
        aside INTEGER NOT NULL,
        correct INTEGER
    )""",
    "CREATE INDEX pools ON rollouts (query, aside, correct)",
    "CREATE INDEX referenced ON queries (number) WHERE reference IS NOT NULL",
    """CREATE TABLE ledger (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        query_id TEXT NOT NULL,
        rollout_id TEXT,
        correct INTEGER,
        source TEXT NOT NULL,
        use TEXT NOT NULL,
        time REAL NOT NULL,
        answers TEXT NOT NULL,
        withdraws TEXT NOT NULL
    )""",
    "CREATE INDEX judgements ON ledger (query_id, rollout_id, correct)",
    *(
        f"CREATE TRIGGER no_{action} BEFORE {action} ON ledger BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END"
        for action in ("UPDATE", "DELETE")
    ),
)
QUERY_COLUMNS = ("id", "text", "domain", "dataset", "provenance")
ROLLOUT_COLUMNS = (
    "id", "text", "thinking", "answer", "policy_version", "token_logprobs", "truncated", "provenance"
)  # fmt: skip
ENTRY_COLUMNS = ("id", "query_id", "rollout_id", "correct", "source", "use", "time", "answers", "withdraws")


def query_row(query: Query, provenance: Mapping[str, Any]) -> Row:
    fields = {"id": query.id, "text": query.text, "domain": query.domain, "dataset": query.dataset}
    return fields | {"provenance": dump_json(provenance)}


def rollout_row(rollout: Rollout, provenance: Mapping[str, Any]) -> Row:
    fields = {name: getattr(rollout, name) for name in ROLLOUT_COLUMNS if name != "provenance"}
    return packed(fields | {"provenance": dump_json(provenance)})


def rollout_from_row(row: sqlite3.Row, query: Query) -> Rollout:
    fields = unpacked(row)
    return Rollout(query, **{name: fields[name] for name in ROLLOUT_COLUMNS if name != "provenance"})


def packed(rollout: Mapping[str, Any]) -> Row:
    """Return a rollout's fields as the table holds them: thinking as a length, log-probabilities as float64."""
    row, logprobs = dict(rollout), rollout["token_logprobs"]
    if row["text"].startswith(row["thinking"]):
        row["thinking"] = len(row["thinking"])
    row["token_logprobs"] = None if logprobs is None else np.array(logprobs, dtype="<f8").tobytes()
    return row


def unpacked(row: sqlite3.Row) -> Row:
    fields = dict(row)
    if isinstance(row["thinking"], int):
        fields["thinking"] = row["text"][: row["thinking"]]
    if row["token_logprobs"] is not None:
        fields["token_logprobs"] = tuple(np.frombuffer(row["token_logprobs"], dtype="<f8").tolist())
    if row["truncated"] is not None:
        fields["truncated"] = bool(row["truncated"])
    return fields


def dump_json(value: Any) -> str:
    """Return JSON that is the same for equal values; what JSON has no type for becomes its string."""
    return json.dumps(value, sort_keys=True, default=str)
