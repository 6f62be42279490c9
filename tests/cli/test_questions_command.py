from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import command_line
import pytest

from memreward.data import benchmarks, load_questions, read_groups, read_split, write_groups
from memreward.types import Group, Query, Truth

run = partial(command_line.run, "questions")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "own.jsonl"
    queries = [Query(f"s{n}", f"What is {n} + 3?", "math", "sums" if n < 40 else "more") for n in range(60)]
    write_groups(path, [Group(query, (), Truth("4")) for query in queries])
    return path


def test_without_sources_the_benchmarks_are_listed() -> None:
    listed = json.loads(run("--json").stdout)["benchmarks"]
    assert [entry["name"] for entry in listed] == list(benchmarks())
    assert all(entry["license"] and entry["citation"] and entry["paper"] for entry in listed)
    table = run().stdout
    assert all(name in table for name in benchmarks())


def test_questions_and_split_are_written_and_fit_together(file: Path, tmp_path: Path) -> None:
    out, split = tmp_path / "questions.jsonl.gz", tmp_path / "split.json"
    arguments = (file, "--n", "15", "--seed", "3", "--out", out, "--split", split, "--json")
    report = json.loads(run(*arguments).stdout)
    groups = list(read_groups(out))
    drawn = read_split(split, groups)
    assert groups == load_questions(file, n=15, seed=3)
    assert (report["questions"], report["repeated"], report["seed"]) == (30, 0, 3)
    assert report["datasets"] == {name: {"questions": 15, **parts} for name, parts in drawn.datasets.items()}
    assert drawn.config.seed == 3
    first = out.read_bytes(), split.read_bytes()
    run(*arguments)
    assert (out.read_bytes(), split.read_bytes()) == first


def test_zero_asks_for_all_and_repeated_texts_are_left_out(file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    write_groups(copy, [Group(Query("again", "What is 7 + 3?", "math", "copy"), (), Truth("10"))])
    unlabelled = tmp_path / "unlabelled.jsonl"
    write_groups(unlabelled, [Group(Query("open", "Who?", "other", "open"), ())])
    out = tmp_path / "all.jsonl"
    result = run(file, copy, unlabelled, "--n", "0", "--out", out)
    assert "1 questions were left out" in result.stderr
    assert len(list(read_groups(out))) == 61


def test_a_benchmark_is_read_from_copies_beside_a_file(file: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    folder = tmp_path / "hub" / "lighteval" / "siqa"
    folder.mkdir(parents=True)
    row = {
        "context": "Ada fell.",
        "question": "Why?",
        "answerA": "ice",
        "answerB": "wind",
        "answerC": "no",
        "label": "1",
    }
    datasets.Dataset.from_list([row]).to_parquet(folder / "train.parquet")
    out = tmp_path / "some.jsonl"
    run("SIQA:5", file, "--hub", tmp_path / "hub", "--benchmark-split", "train", "--n", "2", "--out", out)
    assert next(read_groups(out)).query.id == "social_i_qa-train-0"
    assert len(list(read_groups(out))) == 5


def test_wrong_calls_say_what_is_wrong(file: Path, tmp_path: Path) -> None:
    assert "--out" in run(file, code=2).stderr
    assert "neither a file, nor a benchmark" in run("riddles", "--out", tmp_path / "x.jsonl", code=1).stderr
    assert "leave nothing to train on" in run(file, "--test", "0.95", "--out", tmp_path / "x.jsonl", code=1).stderr
    assert "no such folder" in run("gsm8k", "--hub", tmp_path, "--out", tmp_path / "x.jsonl", code=1).stderr
    assert not (tmp_path / "x.jsonl").exists()
