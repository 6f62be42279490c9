"""The formats of files that can be read, by name. What is in a file is found by a look at its first row."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from memreward.data.containers import Entry
from memreward.data.formats import logs, openai_batch, table
from memreward.data.formats.found import Finds, Found, Reading, Row, in_rows
from memreward.data.records import QUERY_KEYS
from memreward.types import DOMAINS, ConfigurationError, DataError

__all__ = ["BATCH", "FORMATS", "OURS", "Finds", "Found", "Reading", "found_in", "recognised"]


class Format(NamedTuple):
    """A format: whether a row is of it, and from entries to what they hold."""

    recognises: Callable[[Row], bool]
    found_in: Callable[[Iterator[Entry], Reading], Finds]


def _ours(entries: Iterator[Entry], reading: Reading) -> Finds:  # noqa: ARG001
    """What the project's own schema holds, to be joined with other files; each rollout keeps its id."""

    def found(where: str, row: Row) -> Iterator[Found]:
        rollouts, identity = row.get("rollouts"), row.get("id")
        if not isinstance(row.get("query"), str) or not isinstance(identity, str) or not isinstance(rollouts, list):
            raise DataError(f"{where}: a field of 'id', 'query', 'rollouts' is missing or of a wrong kind")
        named: list[Any] = [{"id": f"{identity}/{i}", **each} for i, each in enumerate(rollouts)]
        extras = {name: value for name, value in row.items() if name not in QUERY_KEYS}
        yield Found(where, row["query"], tuple(named), row.get("reference"), row.get("domain"), identity, extras=extras)

    return in_rows(entries, found)


def _is_ours(row: Row) -> bool:
    """Whether a row has rollouts, and no question under another name."""
    return "rollouts" in row and ("query" in row or not table.recognises(row))


def _as_table(rows: Callable[[Iterator[Entry]], Iterator[Entry]], *keys: set[str], **columns: str) -> Format:
    """The format of rows with any of these sets of keys, which `rows` makes a table's, with these columns."""

    def found(entries: Iterator[Entry], reading: Reading) -> Finds:
        named: dict[str, Any] = {name: getattr(reading, name) or column for name, column in columns.items()}
        return table.found_in(rows(entries), replace(reading, **named))

    return Format(lambda row: any(each <= row.keys() for each in keys), found)


OURS = "rollouts"
BATCH = "openai-batch"
FORMATS: dict[str, Format] = {
    OURS: Format(_is_ours, _ours),
    BATCH: Format(openai_batch.recognises, openai_batch.found_in),
    "lm-eval": _as_table(
        logs.lm_eval, {"doc_id", "doc", "resps"}, question="question", completions="completions", answer="target"
    ),
    "inspect": _as_table(
        logs.inspect_ai,
        {"eval", "samples"},
        {"epoch", "input", "target", "output"},
        question="question",
        completions="completion",
        answer="target",
    ),
    # verl's `rollout_data_dir` and `validation_data_dir`, whose reference is `gts`; TRL's `log_completions`.
    "verl": _as_table(logs.trainers, {"input", "output", "score", "step"}, question="input", completions="output"),
    "trl": _as_table(
        logs.trainers, {"prompt", "completion", "step", "advantage"}, question="prompt", completions="completion"
    ),
    "table": Format(table.recognises, table.found_in),
}
"""In the order in which a row is held against them."""


def recognised(row: Any, reading: Reading) -> str:
    """Return the name of a row's format; what is of none is held to be ours, or a table, which say what is missing."""
    if reading.format is not None:
        if reading.format not in FORMATS:
            raise ConfigurationError(f"format {reading.format!r} is unknown; use one of {', '.join(FORMATS)}")
        return reading.format
    if not isinstance(row, dict):
        return OURS
    named = any(getattr(reading, name) for name in table.NAMES if name != "domain" or reading.domain not in DOMAINS)
    if named and "rollouts" in row:
        return "table"
    found = next((name for name, one in FORMATS.items() if one.recognises(row)), None)
    ours = {"query", "rollouts"} & row.keys() and not named
    return found or (OURS if ours else "table")


def found_in(entries: Iterator[Entry], name: str, reading: Reading) -> Finds:
    return FORMATS[name].found_in(entries, reading)
