"""What the training of a real model makes of what it measured; nothing is measured here."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from lab import real_llm

pytestmark = pytest.mark.slow  # torch takes seconds to load

OPTIONS = Namespace(model="models/Small", steps=2, seed=0, results="results/small")


def record(right: float, *steps: dict[str, Any], at: str = "2") -> dict[str, Any]:
    """Twenty questions, so many of them right."""
    return {"accuracy": {at: {f"q{i}": float(i < 20 * right) for i in range(20)}}, "steps": list(steps)}


def test_a_real_model_s_report_says_the_gap_and_stands_missing_figures(tmp_path: Path) -> None:
    nothing = {"step": 2, "step_time": 3.0, "reward": None}
    found = {
        "start": record(0.2, at="0"),
        "memreward": record(0.8, {"step": 1, "step_time": 3.0, "memreward/reward": 0.5}, nothing),
        "labelled": record(0.4, nothing),
        "oracle": record(0.9, {"step": 1, "step_time": 3.0, "reward": 0.5}),
    }
    report = real_llm.describe(found, OPTIONS)
    assert "memreward minus labelled: +0.400" in report
    assert "oracle minus labelled: +0.500" in report
    assert "memreward closes: 0.80 [" in report
    real_llm.draw(found, tmp_path / "small.png")
    assert (tmp_path / "small.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_gap_no_share_of_it_is_said() -> None:
    found = {"start": record(0.2, at="0"), "memreward": record(0.8), "labelled": record(0.8), "oracle": record(0.8)}
    report = real_llm.describe(found, OPTIONS)
    assert "cannot be told" in report
    assert "closes:" not in report


def test_measuring_less_often_than_training_lasts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["real_llm.py", "models/Small", "--steps", "5", "--every", "6"])
    with pytest.raises(SystemExit):
        real_llm.parse_options()
