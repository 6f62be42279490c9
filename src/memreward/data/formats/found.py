"""What a format finds in a row, and how columns of any name and values of any shape become it."""

import difflib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memreward.data.chat import question_of, text_of
from memreward.data.containers import Entry
from memreward.types import DataError

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Reading:
    """How files that are not in the project's own schema are read.

    Columns may be named by path: "info.answer" is `answer` in the object `info`, "runs.text" is `text` of each object
    in the list `runs`, "golds.0" the first of the list `golds`.

    Attributes:
        format: What the files are: rollouts, openai-batch, lm-eval, inspect, verl, trl or table; else seen from the
            first row.
        question: Column of the question; else one of the usual names, as for those that follow.
        answer: Column of the reference.
        completions: Column of the completion, or of the list of completions; or a column each, with commas.
        domain: math, qa, code, other, or the column that says so.
        id: Column of the question's id; without one, a hash of the question names it.
        correct: Column of the verdict on a completion. Only `correct` and `is_correct` are found by name: a score or a
            reward is a verdict only where somebody says so.
        requests: The requests of a batch, whose custom ids its output repeats.
    """

    format: str | None = None
    question: str | None = None
    answer: str | None = None
    completions: str | None = None
    domain: str | None = None
    id: str | None = None
    correct: str | None = None
    requests: Path | None = None


@dataclass(frozen=True)
class Found:
    """A question, some of its rollouts (as the schema has them, without ids), or both, as one row has them.

    Attributes:
        question: Its text; None where only `id` or the `custom_id` of a request says which it is.
        sure: Whether `id` was named as the question's; one that was found by its usual name may be the row's.
        extras: Kept as provenance of the question.
    """

    where: str
    question: str | None
    rollouts: tuple[dict[str, Any], ...] = ()
    reference: str | None = None
    domain: str | None = None
    id: str | None = None
    sure: bool = True
    custom_id: str | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)


Finds = Iterator[Found | tuple[str, DataError]]
"""What rows hold, or where something is wrong, and what."""

USUAL: Mapping[str, tuple[str, ...]] = {
    "question": ("question", "problem", "query", "prompt", "input", "instruction", "task", "question_stem"),
    "answer": (
        *("reference", "answer", "ground_truth", "gts", "gold", "gold_answer", "gold_answers"),
        *("target", "expected", "solution", "answerkey", "correct_answer", "reference_answer"),
    ),
    "options": ("choices", "options"),
    "completions": (
        *("completions", "responses", "generations", "outputs", "samples", "model_outputs", "predictions"),
        *("completion", "response", "generation", "output", "sample", "model_output", "prediction"),
        *("rollouts", "model_response", "generated_text", "full_response", "raw_response", "raw_output"),
    ),
    "domain": ("domain",),
    "id": ("id", "question_id", "query_id", "qid", "unique_id", "problem_id"),
    "correct": ("correct", "is_correct", "is_solved", "per_sample_correct"),
}
"""Column names that are found without being named, the first that is there; case does not matter."""


MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "<NA>", "#N/A")
"""What pandas, R, SQL and spreadsheets write into a cell without a value."""
_WORDS = ("NA", "N/A", "n/a", "NULL", "null", "None")
"""Those that may be an answer in words, in files that have another way to leave a value out."""

_DEEPEST = 5
_DIGITS = 9
_NAMED = 40


def column_in(names: Iterable[str], what: str) -> str | None:
    """Return the column that usually holds `what`, if it is there."""
    lower = {name.lower(): name for name in reversed(list(names))}
    return next((lower[usual] for usual in USUAL[what] if usual in lower), None)


def value_at(row: Row, column: str | None) -> Any:
    """Return a row's value at a column or path, see `Reading`. None where there is none."""
    return None if column is None else _value_in(row, column)


def _value_in(value: Any, path: str) -> Any:
    if isinstance(value, Mapping) and path in value:
        return value[path]
    head, dot, rest = path.partition(".")
    if isinstance(value, Mapping):
        return _value_in(value.get(head), rest) if dot else None
    if not isinstance(value, list):
        return None
    if not head.isdecimal():
        return [_value_in(each, path) for each in value]
    item = value[int(head)] if len(head) < _DIGITS and int(head) < len(value) else None
    return _value_in(item, rest) if dot else item


def paths_in(rows: Iterable[Any]) -> list[str]:
    """Return the names of columns, those of objects inside as paths; a chat is one value."""
    return list(dict.fromkeys(path for row in rows for path in _paths_of(row, _DEEPEST)))


def _paths_of(value: Any, levels: int) -> Iterator[str]:
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, Mapping) or not levels or "role" in value:
        return
    for name, inner in value.items():
        below = [f"{name}.{path}" for path in _paths_of(inner, levels - 1)]
        yield from below or [str(name)]


def listed(names: Sequence[str]) -> str:
    """Return names in a row, not more than a message holds."""
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def refuse_unknown(
    where: str, rows: Sequence[Row], columns: Sequence[str], named: Iterable[tuple[str, str | None]]
) -> None:
    """Raise DataError of columns that no row has: all in one message, each with the nearest of `columns`."""
    problems = []
    for option, column in named:
        if not column or column in columns or any(_is_there(value_at(row, column)) for row in rows):
            continue
        near = difflib.get_close_matches(column, columns, 1, 0.5) or [
            each
            for each in columns
            if min(len(column), len(each)) > 1 and (column.lower() in each.lower() or each.lower() in column.lower())
        ]
        problems.append(f"{option} {column!r}: no such column" + (f", did you mean {near[0]!r}?" if near else ""))
    if problems:
        raise DataError(f"{where}: {'; '.join(problems)}; its columns are {listed(columns)}")


def _is_there(value: Any) -> bool:
    """Whether a value holds any: a list or an object of nothing, as Arrow fills them, holds none."""
    inner = value.values() if isinstance(value, Mapping) else value
    return any(map(_is_there, inner)) if isinstance(value, Mapping | list) else value is not None


def text_or_none(value: Any, where: str, column: str, *, words: bool = False) -> str | None:
    """Return an id, a domain or a reference as text, numbers as written; DataError for what is none.

    An empty text, list or object is None, and so is what tables write where a value is missing (`MISSING`), of which
    "None" and "NA" may also be `words`.

    A list of one is that one; {"ground_truth": x} is x; any other list or object is JSON, which tests of code are.
    """
    if isinstance(value, Mapping) and "ground_truth" in value:
        value = value["ground_truth"]
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str | int | float):
        value = value[0]
    if not _is_there(value) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, str):
        return None if value.strip() in MISSING and not (words and value.strip() in _WORDS) else value
    if isinstance(value, bool) or not isinstance(value, int | float | list | Mapping):
        raise DataError(f"{where}: field {column!r}: is {value!r}, no text; write it as a string")
    if isinstance(value, int | float):
        return str(int(value)) if value == int(value) else str(value)
    return json.dumps(value, ensure_ascii=False)


_RIGHT, _WRONG = (
    ("true", "1", "1.0", "c", "correct", "right", "yes", "y"),
    ("false", "0", "0.0", "i", "incorrect", "wrong", "no", "n"),
)


def verdict_of(value: Any, where: str, column: str) -> bool | None:
    """Return true or false from how people and packages write it; nothing is None, and DataError what is between."""
    if isinstance(value, Mapping) and "value" in value:
        value = value["value"]
    said = "" if value is None else str(value).strip().lower()
    if said in map(str.lower, MISSING):
        return None
    if said in _RIGHT or said in _WRONG:
        return said in _RIGHT
    raise DataError(
        f"{where}: field {column!r}: is {value!r}, neither right nor wrong; write true or false, leave it empty where "
        "nobody knows, or name another column by --correct"
    )


def parsed_list(value: Any) -> list[Any] | None:
    """Return a list as it is, or as JSON that a cell of text holds; None of anything else."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, list) else None


def completions_in(value: Any, where: str, column: str) -> tuple[list[dict[str, Any]], bool]:
    """Return the completions that a cell holds as rollouts of the schema, and whether it holds a list of them.

    A cell holds a text, a chat, or a list of texts, chats or objects. Of an object the text is `text`, `content` or
    what usually holds a completion, the verdict `correct` or `is_correct`; all else stays what it is. What is missing
    in a list has the text None.
    """
    parsed = parsed_list(value)
    if parsed and all(isinstance(each, str | list | dict | None) for each in parsed):
        value = parsed
    if value is None:
        return [], False
    one = not isinstance(value, list) or any(isinstance(each, Mapping) and "role" in each for each in value)
    try:
        return [_completion(each, where) for each in ([value] if one else value)], not one
    except DataError as error:
        raise DataError(f"{where}: field {column!r}: {error}") from error


def _completion(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        return {"text": None}
    if not isinstance(value, Mapping) or "role" in value or "type" in value:
        return {"text": text_of(value)}
    said = next((name for name in ("text", "content") if name in value), None) or column_in(value, "completions")
    if said is None:
        raise DataError(f"an object without a text; name its path, COLUMN.NAME: it has {listed(paths_in([value]))}")
    verdict = column_in(value, "correct")
    found: dict[str, Any] = {"text": None if value[said] is None else text_of(value[said])}
    if verdict is not None:
        found["correct"] = verdict_of(value[verdict], where, verdict)
    return {name: each for name, each in value.items() if name not in (said, verdict)} | found


def asked_in(value: Any, where: str, column: str) -> str:
    """Return the question that a cell holds, of a chat its last message; DataError where it has no text."""
    chat = parsed_list(value)
    try:
        text = question_of(chat if chat and all(isinstance(each, Mapping) for each in chat) else value)
    except DataError as error:
        raise DataError(f"{where}: field {column!r}: {error}") from error
    if not text.strip():
        raise DataError(f"{where}: field {column!r}: is empty; write the full question text")
    return text


def as_laid_out(where: str, row: Any, read: Callable[[str, Any], Any]) -> Any:
    """Return `read(where, row)`, or what is wrong where the row is not laid out as `read` expects it."""
    try:
        return read(where, row)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        return DataError(
            f"{where}: not laid out as its format is ({error}); write it again, or leave it out: --skip-bad"
        )


def in_rows(entries: Iterable[Entry], find: Any) -> Finds:
    """Apply `find(where, row)` to each row that is an object; what is wrong with a row takes its place."""
    for where, row in entries:
        try:
            if isinstance(row, DataError):
                raise row
            if not isinstance(row, Mapping):
                raise DataError(f"{where}: a row must be an object, not {type(row).__name__}")
            yield from find(where, row)
        except DataError as error:
            yield where, error
