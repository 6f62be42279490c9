"""What rows a file holds: JSON Lines, JSON, CSV, Parquet, a folder of them, a data set. Parsed, never executed."""

import csv
import gzip
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

from memreward.types import DataError, MissingExtraError

Entry = tuple[str, Any | DataError]
"""Where it stands in its file, and the row or what is wrong with it."""

LONGEST_LINE = 2**28
"""Bytes of a line of JSON or of a cell; a compressed file of megabytes may hold one that no memory holds."""
_CHUNK = 2**20
_QUOTED = re.compile('"[^"]*"')
_ONE_A_LINE = "write one JSON object a line"
_ZSTANDARD = 93
_LOCAL_HEADER = struct.Struct("<26xHH")
_PREFIX = "hub:"


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


def _archive(path: Path) -> Iterator[Entry]:
    """The samples of an inspect_ai log that is an archive; DataError where it is none."""
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            for member in archive.infolist():
                if member.filename.startswith("samples/") and member.filename.endswith(".json"):
                    yield f"{path}, {member.filename}", json.loads(_content(archive, file, member))
    except (zipfile.BadZipFile, struct.error, ValueError, RecursionError, NotImplementedError) as error:
        raise DataError(
            f"{path}: no log that can be read ({error}); convert it: inspect log convert --to json"
        ) from error


def _content(archive: zipfile.ZipFile, file: Any, member: zipfile.ZipInfo) -> bytes:
    """What a member holds. Python before 3.14 knows no Zstandard: Arrow does."""
    if member.file_size > LONGEST_LINE:
        raise ValueError(f"{member.filename} is longer than {LONGEST_LINE:,} bytes")
    if member.compress_type != _ZSTANDARD or hasattr(zipfile, "ZIP_ZSTANDARD"):
        return archive.read(member)
    file.seek(member.header_offset)
    name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    file.seek(name + extra, 1)
    found: bytes = parquet().decompressed(file.read(member.compress_size), member.file_size)
    return found


def parquet() -> ModuleType:
    from memreward.data import parquet

    return parquet


_READERS: tuple[tuple[tuple[str, ...], Callable[[Path], Iterator[Entry]]], ...] = (
    ((".parquet",), lambda path: parquet().entries(path)),
    ((".csv", ".tsv", ".csv.gz", ".tsv.gz"), _csv),
    ((".json",), _json),
    ((".eval",), _archive),
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


def on_hub(path: Path) -> bool:
    """Whether a name is hub:OWNER/NAME[/CONFIGURATION]/SPLIT."""
    return str(path).startswith(_PREFIX)


def hub_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield where each row stands, and the row. A folder OWNER/NAME here, a copy of the repository, goes first."""
    owner, *rest = str(path).removeprefix(_PREFIX).split("/")
    if not 2 <= len(rest) <= 3:
        raise DataError(f"{path}: name it as hub:OWNER/NAME/SPLIT or hub:OWNER/NAME/CONFIGURATION/SPLIT")
    try:
        from datasets import disable_progress_bars, load_dataset
    except ImportError as error:
        raise MissingExtraError("datasets", "hub", "reading data sets of the hub") from error
    disable_progress_bars()
    try:
        table = load_dataset(f"{owner}/{rest[0]}", *rest[1:-1], split=rest[-1])
    except Exception as error:  # the hub's client raises errors of whichever HTTP library it is built on
        said = " ".join(str(error).split())[:300]
        raise DataError(
            f"{path}: cannot be loaded ({type(error).__name__}: {said}); check configuration, split, network and "
            f"HF_HUB_OFFLINE; where its terms must be accepted, do so and log in by `hf auth login`; or put a copy of "
            f"the repository into the folder {owner}/{rest[0]}"
        ) from error
    yield from ((f"{path}, row {number}", row) for number, row in enumerate(table))
