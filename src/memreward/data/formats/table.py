"""Tables with columns of any name: one question a row with a list of completions, or one completion a row."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from memreward.data.containers import Cells, Entry
from memreward.data.formats.found import (
    Finds,
    Found,
    Reading,
    Row,
    asked_in,
    column_in,
    completions_in,
    in_rows,
    listed,
    parsed_list,
    paths_in,
    refuse_unknown,
    text_or_none,
    value_at,
    verdict_of,
)
from memreward.data.options import options_apart, with_choices
from memreward.data.records import QUERY_KEYS, ROLLOUT_KEYS
from memreward.domains.choice.parse import has_plain_options
from memreward.types import DOMAINS, DataError

_NO_DOMAIN = "the domain (--domain math, qa, code, other or COLUMN)"
_LOOKED_AT = 20
ELSEWHERE = ""
"""In place of a column's name: it stands in another of the files that are joined."""
NAMES = ("question", "answer", "completions", "domain", "id", "correct")


def recognises(row: Row) -> bool:
    """Whether a row has a question, and completions or a reference, in columns that are usually named so."""
    return bool(column_in(row, "question") and (column_in(row, "completions") or column_in(row, "answer")))


def columns_elsewhere(rows: Sequence[Row], reading: Reading) -> set[str]:
    """Return which parts another file must have: columns that are named and that no row has, and a question."""
    apart = {"completions": _apart(reading.completions, rows[0] if rows else ())}
    named = {name: apart.get(name, [getattr(reading, name)]) for name in NAMES if getattr(reading, name)}
    if reading.domain in DOMAINS:
        del named["domain"]
    missing = {n for n, columns in named.items() if all(value_at(r, c) is None for r in rows for c in columns)}
    usual = reading.question is None and not any(column_in(row, "question") for row in rows)
    return missing | ({"question"} if usual else set())


def found_in(entries: Iterator[Entry], reading: Reading) -> Finds:
    """Yield what each row holds; DataError where columns that are named are not there, or needed ones are not found."""
    rows = list(entries)
    names = dict.fromkeys(name for _, row in rows if isinstance(row, dict) for name in row)
    if not names:
        yield from in_rows(rows, lambda *_: iter(()))
        return
    file = rows[0][0].partition(", ")[0]
    objects = [row for _, row in rows if isinstance(row, dict)]
    kinds = {(name, type(value)) for row in objects for name, value in row.items()}
    numbers = {name for name, kind in kinds if kind in (int, float)} - {n for n, kind in kinds if kind in (str, list)}
    columns = _columns(file, objects, list(names), numbers, reading)
    if columns["completions"] is None and reading.answer is None:
        _refuse_several_references(file, rows, columns, reading)
    yield from in_rows(rows, lambda where, row: _found(where, row, columns, reading))


def _columns(
    where: str, rows: Sequence[Row], names: Sequence[str], numbers: Collection[str], reading: Reading
) -> dict[str, str | None]:
    """The column of each part: as named, or by its usual name. All that is missing is said at once.

    A column of `numbers` ("sample": 0) is not taken for completions unless it is named.
    """
    named = {name: getattr(reading, name) for name in NAMES}
    if named["domain"] in DOMAINS:
        named["domain"] = None
    apart = _apart(named["completions"], names)
    paths = paths_in(rows[:_LOOKED_AT])
    single = [(name, column) for name, column in named.items() if name != "completions"]
    refuse_unknown(where, rows, paths, [*single, *(("completions", column) for column in apart)])
    free = [name for name in names if name not in (*named.values(), *apart)]
    columns = {name: None if named[name] == ELSEWHERE else named[name] or column_in(free, name) for name in NAMES}
    if named["completions"] is None:
        columns["completions"] = column_in([name for name in free if name not in numbers], "completions")
    if named["question"] is None:  # "instruction" beside an "input" that is empty in all rows
        filled = [name for name in free if any(row.get(name) not in ("", None) for row in rows)]
        columns["question"] = column_in(filled, "question") or columns["question"]
    columns["options"] = column_in(free, "options")
    missing = ["the question (--question COLUMN)"] if columns["question"] is None else []
    if named["question"] == ELSEWHERE:
        missing = ["the question's id (--id COLUMN)"] if columns["id"] is None else []
    if columns["completions"] is None and columns["answer"] is None and reading.question is None:
        missing.append("completions (--completions COLUMN) or a reference (--answer COLUMN)")
    if missing:
        if columns["domain"] is None and reading.domain is None:
            missing.append(_NO_DOMAIN)
        raise DataError(f"{where}: no column is named as {' nor as '.join(missing)}; it has: {listed(paths)}")
    return columns


def _apart(completions: str | None, names: Collection[str]) -> list[str]:
    """The columns that hold completions: one, or several with commas."""
    if not completions or completions in names:
        return [completions] if completions else []
    return [name.strip() for name in completions.split(",")]


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

    question = None
    if columns["question"] is not None:
        question = asked_in(value_at(row, columns["question"]), where, columns["question"])
    answer = value_at(row, columns["answer"])
    domain = reading.domain if reading.domain in DOMAINS else text("domain")
    beside: dict[str, str] = {}
    if question and not has_plain_options(question):
        if columns["options"] is None and (beside := options_apart(row)):
            question = "\n".join([question, *(f"{label} {row[column]}" for column, label in beside.items())])
        question, answer = with_choices(question, value_at(row, columns["options"]), answer)
    answer = _only(answer, where, columns["answer"], domain, question)
    apart = _apart(columns["completions"], row)
    cell = value_at(row, apart[0]) if len(apart) == 1 else [value_at(row, name) for name in apart] or None
    completions, several = completions_in(cell, where, str(columns["completions"]))
    verdicts = _verdicts(value_at(row, columns["correct"]), len(completions), where, columns["correct"] or "correct")
    used = {*columns.values(), *apart, *beside, *QUERY_KEYS, *ROLLOUT_KEYS}
    others = {name: value for name, value in row.items() if name not in used and value is not None}
    own = {name: row[name] for name in ("policy_version", "token_logprobs", "truncated") if row.get(name) is not None}
    rollouts = tuple(
        {"correct": verdict, **each, **({} if several else {**own, **others})}
        for each, verdict in zip(completions, verdicts, strict=True)
        if each["text"] is not None
    )
    words = domain in ("qa", "other") and not isinstance(row, Cells)
    yield Found(
        where,
        question,
        rollouts,
        text_or_none(answer, where, columns["answer"] or "answer", words=words),
        domain,
        text("id"),
        sure=reading.id is not None or question is None,
        extras=others if several or not rollouts else {},
    )


def _only(answer: Any, where: str, column: str | None, domain: str | None, question: str | None) -> Any:
    """The one reference of a question; DataError where it has several texts, of which a verifier would read none.

    The tests of code are a list, and so are the letters of a question with options.
    """
    if not isinstance(answer, list) or not all(isinstance(each, str) for each in answer):
        return answer
    different = list(dict.fromkeys(each.strip() for each in answer))
    if len(different) < 2 or domain not in ("math", "qa", "other") or has_plain_options(question or ""):
        return different[:1] if len(different) == 1 else answer
    raise DataError(
        f"{where}: field {column!r}: holds {len(different)} references, and a question has one; take the first by "
        f"--answer {column}.0, or give verdicts (--correct)"
    )


def _verdicts(value: object, count: int, where: str, column: str) -> list[bool | None]:
    """One verdict a completion: of a list one each, of a single value that of the only completion."""
    given = parsed_list(value)
    if given is None:
        given = [value] if value is not None else [None] * count
    if len(given) != count and count:
        raise DataError(f"{where}: field {column!r}: {len(given)} verdicts on {count} completions; give one for each")
    return [verdict_of(each, where, column) for each in given[:count]]
