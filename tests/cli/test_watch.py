"""What is shown of a training's history."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from memreward.cli import app
from memreward.cli.watch import curve, shown


def row(step: int, **more: float | None) -> dict[str, float | None]:
    values = {"live/predicted": 0.5 + step / 100, "live/true": 0.6, "live/cosine": None, "labelled_queries": 20}
    return {"step": step, "seconds": 2.0 * step} | {f"memreward/{k}": v for k, v in (values | more).items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = [json.dumps(row(step, alarm=float(step == 7), asked=3.0, judgements=8.0 * step)) for step in range(1, 11)]
    # The last line is being written while it is read.
    (tmp_path / "history.jsonl").write_text("\n".join(lines) + '\n{"step": 11, "mem')
    return tmp_path


def test_predicted_and_true_reward_stand_beside_each_other(folder: Path) -> None:
    done = CliRunner().invoke(app, ["watch", str(folder)])
    lines = {line[:26].strip(): line for line in done.stdout.splitlines()}
    assert lines["predicted, where labelled"].split()[-1] == "0.600"
    assert lines["predicted, where labelled"].split()[3] == "0.510"
    assert "▁▂▃▃▄▅▆▆▇█" in lines["predicted, where labelled"]
    assert lines["true, on the same"].split()[-1] == "0.600"
    assert "cosine, ours" not in lines
    assert "20 questions before the training, 80 judgements in it" in done.stdout
    assert "ALARM at step 7" in done.stdout
    assert "3 questions wait for a label" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_json_is_the_newest_step(folder: Path) -> None:
    said = json.loads(CliRunner().invoke(app, ["watch", str(folder), "--json"]).stdout)
    assert (said["rows"], said["last"]["step"]) == (10, 10)


def test_what_has_not_begun_is_said(tmp_path: Path) -> None:
    for place, word in ((tmp_path, "no step yet"), (tmp_path / "nowhere", "is no folder")):
        done = CliRunner().invoke(app, ["watch", str(place)])
        assert done.exit_code == 1
        assert word in done.stderr


@pytest.mark.parametrize("width", [20, 44, 60])
def test_narrow_terminals_lose_the_curve_first(width: int) -> None:
    lines = list(shown([row(1), row(2)], width))
    assert any(line.split()[-1] == "0.520" for line in lines)
    assert len(curve(range(100), 10)) == 10
