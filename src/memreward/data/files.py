"""Files on disk: rollouts, questions and tables of results, streamed, checked, and written whole or not at all."""

import csv
import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

from memreward.data.containers import ENDS, Entry, on_hub, parquet, rows_of
from memreward.data.draw import stratified_order
from memreward.data.formats import BATCH, OURS, Finds, Reading, found_in, recognised
from memreward.data.formats.found import paths_in, refuse_unknown
from memreward.data.formats.table import ELSEWHERE, columns_elsewhere
from memreward.data.joined import joined
from memreward.data.records import group_from_record, group_to_record
from memreward.domains.shared.answer_pattern import AnswerPattern
from memreward.temporary import replacing
from memreward.types import DOMAINS, ConfigurationError, DataError, Group, MissingExtraError
from memreward.unicode import escape_surrogates

# A sampler repeats "The answer is 4." by chance; a text longer than this it copies only when a run is merged twice.
_CHANCE_LENGTH = 400
_FORMATS = (".jsonl", ".jsonl.gz", ".parquet")


def read_groups(
    path: str | Path | Sequence[str | Path],
    *,
    reading: Reading | None = None,
    skip_bad: bool = False,
    on_skip: Callable[[str], None] | None = None,
    drop_copies: bool = False,
    answer_pattern: str | None = None,
) -> Iterator[Group]:
    """Stream the groups of a rollout file, one question at a time; of other formats (docs/reading.md) from memory.

    Args:
        path: A file, or a folder of files of one kind. Several are joined: rollouts of one, questions and references of
            another.
        reading: How a file that is not in the project's own schema is read; None looks, and takes usual names.
        skip_bad: Leave out what breaks the schema instead of raising; the rest of a torn file is left out as well.
        on_skip: Called with the message of each entry that was left out.
        drop_copies: Leave out a rollout whose text stood before in its question and is longer than 400 characters,
            which a sampler does not repeat by chance. Ids are those without dropping.
        answer_pattern: A regular expression that alone says where answers stand; see
            `memreward.domains.shared.answer_pattern.AnswerPattern`.

    Raises DataError where the file cannot be read or has no usable line, or, without `skip_bad`, a line breaks the
    schema, ConfigurationError where the pattern does not compile, or runs for too long.
    """
    if answer_pattern is not None:
        AnswerPattern(answer_pattern)
    paths = [Path(path)] if isinstance(path, str | Path) else list(map(Path, path))
    for each in paths:
        _refuse_unreadable(each, reading)
    named = paths[0] if len(paths) == 1 else Path(", ".join(map(str, paths)))
    entries = _entries(paths, reading or Reading())
    groups = _checked(named, entries, (on_skip or (lambda _: None)) if skip_bad else None, answer_pattern)
    return map(_without_copies, groups) if drop_copies else groups


def groups_from_rows(rows: Iterable[Mapping[str, Any]], reading: Reading) -> list[Group]:
    """Return the groups of a table at hand, e.g. a `datasets.Dataset`; DataError says row and column."""
    entries = ((f"the data set, row {number}", dict(row)) for number, row in enumerate(rows))
    return list(_checked(Path("the data set"), joined(found_in(entries, "table", reading)), None, None))


def write_groups(path: str | Path, groups: Iterable[Group]) -> int:
    """Write groups with all they hold, the sealed truth too, in the format of the file's name; return their number.

    The file appears whole or not at all. DataError where the name ends on no known format, a group does not fit
    together, or the disk refuses.
    """
    path = Path(path)
    write, records = parquet().write if format_of(path) == ".parquet" else _write_json, map(group_to_record, groups)
    try:
        with replacing(path) as unfinished, unfinished.open("xb") as file:
            if path.suffix != ".gz":
                count: int = write(file, records)
            else:  # without name and time, equal groups give equal files
                with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as compressed:
                    count = write(compressed, records)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written: {error.strerror or error}; free space or choose another folder, nothing was "
            "changed"
        ) from error
    return count


def _refuse_unreadable(path: Path, reading: Reading | None) -> None:
    if path.exists() and not path.is_file() and not path.is_dir():
        # A pipe would be waited for without end, and can be read once only.
        raise DataError(f"{path}: is not a regular file; name a file")
    if path.name.endswith(".parquet"):
        format_of(path)
    if on_hub(path):
        return
    if not path.is_dir() and not path.name.lower().endswith(ENDS) and (reading is None or reading.format is None):
        raise DataError(f"{path}: the name ends on no known format; use one of {', '.join(ENDS)}")


def _entries(paths: Sequence[Path], reading: Reading) -> Iterator[Entry]:
    """The records of one file of the project's own schema as they stream; of all else, what can be joined."""
    files: list[tuple[str, Iterator[Entry]]] = []
    batch = reading.requests is None
    for path in paths:
        rows = _reported(path, rows_of(path))
        first = next(rows, None)
        if first is None:
            continue
        name = recognised(first[1], reading)
        batch = batch or name == BATCH
        rows = chain([first], rows)
        if name == OURS and len(paths) == 1 and batch:
            yield from _of_domain(rows, reading.domain)
            return
        files.append((name, rows))
    if not batch:
        raise DataError(f"{paths[0]}: is no output of a batch, to which --requests belong; leave the option out")
    yield from joined(chain.from_iterable(_found(files, reading)))


def _found(files: Sequence[tuple[str, Iterator[Entry]]], reading: Reading) -> Iterator[Finds]:
    """What each file holds. Of several, each is read by those of the named columns that it has."""
    if len(files) < 2:
        yield from (found_in(rows, name, reading) for name, rows in files)
        return
    held = [(name, list(rows)) for name, rows in files]
    absent = [columns_elsewhere([row for _, row in rows if isinstance(row, dict)], reading) for _, rows in held]
    everywhere = set.intersection(*absent)
    if all(name == "table" for name, _ in held):
        every = [row for _, rows in held for _, row in rows if isinstance(row, dict)]
        named = [(part, getattr(reading, part)) for part in sorted(everywhere)]
        refuse_unknown("the files", every, paths_in(every), named)
    for (name, rows), here in zip(held, absent, strict=True):
        elsewhere: dict[str, Any] = dict.fromkeys(here - everywhere, ELSEWHERE)
        yield found_in(iter(rows), name, replace(reading, **elsewhere))


def _of_domain(rows: Iterator[Entry], domain: str | None) -> Iterator[Entry]:
    """Rows of our own schema; those that say no domain are of the one that was named."""
    for where, row in rows:
        yield where, {"domain": domain, **row} if domain in DOMAINS and isinstance(row, dict) else row


def _checked(
    path: Path, entries: Iterator[Entry], skip: Callable[[str], None] | None, answer_pattern: str | None
) -> Iterator[Group]:
    query_ids: dict[str, str] = {}
    rollout_ids: set[str] = set()
    skipped = 0
    for where, entry in entries:
        try:
            group = _group(where, entry, answer_pattern)
            _refuse_repeated_ids(group, where, query_ids, rollout_ids)
        except DataError as error:
            if skip is None:
                raise
            skip(str(error))
            skipped += 1
            continue
        query_ids[group.query.id] = where
        rollout_ids.update(rollout.id for rollout in group.rollouts)
        yield group
    if not query_ids:
        reason = f"all {skipped} entries were left out" if skipped else "it is empty"
        raise DataError(f"{path}: no question could be read: {reason}; write one JSON object a line")


def _group(where: str, entry: Any | DataError, answer_pattern: str | None) -> Group:
    if isinstance(entry, DataError):
        raise entry
    if not isinstance(entry, dict):
        raise DataError(f"{where}: a line must hold a JSON object, not {type(entry).__name__}; see the schema")
    return group_from_record(entry, where=where, answer_pattern=answer_pattern)


def _refuse_repeated_ids(group: Group, where: str, query_ids: dict[str, str], rollout_ids: set[str]) -> None:
    if group.query.id in query_ids:
        raise DataError(
            f"{where}: field 'id': question {group.query.id!r} stands already at {query_ids[group.query.id]}; "
            "put all rollouts of a question on one line"
        )
    for index, rollout in enumerate(group.rollouts):
        if rollout.id in rollout_ids:
            raise DataError(
                f"{where}: field 'rollouts[{index}].id': {rollout.id!r} is the id of an earlier rollout; "
                "give each rollout its own id"
            )


def _without_copies(group: Group) -> Group:
    first: dict[str, int] = {}
    kept = [
        index
        for index, text in enumerate(rollout.text for rollout in group.rollouts)
        if first.setdefault(text, index) == index or len(text) <= _CHANCE_LENGTH
    ]
    return group.only(kept)


def _reported(path: Path, entries: Iterator[Entry]) -> Iterator[Entry]:
    try:
        yield from entries
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path}: cannot be read: {reason}; check the path and its permissions") from error


def _write_json(file: Any, records: Iterable[dict[str, Any]]) -> int:
    return sum(1 for record in records if file.write(_json_line(record)))


def _json_line(record: dict[str, Any]) -> bytes:
    try:
        return json.dumps(record, ensure_ascii=False, default=str).encode() + b"\n"
    except UnicodeEncodeError:
        # Only an escape can hold a lone surrogate.
        return json.dumps(record, default=str).encode() + b"\n"


def format_of(path: Path) -> str:
    """Return the end of a file's name that says its format: ".jsonl", ".jsonl.gz" or ".parquet"; else DataError."""
    for suffix in _FORMATS:
        if path.name.endswith(suffix):
            if suffix == ".parquet" and find_spec("pyarrow") is None:
                raise MissingExtraError("pyarrow", "parquet", f"{path}: reading or writing Parquet")
            return suffix
    raise DataError(f"{path}: the name ends on no known format; use one of {', '.join(_FORMATS)}")


def load_questions(*sources: str | Path, seed: int = 0) -> list[Group]:
    """Return the questions of files, each with its sealed reference and without rollouts; of "FILE:COUNT" a sample."""
    found: dict[str, Group] = {}
    for source in sources:
        for group in _load(source, seed):
            if group.query.id in found:
                raise ConfigurationError(f"question {group.query.id!r} is asked twice: name {str(source)!r} once")
            found[group.query.id] = group
    return list(found.values())


def _load(source: str | Path, seed: int) -> list[Group]:
    path, n = Path(source), None
    name, _, count = str(source).rpartition(":")
    if name and count.isdigit() and not path.exists():
        path, n = Path(name), int(count)
    if n == 0:
        raise ConfigurationError(f"questions {str(source)!r}: ask for at least 1")
    if not path.exists():
        raise ConfigurationError(
            f"questions {str(source)!r}: there is no such file; make one by memreward read, as docs/questions.md shows "
            "for benchmarks"
        )
    groups = [group.question() for group in read_groups(path)]
    return groups if n is None else sample_questions(groups, n, seed)


def sample_questions(groups: Sequence[Group], n: int, seed: int) -> list[Group]:
    """Draw n questions of each dataset, stratified by "subject"; a larger draw begins with a smaller one."""
    datasets: dict[str, list[Group]] = {}
    for group in groups:
        datasets.setdefault(group.query.dataset, []).append(group)
    drawn: list[Group] = []
    for members in datasets.values():
        by_id = {group.query.id: group for group in members}
        strata = {key: str(group.provenance.get("subject", "")) for key, group in by_id.items()}
        drawn += [by_id[key] for key in stratified_order(strata, seed, purpose="sample")[:n]]
    return drawn


def check_table(path: Path) -> None:
    """Refuse a name that says no format; one without an end is JSON Lines."""
    if path.suffix not in (".csv", ".parquet", ".jsonl", ""):
        raise ConfigurationError(f"{path}: the name ends on no known format; use one of .csv, .parquet, .jsonl")
    if path.suffix == ".parquet":
        format_of(path)


def write_table(path: Path, rows: Iterable[Mapping[str, Any]], kinds: Mapping[str, str]) -> None:
    """Write rows to a file, whole or not at all; `kinds` by column are "text", "whole", "real" or "flag"."""
    with replacing(path) as unfinished:
        if path.suffix == ".parquet":
            parquet().write_rows(unfinished, map(_escaped, rows), kinds)
        elif path.suffix == ".csv":
            with unfinished.open("w", encoding="utf-8", newline="", errors="replace") as file:
                writer = csv.DictWriter(file, list(kinds))
                writer.writeheader()
                writer.writerows(map(_short, rows))
        else:
            with unfinished.open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(dict(row), ensure_ascii=True, allow_nan=False) + "\n" for row in rows)


def _short(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()}


def _escaped(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: escape_surrogates(value) if isinstance(value, str) else value for key, value in row.items()}
