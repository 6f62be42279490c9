"""`python -m lab experiment` with trainings that are made up: what it asks for, prints and writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from lab.__main__ import app
from lab.trainings import drawing, pictures
from lab.trainings import experiment as training
from lab.trainings.config import TESTBED, ExperimentConfig
from lab.trainings.outcome import FOREIGN, TEST, TrainingOutcome

pytestmark = pytest.mark.slow  # torch takes seconds to load

LEVELS = {"labelled": 0.25, "oracle": 0.75, "memreward": 0.5}


def made_up(arm: str, labels: float, seed: int) -> TrainingOutcome:
    accuracy = {part: {f"{part}-{i}": LEVELS[arm] for i in range(4)} for part in (TEST, FOREIGN)}
    domains = {query: "math" for own in accuracy.values() for query in own}
    curve = [{"step": 1, TEST: {"math": LEVELS[arm]}, FOREIGN: {"math": LEVELS[arm]}}]
    return TrainingOutcome(arm, labels, seed, accuracy, domains, curve, [{"step": 1, "group_auc": LEVELS[arm]}])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[ExperimentConfig]:
    configs: list[ExperimentConfig] = []

    def run(config, out, progress, *, start=None):
        configs.append(config)
        progress("training", 1, 1)
        out.mkdir(parents=True, exist_ok=True)
        return [made_up(arm, share, s) for arm in config.arms for share in config.counts() for s in range(config.seeds)]

    monkeypatch.setattr(training, "run", run)
    return configs


def call(*arguments: str | Path, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["experiment", *map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return result


SMALL = ("--arms", "labelled,oracle,memreward", "--seeds", "2")


def test_options_change_the_testbed_settings_and_no_others(asked, tmp_path):
    call(*SMALL, "--out", tmp_path, "--labels", "0.2", "--steps", "7", "--jobs", "2", "--start-test", "30")
    (config,) = asked
    assert (config.arms, config.seeds, config.labels) == (("labelled", "oracle", "memreward"), 2, ("0.2",))
    assert (config.grpo.steps, config.workers, config.start.test) == (7, 2, 30)
    assert config.grpo.groups_per_step == TESTBED.groups_per_step


def test_it_prints_tables_and_says_how_ours_stands(asked, tmp_path):
    result = call(*SMALL, "--out", tmp_path)
    assert "0.500 [0.500, 0.500]" in result.stdout
    assert "gap closed" in result.stdout
    assert "memreward is ahead of every other arm" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["experiment.json"]


def test_json_is_all_of_stdout_and_what_is_written(asked, tmp_path):
    result = call(*SMALL, "--out", tmp_path, "--json")
    printed = json.loads(result.stdout)
    assert printed == json.loads((tmp_path / "experiment.json").read_text(encoding="utf-8"))
    (ours,) = (row for row in printed["rows"] if row["arm"] == "memreward")
    assert ours["gap_closed"]["test"]["mean"]["value"] == 0.5


def test_the_markdown_shows_pictures_that_are_there(asked, tmp_path, monkeypatch):
    for module in (drawing, pictures):  # what is on them: test_trained_pictures.py
        monkeypatch.setattr(module, "picture", lambda *_: b"PNG")
    page = tmp_path / "results" / "training.md"
    call(*SMALL, "--out", tmp_path / "run", "--labels", "0.2,0.7", "--page", "--markdown", page)
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+\.png)\)", text)
    assert "training/overview_20.png" in links
    assert "training/labels.png" in links
    assert all((page.parent / link).exists() for link in links)
    assert "70% labelled: accuracy, mean of the domains" in text
    assert "trl.learning_rate = 0.0002\n" in text
    assert "    choose = random\n    seeds = 2\n" in text
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"training.json", "training.html"}


def test_an_arm_that_is_unknown_is_refused(asked, tmp_path):
    result = call("--arms", "memreward,nonsense", "--out", tmp_path, code=1)
    assert "'nonsense'" in result.stderr
    assert not asked


def test_what_an_experiment_decides_itself_is_no_option(asked):
    said = call("--help").output
    assert "--max-new-tokens" in said
    assert not re.search(r"--(seed|model|trl|lora-rank)\b", said)


def test_help_and_examples_name_options_that_exist():
    group = typer.main.get_command(app)
    command = group.commands["experiment"]
    assert [option.name for option in command.params if not (option.help or "").strip()] == []
    readme = (Path(__file__).resolve().parents[2] / "lab" / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^ {2,}python -m lab experiment ([^\n]*)$", f"{command.help}\n{readme}", re.MULTILINE)
    assert len(lines) > 3
    for line in lines:
        command.make_context("experiment", line.split())
