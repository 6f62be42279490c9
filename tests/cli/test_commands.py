"""Every command, end to end, on a small file of sums: half of the questions are easy, half hard."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from command_line import run

from memreward.answers.prior import RewardPrior
from memreward.data import read_groups
from memreward.data.containers import rows_of
from memreward.memory import ExperienceMemory, Judgement, Told, label
from memreward.reward.scores import COLUMNS


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


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMREWARD_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A memory of 24 questions with a predictor that was bought with half their labels; 8 new questions."""
    folder = tmp_path_factory.mktemp("cli")
    write(folder / "known.jsonl", sums(10, 34))
    write(folder / "new.jsonl", sums(50, 58))
    result = run("warmup", folder / "known.jsonl", "--memory", folder / "memory", "--labels", "50%", "--json")
    (folder / "warmup.json").write_text(result.stdout)
    return folder


@pytest.mark.slow
def test_warmup_reports_what_it_bought(folder: Path) -> None:
    report = json.loads((folder / "warmup.json").read_text())
    assert report["memory"]["queries"] == 24
    assert report["memory"]["rollouts"] == 96
    assert report["added"] == {"new_queries": 24, "new_rollouts": 96, "updated": 0}
    assert report["labelled_queries"] == 12
    assert report["labels"] == 48
    assert report["ledger"]["judgements"] == distinct_answers(folder)
    assert 0 <= report["trust"]["math"] <= 1
    assert report["prior"] == "default"
    together, sums_alone = report["held_out"]
    assert (together["domain"], sums_alone["domain"]) == ("all", "math")
    assert (together["queries"], together["rollouts"]) == (12, 48)
    for figures in (together["metrics"], together["majority"]):
        assert all(0 <= figures[name] <= 1 for name in ("auc", "group_auc", "accuracy", "ece"))


@pytest.mark.slow
def test_warmup_prints_its_held_out_figures_beside_majority_vote(folder: Path) -> None:
    text = run("warmup", "--memory", folder / "memory", "--labels", "50%").stdout
    figures = json.loads((folder / "warmup.json").read_text())["held_out"][0]
    for name, part in (("memreward", "metrics"), ("majority vote", "majority")):
        (line,) = [line for line in text.splitlines() if f" {name} " in line]
        shown = ("auc", "group_auc", "accuracy", "ece", "advantage_cosine")
        assert [f"{figures[part][key]:.3f}" for key in shown] == line.split()[-5:]


def test_warmup_says_how_many_labels_of_how_many_it_used(folder: Path) -> None:
    text = " ".join(run("warmup", "--memory", folder / "memory", "--labels", "12").stdout.split())
    assert "labelled queries 12 of 24 with a label, 24 in memory" in text
    assert "labels 48 on 96 rollouts" in text


def test_without_a_budget_all_labels_are_used(tmp_path: Path) -> None:
    known = write(tmp_path / "known.jsonl", sums(10, 18))
    report = json.loads(run("warmup", known, "--memory", tmp_path / "memory", "--json").stdout)
    assert (report["labelled_queries"], report["labels"]) == (8, 32)


def test_without_labels_nothing_is_spent_and_it_is_said_that_nothing_was_checked(tmp_path: Path) -> None:
    known, place = write(tmp_path / "known.jsonl", sums(10, 18)), ("--memory", tmp_path / "memory")
    result = run("warmup", known, *place, "--labels", "0", "--json")
    report = json.loads(result.stdout)
    assert (report["labels"], report["held_out"], report["ledger"]["judgements"]) == (0, [], 0)
    assert "nothing was checked" in result.stderr
    assert "nothing was checked" not in run("warmup", *place, "--labels", "4").stderr
    run("score", known, *place, "--out", tmp_path / "s")


def test_warmup_labels_nothing_that_has_no_verdict(tmp_path: Path) -> None:
    records = sums(10, 34)
    for record in records[::3]:  # nothing is known of these: they cannot be labelled, however open they are
        del record["reference"]
        for rollout in record["rollouts"]:
            del rollout["correct"]
    known = write(tmp_path / "known.jsonl", records)
    place = ("--memory", tmp_path / "memory")
    for count in (4, 8):
        report = json.loads(run("warmup", known, *place, "--labels", str(count), "--json").stdout)
        assert report["labelled_queries"] == count
    labelled = {label.query_id for label in ExperienceMemory.open(tmp_path / "memory").ledger.labels()}
    assert labelled.isdisjoint(record["id"] for record in records[::3])


def test_the_labels_of_a_person_serve_warmup(tmp_path: Path) -> None:
    records = sums(10, 26)
    for record in records:
        del record["reference"]
        for rollout in record["rollouts"]:
            del rollout["correct"]
    known, place = write(tmp_path / "known.jsonl", records), ("--memory", tmp_path / "memory")
    assert "nothing was checked" in run("warmup", known, *place).stderr
    ledger = ExperienceMemory.open(tmp_path / "memory").ledger
    for group in list(read_groups(known))[:12]:
        total = int(group.query.id[1:]) + 3
        for rollout in group.rollouts:
            judgement = Judgement(group.query.id, rollout.answer == str(total), rollout_id=rollout.id)
            label(ledger, None, Told("Ada", [judgement]), use="labelling")
    result = run("warmup", *place, "--json")
    report = json.loads(result.stdout)
    assert (report["labelled_queries"], report["labels"]) == (12, 48)
    assert report["ledger"]["judgements"] == 48, "they are not paid for again"
    assert "nothing was checked" not in result.stderr
    totals = json.loads(run("ledger", *place, "--json").stdout)
    assert list(totals["sources"]) == ["Ada"]


def test_warmup_again_adds_nothing_and_spends_nothing(folder: Path, tmp_path: Path) -> None:
    arguments = ("warmup", folder / "known.jsonl", "--memory", folder / "memory", "--labels", "50%")
    score = ("score", folder / "new.jsonl", "--memory", folder / "memory", "--out")
    run(*score, tmp_path / "before")
    report = json.loads(run(*arguments, "--json").stdout)
    assert report["added"] == {"new_queries": 0, "new_rollouts": 0, "updated": 0}
    assert report["ledger"]["queries"] == 12
    run(*score, tmp_path / "after")
    assert (tmp_path / "before").read_text() == (tmp_path / "after").read_text()


def test_score_writes_a_line_a_rollout(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "scored.jsonl"
    result = run("score", folder / "new.jsonl", "--memory", folder / "memory", "--out", out, "--json")
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["rollout_id"] for line in lines] == [f"q{n}/{k}" for n in range(50, 58) for k in range(4)]
    assert all(tuple(line) == tuple(COLUMNS) for line in lines)
    assert all(0 <= line["value"] <= 1 and line["source"] == "predicted" and line["answer"] for line in lines)
    words = {"almost certainly right", "probably right", "open", "probably wrong", "almost certainly wrong"}
    assert {line["confidence"] for line in lines} <= words
    report = json.loads(result.stdout)
    assert (report["queries"], report["rollouts"], report["scored"], report["abstained"]) == (8, 32, 32, 0)
    assert report["mean_value"] == pytest.approx(sum(line["value"] for line in lines) / 32)
    assert [path.name for path in out.parent.iterdir()] == ["scored.jsonl"]


@pytest.mark.parametrize("name", ["s.csv", "s.parquet", "s.jsonl"])
def test_scores_are_written_as_their_name_says_and_labels_are_marked(folder: Path, tmp_path: Path, name: str) -> None:
    place = ("--memory", folder / "memory", "--out", tmp_path / name)
    report = json.loads(run("score", folder / "known.jsonl", *place, "--keep", "text", "--json").stdout)
    rows = [row for _, row in rows_of(tmp_path / name)]
    assert [tuple(row) for row in rows] == [(*COLUMNS, "text")] * 96
    true = [row for row in rows if row["source"] == "true"]
    assert len(true) == report["labelled"] == 48
    right = {r["text"]: r["correct"] for record in sums(10, 34) for r in record["rollouts"]}
    for row in true:
        assert float(row["value"]) == float(right[row["text"]])
        assert row["confidence"] == ("known to be right" if right[row["text"]] else "known to be wrong")
    assert (
        "ends on no known format" in run("score", folder / "new.jsonl", *place[:3], tmp_path / "s.xlsx", code=1).stderr
    )


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


def test_nothing_scored_is_an_exit_code_of_its_own(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ArithmeticError("an odd rollout")

    monkeypatch.setattr("memreward.features.featurizer.compute_evidence", fail)
    arguments = ("score", folder / "new.jsonl", "--memory", folder / "memory", "--out", tmp_path / "s", "--json")
    report = json.loads(run(*arguments, code=3).stdout)
    assert (report["scored"], report["abstained"]) == (0, 32)
    assert report["mean_value"] is None
    lines = [json.loads(line) for line in (tmp_path / "s").read_text().splitlines()]
    assert all(line["value"] is None and "an odd rollout" in line["reason"] for line in lines)


def test_inspect_agrees_with_score_and_explains(folder: Path, tmp_path: Path) -> None:
    run("score", folder / "new.jsonl", "--memory", folder / "memory", "--out", tmp_path / "s")
    scored = {line["rollout_id"]: line for line in map(json.loads, (tmp_path / "s").read_text().splitlines())}
    arguments = ("inspect", "q50/1", "--memory", folder / "memory", folder / "new.jsonl")
    shown = json.loads(run(*arguments, "--json").stdout)
    assert shown["score"]["value"] == pytest.approx(scored["q50/1"]["value"], abs=1e-5)
    assert shown["score"]["advantage"] == pytest.approx(scored["q50/1"]["advantage"], abs=1e-5)
    assert shown["query"] == "What is 50 + 3?"
    answers = shown["answers"]
    assert sum(answer["votes"] for answer in answers) == 4
    assert answers[shown["own"]]["text"] == shown["answer"]
    assert answers[shown["own"]]["right"] == pytest.approx(shown["score"]["value"], abs=1e-5)
    assert sum(answer["right"] for answer in answers) <= 1 + 1e-6
    moved = [abs(contribution) for _, contribution in answers[shown["own"]]["reasons"]]
    assert moved == sorted(moved, reverse=True)
    text = run(*arguments).stdout
    assert "What is 50 + 3?" in text
    names = [name for name, _ in answers[shown["own"]]["reasons"]]
    assert [f"\n{name} " in text for name in names[9:11]] == [True, False]


def test_inspect_finds_a_rollout_in_memory(folder: Path) -> None:
    shown = json.loads(run("inspect", "q11/0", "--memory", folder / "memory", "--json").stdout)
    assert shown["query_id"] == "q11"
    assert sum(answer["votes"] for answer in shown["answers"]) == 4


def test_propose_names_open_questions_first_and_no_labelled_one(folder: Path) -> None:
    before = ledger_entries(folder)
    result = run("propose", "--memory", folder / "memory", "--labels", "20", "--json")
    found = json.loads(result.stdout)["proposals"]
    labelled = {entry["query_id"] for entry in ledger_entries(folder)}
    assert {each["query_id"] for each in found} == {f"q{n}" for n in range(10, 34)} - labelled
    variances = [each["variance"] for each in found]
    assert variances == sorted(variances, reverse=True)
    assert variances[0] > 0
    assert all(each["answers"] > 1 for each in found if each["variance"] > 0.01)
    assert 0 < found[0]["samples"] < found[0]["variance"], "more votes tell less than a label"
    text = run("propose", "--memory", folder / "memory", "--labels", "1").stdout
    assert found[0]["query_id"] in text
    assert f"What is {found[0]['query_id'][1:]} + 3?" in text
    assert ledger_entries(folder) == before, "asking costs nothing"


def test_propose_says_when_all_is_labelled(tmp_path: Path) -> None:
    run("warmup", write(tmp_path / "known.jsonl", sums(10, 14)), "--memory", tmp_path / "memory")
    result = run("propose", "--memory", tmp_path / "memory", "--json")
    assert json.loads(result.stdout) == {"proposals": []}
    assert "nothing to propose" in result.stderr


def test_a_prior_is_fitted_shown_and_used(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "sums.safetensors"
    fitted = json.loads(run("prior", "fit", folder / "known.jsonl", "--out", out, "--json").stdout)
    (source,) = fitted["sources"]
    assert (source["domain"], source["name"], source["questions"]) == ("math", "known", 24)
    assert [path.name for path in out.parent.iterdir()] == ["sums.safetensors"]
    shown = json.loads(run("prior", "show", out, "--json").stdout)
    assert shown == fitted
    strength = [abs(row["mean"]) / row["deviation"] for row in shown["weights"]["math"]]
    assert strength == sorted(strength, reverse=True)
    text = run("prior", "show", out).stdout
    names = [row["column"] for row in shown["weights"]["math"]]
    assert (f"\n{names[14]} " in text, f"\n{names[15]} " in text) == (True, False)
    for row in shown["weights"]["math"][:15]:
        (drawn,) = [line for line in text.splitlines() if line.startswith(f"{row['column']} ") and "●" in line]
        beside = drawn.partition("●")[2 if row["mean"] < 0 else 0]
        assert "│" in beside or abs(row["mean"]) < 0.1, "a weight stands on its own side of 0"
    new = write(tmp_path / "new.jsonl", sums(50, 58))
    for questions, left_out in ((new, 0), (folder / "known.jsonl", 1)):
        memory = tmp_path / f"memory-{left_out}"
        arguments = ("warmup", questions, "--memory", memory, "--labels", "0", "--prior", out, "--json")
        report = json.loads(run(*arguments).stdout)
        assert (report["prior"], report["sources_left_out"]) == ("sums", left_out)


def test_a_prior_takes_over_the_sources_of_another_and_the_labels_of_a_memory(folder: Path, tmp_path: Path) -> None:
    arguments = ("prior", "fit", "default", "--memory", folder / "memory", "--out", tmp_path / "p.safetensors")
    fitted = json.loads(run(*arguments, "--json").stdout)
    shipped = json.loads(run("prior", "show", "--json").stdout)
    assert len(fitted["sources"]) == len(shipped["sources"]) + 1
    (own,) = [source for source in fitted["sources"] if source["name"] == "memory"]
    assert own["questions"] == 12, "of a memory only what its ledger released"


def test_a_prior_of_nothing_is_refused(tmp_path: Path) -> None:
    assert "at least one source" in run("prior", "fit", "--out", tmp_path / "p", code=1).stderr
    assert "has no source" in run("prior", "show", "none", code=1).stderr
    assert list(tmp_path.iterdir()) == []
    assert RewardPrior.load("none").factors == ()


def distinct_answers(folder: Path) -> int:
    """Of the labelled questions: a judgement on one rollout settles those with an equivalent answer."""
    labelled = {entry["query_id"] for entry in ledger_entries(folder)}
    known = [record for record in sums(10, 34) if record["id"] in labelled]
    return sum(len({one["text"].rsplit(" ", 1)[1] for one in record["rollouts"]}) for record in known)


def ledger_entries(folder: Path) -> list[dict[str, Any]]:
    entries = json.loads(run("ledger", "--memory", folder / "memory", "--json").stdout)["entries"]
    assert isinstance(entries, list)
    return entries


def test_ledger_lists_every_label(folder: Path) -> None:
    entries = [entry for entry in ledger_entries(folder) if entry["use"] == "warmup"]
    assert len(entries) == distinct_answers(folder)
    truth = {f"{r['id']}/{k}": one["correct"] for r in sums(10, 34) for k, one in enumerate(r["rollouts"])}
    assert all(entry["correct"] is truth[entry["rollout_id"]] for entry in entries)
    assert {(entry["use"], entry["source"]) for entry in entries} == {("warmup", "file")}
    table = run("ledger", "--memory", folder / "memory").stdout
    assert "warmup" in table
    assert f" {distinct_answers(folder)} " in table


@pytest.mark.usefixtures("one_core")
def test_evaluate_compares_predictors(folder: Path, tmp_path: Path) -> None:
    arguments = ("evaluate", folder / "known.jsonl", "--labels", "0,50%", "--seeds", "2")
    arguments += ("--predictors", "memreward,majority", "--out", tmp_path)
    result = run(*arguments, "--json")
    report = json.loads(result.stdout)
    assert {(row["labels"], row["predictor"]) for row in report["rows"]} == {
        (share, name) for share in (0, 0.5) for name in ("memreward", "majority")
    }
    spent = [(split["labels"], split["warmup"]["queries"]) for split in report["ledger"]]
    assert spent == [(0, 0)] * 2 + [(0.5, 12)] * 2
    assert json.loads((tmp_path / "evaluation.json").read_text()) == report
    assert "seconds" not in (tmp_path / "evaluation.json").read_text()
    assert len((tmp_path / "timings.csv").read_text().splitlines()) == 1 + 2 * 2 * 2
    csv, latex = tmp_path / "new" / "f.csv", tmp_path / "new" / "f.tex"
    result = run(*arguments, "--page", "--csv", csv, "--latex", latex)
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "Label ledger" not in result.stdout
    assert result.stderr.splitlines()[-5:] == [
        f"  {tmp_path / 'evaluation.json'}",
        f"  {tmp_path / 'evaluation.md'}",
        f"  {tmp_path / 'evaluation.html'}",
        *(f"  {path}" for path in (csv, latex)),
    ]
    assert len(csv.read_text().splitlines()) == 1 + 2 * 2 * 8
    assert latex.read_text().count("\\begin{table}") == 4 * 2
    text = run(*arguments, "--full").stdout
    assert "<html" in (tmp_path / "evaluation.html").read_text()
    assert "| majority |" in (tmp_path / "evaluation.md").read_text()
    assert "majority" in text
    assert "Label ledger" in text
    assert "group AUC" in text


@pytest.mark.usefixtures("one_core")
@pytest.mark.slow
def test_evaluate_compares_with_majority_vote_at_few_labels_unless_told_otherwise(folder: Path, tmp_path: Path) -> None:
    large = write(tmp_path / "large.jsonl", sums(0, 60))
    arguments = (
        "evaluate",
        large,
        "--seeds",
        "1",
        "--out",
        tmp_path / "o",
        "--json",
    )
    report = json.loads(run(*arguments).stdout)
    assert list(dict.fromkeys(row["labels"] for row in report["rows"])) == [0, 5, 20, 50]
    assert {row["predictor"] for row in report["rows"]} == {"memreward", "majority", "majority_hard"}
    without = json.loads(run(*arguments, "--prior", "none").stdout)
    blind, vote = (
        next(row for row in without["rows"] if row["predictor"] == name) for name in ("memreward", "majority")
    )
    assert blind["figures"]["group_auc"] == vote["figures"]["group_auc"], "no label and no prior: majority vote"
    assert report["rows"][0]["figures"] != blind["figures"]


def test_evaluate_refuses_an_unknown_predictor(folder: Path, tmp_path: Path) -> None:
    result = run("evaluate", folder / "known.jsonl", "--predictors", "oracle", "--out", tmp_path, code=1)
    assert "'oracle'" in result.stderr
    assert "baselines" in result.stderr


@pytest.mark.slow
def test_the_papers_network_can_be_compared() -> None:
    from memreward.cli.evaluate import chosen_predictors, reads_text
    from memreward.evaluation.baselines import BASELINES

    networks = ["paper", "no_propagation", "no_network"]
    chosen: Any = chosen_predictors(",".join(["memreward", "majority", *networks]), "none")
    assert list(chosen) == ["memreward", "majority", *networks]
    assert [chosen[name](3).name for name in networks] == networks
    assert set(chosen_predictors("all", "none")) == {"memreward", *BASELINES, *networks}
    assert reads_text(chosen)
    assert not reads_text(chosen_predictors("memreward,majority,majority_hard", "none"))


def test_files_get_short_names_where_they_differ(tmp_path: Path) -> None:
    from memreward.cli.evaluate import file_names

    names = file_names([Path("x/a.jsonl.gz"), Path("y/a.jsonl"), Path("b.v2.parquet")])
    assert list(names) == ["x/a.jsonl.gz", "y/a.jsonl", "b.v2"]


def test_json_is_all_there_is_on_stdout(folder: Path, tmp_path: Path) -> None:
    bad = write(tmp_path / "bad.jsonl", [*sums(70, 72), {"id": "q"}])
    arguments = ("score", bad, "--memory", folder / "memory", "--out", tmp_path / "s", "--skip-bad", "--json")
    result = run(*arguments)
    assert json.loads(result.stdout)["rollouts"] == 8
    assert "line 3" in result.stderr
    assert "1 entries were skipped" in result.stderr


def test_the_reference_takes_part_without_being_named() -> None:
    from memreward.cli.evaluate import _names

    assert _names("mine.py:P", suite=False) == "mine.py:P,majority"
    assert _names("majority,random", suite=False) == "majority,random"
    assert _names(None, suite=False) == "memreward,majority,majority_hard"
    assert _names("mine.py:P", suite=True).split(",")[-1] == "mine.py:P"
    assert _names("baselines", suite=False) == "baselines"
