"""Tables with columns of any name: one question a row with a list of completions, or one completion a row."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from memreward.data.containers import Entry
from memreward.data.formats.found import (
    Finds,
    Found,
    Reading,
    Row,
    asked_in,
    column_in,
    in_rows,
    parsed_list,
    refuse_unknown,
    text_or_none,
    texts_of,
    value_at,
    verdict_of,
)
from memreward.data.options import with_choices
from memreward.data.records import QUERY_KEYS, ROLLOUT_KEYS
from memreward.domains.choice.parse import has_plain_options
from memreward.types import DOMAINS, DataError

_NO_DOMAIN = "the domain (--domain math, qa, code, other or COLUMN)"
NAMES = ("question", "answer", "completions", "domain", "id", "correct")


def recognises(row: Row) -> bool:
    """Whether a row has a question, and completions or a reference, in columns that are usually named so."""
    return "rollouts" not in row and bool(
        column_in(row, "question") and (column_in(row, "completions") or column_in(row, "answer"))
    )


def found_in(entries: Iterator[Entry], reading: Reading) -> Finds:
    """Yield what each row holds; DataError where columns that are named are not there, or needed ones are not found."""
    rows = list(entries)
    names = dict.fromkeys(name for _, row in rows if isinstance(row, dict) for name in row)
    if not names:
        yield from in_rows(rows, lambda *_: iter(()))
        return
    file = rows[0][0].partition(", ")[0]
    kinds = {(name, type(value)) for _, row in rows if isinstance(row, dict) for name, value in row.items()}
    numbers = {name for name, kind in kinds if kind in (int, float)} - {n for n, kind in kinds if kind in (str, list)}
    columns = _columns(file, list(names), numbers, reading)
    if columns["completions"] is None and reading.answer is None:
        _refuse_several_references(file, rows, columns, reading)
    yield from in_rows(rows, lambda where, row: _found(where, row, columns, reading))


def _columns(where: str, names: Sequence[str], numbers: Collection[str], reading: Reading) -> dict[str, str | None]:
    """The column of each part: as named, or by its usual name. All that is missing is said at once.

    A column of `numbers` ("sample": 0) is not taken for completions unless it is named.
    """
    named = {name: getattr(reading, name) for name in NAMES}
    if named["domain"] in DOMAINS:
        named["domain"] = None
    refuse_unknown(where, names, named)
    free = [name for name in names if name not in named.values()]
    columns = {name: named[name] or column_in(free, name) for name in NAMES}
    if named["completions"] is None:
        columns["completions"] = column_in([name for name in free if name not in numbers], "completions")
    columns["options"] = column_in(free, "options")
    missing = ["the question (--question COLUMN)"] if columns["question"] is None else []
    if columns["completions"] is None and columns["answer"] is None and reading.question is None:
        missing.append("completions (--completions COLUMN) or a reference (--answer COLUMN)")
    if missing:
        if columns["domain"] is None and reading.domain is None:
            missing.append(_NO_DOMAIN)
        raise DataError(f"{where}: no column is named as {' nor as '.join(missing)}; it has: {', '.join(names)}")
    return columns


def _refuse_several_references(
    file: str, rows: Sequence[Entry], columns: dict[str, str | None], reading: Reading
) -> None:
    """Refuse a column that is a reference by its name and holds several values a question, as answers given do."""
    values: dict[str, set[str]] = {}
    for _, row in rows:
        if isinstance(row, dict) and (value := value_at(row, columns["answer"])) is not None:
            values.setdefault(str(value_at(row, columns["question"])), set()).add(str(value))
    several = sum(len(each) > 1 for each in values.values())
    if several > len(values) / 2:
        answer = columns["answer"]
        missing = "" if columns["domain"] or reading.domain else f" Missing is {_NO_DOMAIN}."
        raise DataError(
            f"{file}: column {answer!r} was taken for the reference, and {several} of {len(values)} questions have "
            f"several; if it holds what was answered, say --completions {answer}; else give each question one.{missing}"
        )


def _found(where: str, row: Row, columns: dict[str, str | None], reading: Reading) -> Iterator[Found]:
    def text(name: str) -> str | None:
        return text_or_none(value_at(row, columns[name]), where, columns[name] or name)

    question = asked_in(value_at(row, columns["question"]), where, str(columns["question"]))
    answer = value_at(row, columns["answer"])
    if not has_plain_options(question):
        question, answer = with_choices(question, value_at(row, columns["options"]), answer)
    completions, listed = texts_of(value_at(row, columns["completions"]), where, str(columns["completions"]))
    verdicts = _verdicts(value_at(row, columns["correct"]), len(completions), where, columns["correct"] or "correct")
    others = {
        name: value
        for name, value in row.items()
        if name not in columns.values() and name not in (*QUERY_KEYS, *ROLLOUT_KEYS) and value is not None
    }
    own = {name: row[name] for name in ("policy_version", "token_logprobs", "truncated") if row.get(name) is not None}
    rollouts = tuple(
        {"text": each, "correct": verdict, **({} if listed else {**own, **others})}
        for each, verdict in zip(completions, verdicts, strict=True)
    )
    domain = reading.domain if reading.domain in DOMAINS else text("domain")
    yield Found(
        where,
        question,
        rollouts,
        text_or_none(answer, where, columns["answer"] or "answer"),
        domain,
        text("id"),
        sure=reading.id is not None,
        extras=others if listed or not rollouts else {},
    )


def _verdicts(value: object, count: int, where: str, column: str) -> list[bool | None]:
    """One verdict a completion: of a list one each, of a single value that of the only completion."""
    given = parsed_list(value)
    if given is None:
        given = [value] if value is not None else [None] * count
    if len(given) != count and count:
        raise DataError(f"{where}: field {column!r}: {len(given)} verdicts on {count} completions; give one for each")
    return [verdict_of(each, where, column) for each in given[:count]]
