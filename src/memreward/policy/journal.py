"""The journal of a collection: one line a finished group, on disk before it is acknowledged."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

from memreward.types import ConfigurationError, DataError, StoreError

try:
    import fcntl
except ImportError:  # Windows has no advisory locks of this kind; there two writers are not told apart.
    fcntl = None  # type: ignore[assignment]

_VERSION = 1


class Journal:
    """An append-only file of records, the first of which holds the settings they were made with.

    A record is acknowledged once `append` returns: it is synced to disk. A last line that a kill left unfinished was
    never acknowledged and is cut off on opening. Make one with `Journal.open`.
    """

    def __init__(self, path: Path, file: FileIO, records: list[dict[str, Any]]) -> None:
        self.path = path
        self.records = records
        self._file = file

    @classmethod
    @contextmanager
    def open(cls, path: Path, settings: Mapping[str, Any]) -> Iterator[Journal]:
        """Open the journal for appending, made where there is none.

        ConfigurationError names the settings that differ from those it was begun with; DataError a broken line but the
        last; StoreError where the disk refuses, or another process holds the journal.
        """
        with _refusals(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: what a full disk refused must not be written again on closing.
            file = path.open("a+b", buffering=0)
        with file:
            _lock(file, path)
            lines = _whole_lines(file, path)
            journal = cls(path, file, [])
            if len(lines) > 1:
                _check(path, _parsed(path, 1, lines[0]), settings)
                journal.records = [_parsed(path, number, line) for number, line in enumerate(lines[1:], start=2)]
            else:
                # Nothing was sampled with the old settings, if there were any.
                with _refusals(path):
                    file.truncate(0)
                journal._write({"journal": _VERSION, "settings": dict(settings)})
            yield journal

    def append(self, record: dict[str, Any]) -> None:
        """Write a record and wait until it is on disk; after a StoreError, records appended before are safe."""
        self._write(record)
        self.records.append(record)

    def _write(self, record: Mapping[str, Any]) -> None:
        rest = memoryview(json.dumps(record, separators=(",", ":")).encode() + b"\n")
        with _refusals(self.path):
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """Say what to do where the disk refuses."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written: {error.strerror or error}; nothing that stands in it is lost: free space or "
            "check the permissions, and run the same command again to go on"
        ) from error


def _lock(file: FileIO, path: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StoreError(
            f"{path}: another process is collecting into it; wait for it, or choose another output"
        ) from error


def _whole_lines(file: FileIO, path: Path) -> list[bytes]:
    """Every line that ends; what follows the last line end is cut off the file."""
    file.seek(0)
    content = file.read()
    end = content.rfind(b"\n") + 1
    with _refusals(path):
        file.truncate(end)
    return content[:end].splitlines()


def _parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(line)
        if not isinstance(record, dict):
            raise ValueError("no object")
    except ValueError as error:
        raise DataError(
            f"{path}, line {number}: not JSON ({error}); delete the line to sample its group again"
        ) from error
    return record


def _check(path: Path, head: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    if head.get("journal") != _VERSION or not isinstance(head.get("settings"), dict):
        raise DataError(f"{path}: not a journal of this release's collect; move it away or choose another output")
    begun = head["settings"]
    changed = [
        f"{name} was {begun.get(name)!r} and is {settings.get(name)!r}"
        for name in sorted({*begun, *settings})
        if begun.get(name) != settings.get(name)
    ]
    if changed:
        raise ConfigurationError(
            f"{path} was begun with other settings: {'; '.join(changed)}. Go on with the old settings, "
            "or delete the journal or choose another output to start over"
        )
