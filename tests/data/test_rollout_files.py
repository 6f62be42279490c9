from __future__ import annotations

import errno
import gzip
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from memreward.data import format_of, group_from_record, group_to_record, read_groups, write_groups
from memreward.types import ConfigurationError, DataError, Group, MissingExtraError, Truth, UnknownDomainError
from rows import each_row

FORMATS = ["groups.jsonl", "groups.jsonl.gz", "groups.parquet"]


def record(identity: str = "sum-1", **changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "id": identity,
        "dataset": "sums",
        "domain": "math",
        "query": "What is 2 + 3?",
        "reference": "5",
        "rollouts": [
            {"text": "2 + 3 = 5. The answer is 5.", "correct": True},
            {"text": "It is \\boxed{6}", "correct": False},
            {"text": "who knows", "correct": None},
        ],
    }
    return {**base, **changes}


OPTIONS = "What is 2 + 3?\n(A) four\n(B) five"


def rich_record() -> dict[str, Any]:
    rollouts = [
        {
            "id": "mine",
            "text": "line\u2028separator, lone \ud800 surrogate, \x00, 😀\n#### 5",
            "correct": True,
            "policy_version": "step-3",
            "token_logprobs": [-0.1, -2.5e-7, 0, -1 / 3],
            "truncated": False,
            "temperature": 0.7,
            "nested": {"a": [1, None, "\udfff"]},
        },
        {"text": "", "correct": None, "truncated": True, "run": None},
        {"text": "x" * 100_000, "correct": False, "run": 7},
    ]
    return record(rollouts=rollouts, license="MIT", level=3, tags=["a", {"b": None}], note=None)


def write_lines(path: Path, *lines: str | bytes | dict[str, Any]) -> Path:
    def encoded(line: str | bytes | dict[str, Any]) -> bytes:
        if isinstance(line, bytes):
            return line
        return (line if isinstance(line, str) else json.dumps(line)).encode()

    content = b"\n".join(encoded(line) for line in lines)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def test_a_record_becomes_a_group_with_sealed_truth_and_provenance() -> None:
    group = group_from_record(rich_record())
    assert (group.query.id, group.query.domain, group.query.dataset) == ("sum-1", "math", "sums")
    assert group.truth == Truth("5", (True, None, False))
    assert [rollout.id for rollout in group.rollouts] == ["mine", "sum-1/1", "sum-1/2"]
    first = group.rollouts[0]
    assert (first.answer, first.policy_version, first.truncated) == ("5", "step-3", False)
    assert first.token_logprobs == (-0.1, -2.5e-7, 0.0, -1 / 3)
    assert first.query is group.query
    assert group.provenance == {"license": "MIT", "level": 3, "tags": ["a", {"b": None}], "note": None}
    assert group.rollout_provenance == (
        {"temperature": 0.7, "nested": {"a": [1, None, "\udfff"]}},
        {"run": None},
        {"run": 7},
    )


def test_what_may_be_left_out_is_unknown() -> None:
    group = group_from_record({"id": "a", "domain": "other", "query": "?", "rollouts": [{"text": "b"}]})
    assert group.truth == Truth(None, (None,))
    assert (group.query.dataset, group.rollouts[0].policy_version) == ("", "")
    assert (group.rollouts[0].token_logprobs, group.rollouts[0].truncated) == (None, None)


@pytest.mark.parametrize("name", FORMATS)
def test_files_round_trip_everything(tmp_path: Path, name: str) -> None:
    groups = [group_from_record(rich_record()), group_from_record(record("empty", rollouts=[], reference=None))]
    more = 300 if name.endswith("parquet") else 20  # a file of that many has several row groups
    groups += [group_from_record(record(f"more-{index}")) for index in range(more)]
    assert write_groups(tmp_path / name, groups) == more + 2
    assert list(read_groups(tmp_path / name)) == groups
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", FORMATS)
def test_equal_groups_give_equal_files(tmp_path: Path, name: str) -> None:
    group = group_from_record(rich_record())
    for folder, equal in (("a", group), ("b", replace(group))):
        write_groups(tmp_path / folder / name, [equal])
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_group_whose_truth_is_sealed_away_is_written_without_verdicts() -> None:
    group = replace(group_from_record(record()), truth=Truth(), rollout_provenance=())
    assert [rollout["correct"] for rollout in group_to_record(group)["rollouts"]] == [None] * 3


def test_a_group_that_does_not_fit_together_is_refused() -> None:
    group = replace(group_from_record(record()), truth=Truth(None, (True,)))
    with pytest.raises(DataError, match="'sum-1': 3 rollouts with 1 verdicts"):
        group_to_record(group)


def test_parquet_of_other_tools_is_read(tmp_path: Path) -> None:
    plain = record(rollouts=[{"text": "5", "correct": True, "model": "a"}, {"text": "6", "run": 2}], level=None)
    pq.write_table(pa.Table.from_pylist([plain, record("other")]), tmp_path / "x.parquet")
    first, second = read_groups(tmp_path / "x.parquet")
    assert first.truth == Truth("5", (True, None))
    assert first.rollout_provenance == ({"model": "a"}, {"run": 2})
    assert first.provenance == {}
    assert second.query.id == "other"


def test_reading_streams(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "x.jsonl", record("a"), "{not json")
    groups = read_groups(path)
    assert next(groups).query.id == "a"
    with pytest.raises(DataError, match="line 2"):
        next(groups)


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in record().items() if name != key}


def with_rollout(**rollout: Any) -> dict[str, Any]:
    return record(rollouts=[{"text": "first"}, rollout])


# Each bad line with the field, and words of the reason and of the remedy, that the message must hold.
BAD_LINES: list[tuple[Any, str, str, str]] = [
    (without("id"), "'id'", "missing", "give each question an id"),
    (record(id=7), "'id'", "is 7, not a string", "give each question an id"),
    (record(id="  "), "'id'", "empty", "give each question an id"),
    (without("query"), "'query'", "missing", "full question text"),
    (record(query=None), "'query'", "is None, not a string", "full question text"),
    (record(query=""), "'query'", "empty", "full question text"),
    (without("domain"), "'domain'", "missing", "math, qa, code, other"),
    (record(domain="maths"), "'domain'", "'maths' is unknown", "math, qa, code, other"),
    (record(dataset=3), "'dataset'", "is 3", "leave the key out"),
    (record(reference=18), "'reference'", "is 18", "as a string"),
    (record(reference=["assert f(1)"]), "'reference'", "assert f(1)", "JSON list"),
    (
        record(domain="qa", query=OPTIONS, reference="G"),
        "'reference'",
        "'G' is none of the question's",
        "one of 'A', 'B'",
    ),
    (record(domain="qa", query=OPTIONS, reference="six"), "'reference'", "'six' is none of", "one of 'A', 'B'"),
    (without("rollouts"), "'rollouts'", "missing", "[] for a question without"),
    (record(rollouts={"text": "a"}), "'rollouts'", "not a list", "list of objects"),
    (record(rollouts=["a"]), "'rollouts[0]'", "is 'a', not an object", '{"text": ...}'),
    (with_rollout(), "'rollouts[1].text'", "missing", "as it was sampled"),
    (with_rollout(text=["a"]), "'rollouts[1].text'", "is ['a'], not a string", "as it was sampled"),
    (with_rollout(text="a", correct=1), "'rollouts[1].correct'", "is 1", "true, false, or null"),
    (with_rollout(text="a", correct="yes"), "'rollouts[1].correct'", "is 'yes'", "true, false, or null"),
    (with_rollout(text="a", truncated=0), "'rollouts[1].truncated'", "is 0", "true, false, or null"),
    (with_rollout(text="a", policy_version=3), "'rollouts[1].policy_version'", "is 3", "as a string"),
    (with_rollout(text="a", token_logprobs=-1.0), "'rollouts[1].token_logprobs'", "is -1.0", "log-probability"),
    (with_rollout(text="a", token_logprobs=[0, None]), "token_logprobs[1]'", "is None", "log-probability"),
    (with_rollout(text="a", token_logprobs=[float("nan")]), "token_logprobs[0]'", "is nan", "log-probability"),
    (with_rollout(text="a", token_logprobs=[True]), "token_logprobs[0]'", "is True", "log-probability"),
    (with_rollout(text="a", id=5), "'rollouts[1].id'", "is 5", "id of its own"),
    (with_rollout(text="a", id="sum-1/0"), "'rollouts[1].id'", "twice in this question", "its own id"),
    (with_rollout(text="a", id="good/0"), "'rollouts[1].id'", "earlier rollout", "its own id"),
    (record("good"), "'id'", "stands already at", "on one line"),
    ("[1, 2]", "", "not list", "JSON object"),
    ("null", "", "not NoneType", "JSON object"),
    ('{"id": "a"', "", "not JSON", "one JSON object a line"),
    ("[" * 100_000, "", "cannot be read", "nesting"),
    ('{"level": ' + "9" * 5_000 + "}", "", "cannot be read", "shorten the number"),
    (b'{"id": "\xff"}', "", "byte 9 is not UTF-8", "save the file as UTF-8"),
]


@each_row("reference", ["B", "(b)", "five", "Five.", "B) five", "A, B", None])
def test_a_reference_may_name_its_option_in_any_way(reference: str | None) -> None:
    group = group_from_record(record(domain="qa", query=OPTIONS, reference=reference))
    assert group.truth.reference == reference


def test_points_of_a_question_are_no_options_that_a_reference_must_name() -> None:
    query = "Consider a triangle:\na) its sides are 3, 4, 5\nb) it is drawn in red\nWhat is it called?"
    assert group_from_record(record(domain="qa", query=query, reference="right")).truth.reference == "right"


def test_a_pattern_says_where_answers_are(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "x.jsonl", record())
    (group,) = read_groups(path, answer_pattern=r"(\d) = ")
    assert [rollout.answer for rollout in group.rollouts] == ["3", None, None]
    with pytest.raises(ConfigurationError, match="not a regular expression"):
        read_groups(path, answer_pattern="(")


@each_row(("line", "field", "reason", "remedy"), BAD_LINES)
@each_row("name", ["x.jsonl", "x.jsonl.gz"])
def test_a_bad_line_is_refused_and_may_be_skipped(
    tmp_path: Path, name: str, line: Any, field: str, reason: str, remedy: str
) -> None:
    path = write_lines(tmp_path / name, record("good"), "", line, record("last"))
    with pytest.raises(DataError) as caught:
        list(read_groups(path))
    message = str(caught.value)
    assert message.startswith(f"{path}, line 3: ")
    for part in (field, reason, remedy):
        assert part in message
    assert len(message) < 600
    skipped: list[str] = []
    groups = list(read_groups(path, skip_bad=True, on_skip=skipped.append))
    assert [group.query.id for group in groups] == ["good", "last"]
    assert skipped == [message]


def test_an_unknown_domain_has_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(UnknownDomainError):
        list(read_groups(write_lines(tmp_path / "x.jsonl", record(domain="law"))))
    assert next(read_groups(write_lines(tmp_path / "x.jsonl", record(domain="other")))).query.domain == "other"


def test_a_bad_parquet_row_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([record("a"), record("b", domain="law")]), tmp_path / "x.parquet")
    with pytest.raises(UnknownDomainError, match=r"x\.parquet, row 2: field 'domain'"):
        list(read_groups(tmp_path / "x.parquet"))
    assert [group.query.id for group in read_groups(tmp_path / "x.parquet", skip_bad=True)] == ["a"]


def test_parquet_text_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([record("a"), record("b")])
    text = pa.Array.from_buffers(pa.string(), 2, pa.array([b"fine", b"\xff"], pa.binary()).buffers())
    pq.write_table(table.set_column(table.schema.get_field_index("query"), "query", text), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="row 2: a text is not UTF-8"):
        list(read_groups(tmp_path / "x.parquet"))


@each_row("content", [b"", b"\n \n"])
@each_row("name", ["x.jsonl", "x.jsonl.gz"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(DataError, match=r"no question could be read: it is empty"):
        list(read_groups(write_lines(tmp_path / name, content), skip_bad=True))


def test_a_file_of_bad_lines_only_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="all 2 entries were left out"):
        list(read_groups(write_lines(tmp_path / "x.jsonl", "1", "2"), skip_bad=True))


def test_a_torn_gzip_gives_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    write_groups(path, [group_from_record(record(f"q{index}-{os.urandom(40).hex()}")) for index in range(200)])
    path.write_bytes(path.read_bytes()[:-2_000])
    with pytest.raises(DataError, match=r"after line \d+: not a whole gzip file"):
        list(read_groups(path))
    skipped: list[str] = []
    whole = list(read_groups(path, skip_bad=True, on_skip=skipped.append))
    assert 100 < len(whole) < 200
    assert len(skipped) == 1


def test_what_is_no_gzip_or_parquet_is_refused(tmp_path: Path) -> None:
    for name, words in (("x.jsonl.gz", "not a whole gzip file"), ("x.parquet", "not a Parquet file")):
        (tmp_path / name).write_bytes(b"hello, this is text\n" * 10)
        with pytest.raises(DataError, match=words):
            list(read_groups(tmp_path / name))


@pytest.mark.parametrize("name", FORMATS)
def test_a_missing_file_or_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        list(read_groups(tmp_path / name))
    (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=name):
        list(read_groups(tmp_path / name))


def test_an_unknown_format_or_option_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\.parquet, \.csv, .*\.jsonl"):
        read_groups(tmp_path / "x.xlsx")
    with pytest.raises(DataError, match=r"\.jsonl, \.jsonl\.gz, \.parquet"):
        write_groups(tmp_path / "x.csv", [])


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "x.jsonl", b"\xef\xbb\xbf" + json.dumps(record()).encode())
    assert [group.query.id for group in read_groups(path)] == ["sum-1"]


def test_copies_are_dropped_as_asked_and_ids_stay(tmp_path: Path) -> None:
    long = "y" * 401
    texts = ["a", long, "a", long, "y" * 400, "y" * 400]
    rollouts = [{"text": text, "correct": index % 2 == 0, "run": index} for index, text in enumerate(texts)]
    path = write_lines(tmp_path / "x.jsonl", record(rollouts=rollouts))

    def kept(drop_copies: bool) -> list[int]:
        (group,) = read_groups(path, drop_copies=drop_copies)
        indices = [int(rollout.id.rsplit("/")[-1]) for rollout in group.rollouts]
        assert group.truth.correct == tuple(index % 2 == 0 for index in indices)
        assert [extra["run"] for extra in group.rollout_provenance] == indices
        return indices

    assert kept(False) == [0, 1, 2, 3, 4, 5]
    assert kept(True) == [0, 1, 2, 4, 5]


@pytest.mark.parametrize("name", FORMATS)
def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = [group_from_record(record())]
    write_groups(tmp_path / name, groups)

    def failing() -> Any:
        yield groups[0]
        raise RuntimeError("the sampler died")

    with pytest.raises(RuntimeError, match="the sampler died"):
        write_groups(tmp_path / name, failing())

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"No space left on device; free space"):
        write_groups(tmp_path / name, [*groups, group_from_record(record("new"))])
    assert list(read_groups(tmp_path / name)) == groups
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.slow
def test_the_real_files_round_trip(shared_data: Path, tmp_path: Path) -> None:
    groups: list[Group] = list(read_groups(shared_data / "rollouts" / "humaneval_gpt-3.5-turbo.jsonl.gz"))
    assert (len(groups), sum(len(group.rollouts) for group in groups)) == (164, 820)
    for name in FORMATS:
        write_groups(tmp_path / name, groups)
        assert list(read_groups(tmp_path / name)) == groups


def test_without_pyarrow_parquet_names_its_extra_and_json_lines_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = group_from_record({"id": "q", "domain": "math", "query": "1 + 1?", "rollouts": [{"text": "2"}]}, where="x")
    write_groups(tmp_path / "a.parquet", [group])
    monkeypatch.setattr("memreward.data.files.find_spec", lambda name: None if name == "pyarrow" else name)
    for attempt in (
        lambda: read_groups(tmp_path / "a.parquet"),
        lambda: write_groups(tmp_path / "b.parquet", [group]),
        lambda: format_of(tmp_path / "c.parquet"),
    ):
        with pytest.raises(MissingExtraError, match=r"Parquet needs pyarrow.*pip install 'memreward\[parquet\]'"):
            attempt()
    write_groups(tmp_path / "a.jsonl.gz", [group])
    assert list(read_groups(tmp_path / "a.jsonl.gz")) == [group]
    assert not (tmp_path / "b.parquet").exists()
