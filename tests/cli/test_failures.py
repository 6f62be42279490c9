"""How commands fail: an exit code, a message that names the remedy, never a traceback."""

from __future__ import annotations

import errno
import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from memreward.cli import app

GOOD = {"id": "q1", "domain": "math", "query": "What is 1 + 1?", "rollouts": [{"text": "2", "correct": True}]}


def lines(*records: object) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def grouped(count: int, correct: bool | None) -> list[dict[str, object]]:
    rollouts = [{"text": f"The answer is {k}.", "correct": correct} for k in range(2)]
    return [GOOD | {"id": f"q{n}", "query": f"{n}?", "rollouts": rollouts} for n in range(count)]


BAD_FILES: dict[str, tuple[str, bytes, str]] = {
    "empty": ("a.jsonl", b"", "it is empty"),
    "not JSON": ("a.jsonl", b"{nonsense\n", "line 1"),
    "no id": ("a.jsonl", lines({k: v for k, v in GOOD.items() if k != "id"}), "'id'"),
    "unknown domain": ("a.jsonl", lines(GOOD | {"domain": "maths"}), "other"),
    "same id twice": ("a.jsonl", lines(GOOD, GOOD), "line 2"),
    "torn gzip": ("a.jsonl.gz", gzip.compress(lines(GOOD) * 50)[:-12], "a.jsonl.gz"),
    "unknown format": ("a.csv", b"id,query\n", ".parquet"),
    "no labels": ("a.jsonl", lines(*grouped(12, None)), "correct"),
    "one class": ("a.jsonl", lines(*grouped(12, True)), "both classes"),
    "one question": ("a.jsonl", lines(GOOD), "label more queries"),
}


def run(*arguments: str | Path, code: int) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    assert "Traceback" not in result.output
    return result.stderr


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_cannot_be_used(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    arguments = ("warmup", tmp_path / name, "--memory", tmp_path / "memory", "--encoder", "hashing", "--labels", "1.0")
    said = run(*arguments, code=1)
    # Lines of progress may come first on a slow machine.
    error = said.splitlines()[-1]
    assert error.startswith("Error: ")
    assert message in error


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    for command in ("score", "evaluate"):
        place = ("--memory", tmp_path / "memory") if command == "score" else ()
        said = run(command, tmp_path / "gone.jsonl", *place, "--out", tmp_path / "out", code=1)
        assert "gone.jsonl" in said or "memory" in said
    assert "memory" in run("ledger", "--memory", tmp_path / "memory", code=1)
    assert "memory" in run("warmup", "--memory", tmp_path / "memory", "--encoder", "hashing", code=1)
    assert not (tmp_path / "memory").exists()


def test_a_memory_without_a_predictor(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(*grouped(4, None)))
    warmup = ("warmup", tmp_path / "a.jsonl", "--memory", tmp_path / "memory", "--encoder", "hashing")
    run(*warmup, code=1)
    said = run("score", tmp_path / "a.jsonl", "--memory", tmp_path / "memory", "--out", tmp_path / "s", code=1)
    assert "warmup" in said


@pytest.mark.parametrize(
    ("labels", "code", "message"),
    [("many", 2, "0.2"), ("0", 1, "at least 1"), ("1.5", 1, "share"), ("-3", 1, "at least 1")],
)
def test_a_budget_that_is_none(labels: str, code: int, message: str, tmp_path: Path) -> None:
    assert message in " ".join(run("warmup", "--memory", tmp_path / "m", "--labels", labels, code=code).split())


def test_a_setting_that_is_refused(tmp_path: Path) -> None:
    said = run("warmup", "--memory", tmp_path / "m", "--hidden", "33", code=1)
    assert "hidden=33" in said
    assert "multiple" in said
    assert not (tmp_path / "m").exists()


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(*grouped(4, True)))
    warmup = ("warmup", tmp_path / "a.jsonl", "--memory", tmp_path / "memory")
    assert "no-such-model" in run(*warmup, "--encoder", "no-such-model", code=1)


def test_files_that_share_ids(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_bytes(lines(GOOD))
    said = run("warmup", tmp_path / "a.jsonl", tmp_path / "b.jsonl", "--memory", tmp_path / "m", code=1)
    assert "'q1/0'" in said
    assert "own 'id'" in said


def test_wrong_usage() -> None:
    for arguments in (["warmup"], ["nonsense"], ["ledger", "--memory", "m", "--nonsense"], ["score", "a.jsonl"]):
        run(*arguments, code=2)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")

    monkeypatch.setattr("memreward.memory.ExperienceMemory.open", refuse)
    said = run("ledger", "--memory", tmp_path, code=1)
    assert "somewhere: No space left on device" in said
    assert "free some space" in said


def test_a_place_that_cannot_be_written_is_the_one_that_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memreward.cli.score.load_predictor", lambda *_: None)
    monkeypatch.setattr("memreward.cli.score._lines", lambda *_: iter(()))
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    score = ("score", "a.jsonl", "--memory", tmp_path, "--out")
    assert f"{tmp_path / 'folder'}: Is a directory; name a file in it" in run(*score, tmp_path / "folder", code=1)
    said = run(*score, tmp_path / "file" / "scores" / "s", code=1)
    assert "Not a directory; a part of the path is a file" in said


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "memreward", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_an_interrupted_warmup_says_how_to_go_on_and_can(tmp_path: Path) -> None:
    pipe, memory = tmp_path / "slow.jsonl", tmp_path / "memory"
    os.mkfifo(pipe)
    process = start("warmup", pipe, "--memory", memory, "--encoder", "hashing")
    with pipe.open("wb") as end:
        end.write(lines(GOOD))
        end.flush()
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted" in said
    assert "run the same command again" in said
    assert "Traceback" not in said
    assert out == ""
    pipe.unlink()
    pipe.write_bytes(lines(GOOD))
    assert "quer" in run("warmup", pipe, "--memory", memory, "--encoder", "hashing", code=1)


def test_an_interrupted_score_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> Callable[..., None]:
        raise KeyboardInterrupt

    monkeypatch.setattr("memreward.cli.score.load_predictor", lambda *_: None)
    monkeypatch.setattr("memreward.cli.score._lines", lambda *_: iter(interrupt, None))
    said = run("score", "a.jsonl", "--memory", tmp_path, "--out", tmp_path / "s", code=130)
    assert "No file was written" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_errors_of_a_real_process_end_without_a_traceback(tmp_path: Path) -> None:
    process = start("ledger", "--memory", tmp_path / "gone", "--json")
    out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert said.startswith("Error: ")
    assert "Traceback" not in said
