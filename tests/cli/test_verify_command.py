"""`memreward verify`: what it labels, what it pays, what it leaves alone, and how it goes on."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import command_line
import pytest
from typer.testing import CliRunner

from memreward.cli import app
from memreward.data import read_groups
from memreward.domains import Verifiers
from memreward.domains.code.verify import CodeVerifier
from memreward.memory import LabelLedger
from memreward.types import Claim, Verdict

OPTIONS = "\n(A) one\n(B) two\n(C) three"
# The third sum may not be finished, which the verifier could not tell; but its answer is the first one's.
TRUTH = {"sum/0": True, "sum/1": False, "sum/2": True, "pick/0": True, "pick/1": None, "pick/2": False}
# A number with more digits than the machine has bits.
HANG = "\\boxed{9^{9^{9^{9}}} + \\sin 1}"


def records(pairs: int) -> list[dict[str, Any]]:
    """So many sums and as many choices, with labels that are all false to the truth."""
    found = []
    for number in range(pairs):
        sums = [f"\\boxed{{{number}+3}}", f"So \\boxed{{{number}}}", f"We add 3, which makes {number + 3} so far, then"]
        picks = ["The answer is (B).", "The answer is (A) two.", "The answer is three."]
        for name, domain, query, reference, texts in (
            ("sum", "math", f"What is {number} + 3?", str(number + 3), sums),
            ("pick", "qa", f"Which is number {number} of two?{OPTIONS}", "B", picks),
        ):
            rollouts = [{"text": text, "correct": index == 1, "model": "m"} for index, text in enumerate(texts)]
            identity = {"id": f"{name}{number}", "dataset": name, "domain": domain, "query": query}
            found.append({**identity, "reference": reference, "rollouts": rollouts, "licence": "none"})
    return found


def write(path: Path, lines: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


run = partial(command_line.run, "verify")


def truth(rollout_id: str) -> bool | None:
    query_id, _, index = rollout_id.partition("/")
    return TRUTH[f"{query_id.rstrip('0123456789')}/{index}"]


def entries(folder: Path) -> list[dict[str, Any]]:
    result = CliRunner().invoke(app, ["ledger", "--memory", str(folder), "--json"])
    found: list[dict[str, Any]] = json.loads(result.stdout)["entries"]
    return found


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMREWARD_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "rollouts.jsonl", records(4))


def test_labels_what_the_budget_buys_and_nothing_else(file: Path, tmp_path: Path) -> None:
    result = run(file, "--memory", tmp_path / "m", "--out", tmp_path / "out.jsonl", "--labels", "0.5", "--json")
    report = json.loads(result.stdout)
    groups = {group.query.id: group for group in read_groups(tmp_path / "out.jsonl")}
    verified = {name for name, group in groups.items() if any("verdict" in p for p in group.rollout_provenance)}
    assert len(verified) == report["verified_queries"] == 4
    assert {name.rstrip("0123") for name in verified} == {"sum", "pick"}, "each dataset has its share"
    for name, group in groups.items():
        expected = [truth(rollout.id) if name in verified else None for rollout in group.rollouts]
        assert list(group.truth.correct) == expected
    assert (report["right"], report["wrong"], report["cannot_tell"]) == (6, 4, 2)
    assert sum(report["reasons"].values()) == 2
    spent = entries(tmp_path / "m")
    assert {entry["query_id"] for entry in spent} == verified
    assert {entry["use"] for entry in spent} == {"verify"}
    judged = {entry["rollout_id"]: entry["correct"] for entry in spent if entry["rollout_id"]}
    asked = {"sum": (0, 1), "pick": (0, 2)}
    assert judged == {f"{n}/{i}": truth(f"{n}/{i}") for n in verified for i in asked[n.rstrip("0123")]}
    assert {entry["source"].split("-")[0] for entry in spent} == {"file", "math", "choice"}
    assert report["ledger"]["queries"] == 4


def test_everything_else_in_the_file_stays(file: Path, tmp_path: Path) -> None:
    run(file, "--memory", tmp_path / "m", "--out", tmp_path / "out.parquet", "--labels", "1.0")
    for before, after in zip(read_groups(file), read_groups(tmp_path / "out.parquet"), strict=True):
        assert after.query == before.query
        assert after.rollouts == before.rollouts
        assert after.truth.reference == before.truth.reference
        assert after.provenance == before.provenance
        assert [{k: p[k] for k in p if k != "verdict"} for p in after.rollout_provenance] == [
            dict(p) for p in before.rollout_provenance
        ]


def test_again_gives_the_same_file_and_costs_nothing(file: Path, tmp_path: Path) -> None:
    run(file, "--memory", tmp_path / "m", "--out", tmp_path / "first.jsonl", "--labels", "5")
    before = entries(tmp_path / "m")
    run(file, "--memory", tmp_path / "m", "--out", tmp_path / "second.jsonl", "--labels", "5")
    assert (tmp_path / "first.jsonl").read_bytes() == (tmp_path / "second.jsonl").read_bytes()
    assert entries(tmp_path / "m") == before


def test_a_larger_budget_adds_to_a_smaller_one(file: Path, tmp_path: Path) -> None:
    run(file, "--memory", tmp_path / "m", "--out", tmp_path / "a.jsonl", "--labels", "2")
    few = {entry["query_id"] for entry in entries(tmp_path / "m")}
    run(file, "--memory", tmp_path / "m", "--out", tmp_path / "b.jsonl", "--labels", "6")
    many = {entry["query_id"] for entry in entries(tmp_path / "m")}
    assert (len(few), len(many)) == (2, 6)
    assert few < many


def test_a_budget_that_is_spent_is_refused(file: Path, tmp_path: Path) -> None:
    lines = file.read_text().splitlines(keepends=True)
    for name, part in (("first", lines[:5]), ("second", lines[5:])):
        (tmp_path / f"{name}.jsonl").write_text("".join(part))
    place = ("--memory", tmp_path / "m", "--labels", "4")
    run(tmp_path / "first.jsonl", *place, "--out", tmp_path / "a.jsonl")
    result = run(tmp_path / "second.jsonl", *place, "--out", tmp_path / "b.jsonl", code=1)
    assert "label budget" in result.stderr
    assert not (tmp_path / "b.jsonl").exists()


def test_queries_without_reference_are_left_and_nothing_to_tell_is_its_own_code(tmp_path: Path) -> None:
    lines = records(2)
    for line in lines:
        line["reference"] = None
    result = run(write(tmp_path / "f.jsonl", lines), "--memory", tmp_path / "m", "--out", tmp_path / "o.jsonl", code=3)
    assert "Nothing could be told" in result.stderr
    assert all(correct is None for group in read_groups(tmp_path / "o.jsonl") for correct in group.truth.correct)


def test_free_text_is_right_or_not_told(tmp_path: Path) -> None:
    lines = [line | {"domain": "other"} if line["domain"] == "qa" else line for line in records(2)]
    arguments = (write(tmp_path / "f.jsonl", lines), "--memory", tmp_path / "m", "--out", tmp_path / "o.jsonl")
    report = json.loads(run(*arguments, "--labels", "1.0", "--json").stdout)
    assert (report["right"], report["wrong"], report["cannot_tell"]) == (6, 2, 4)
    assert any("other words" in reason for reason in report["reasons"])


@pytest.mark.slow
def test_settings_reach_the_verifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = records(1)[0] | {"domain": "code", "query": "def f():", "reference": '["assert f() == 1"]'}
    line["rollouts"] = [{"text": "def f():\n    return 1"}]
    seen = []
    verifier = CodeVerifier.verify
    monkeypatch.setattr(CodeVerifier, "verify", lambda self, claims: [seen.append(self), *verifier(self, claims)][1:])
    arguments = (write(tmp_path / "f.jsonl", [line]), "--memory", tmp_path / "m", "--out", tmp_path / "o.jsonl")
    report = json.loads(run(*arguments, "--containment", "none", "--json").stdout)
    assert report["right"] == 1
    assert [each.sandbox.containment for each in seen] == ["none"]


def test_an_interrupted_run_keeps_what_it_found(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "long.jsonl", records(12))
    arguments = (file, "--memory", tmp_path / "m", "--out", tmp_path / "out.jsonl", "--labels", "1.0")
    whole = Verifiers.verify
    batches = []

    def interrupted(self: Verifiers, claims: Sequence[Claim]) -> list[Verdict]:
        batches.append(len(claims))
        if len(batches) == 2:
            raise KeyboardInterrupt
        return whole(self, claims)

    monkeypatch.setattr(Verifiers, "verify", interrupted)
    result = run(*arguments, code=130)
    assert "run the same command again" in result.stderr
    assert not (tmp_path / "out.jsonl").exists()
    assert len({entry["rollout_id"] for entry in entries(tmp_path / "m") if entry["rollout_id"]}) == 16 * 2
    run(*arguments)
    assert all(
        correct is truth(rollout.id)
        for group in read_groups(tmp_path / "out.jsonl")
        for rollout, correct in zip(group.rollouts, group.truth.correct, strict=True)
    )
    assert len(entries(tmp_path / "m")) == 24 + 24 * 2


@pytest.mark.slow
def test_ctrl_c_ends_a_real_run_that_goes_on_later(tmp_path: Path) -> None:
    lines = [line for line in records(20) if line["domain"] == "math"]
    drawn = LabelLedger.detached(read_groups(write(tmp_path / "f.jsonl", lines))).choose(None, 0, by="references")
    for line in lines:
        if line["id"] in drawn[16:]:  # the second batch
            line["rollouts"].append({"text": HANG})
    file = write(tmp_path / "f.jsonl", lines)
    command = [sys.executable, "-m", "memreward", "verify", str(file), "--memory", str(tmp_path / "m")]
    command += ["--out", str(tmp_path / "out.jsonl"), "--labels", "1.0"]
    own = tmp_path / "patient.py"
    own.write_text("from memreward.domains.math.verify import MathVerifier\n\npatient = MathVerifier(600)\n")
    command += ["--verifier", f"math={own}:patient"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env={**os.environ}
    )
    assert wait_for_verdicts(tmp_path / "cache" / "judged.sqlite")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert not (tmp_path / "out.jsonl").exists()
    assert len({entry["query_id"] for entry in entries(tmp_path / "m")}) in (16, 20)


def wait_for_verdicts(database: Path) -> bool:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        if database.exists():
            connection = sqlite3.connect(database, timeout=60)
            try:
                if connection.execute("SELECT count(*) FROM verdicts").fetchone()[0]:
                    return True
            except sqlite3.OperationalError:  # the table is about to be made
                pass
            finally:
                connection.close()
        time.sleep(0.05)
    return False
