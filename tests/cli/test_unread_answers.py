"""What commands say of files whose answers they cannot read, and of scores that order nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from command_line import run
from typer.main import get_command
from typer.testing import CliRunner

from memreward.cli import app
from memreward.data import read_groups
from memreward.reward.scores import Scores
from memreward.types import Group, Score

OPTIONS = "\n(A) one\n(B) two\n(C) three"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMREWARD_CACHE", str(tmp_path / "cache"))


def write(path: Path, form: str, questions: int = 8) -> Path:
    """Questions with four rollouts each, which give their letters in `form`."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(questions):
            rollouts = [
                {"text": f"Let us see, {number}, {index}.\nHm.\n" + form % letter, "correct": letter == "B"}
                for index, letter in enumerate("ABBC")
            ]
            record = {"id": f"q{number}", "domain": "qa", "query": f"Which is {number}?{OPTIONS}", "reference": "B"}
            file.write(json.dumps(record | {"rollouts": rollouts}) + "\n")
    return path


STRANGE = "~%s~\x1b[31m so says the model, and it is done"


@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize("command", ["warmup", "verify", "evaluate"])
def test_a_file_without_answers_is_named_with_examples(command: str, tmp_path: Path) -> None:
    file = write(tmp_path / "strange.jsonl", STRANGE)
    out = () if command == "warmup" else ("--out", tmp_path / ("o.jsonl" if command == "verify" else "evaluation"))
    memory = () if command == "evaluate" else ("--memory", tmp_path / "m")
    extra = ("--predictors", "majority", "--labels", "2") if command == "evaluate" else ()
    result = CliRunner().invoke(app, [str(part) for part in (command, file, *memory, *out, *extra)])
    assert "no answer was found in 32 of 32 rollouts" in result.stderr
    assert "--answer-pattern" in result.stderr
    assert [name in result.stderr for name in ("'q0/0'", "'q0/1'", "'q0/2'", "'q0/3'")] == [True, True, True, False]
    assert "\x1b[31m" not in result.stderr, "what a model wrote must not steer the terminal"


def test_a_pattern_reads_them(tmp_path: Path) -> None:
    file = write(tmp_path / "strange.jsonl", STRANGE)
    arguments = ("verify", file, "--memory", tmp_path / "m", "--out", tmp_path / "o.jsonl", "--labels", "1.0", "--json")
    result = run(*arguments, "--answer-pattern", "~(.)~")
    assert "no answer" not in result.stderr
    report = json.loads(result.stdout)
    assert (report["right"], report["wrong"], report["cannot_tell"]) == (16, 16, 0)


def test_most_answers_are_enough_for_silence(tmp_path: Path) -> None:
    file = write(tmp_path / "plain.jsonl", "The answer is %s.")
    result = run("verify", file, "--memory", tmp_path / "m", "--out", tmp_path / "o.jsonl", "--labels", "1.0")
    assert "no answer" not in result.stderr


@pytest.mark.parametrize("pattern", ["(", "x*", "[a"])
def test_a_pattern_that_cannot_be_used_costs_nothing(pattern: str, tmp_path: Path) -> None:
    file = write(tmp_path / "plain.jsonl", "The answer is %s.")
    result = run("warmup", file, "--memory", tmp_path / "m", "--answer-pattern", pattern, code=2)
    assert "pattern" in result.stderr
    assert not (tmp_path / "m").exists()


@pytest.mark.slow
def test_a_pattern_that_never_ends_is_ended(tmp_path: Path) -> None:
    file = write(tmp_path / "long.jsonl", "a" * 60 + "%s!")
    arguments = ("verify", file, "--memory", tmp_path / "m", "--out", tmp_path / "o.jsonl")
    result = run(*arguments, "--answer-pattern", "(a+)+[0-9]", code=1)
    assert "took more than" in result.stderr
    assert not (tmp_path / "m").exists()


def test_every_command_that_reads_rollouts_takes_a_pattern() -> None:
    commands = get_command(app).commands
    for name in ("warmup", "score", "inspect", "evaluate", "verify"):
        assert "--answer-pattern" in [flag for option in commands[name].params for flag in option.opts], name


class Fixed:
    """A predictor that gives each rollout what a rule says."""

    def __init__(self, rule: Any) -> None:
        self.rule = rule

    def score(self, groups: Sequence[Group], *, labels: bool) -> Scores:
        rollouts = [rollout for group in groups for rollout in group.rollouts]
        return Scores((Score(self.rule(rollout), 0.5, "") for rollout in rollouts), rollouts)


@pytest.mark.parametrize(
    ("rule", "flat", "code"),
    [
        (lambda rollout: 0.513, 8, 4),
        (lambda rollout: 0.3 + 0.0001 * (rollout.answer == "B"), 8, 4),
        (lambda rollout: 0.9 if rollout.answer == "B" else 0.1, 0, 0),
        (lambda rollout: 0.9 if rollout.query.id < "q5" and rollout.answer == "B" else 0.1, 3, 0),
        (lambda rollout: None, 0, 3),
    ],
)
def test_scores_that_do_not_differ_leave_with_a_status_of_their_own(
    rule: Any, flat: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memreward.cli.score.load_predictor", lambda *_: Fixed(rule))
    file = write(tmp_path / "new.jsonl", "The answer is %s.")
    result = run("score", file, "--memory", tmp_path / "m", "--out", tmp_path / "s.jsonl", "--json", code=code)
    report = json.loads(result.stdout)
    assert report["flat_groups"] == flat
    assert report["mixed_groups"] == (0 if code == 3 else 8)
    assert ("order nothing" in result.stderr) == (code == 4)
    assert len((tmp_path / "s.jsonl").read_text().splitlines()) == 32, "the scores are written all the same"


def test_one_value_for_one_answer_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memreward.cli.score.load_predictor", lambda *_: Fixed(lambda rollout: 0.5))
    file = write(tmp_path / "new.jsonl", "The answer is B. %%s".replace("%%s", "%.0s"))
    result = run("score", file, "--memory", tmp_path / "m", "--out", tmp_path / "s.jsonl", "--json")
    assert json.loads(result.stdout)["mixed_groups"] == 0


def test_free_texts_without_an_answer_can_be_ordered_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memreward.cli.score.load_predictor", lambda *_: Fixed(lambda rollout: 0.513))
    file = write(tmp_path / "new.jsonl", STRANGE)
    assert {rollout.answer for group in read_groups(file) for rollout in group.rollouts} == {None}
    run("score", file, "--memory", tmp_path / "m", "--out", tmp_path / "s.jsonl", code=4)
