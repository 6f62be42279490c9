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
from memreward.memory import ExperienceMemory
from memreward.types import SandboxError
from rows import each_row

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
    "unknown format": ("a.xlsx", b"id,query\n", ".parquet"),
    "no rollouts": ("a.jsonl", lines(GOOD | {"rollouts": []}), "holds no rollouts"),
    "400 digits": ("a.jsonl", lines(GOOD | {"rollouts": [{"text": "2", "token_logprobs": [10**400]}]}), "logprobs[0]"),
}


def run(*arguments: str | Path, code: int) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    assert "Traceback" not in result.output
    return result.stderr


@each_row(("name", "content", "message"), BAD_FILES.values())
def test_a_file_that_cannot_be_used(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    arguments = ("warmup", tmp_path / name, "--memory", tmp_path / "memory", "--labels", "all")
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
    assert "memory" in run("warmup", "--memory", tmp_path / "memory", code=1)
    assert not (tmp_path / "memory").exists()


@pytest.mark.parametrize("correct", [None, True, False])
def test_labels_of_one_class_or_none_still_make_a_predictor(correct: bool | None, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(*grouped(3, correct)))
    run("warmup", tmp_path / "a.jsonl", "--memory", tmp_path / "memory", code=0)


def test_a_memory_without_a_predictor(tmp_path: Path) -> None:
    ExperienceMemory.open(tmp_path / "memory")
    (tmp_path / "a.jsonl").write_bytes(lines(*grouped(4, None)))
    for command in (("score", tmp_path / "a.jsonl", "--out", tmp_path / "s"), ("inspect", "q1/0"), ("propose",)):
        assert "warmup" in run(*command, "--memory", tmp_path / "memory", code=1)


@each_row("labels", ["many", "1.5", "-3", "120%", ""])
@each_row("command", ["warmup", "evaluate"])
def test_a_budget_that_is_none(command: str, labels: str, tmp_path: Path) -> None:
    given = ("--memory", tmp_path / "m") if command == "warmup" else ("a.jsonl", "--out", tmp_path / "m")
    said = run(command, *given, f"--labels={labels}", code=1)
    assert "20%" in said
    assert list(tmp_path.iterdir()) == []


def test_a_prior_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(*grouped(4, True)))
    warmup = ("warmup", tmp_path / "a.jsonl", "--memory", tmp_path / "memory")
    assert "no-such-prior" in run(*warmup, "--prior", "no-such-prior", code=1)
    assert spent(tmp_path / "memory") == 0


def spent(memory: Path) -> int:
    """Judgements in the ledger of a memory, which need not be there."""
    return int(ExperienceMemory.open(memory).ledger.totals()["judgements"]) if memory.exists() else 0


IMPOSSIBLE_SETTINGS = [
    ("--labels", "many"),
    ("--labels", "-1"),
    ("--labels", "nan"),
    ("--verifier", "math=nowhere.py:check"),
]


@each_row(("option", "value"), IMPOSSIBLE_SETTINGS)
def test_a_setting_that_cannot_be_kept_is_refused_before_anything_is_spent(
    option: str, value: str, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(*(each | {"reference": "1"} for each in grouped(4, True))))
    verify = ("verify", tmp_path / "a.jsonl", "--memory", tmp_path / "m", "--out", tmp_path / "o.jsonl")
    said = run(*verify, f"{option}={value}", code=1)
    assert said.startswith("Error: ")
    assert not (tmp_path / "m").exists()


WRITERS = {
    "score": ("score", "FILE", "--memory", "MEMORY", "--out"),
    "verify": ("verify", "FILE", "--memory", "MEMORY", "--labels", "all", "--out"),
    "prior": ("prior", "fit", "FILE", "--out"),
    "csv": ("evaluate", "FILE", "--out", "FOLDER", "--csv"),
}


@each_row("place", ["", "/", "FOLDER", "FILE/in", "o.txt", "/proc/o.jsonl"])
@each_row("command", WRITERS)
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_spent(
    command: str, place: str, tmp_path: Path
) -> None:
    if place == "o.txt" and command != "verify":
        return
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.jsonl").write_bytes(lines(*(each | {"reference": "1"} for each in grouped(4, True))))
    names = {"FILE": "a.jsonl", "MEMORY": "memory", "FOLDER": "folder"}
    given = [str(tmp_path / names[part]) if part in names else part for part in WRITERS[command]]
    for short, name in names.items():
        place = place.replace(short, str(tmp_path / name))
    said = run(*given, place, code=1)
    assert said.startswith("Error: ")
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "a.jsonl"}
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_predictor_that_has_no_place_costs_no_label(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(*grouped(4, True)))
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "predictor").write_text("a file")
    assert "is a file" in run("warmup", tmp_path / "a.jsonl", "--memory", tmp_path / "memory", code=1)
    assert [path.name for path in (tmp_path / "memory").iterdir()] == ["predictor"]


def test_code_that_cannot_be_contained_costs_no_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> str:
        raise SandboxError("nothing contains code here")

    monkeypatch.setattr("memreward.sandbox.Sandbox.containment", property(refuse))
    code = GOOD | {"domain": "code", "reference": '["assert f() == 1"]'}
    (tmp_path / "a.jsonl").write_bytes(lines(code))
    verify = ("verify", tmp_path / "a.jsonl", "--memory", tmp_path / "m", "--out", tmp_path / "o.jsonl")
    assert "nothing contains code here" in run(*verify, "--labels", "all", code=1)
    assert spent(tmp_path / "m") == 0


@each_row(
    "url",
    ["http://[bad/v1", "http://a:b/v1", "http://a:99999/v1", "http://a b/v1", "http://a\n/v1", "http:///v1", "ftp://a"],
)
def test_an_address_that_is_none(url: str, tmp_path: Path) -> None:
    said = run("collect", "--model", "m", "--url", url, "--out", tmp_path / "o.jsonl", code=1)
    assert said.startswith("Error: url ")
    assert list(tmp_path.iterdir()) == []


STEERS = "\x1b]0;owned\x07\x1b[31m\x9b2J\r\u202e"


@pytest.mark.usefixtures("one_core")
@pytest.mark.slow
def test_what_a_model_or_a_file_says_does_not_steer_the_terminal(tmp_path: Path) -> None:
    records = [
        each | {"id": f"{each['id']}{STEERS}\nq9", "query": f"{each['query']}{STEERS}"} for each in grouped(3, True)
    ]
    name = f"a{STEERS[:10].replace('/', '')}.jsonl"
    (tmp_path / name).write_bytes(lines(*records, {"id": STEERS}))
    place = ("--memory", tmp_path / "memory")
    rollout = f"{records[0]['id']}/0"
    for command in (
        ("warmup", tmp_path / name, *place, "--skip-bad", "--labels", "2"),
        ("ledger", *place),
        ("inspect", rollout, *place),
        ("propose", *place),
        ("inspect", STEERS, *place),
        ("score", tmp_path / name, *place, "--out", tmp_path / f"{STEERS[:9]}.jsonl", "--skip-bad"),
        ("warmup", tmp_path / name, *place),
        (
            "evaluate",
            tmp_path / name,
            "--skip-bad",
            "--labels",
            "1",
            "--seeds",
            "1",
            "--out",
            tmp_path / "e",
        ),
    ):
        result = CliRunner().invoke(app, [str(argument) for argument in command])
        assert not isinstance(result.exception, Exception), result.exception
        assert not set(result.output) & set("\x1b\x07\x9b\r\u202e"), (command, ascii(result.output))
    assert "\\x1b" in result.output


@pytest.mark.usefixtures("one_core")
def test_tables_of_markdown_and_pages_show_names_as_they_are(tmp_path: Path) -> None:
    name = "<svg onload=alert(1)>|`x`[a](b)"
    (tmp_path / f"{name}.jsonl").write_bytes(lines(*grouped(6, True)[:3], *grouped(6, False)[3:]))
    arguments = ("evaluate", tmp_path / f"{name}.jsonl", "--labels", "2", "--seeds", "1")
    run(*arguments, "--out", tmp_path / "e", "--page", code=0)
    text = (tmp_path / "e" / "evaluation.md").read_text().partition("### ")[2]
    assert "&lt;svg onload=alert(1)&gt;\\|\\`x\\`[a\\]\\(b)" in text
    for written in (text, (tmp_path / "e" / "evaluation.html").read_text()):
        assert "<svg onload" not in written


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


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "memreward", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


SLOW = """
import sys, time
import memreward.data
from memreward.cli import main

def slow(read):
    def one_and_wait(*given, **named):
        for group in read(*given, **named):
            yield group
            print("waiting", file=sys.stderr, flush=True)
            time.sleep(60)
    return one_and_wait

memreward.data.read_groups = slow(memreward.data.read_groups)
main()
"""


@pytest.mark.slow
def test_an_interrupted_warmup_says_how_to_go_on_and_can(tmp_path: Path) -> None:
    file, memory = tmp_path / "a.jsonl", tmp_path / "memory"
    file.write_bytes(lines(GOOD))
    command = [sys.executable, "-c", SLOW, "warmup", str(file), "--memory", str(memory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "waiting" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted" in said
    assert "run the same command again" in said
    assert "Traceback" not in said
    assert out == ""
    run("warmup", file, "--memory", memory, code=0)


def test_an_interrupted_score_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> Callable[..., None]:
        raise KeyboardInterrupt

    monkeypatch.setattr("memreward.cli.score.load_predictor", lambda *_: None)
    monkeypatch.setattr("memreward.cli.score._rows", lambda *_: iter(interrupt, None))
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
