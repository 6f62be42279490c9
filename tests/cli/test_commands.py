"""Every command, end to end, on a small file of sums: half of the questions are easy, half hard."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from memreward.cli import app
from memreward.data import read_groups
from memreward.features.choosing import contested_order, spread_order
from memreward.features.encoder import HashingEncoder
from memreward.memory import ExperienceMemory
from memreward.types import Group

QUICK = ("--encoder", "hashing", "--epochs", "3", "--folds", "2", "--hidden", "8")


def sums(start: int, stop: int) -> list[dict[str, Any]]:
    """One question a number, with four rollouts that add rightly at a rate of the question's own."""
    drawn = random.Random(7)
    records = []
    for number in range(start, stop):
        total = number + 3
        rate = 0.9 if number % 2 else 0.4
        answers = [total if drawn.random() < rate else total + drawn.choice((1, 2, 10)) for _ in range(4)]
        rollouts = [
            {
                "text": f"We add {number} and 3. {number} + 3 = {answer}. The answer is {answer}.",
                "correct": answer == total,
            }
            for answer in answers
        ]
        query = f"What is {number} + 3?"
        records.append(
            {"id": f"q{number}", "dataset": "sums", "domain": "math", "query": query, "reference": str(total)}
            | {"rollouts": rollouts}
        )
    return records


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def run(*arguments: str | Path, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)
    assert result.exit_code == code, (result.output, result.exception)
    return result


def spread(groups: list[Group], seed: int) -> list[str]:
    return spread_order(groups, HashingEncoder(), seed)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMREWARD_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A memory of 24 questions with a predictor that was bought with half their labels; 8 new questions."""
    folder = tmp_path_factory.mktemp("cli")
    write(folder / "known.jsonl", sums(10, 34))
    write(folder / "new.jsonl", sums(50, 58))
    result = run("warmup", folder / "known.jsonl", "--memory", folder / "memory", "--labels", "0.5", *QUICK, "--json")
    (folder / "warmup.json").write_text(result.stdout)
    return folder


def test_warmup_reports_what_it_bought(folder: Path) -> None:
    report = json.loads((folder / "warmup.json").read_text())
    assert report["memory"]["queries"] == 24
    assert report["memory"]["rollouts"] == 96
    assert report["added"] == {"new_queries": 24, "new_rollouts": 96, "updated": 0}
    assert report["labelled_queries"] == 12
    assert report["labels"] == report["ledger"]["judgements"] == 48
    assert 0 <= report["threshold"] <= 1
    together, sums_alone = report["held_out"]
    assert (together["domain"], sums_alone["domain"]) == ("all", "math")
    assert (together["queries"], together["rollouts"]) == (12, 48)
    for figures in (together["metrics"], together["majority"]):
        assert all(0 <= figures[name] <= 1 for name in ("auc", "group_auc", "accuracy", "ece"))


def test_warmup_prints_its_held_out_figures_beside_majority_vote(folder: Path, tmp_path: Path) -> None:
    arguments = ("warmup", "--memory", folder / "memory", "--labels", "0.5", *QUICK, "--predictor", tmp_path / "p")
    text = run(*arguments).stdout
    figures = json.loads((folder / "warmup.json").read_text())["held_out"][0]
    for name, part in (("memreward", "metrics"), ("majority vote", "majority")):
        (line,) = [line for line in text.splitlines() if f" {name} " in line]
        assert [f"{figures[part][key]:.3f}" for key in ("auc", "group_auc", "accuracy", "ece")] == [
            cell.strip() for cell in line.split("│")[5:-1]
        ]


@pytest.mark.parametrize(("rule", "order"), [("contested", contested_order), ("spread", spread)])
def test_warmup_labels_the_queries_that_the_rule_names(
    rule: str, order: Callable[..., list[str]], tmp_path: Path
) -> None:
    records = sums(10, 34)
    for record in records[::3]:  # nothing is known of these: they cannot be labelled, however open they are
        for rollout in record["rollouts"]:
            del rollout["correct"]
    known = write(tmp_path / "known.jsonl", records)
    options = ("--memory", tmp_path / "memory", "--labels", "0.25", "--choose", rule, "--seed", "4")
    report = json.loads(run("warmup", known, *options, *QUICK, "--json").stdout)
    groups = [group for group in read_groups(known) if set(group.truth.correct) != {None}]
    ledger = ExperienceMemory.open(tmp_path / "memory").ledger
    assert report["labelled_queries"] == 6  # a share is of all queries with any truth, references too
    assert {label.query_id for label in ledger.labels("warmup")} == set(order(groups, 4)[:6])


def test_warmup_again_adds_nothing_and_spends_nothing(folder: Path, tmp_path: Path) -> None:
    arguments = ("warmup", folder / "known.jsonl", "--memory", folder / "memory", "--labels", "0.5", *QUICK)
    report = json.loads(run(*arguments, "--predictor", tmp_path / "again", "--json").stdout)
    assert report["added"] == {"new_queries": 0, "new_rollouts": 0, "updated": 0}
    assert report["ledger"]["queries"] == 12
    first, second = (
        (place / "predictor.json").read_text() for place in (folder / "memory" / "predictor", tmp_path / "again")
    )
    assert first == second


def test_score_writes_a_line_a_rollout(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "scored.jsonl"
    result = run("score", folder / "new.jsonl", "--memory", folder / "memory", "--out", out, "--json")
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["rollout_id"] for line in lines] == [f"q{n}/{k}" for n in range(50, 58) for k in range(4)]
    assert all(set(line) == {"query_id", "rollout_id", "value", "confidence", "reason"} for line in lines)
    assert all(0 <= line["value"] <= 1 and 0 <= line["confidence"] <= 1 for line in lines)
    report = json.loads(result.stdout)
    assert (report["queries"], report["rollouts"], report["scored"], report["abstained"]) == (8, 32, 32, 0)
    assert report["mean_value"] == pytest.approx(sum(line["value"] for line in lines) / 32)
    assert [path.name for path in out.parent.iterdir()] == ["scored.jsonl"]


def test_labels_in_the_file_do_not_move_scores(folder: Path, tmp_path: Path) -> None:
    flipped = sums(50, 58)
    for record in flipped:
        record["reference"] = "0"
        for rollout in record["rollouts"]:
            rollout["correct"] = not rollout["correct"]
    write(tmp_path / "flipped.jsonl", flipped)
    for name, file in (("a", folder / "new.jsonl"), ("b", tmp_path / "flipped.jsonl")):
        run("score", file, "--memory", folder / "memory", "--out", tmp_path / name)
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text()
    totals = json.loads(run("ledger", "--memory", folder / "memory", "--json").stdout)
    assert totals["queries"] == 12


def test_score_uses_the_encoder_of_the_warmup(folder: Path, tmp_path: Path) -> None:
    arguments = ("score", folder / "new.jsonl", "--memory", folder / "memory", "--out", tmp_path / "s")
    result = run(*arguments, "--encoder", "hashing-32", code=1)
    assert "hashing-64" in result.stderr
    assert not (tmp_path / "s").exists()


def test_nothing_scored_is_an_exit_code_of_its_own(folder: Path, tmp_path: Path) -> None:
    strict = ("--predictor", tmp_path / "strict", "--abstain-below", "1.1")
    run("warmup", "--memory", folder / "memory", "--labels", "0.5", *QUICK, *strict)
    arguments = (
        "score",
        folder / "new.jsonl",
        "--memory",
        folder / "memory",
        *strict[:2],
        "--out",
        tmp_path / "s",
        "--json",
    )
    report = json.loads(run(*arguments, code=3).stdout)
    assert (report["scored"], report["abstained"]) == (0, 32)
    assert report["mean_value"] is None
    lines = [json.loads(line) for line in (tmp_path / "s").read_text().splitlines()]
    assert all(line["value"] is None and line["reason"] for line in lines)


def test_inspect_agrees_with_score_and_explains(folder: Path, tmp_path: Path) -> None:
    run("score", folder / "new.jsonl", "--memory", folder / "memory", "--out", tmp_path / "s")
    scored = {line["rollout_id"]: line for line in map(json.loads, (tmp_path / "s").read_text().splitlines())}
    arguments = ("inspect", "q53/2", "--memory", folder / "memory", "--file", folder / "new.jsonl")
    shown = json.loads(run(*arguments, "--json").stdout)
    assert shown["value"] == pytest.approx(scored["q53/2"]["value"], abs=1e-5)
    assert shown["query"] == "What is 53 + 3?"
    labelled = {entry["query_id"] for entry in ledger_entries(folder)}
    assert shown["neighbours"]
    assert {neighbour["query_id"] for neighbour in shown["neighbours"]} <= labelled
    assert all(neighbour["text"].startswith("What is ") for neighbour in shown["neighbours"])
    moved = [abs(signal["contribution"]) for signal in shown["evidence"]]
    assert moved == sorted(moved, reverse=True)
    text = run(*arguments, "--top", "2").stdout
    assert "What is 53 + 3?" in text
    assert shown["evidence"][0]["name"] in text
    assert shown["evidence"][2]["name"] not in text


def test_inspect_finds_a_rollout_in_memory(folder: Path) -> None:
    shown = json.loads(run("inspect", "q11/0", "--memory", folder / "memory", "--json").stdout)
    assert shown["query_id"] == "q11"
    assert "q11" not in {neighbour["query_id"] for neighbour in shown["neighbours"]}


def ledger_entries(folder: Path) -> list[dict[str, Any]]:
    entries = json.loads(run("ledger", "--memory", folder / "memory", "--entries", "--json").stdout)["entries"]
    assert isinstance(entries, list)
    return entries


def test_ledger_lists_every_label(folder: Path) -> None:
    entries = ledger_entries(folder)
    assert len(entries) == 48
    truth = {f"{r['id']}/{k}": one["correct"] for r in sums(10, 34) for k, one in enumerate(r["rollouts"])}
    assert all(entry["correct"] is truth[entry["rollout_id"]] for entry in entries)
    assert {(entry["use"], entry["source"]) for entry in entries} == {("warmup", "file")}
    table = run("ledger", "--memory", folder / "memory").stdout
    assert "warmup" in table
    assert "48" in table


def test_evaluate_compares_predictors(folder: Path, tmp_path: Path) -> None:
    arguments = ("evaluate", folder / "known.jsonl", "--labels", "0.25,0.5", "--seeds", "2", "--jobs", "1")
    arguments += (
        "--encoder",
        "hashing",
        "--predictors",
        "majority,logistic_evidence",
        "--resamples",
        "20",
        "--out",
        tmp_path,
    )
    result = run(*arguments, "--json")
    report = json.loads(result.stdout)
    assert {(row["labels"], row["predictor"]) for row in report["rows"]} == {
        (share, name) for share in (0.25, 0.5) for name in ("majority", "logistic_evidence")
    }
    assert [(split["labels"], split["warmup"]["queries"]) for split in report["ledger"]] == [(0.25, 6)] * 2 + [
        (0.5, 12)
    ] * 2
    assert json.loads((tmp_path / "evaluation.json").read_text()) == report
    result = run(*arguments, "--page", "--markdown", tmp_path / "new" / "tables.md")
    text = result.stdout
    assert "evaluation.html" in result.stderr
    assert (tmp_path / "evaluation.png").read_bytes().startswith(b"\x89PNG")
    assert "<html" in (tmp_path / "evaluation.html").read_text()
    assert "| logistic_evidence |" in (tmp_path / "new" / "tables.md").read_text()
    assert "logistic_evidence" in text
    assert "Label ledger" in text
    assert "group AUC" in text


def test_evaluate_refuses_an_unknown_predictor(folder: Path, tmp_path: Path) -> None:
    result = run("evaluate", folder / "known.jsonl", "--predictors", "oracle", "--out", tmp_path, code=1)
    assert "'oracle'" in result.stderr
    assert "baselines" in result.stderr


def test_ablations_and_the_papers_network_can_be_compared() -> None:
    from memreward.cli.evaluate import chosen_predictors
    from memreward.predict.baselines import BASELINES
    from memreward.predict.config import ABLATIONS, PredictorConfig

    config = PredictorConfig(hidden=64)
    chosen = chosen_predictors("memreward,majority", config, ablations=True)
    assert list(chosen) == ["memreward", "majority", *ABLATIONS, "paper"]
    assert chosen["memreward"](3).config == config
    assert chosen["no_evidence"](3).config == config.ablated("no_evidence")
    assert chosen["paper"](3).config == PredictorConfig.preset("paper")
    assert [chosen[name](3).name for name in ("no_labels", "paper")] == ["no_labels", "paper"]
    assert set(chosen_predictors("all", config, ablations=False)) == {"memreward", *BASELINES, *ABLATIONS, "paper"}


def test_files_get_short_names_where_they_differ(tmp_path: Path) -> None:
    from memreward.cli.evaluate import file_names, means_from

    names = file_names([Path("x/a.jsonl.gz"), Path("y/a.jsonl"), Path("b.v2.parquet")])
    assert list(names) == ["x/a.jsonl.gz", "y/a.jsonl", "b.v2"]
    assert means_from(["one=b.v2", "two=x,y"]) == {"one": ["b.v2"], "two": ["x", "y"]}
    assert means_from([]) is None


def test_json_is_all_there_is_on_stdout(folder: Path, tmp_path: Path) -> None:
    bad = write(tmp_path / "bad.jsonl", [*sums(70, 72), {"id": "q"}])
    arguments = ("score", bad, "--memory", folder / "memory", "--out", tmp_path / "s", "--skip-bad", "--json")
    result = run(*arguments)
    assert json.loads(result.stdout)["rollouts"] == 8
    assert "line 3" in result.stderr
    assert "1 entries were skipped" in result.stderr
