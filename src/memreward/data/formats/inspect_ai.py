"""Logs of inspect_ai, `.eval` archives and `.json` files: each epoch of a sample is a rollout."""

import json
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from memreward.data.chat import question_of, said_by, was_truncated
from memreward.data.containers import LONGEST_LINE, Entry, parquet
from memreward.data.formats.found import as_laid_out
from memreward.data.options import with_choices
from memreward.types import DataError

_ZSTANDARD = 93
_LOCAL_HEADER = struct.Struct("<26xHH")


def rows(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Yield one row an epoch of a sample; what a scorer says is a verdict where `Reading.correct` names it."""
    for where, row in entries:
        if isinstance(row, dict) and "samples" in row:
            samples = row["samples"] if isinstance(row["samples"], list) else [None]
            for number, sample in enumerate(samples, start=1):
                place = f"{where.rpartition(', ')[0]}, sample {number}"
                yield place, as_laid_out(place, sample, _sample)
        else:
            yield where, as_laid_out(where, row, _sample) if isinstance(row, dict) else row


def samples_of_archive(path: Path) -> Iterator[Entry]:
    """Yield the samples of an `.eval` archive; DataError where it is none."""
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


def _sample(where: str, sample: Any) -> dict[str, Any] | DataError:
    if not isinstance(sample, Mapping) or not isinstance(sample.get("output"), Mapping):
        return DataError(f"{where}: a sample without output; run it again, or leave it out: --skip-bad")
    choices = sample["output"].get("choices") or []
    if sample.get("error") or not choices:
        return DataError(f"{where}: the sample failed; run it again, or leave it out: --skip-bad")
    try:
        asked = question_of(sample.get("input"))
    except DataError as error:
        return DataError(f"{where}: field 'input': {error}")
    question, target = with_choices(asked, sample.get("choices"), sample.get("target"))
    truncated, scores = was_truncated(choices[0].get("stop_reason")), sample.get("scores")
    return {
        "question": question,
        "completion": said_by(choices[0].get("message", {}), truncated),
        "target": target,
        "truncated": truncated,
        "sample": sample.get("id"),
        "epoch": sample.get("epoch"),
        **(scores if isinstance(scores, Mapping) else {}),
    }
