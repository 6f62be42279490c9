"""Temporary folders and unfinished files that do not outlive their owner by more than one start.

A process that is killed cannot clean up behind itself; the next one does. What it may remove is told by owner (this
user's), by age, and for folders by a lock that the system lets go when its holder dies.
"""

import contextlib
import glob
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]

PREFIX = "memreward-held-"
LEFT_BEHIND_S = 3600.0
"""Age from which on something that nobody holds is left behind: longer than a start or a pause of any process."""


class TemporaryFolder:
    """A new folder at `path` that this process holds; those that dead processes left behind are removed on the way."""

    def __init__(self, kind: str = "") -> None:
        remove_left_folders()
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX + kind))
        self._lock = _held(self.path)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        _remove(self.path)
        self.forget()

    def forget(self) -> None:
        """In a forked child: leave it to the parent."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def remove_left_folders() -> list[Path]:
    """Remove this user's temporary folders that are old and held by no process; return them."""
    removed = []
    for folder in _old(Path(tempfile.gettempdir()), PREFIX + "*"):
        with contextlib.suppress(OSError):
            lock = _held(folder)
            _remove(folder)
            removed.append(folder)
            if lock is not None:
                os.close(lock)
    return removed


def remove_left_files(folder: Path, before: str, after: str) -> list[Path]:
    """Remove this user's old files of these names, which only unfinished ones may have; return them."""
    removed = []
    for path in _old(folder, f"{glob.escape(before)}*{glob.escape(after)}"):
        with contextlib.suppress(OSError):
            path.unlink()
            removed.append(path)
    return removed


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield where to write what takes the place of a file when the block ends well: it appears whole or not at all.

    Its folder is made where it is missing. What a killed process left beside it goes, once it is old.
    """
    remove_left_files(path.parent, f".{path.name}.", ".partial")
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file that appears whole or not at all; see `replacing`."""
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def _old(folder: Path, pattern: str) -> Iterator[Path]:
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError):
            found = path.lstat()
            own = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
            if own and time.time() - found.st_mtime > LEFT_BEHIND_S:
                yield path


def _held(folder: Path) -> int | None:
    """Hold a folder until the descriptor is closed or this process dies; None without locks, OSError if it is held."""
    if fcntl is None:
        return None
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def _remove(folder: Path) -> None:
    """Remove a folder and all in it: also folders that may not be listed, and a thousand of them in each other."""
    mark, waiting, moved = os.urandom(8).hex(), [Path(folder)], 0
    while waiting:
        place = waiting.pop()
        with contextlib.suppress(OSError):  # another process may remove it too
            place.chmod(0o700)
            for entry in list(place.iterdir()):
                with contextlib.suppress(OSError):
                    if entry.is_symlink() or not entry.is_dir():
                        entry.unlink()
                        continue
                    entry.chmod(0o700)
                    waiting.append(entry.rename(Path(folder, f"{mark}-{moved}")))  # a path that is never too long
                    moved += 1
            place.rmdir()
    with contextlib.suppress(OSError):
        Path(folder).rmdir()
