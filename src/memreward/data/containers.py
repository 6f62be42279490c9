"""What rows a file holds: JSON Lines, JSON, CSV, Parquet, a folder of them, a data set. Parsed, never executed."""

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

from memreward.data.hub import hub_rows, on_hub
from memreward.types import DataError

Entry = tuple[str, Any | DataError]
"""Where it stands in its file, and the row or what is wrong with it."""

LONGEST_LINE = 2**28
"""Bytes of a line of JSON or of a cell; a compressed file of megabytes may hold one that no memory holds."""
_CHUNK = 2**20
_QUOTED = re.compile('"[^"]*"')
_ONE_A_LINE = "write one JSON object a line"


def rows_of(path: Path) -> Iterator[Entry]:
    """Yield the rows of a file or folder, by the end of its name; other names are read as JSON Lines."""
    if on_hub(path):
        return hub_rows(path)
    if path.is_dir():
        return _folder(path)
    return next((read for ends, read in _READERS if path.name.lower().endswith(ends)), json_lines)(path)


def json_lines(path: Path) -> Iterator[Entry]:
    number = 0
    try:
        with _opened(path) as file:
            for number, line in enumerate(_lines(file), start=1):
                where = f"{path}, line {number}"
                if line is None:
                    yield where, DataError(f"{where}: is longer than {LONGEST_LINE:,} bytes; {_ONE_A_LINE}")
                elif line.strip():
                    yield where, _json_entry(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, where)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        where = f"{path}, after line {number}"
        yield where, DataError(f"{where}: not a whole gzip file ({error}); copy or compress it again")


def _opened(path: Path) -> Any:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


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


def _json(path: Path) -> Iterator[Entry]:
    """One list of objects, one object, which an inspect_ai log is, or after all one object a line."""
    try:
        whole = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError, MemoryError):
        yield from json_lines(path)
        return
    for number, row in enumerate(whole if isinstance(whole, list) else [whole], start=1):
        yield f"{path}, entry {number}", row


class Cells(dict[str, Any]):
    """A row of a file in which all is text, also what says that a value is missing."""


def _csv(path: Path) -> Iterator[Entry]:
    """Rows by the names of the first line, which also says what parts cells; an empty cell is None."""
    csv.field_size_limit(LONGEST_LINE)
    where, header = f"{path}, line 1", None
    try:
        with _opened(path) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            lines = csv.reader(chain([first], file), delimiter=_delimiter(path, first), strict=True)
            for cells in lines:
                where = f"{path}, line {lines.line_num}"
                if header is None:
                    header = cells
                elif len(cells) == len(header):
                    yield where, Cells((name, cell or None) for name, cell in zip(header, cells, strict=True))
                elif cells:
                    problem = f"has {len(cells)} cells, and the first line names {len(header)} columns"
                    yield where, DataError(f"{where}: {problem}; put cells that hold commas or line breaks in quotes")
    except UnicodeDecodeError as error:
        yield (
            where,
            DataError(f"{path}, after {where.partition(', ')[2]}: not UTF-8 ({error.reason}); save it as UTF-8"),
        )
    except csv.Error as error:
        yield where, DataError(f"{path}, after {where.partition(', ')[2]}: not CSV ({error}); write quotes in pairs")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        yield where, DataError(f"{where}: not a whole gzip file ({error}); copy or compress it again")


def _delimiter(path: Path, first: str) -> str:
    """A tab in .tsv; else what the first line has most of: spreadsheets write semicolons where commas are decimal."""
    names = _QUOTED.sub("", first)
    return "\t" if ".tsv" in path.name.lower() else max(",;\t|", key=names.count)


def _inspect(path: Path) -> Iterator[Entry]:
    from memreward.data.formats.inspect_ai import samples_of_archive

    return samples_of_archive(path)


def parquet() -> ModuleType:
    from memreward.data import parquet

    return parquet


_READERS: tuple[tuple[tuple[str, ...], Callable[[Path], Iterator[Entry]]], ...] = (
    ((".parquet",), lambda path: parquet().entries(path)),
    ((".csv", ".tsv", ".csv.gz", ".tsv.gz"), _csv),
    ((".json",), _json),
    ((".eval",), _inspect),
    ((".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz"), json_lines),
)
ENDS = tuple(end for ends, _ in _READERS for end in ends)
"""Ends of the names of files that can be read."""


def _folder(path: Path) -> Iterator[Entry]:
    """A data set that Hugging Face's `save_to_disk` wrote, or all files of one kind: a trainer's dumps, shards."""
    if (path / "dataset_dict.json").is_file():
        splits = sorted(each.name for each in path.iterdir() if each.is_dir())
        raise DataError(f"{path}: holds the splits {', '.join(splits)}; name one of them, as {path / splits[0]}")
    if (path / "state.json").is_file() and any(path.glob("*.arrow")):
        yield from parquet().arrow_rows(sorted(path.glob("*.arrow")))
        return
    home = path if any(each.is_file() for each in path.iterdir()) or not (path / "data").is_dir() else path / "data"
    files = [each for each in home.iterdir() if each.is_file() and each.name.lower().endswith(ENDS)]
    if not files:
        raise DataError(f"{path}: is a folder without a file that can be read; name a file, or a folder of files")
    kinds = {each.name.partition("-")[0] if "-of-" in each.name else each.suffix for each in files}
    if len(kinds) > 1:
        raise DataError(
            f"{path}: holds several kinds of files ({', '.join(sorted(kinds))}); name the one that is meant"
        )
    for file in sorted(files, key=_in_order):
        yield from rows_of(file)


def _in_order(file: Path) -> tuple[bool, int, str]:
    """Files that are named by a step stand in its order."""
    number = "".join(character for character in file.name if character.isdigit())
    return not number, int(number or 0), file.name
