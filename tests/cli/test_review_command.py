"""Scores beside the truth, and a question by its id."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_commands import run, sums, write

from memreward.data.files import write_table
from memreward.reward.scores import COLUMNS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("review")
    write(folder / "known.jsonl", sums(10, 22))
    write(folder / "new.jsonl", sums(50, 58))
    run("warmup", folder / "known.jsonl", "--memory", folder / "memory")
    return folder


def row(rollout_id: str, value: float, answer: str | None, **others: Any) -> dict[str, Any]:
    blank: dict[str, Any] = dict.fromkeys(COLUMNS, "")
    about = {"query_id": rollout_id.split("/")[0], "rollout_id": rollout_id, "value": value, "answer": answer}
    return blank | about | {"source": "predicted", "advantage": 0.0, "confidence": "open"} | others


def labelled(path: Path, **about: Any) -> Path:
    rollouts = [{"text": "It is 5. The answer is 5.", "correct": True}, {"text": "The answer is 6.", "correct": False}]
    lines = [
        {"id": name, "domain": "math", "query": "What is 2 + 3?", "rollouts": rollouts} | about
        for name in ("bad", "good")
    ]
    return write(path, lines)


ROWS = [row("good/0", 0.9, "5"), row("good/1", 0.2, "6"), row("bad/0", 0.1, "5"), row("bad/1", 0.8, "6")]


@pytest.mark.parametrize("name", ["s.csv", "s.parquet", "s.jsonl"])
def test_the_worst_question_comes_first_with_both_answers(tmp_path: Path, name: str) -> None:
    write_table(tmp_path / name, ROWS, COLUMNS)
    truth = labelled(tmp_path / "t.jsonl")
    result = run("review", tmp_path / name, "--against", truth, "--json")
    found = json.loads(result.stdout)
    assert (found["questions"], found["believed_right"], found["rollouts"]) == (2, 1, 4)
    bad, good = found["worst"]
    assert (bad["id"], good["id"]) == ("bad", "good")
    assert bad["error"] == pytest.approx((0.9**2 + 0.8**2) / 2)
    assert [(a["text"], a["right"]) for a in bad["answers"]] == [("6", False), ("5", True)]
    assert found["confidence"] == {"open": {"rollouts": 4, "right": 2}}
    assert (
        len(json.loads(run("review", tmp_path / name, "--against", truth, "--worst", "1", "--json").stdout)["worst"])
        == 1
    )


def test_scores_in_several_files_are_one(tmp_path: Path) -> None:
    for name, part in (("a.csv", ROWS[:2]), ("b.csv", ROWS[2:]), ("all.csv", ROWS)):
        write_table(tmp_path / name, part, COLUMNS)
    truth = labelled(tmp_path / "t.jsonl")
    apart = run("review", tmp_path / "a.csv", tmp_path / "b.csv", "--against", truth, "--json").stdout
    assert json.loads(apart) == json.loads(run("review", tmp_path / "all.csv", "--against", truth, "--json").stdout)


def test_what_was_believed_and_is_right_comes_after_all_that_is_wrong(tmp_path: Path) -> None:
    rows = [row("good/0", 0.25, "5"), row("good/1", 0.2, "6"), row("bad/0", 0.45, "5"), row("bad/1", 0.5, "6")]
    write_table(tmp_path / "s.csv", rows, COLUMNS)
    found = json.loads(run("review", tmp_path / "s.csv", "--against", labelled(tmp_path / "t.jsonl"), "--json").stdout)
    bad, good = found["worst"]
    assert (bad["id"], good["id"], bad["error"] < good["error"]) == ("bad", "good", True)


def test_references_alone_verify_the_answers_and_labels_that_scored_are_left_out(tmp_path: Path) -> None:
    write_table(tmp_path / "s.csv", [*ROWS, row("good/2", 1.0, "5", source="true")], COLUMNS)
    truth = labelled(tmp_path / "t.jsonl", rollouts=[], reference="5")
    found = json.loads(run("review", tmp_path / "s.csv", "--against", truth, "--json").stdout)
    assert (found["rollouts"], found["believed_right"]) == (4, 1)


def test_terminal_fits_and_the_page_escapes_and_loads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [*ROWS, row("worse/0", 0.99, "<b>x</b>" * 9)]
    write_table(tmp_path / "s.csv", rows, COLUMNS)
    text = "<script>alert(1)</script> The answer is 7."
    truth = labelled(tmp_path / "t.jsonl")
    extra = {"id": "worse", "domain": "math", "query": "Q<?", "rollouts": [{"text": text, "correct": False}]}
    truth.write_text(truth.read_text() + json.dumps(extra) + "\n")
    result = run("review", tmp_path / "s.csv", "--against", truth, "--page", tmp_path / "page.html")
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "(no rollout)" in result.stdout
    page = (tmp_path / "page.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "No rollout is right." in page
    assert "src=" not in page
    assert "http" not in page


def test_what_is_no_score_or_has_no_label_is_refused(tmp_path: Path) -> None:
    truth = labelled(tmp_path / "t.jsonl")
    assert "rollout_id, value, answer, source missing" in run(
        "review", truth, "--against", truth, code=1
    ).stderr.replace("query_id, ", "")
    write_table(tmp_path / "s.csv", [row("other/0", 0.5, "5")], COLUMNS)
    assert (
        "none of 1 predicted rollouts has a label"
        in run("review", tmp_path / "s.csv", "--against", truth, code=1).stderr
    )


def test_scores_of_the_command_can_be_reviewed_and_a_question_inspected(folder: Path, tmp_path: Path) -> None:
    run("score", folder / "new.jsonl", "--memory", folder / "memory", "--out", tmp_path / "s.parquet")
    found = json.loads(run("review", tmp_path / "s.parquet", "--against", folder / "new.jsonl", "--json").stdout)
    assert (found["questions"], found["rollouts"], found["without_a_label"]) == (8, 32, 0)
    worst = found["worst"][0]
    place = ("--memory", folder / "memory", folder / "new.jsonl")
    shown = json.loads(run("inspect", worst["id"], *place, "--json").stdout)
    assert (shown["rollout_id"], shown["query_id"]) == (None, worst["id"])
    assert {a["text"] for a in shown["answers"]} == {a["text"] for a in worst["answers"]}
    assert shown["answers"][0]["right"] == pytest.approx(worst["answers"][0]["value"], abs=1e-6)
    printed = run("inspect", worst["id"], *place).stdout
    assert f"Question {worst['id']}" in printed
    assert f"What speaks for {shown['answers'][0]['text']} (log-odds)" in printed
    assert "rollout or question 'nobody' is not in" in run("inspect", "nobody", *place, code=1).stderr
