"""`memreward label` without its page, and the page as a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from memreward.cli import app


def run(*arguments: object) -> object:
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve questions, none labelled."""
    folder = tmp_path_factory.mktemp("label")
    with (folder / "new.jsonl").open("w", encoding="utf-8") as file:
        for number in range(12):
            answers = [number + 3, number + 3, number + 4, number + 3 + number % 3]
            texts = [{"text": f"The answer is {a}.", "correct": a == number + 3} for a in answers]
            record = {"id": f"q{number}", "domain": "math", "query": f"What is {number} + 3?", "rollouts": texts}
            file.write(json.dumps(record | {"reference": str(number + 3)}) + "\n")
    done = run("warmup", folder / "new.jsonl", "--memory", folder / "memory", "--labels", 0)
    assert done.exit_code == 0, done.output  # type: ignore[attr-defined]
    return folder / "memory"


@pytest.mark.slow
def test_a_batch_by_files_spends_what_it_says(memory: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    out = run("label", "--memory", memory, "--ask", "whole", "--batch", 3, "--out", path, "--json")
    assert out.exit_code == 0, out.output  # type: ignore[attr-defined]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 3
    for line in lines:
        for answer in line["answers"]:
            answer["right"] = answer["text"] == str(int(line["id"][1:]) + 3)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = run("label", "--memory", memory, "--import", path, "--annotator", "ann", "--labels", 3, "--json")
    assert done.exit_code == 0, done.output  # type: ignore[attr-defined]
    report = json.loads(done.stdout)  # type: ignore[attr-defined]
    assert (report["entered"], report["questions"], report["limit"]) == (3, 3, 3)
    book = json.loads(run("ledger", "--memory", memory, "--json").stdout)  # type: ignore[attr-defined]
    assert list(book["sources"]) == ["ann"]
    assert book["queries"] == 3
    refused = run("label", "--memory", memory, "--import", path, "--annotator", "ann", "--labels", 2)
    assert "Traceback" not in refused.output  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--batch", 3), "belong together"),
        (("--judge", "http://127.0.0.1:9/v1"), "--model"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_spent(
    memory: Path, arguments: tuple[object, ...], said: str
) -> None:
    done = run("label", "--memory", memory, *arguments)
    assert done.exit_code == 1  # type: ignore[attr-defined]
    assert said in done.output  # type: ignore[attr-defined]


@pytest.mark.slow
def test_the_page_prints_its_address_and_ends_well(memory: Path) -> None:
    pytest.importorskip("fastapi", reason="the page needs the extra label")
    command = [
        sys.executable,
        "-m",
        "memreward",
        "label",
        "--memory",
        str(memory),
        "--annotator",
        "ann",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = ""
        while not address and (line := process.stderr.readline()):
            found = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", line)
            address = found[0] if found else ""
        assert address
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        assert "You are <strong>ann</strong>" in opener.open(address, timeout=60).read().decode()
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(address.partition("?")[0], timeout=60)
        os.kill(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode in (0, 130)
    assert "questions with a label" in out
