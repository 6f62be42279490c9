"""Files that are not what they should be: whatever bytes, groups or a named error, never anything else."""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import json
import os
import random
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memreward.data import containers, read_groups, write_groups
from memreward.types import DataError, Group, MemRewardError
from rows import each_row

RECORD: dict[str, Any] = {
    "id": "q1",
    "dataset": "d",
    "domain": "math",
    "query": "What is 1 + 1?",
    "reference": "2",
    "rollouts": [{"text": "The answer is 2.", "correct": True, "token_logprobs": [-0.5], "note": {"a": [1, None]}}],
    "model": "m",
}
QUICK = settings(deadline=None, suppress_health_check=list(HealthCheck))


def line(record: object = RECORD) -> bytes:
    return json.dumps(record).encode() + b"\n"


def outcome(name: str, content: bytes) -> list[Group] | str:
    """The groups of a file with these bytes, or the message of its error; what can be left out is left out first."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        with contextlib.suppress(MemRewardError):
            list(read_groups(path, skip_bad=True))
        try:
            return list(read_groups(path))
        except MemRewardError as error:
            return str(error)


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


@functools.cache
def own_parquet() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.jsonl").write_bytes(line() + line(RECORD | {"id": "q2"}))
        write_groups(Path(folder) / "a.parquet", read_groups(Path(folder) / "a.jsonl"))
        return (Path(folder) / "a.parquet").read_bytes()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@QUICK
@given(st.binary(max_size=300))
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_any_bytes(name: str, content: bytes) -> None:
    assert isinstance(outcome(name, content), list | str)


@QUICK
@given(st.sampled_from(sorted(RECORD)), values)
def test_any_value_in_any_field(key: str, value: Any) -> None:
    assert isinstance(outcome("a.jsonl", line(RECORD | {key: value})), list | str)


@QUICK
@given(st.sampled_from(["id", "text", "correct", "policy_version", "token_logprobs", "truncated"]), values)
def test_any_value_in_any_field_of_a_rollout(key: str, value: Any) -> None:
    assert isinstance(outcome("a.jsonl", line(RECORD | {"rollouts": [{"text": "2"} | {key: value}]})), list | str)


@QUICK
@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_any_text_reads_back_as_it_was(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.jsonl").write_bytes(line(RECORD | {"rollouts": [{"text": text, "note": text}]}))
        groups = list(read_groups(Path(folder) / "a.jsonl"))
        for name in ("b.jsonl.gz", "b.parquet"):
            write_groups(Path(folder) / name, groups)
            assert list(read_groups(Path(folder) / name)) == groups


def damaged(content: bytes, places: list[tuple[int, int]], cut: int) -> bytes:
    changed = bytearray(content)
    for place, value in places:
        changed[place % len(changed)] = value
    return bytes(changed[: len(changed) - cut % 50])


damage = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4)


@QUICK
@given(damage, st.integers(0, 1000))
def test_a_damaged_gzip_file(places: list[tuple[int, int]], cut: int) -> None:
    assert isinstance(outcome("a.jsonl.gz", damaged(gzip.compress(line() * 3), places, cut)), list | str)


@QUICK
@given(damage, st.just(0) | st.integers(0, 1000))
def test_a_damaged_parquet_file(places: list[tuple[int, int]], cut: int) -> None:
    assert isinstance(outcome("a.parquet", damaged(own_parquet(), places, cut)), list | str)


def table(**columns: Any) -> pa.Table:
    rollouts = pa.array([[{"text": "2", "correct": True}]])
    plain = {name: pa.array([RECORD[name]]) for name in ("id", "domain", "query")}
    return pa.table({**plain, "rollouts": rollouts, **columns})


MARK = {b"memreward.provenance": b"json"}
TABLES: dict[str, Callable[[], pa.Table]] = {
    "a time beyond Python's": lambda: table(time=pa.array([2**62], pa.timestamp("us"))),
    "a time before Python's": lambda: table(time=pa.array([-(2**62)], pa.timestamp("us"))),
    "a zone that nobody knows": lambda: table(time=pa.array([0], pa.timestamp("s", tz="Moon/Tycho"))),
    "a date beyond Python's": lambda: table(day=pa.array([2**30], pa.date32())),
    "nanoseconds": lambda: table(time=pa.array([1], pa.timestamp("ns"))),
    "our mark without provenance": lambda: table().replace_schema_metadata(MARK),
    "our mark with null provenance": lambda: table(provenance=pa.array([None], pa.string())).replace_schema_metadata(
        MARK
    ),
    "our mark with other provenance": lambda: table(provenance=pa.array(["[1]"])).replace_schema_metadata(MARK),
    "our mark and null rollouts": lambda: table(
        provenance=pa.array(["{}"]), rollouts=pa.array([None], pa.list_(pa.struct([("text", pa.string())])))
    ).replace_schema_metadata(MARK),
    "null rollouts": lambda: table(rollouts=pa.array([None], pa.list_(pa.string()))),
    "a null rollout": lambda: table(rollouts=pa.array([[None]], pa.list_(pa.struct([("text", pa.string())])))),
    "no rollouts": lambda: table().drop_columns(["rollouts"]),
}
FINE = {"nanoseconds"}


@each_row("name", TABLES)
def test_tables_that_python_cannot_hold(name: str) -> None:
    found = outcome("a.parquet", parquet(TABLES[name]()))
    if name in FINE and isinstance(found, list):
        return
    assert isinstance(found, str), found
    assert "row 1" in found
    assert ";" in found, "a remedy is named"


def test_a_time_that_python_can_hold_is_provenance() -> None:
    (group,) = outcome("a.parquet", parquet(table(time=pa.array([datetime(2020, 1, 1)]))))
    assert isinstance(group, Group)
    assert group.provenance["time"] == datetime(2020, 1, 1)


def test_a_number_of_400_digits_is_named() -> None:
    found = outcome("a.jsonl", line(RECORD | {"rollouts": [{"text": "2", "token_logprobs": [10**400]}]}))
    assert "rollouts[0].token_logprobs[0]" in str(found)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_line_without_end_is_left_out_and_the_next_one_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "LONGEST_LINE", 1000)
    monkeypatch.setattr(containers, "_CHUNK", 64)
    content = b" " * 5000 + b"\n" + line() + b"[" * 1001 + b"\n" + line(RECORD | {"id": "q2"}) + b"x" * 2000
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    said: list[str] = []
    assert [group.query.id for group in read_groups(tmp_path / name, skip_bad=True, on_skip=said.append)] == [
        "q1",
        "q2",
    ]
    assert [message.split(": ")[0].rpartition(", ")[2] for message in said] == ["line 1", "line 3", "line 5"]
    with pytest.raises(DataError, match="line 1: is longer than 1,000 bytes; write one JSON object a line"):
        list(read_groups(tmp_path / name))


def test_a_line_as_long_as_is_allowed_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "LONGEST_LINE", len(line()) - 1)
    (tmp_path / "a.jsonl").write_bytes(line() + line(RECORD | {"id": "q2"}).rstrip())
    assert len(list(read_groups(tmp_path / "a.jsonl"))) == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_a_pipe_is_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match="not a regular file"):
        read_groups(tmp_path / name)


@each_row("path", ["", "/", "folder", "a.csv"])
def test_a_name_that_is_no_file_of_ours_cannot_be_written(path: str) -> None:
    with pytest.raises(DataError, match="known format"):
        write_groups(path, [])


@each_row("depth", [50, 300, 900, 990, 5000, 100_000])
def test_nesting_is_named(depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    for key in ("id", "rollouts", "note"):
        found = outcome(
            "a.jsonl",
            line({k: v for k, v in RECORD.items() if k != key})[:-2] + b', "%b": %b}\n' % (key.encode(), nested),
        )
        assert isinstance(found, list if key == "note" and depth <= 900 else list | str)


def test_what_is_read_does_not_depend_on_luck() -> None:
    drawn = random.Random(0)
    for _ in range(40):
        content = damaged(own_parquet(), [(drawn.randrange(10**6), drawn.randrange(256)) for _ in range(30)], 0)
        assert isinstance(outcome("a.parquet", content), list | str)
