"""Rollout files on disk: JSON Lines (plain or gzip) and Parquet, streamed, checked, and written atomically."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

from memreward.data.records import group_from_record, group_to_record
from memreward.domains import AnswerPattern
from memreward.temporary import replacing
from memreward.types import ConfigurationError, DataError, Group, MissingExtraError

Duplicates = Literal["keep", "drop", "auto"]

# A sampler repeats "The answer is 4." by chance; a text longer than this it copies only when a run is merged twice.
_CHANCE_LENGTH = 400
_FORMATS = (".jsonl", ".jsonl.gz", ".parquet")
_CHUNK = 2**20
LONGEST_LINE = 2**28
"""Bytes of a line of JSON; a compressed file of megabytes may hold one that no memory holds."""
_ONE_A_LINE = "write one JSON object a line"
# What stands in a file: where, and its record or what is wrong with it.
_Entry = tuple[str, Any | DataError]


def read_groups(
    path: str | Path,
    *,
    skip_bad: bool = False,
    on_skip: Callable[[str], None] | None = None,
    duplicates: Duplicates = "keep",
    answer_pattern: str | None = None,
) -> Iterator[Group]:
    """Stream the groups of a rollout file, one question at a time.

    Args:
        path: A .jsonl, .jsonl.gz or .parquet file of the schema in `memreward.data.records`.
        skip_bad: Leave out what breaks the schema instead of raising; the rest of a torn file is left out as well.
        on_skip: Called with the message of each entry that was left out.
        duplicates: "drop" leaves out a rollout whose text stood before in its question; "auto" does so only for texts
            longer than 400 characters, which a sampler does not repeat by chance. Ids are those without dropping.
        answer_pattern: A regular expression that alone says where rollouts have their answers, for formats of one's
            own; see `memreward.domains.AnswerPattern`.

    Raises:
        DataError: the file cannot be read or has no usable line, or, without `skip_bad`, a line breaks the schema; the
            message names file, line, field and remedy.
        ConfigurationError: `duplicates` is unknown; the pattern does not compile, or runs for too long.
    """
    if duplicates not in get_args(Duplicates):
        raise ConfigurationError(f"duplicates={duplicates!r} is unknown; use one of {', '.join(get_args(Duplicates))}")
    if answer_pattern is not None:
        AnswerPattern(answer_pattern)
    path = Path(path)
    if path.exists() and not path.is_file():
        # A pipe would be waited for without end, and can be read once only.
        raise DataError(f"{path}: is no regular file; name a file")
    read = _parquet().entries if format_of(path) == ".parquet" else _json_entries
    return _checked(
        path, _reported(path, read(path)), _Skipper(on_skip) if skip_bad else None, duplicates, answer_pattern
    )


def write_groups(path: str | Path, groups: Iterable[Group]) -> int:
    """Write groups with all they hold, the sealed truth too, in the format that the file's name ends on.

    The file appears whole or not at all: a temporary file beside it is synced and renamed.

    Returns:
        Number of groups written.

    Raises:
        DataError: the name ends on no known format, a group does not fit together, or the disk refuses.
    """
    path = Path(path)
    write = _parquet().write if format_of(path) == ".parquet" else _write_json
    try:
        with replacing(path) as unfinished, unfinished.open("xb") as file:
            count: int = write(file, map(group_to_record, groups), path)
    except OSError as error:
        raise _unwritable(path, error) from error
    return count


class _Skipper:
    """Reports what is left out."""

    def __init__(self, on_skip: Callable[[str], None] | None) -> None:
        self.on_skip = on_skip
        self.count = 0

    def __call__(self, error: DataError) -> None:
        self.count += 1
        if self.on_skip is not None:
            self.on_skip(str(error))


def _checked(
    path: Path,
    entries: Iterator[_Entry],
    skip: _Skipper | None,
    duplicates: Duplicates,
    answer_pattern: str | None,
) -> Iterator[Group]:
    query_ids: dict[str, str] = {}
    rollout_ids: set[str] = set()
    for where, entry in entries:
        try:
            group = _group(where, entry, answer_pattern)
            _refuse_repeated_ids(group, where, query_ids, rollout_ids)
        except DataError as error:
            if skip is None:
                raise
            skip(error)
            continue
        query_ids[group.query.id] = where
        rollout_ids.update(rollout.id for rollout in group.rollouts)
        yield group if duplicates == "keep" else _without_duplicates(group, duplicates)
    if not query_ids:
        reason = f"all {skip.count} entries were left out" if skip and skip.count else "it is empty"
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


def _without_duplicates(group: Group, duplicates: Duplicates) -> Group:
    seen: set[str] = set()
    kept: list[int] = []
    for index, rollout in enumerate(group.rollouts):
        repeats = rollout.text in seen and (duplicates == "drop" or len(rollout.text) > _CHANCE_LENGTH)
        if not repeats:
            kept.append(index)
        seen.add(rollout.text)
    return group.only(kept)


def _json_entries(path: Path) -> Iterator[_Entry]:
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(_lines(file), start=1):
                where = f"{path}, line {number}"
                if line is None:
                    yield where, DataError(f"{where}: is longer than {LONGEST_LINE:,} bytes; {_ONE_A_LINE}")
                elif line.strip():
                    yield where, _json_entry(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, where)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        where = f"{path}, after line {number}"
        yield where, DataError(f"{where}: not a whole gzip file ({error}); copy or compress it again")


def _reported(path: Path, entries: Iterator[_Entry]) -> Iterator[_Entry]:
    try:
        yield from entries
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path}: cannot be read: {reason}; check the path and its permissions") from error


def _lines(file: gzip.GzipFile | io.BufferedReader) -> Iterator[bytes | None]:
    """The lines of a file; None for one that is too long, whose rest is read and dropped."""
    while line := file.readline(LONGEST_LINE + 1):
        if len(line) <= LONGEST_LINE or line.endswith(b"\n"):
            yield line
            continue
        yield None
        while (rest := file.readline(_CHUNK)) and not rest.endswith(b"\n"):
            pass


def _json_entry(line: bytes, where: str) -> Any | DataError:
    try:
        return json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return DataError(f"{where}: byte {error.start + 1} is not UTF-8 ({error.reason}); save the file as UTF-8")
    except json.JSONDecodeError as error:
        return DataError(f"{where}: not JSON: {error.msg} at character {error.pos + 1}; {_ONE_A_LINE}")
    except (ValueError, RecursionError, MemoryError) as error:
        reason = str(error) or type(error).__name__
        return DataError(f"{where}: JSON that cannot be read: {reason}; shorten the number, the nesting or the line")


def _write_json(file: Any, records: Iterable[dict[str, Any]], path: Path) -> int:
    if path.suffix != ".gz":
        return _write_lines(file, records)
    # Without name and time, equal groups give equal files.
    with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as compressed:
        return _write_lines(compressed, records)


def _write_lines(file: Any, records: Iterable[dict[str, Any]]) -> int:
    return sum(1 for record in records if file.write(_json_line(record)))


def _json_line(record: dict[str, Any]) -> bytes:
    try:
        return json.dumps(record, ensure_ascii=False, default=str).encode() + b"\n"
    except UnicodeEncodeError:
        # Only an escape can hold a lone surrogate.
        return json.dumps(record, default=str).encode() + b"\n"


def _parquet() -> ModuleType:
    from memreward.data import parquet

    return parquet


def format_of(path: Path) -> str:
    """Return the end of a file's name that says its format: ".jsonl", ".jsonl.gz" or ".parquet".

    Raises:
        DataError: it says none of them.
        MissingExtraError: it says Parquet, and pyarrow is not installed.
    """
    for suffix in _FORMATS:
        if path.name.endswith(suffix):
            if suffix == ".parquet" and find_spec("pyarrow") is None:
                raise MissingExtraError("pyarrow", "parquet", f"{path}: reading or writing Parquet")
            return suffix
    raise DataError(f"{path}: the name ends on no known format; use one of {', '.join(_FORMATS)}")


def _unwritable(path: Path, error: OSError) -> DataError:
    reason = error.strerror or error
    return DataError(f"{path}: cannot be written: {reason}; free space or choose another folder, nothing was changed")
