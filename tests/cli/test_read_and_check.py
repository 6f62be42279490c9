"""From the files of three users to rollouts, and what is said of them."""

from __future__ import annotations

import csv
import json
import re
import shlex
from pathlib import Path

import pytest
from command_line import run

from memreward.data import read_groups


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """Twelve questions, three with their answers."""
    with (tmp_path / "questions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["problem", "solution", "unit"])
        writer.writerows([f"What is {n} + 3?", n + 3 if n < 3 else "", "sums"] for n in range(12))
    return tmp_path / "questions.csv"


@pytest.fixture
def batch(tmp_path: Path) -> tuple[Path, Path]:
    """Requests with a template around each question, and what a server answered, two rollouts a question."""
    requests, outputs = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    with requests.open("w") as asked, outputs.open("w") as answered:
        for n in range(12):
            for k in range(2):
                messages = [{"role": "user", "content": f"Solve this.\n\nWhat is {n} + 3?\n\nThink first."}]
                asked.write(json.dumps({"custom_id": f"r{n}-{k}", "body": {"messages": messages}}) + "\n")
                message = {"role": "assistant", "content": f"The answer is {n + 3 + k}."}
                body = {"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}
                line = {"custom_id": f"r{n}-{k}", "response": {"status_code": 200, "body": body}, "error": None}
                answered.write(json.dumps(line) + "\n")
    return requests, outputs


def test_questions_and_a_servers_answers_become_rollouts(
    tmp_path: Path, questions: Path, batch: tuple[Path, Path]
) -> None:
    requests, outputs = batch
    out = tmp_path / "rollouts.jsonl"
    result = run("read", questions, outputs, "--requests", requests, "--domain", "math", "--out", out, "--json")
    report = json.loads(result.stdout)
    assert (report["questions"], report["rollouts"], report["references"], report["labels_there"]) == (12, 24, 3, 3)
    assert (report["answers_parsed"], report["distinct_answers_a_question"]) == (1.0, 2.0)
    groups = list(read_groups(out))
    assert [group.query.text for group in groups[:2]] == ["What is 0 + 3?", "What is 1 + 3?"]
    assert groups[0].truth.reference == "3"
    assert [rollout.answer for rollout in groups[0].rollouts] == ["3", "4"]
    assert "next: memreward warmup" in result.stderr


def test_every_command_reads_what_read_reads(tmp_path: Path, questions: Path) -> None:
    table = tmp_path / "table.csv"
    with questions.open() as asked, table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["aufgabe", "solution", "text"])
        for row in csv.DictReader(asked):
            for k in range(3):
                value = int(row["problem"].split()[2]) + 3 + (k == 2)
                writer.writerow([row["problem"], row["solution"], f"The answer is {value}."])
    columns = ("--question", "aufgabe", "--completions", "text", "--domain", "math")
    place = ("--memory", tmp_path / "memory")
    report = json.loads(run("warmup", table, *place, *columns, "--json").stdout)
    assert (report["memory"]["queries"], report["memory"]["rollouts"]) == (12, 36)
    run("score", table, *place, *columns, "--out", tmp_path / "scored.jsonl")
    assert len((tmp_path / "scored.jsonl").read_text().splitlines()) == 36
    run("check", table, *columns)
    again = run("check", table, code=1)
    missing = "no column is named as the question (--question COLUMN) nor as the domain"
    assert missing in again.stderr
    assert "it has: aufgabe, solution, text" in again.stderr
    assert "--question COLUMN --domain math" in again.stderr


def test_check_joins_files_as_read_does(
    questions: Path, batch: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests, outputs = batch
    result = run("check", questions, outputs, "--requests", requests, "--domain", "math", "--json")
    report = json.loads(result.stdout)
    assert report["files"] == [str(questions), str(outputs)]
    assert (report["questions"], report["rollouts"], report["references"], report["broken"]) == (12, 24, 3, [])
    assert report["next"].startswith(f"memreward read {questions} {outputs} --"), "warmup reads each file by itself"
    monkeypatch.chdir(tmp_path)
    run(*shlex.split(report["next"])[1:])
    assert len(list(read_groups("rollouts.jsonl"))) == 12


def test_check_fits_80_columns_and_says_what_is_doubtful(tmp_path: Path, questions: Path) -> None:
    result = run("check", questions, "--question", "problem", "--domain", "math")
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "3 of 12 questions" in result.stdout
    assert "a file of questions: if it holds rollouts too" in result.stderr
    (follow,) = re.findall(r"next: memreward (read .+) --out questions.jsonl", result.stderr)
    told = run(*shlex.split(follow), "--out", tmp_path / "questions.jsonl").stderr
    assert "next: memreward collect --questions" in told
    row = {"question": "Which?\n(A) one\n(B) two", "completions": ["I cannot say, sorry."] * 3}
    (tmp_path / "t.jsonl").write_text(json.dumps(row) + "\n")
    doubtful = json.loads(run("check", tmp_path / "t.jsonl", "--domain", "math", "--json").stdout)["doubtful"]
    assert any("lettered options" in one for one in doubtful)
    assert any("no answer was found in 3 of 3" in one for one in doubtful)


def test_a_column_of_numbers_is_not_taken_for_completions(tmp_path: Path) -> None:
    """An index that is called "sample" is a common column of one's own layout."""
    row = {"uid": "a", "sample": 0, "asked": "What is 2 + 3?", "generated": "It is 5."}
    (tmp_path / "own.jsonl").write_text(json.dumps(row) + "\n")
    said = run("check", tmp_path / "own.jsonl", code=1).stderr
    assert "nor as completions (--completions COLUMN)" in said
    assert "--question COLUMN --completions COLUMN --domain math" in said


def test_check_lists_every_broken_line_and_ends_with_1(tmp_path: Path) -> None:
    good = {"id": "q", "domain": "math", "query": "What?", "rollouts": [{"text": "It is 4."}]}
    lines = [good, good | {"id": "r", "domain": "maths"}, good | {"id": "s", "rollouts": [{"text": 4}]}]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = run("check", tmp_path / "r.jsonl", "--json", code=1)
    report = json.loads(result.stdout)
    assert report["questions"] == 1
    assert ["line 2" in report["broken"][0], "line 3" in report["broken"][1]] == [True, True]
    assert "broken: " in result.stderr


def test_the_next_command_has_what_was_missing(tmp_path: Path, batch: tuple[Path, Path]) -> None:
    told = [{"Question": f"What is {n}?", "Answer": a} for n in range(3) for a in ("one", "two", "one")]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in told))
    refused = run("check", tmp_path / "a.jsonl", code=1).stderr
    flags = "--completions Answer --domain math"
    assert refused.splitlines()[-1] == f"next: memreward check {tmp_path / 'a.jsonl'} {flags}"
    run("check", tmp_path / "a.jsonl", *flags.split())
    lost = run("check", batch[1], code=1).stderr.splitlines()
    assert ["24 answers do not say what was asked" in lost[0], len(lost)] == [True, 2]
    assert lost[1].endswith("--requests requests.jsonl")
    assert "next:" not in run("check", tmp_path / "nowhere.csv", code=1).stderr


def test_where_only_votes_speak_no_word_says_more(tmp_path: Path) -> None:
    told = [("Largest?", ["Jupiter"] * 4), ("Gas?", ["CO2", "oxygen", "CO2", "CO2"]), ("Why?", ["a b", "c d", "e f"])]
    lines = [{"question": question, "completions": answers} for question, answers in told]
    (tmp_path / "free.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    columns = ("--domain", "other", "--memory", tmp_path / "memory")
    warm = run("warmup", tmp_path / "free.jsonl", *columns, "--labels", "0").stderr
    assert "other: no prior knows this domain, so that values are shares of votes" in warm
    assert "next: memreward score" in warm
    assert "--domain other --memory" in warm
    scored = run("score", tmp_path / "free.jsonl", *columns, "--out", tmp_path / "s.csv")
    assert f"next: memreward propose --memory {tmp_path / 'memory'}" in scored.stderr
    rows = list(csv.DictReader((tmp_path / "s.csv").read_text().splitlines()))
    words = ["all agree, unchecked"] * 4 + ["most agree, unchecked", "few agree, unchecked"]
    assert [row["confidence"] for row in rows[:6]] == words
    assert {row["reason"] for row in rows} == {"votes only: no prior knows this domain"}
    inspected = run("inspect", rows[0]["query_id"], "--memory", tmp_path / "memory")
    assert "nothing speaks for one against another" in inspected.stderr
    assert "What speaks" not in inspected.stdout


def test_a_mistyped_column_is_named_with_the_nearest(tmp_path: Path, questions: Path) -> None:
    result = run("read", questions, "--question", "problm", "--domain", "math", "--out", tmp_path / "x.jsonl", code=1)
    assert "did you mean 'problem'?" in result.stderr
    assert not (tmp_path / "x.jsonl").exists()


def test_warmup_uses_every_reference_and_says_how_many_of_how_many(
    tmp_path: Path, questions: Path, batch: tuple[Path, Path]
) -> None:
    requests, outputs = batch
    out, place = tmp_path / "rollouts.jsonl", ("--memory", tmp_path / "memory")
    run("read", questions, outputs, "--requests", requests, "--domain", "math", "--out", out)
    report = json.loads(run("warmup", out, *place, "--json").stdout)
    assert (report["labelled_queries"], report["labels"]) == (3, 6)
    assert report["ledger"]["queries"] == 3
    again = run("warmup", *place)
    assert "3 of 3 with a label, 12 in memory" in again.stdout
    assert f"next: memreward score FILE --memory {tmp_path / 'memory'}" in again.stderr
    less = run("warmup", out, "--memory", tmp_path / "less", "--labels", "1")
    assert "1 of 3 with a label" in less.stdout
    assert "left 2 labelled questions unused" in less.stderr
