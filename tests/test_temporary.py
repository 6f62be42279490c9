"""What a killed process leaves behind goes at the next start; what anybody still holds, or owns, stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from memreward import temporary
from memreward.sandbox import Sandbox
from memreward.temporary import LEFT_BEHIND_S, TemporaryFolder, remove_left_files, write_whole

HOLDER = """
import sys, time
from memreward.sandbox import Sandbox
sandbox = Sandbox(places=1)
sandbox.run("open('left', 'w').write('x')")
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def age(path: Path) -> None:
    then = time.time() - LEFT_BEHIND_S - 60
    os.utime(path, (then, then))


@pytest.mark.slow
def test_what_a_killed_process_left_is_removed_at_the_next_start(folder: Path) -> None:
    killed = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE)
    assert killed.stdout is not None
    assert killed.stdout.readline() == b"ready\n"
    held = set(folder.iterdir())
    assert held
    for path in held:
        age(path)
    with TemporaryFolder():
        assert held <= set(folder.iterdir())  # old, but its owner lives
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    sandbox = Sandbox(places=1)
    sandbox.run("pass")
    assert not held & set(folder.iterdir())
    sandbox.close()
    assert list(folder.iterdir()) == []


def test_a_young_folder_and_a_strangers_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    young, old = folder / f"{temporary.PREFIX}young", folder / f"{temporary.PREFIX}old"
    other, link = folder / "others", folder / f"{temporary.PREFIX}link"
    for path in (young, old, other):
        path.mkdir()
        (path / "file").touch()
    link.symlink_to(other)
    age(old)
    age(other)
    os.utime(link, (0, 0), follow_symlinks=False)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert temporary.remove_left_folders() == []
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    assert temporary.remove_left_folders() == [old]
    assert (young / "file").exists()
    assert (other / "file").exists()


def test_a_folder_that_may_not_be_listed_is_removed_too(folder: Path) -> None:
    held = TemporaryFolder("x-")
    (held.path / "run" / "inner").mkdir(parents=True)
    (held.path / "run" / "inner" / "file").touch()
    (held.path / "run" / "inner").chmod(0o300)
    held.remove()
    assert list(folder.iterdir()) == []


def test_unfinished_files_of_killed_processes_are_removed(folder: Path) -> None:
    left, young, other = folder / ".a[1].jsonl.1.partial", folder / ".a[1].jsonl.2.partial", folder / "a[1].jsonl.bak"
    for path in (left, young, other):
        path.touch()
    age(left)
    age(other)
    write_whole(folder / "a[1].jsonl", "{}")
    assert sorted(path.name for path in folder.iterdir()) == sorted((young.name, other.name, "a[1].jsonl"))
    assert remove_left_files(folder / "absent", ".a", ".partial") == []


def test_folders_in_each_other_without_end_are_removed(folder: Path) -> None:
    """Deeper than a path may be long, or Python's stack."""
    held = TemporaryFolder()
    here = Path.cwd()
    os.chdir(held.path)
    try:
        for _ in range(1500):
            Path("d" * 200).mkdir()
            os.chdir("d" * 200)
        Path("file").write_text("x")
    finally:
        os.chdir(here)
    held.remove()
    assert list(folder.iterdir()) == []
