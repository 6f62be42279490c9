"""Runs the commands of a base install, in the interpreter that it is given, on a small file; fails on any traceback.

Usage: VENV/bin/python .ci/base_check.py

What needs an extra must say so, with the command that installs it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

from typer.testing import CliRunner

EXTRAS = (
    "torch",
    "sklearn",
    "transformers",
    "sentence_transformers",
    "trl",
    "reasoning_gym",
    "httpx",
    "pyarrow",
    "fastapi",
)
"""What a base install does not have."""


def rollouts(path: Path) -> Path:
    """Write twelve questions with four rollouts each."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(12):
            answers = [number + 3, number + 3, number + 4, number + 3 + number % 3]
            texts = [{"text": f"The answer is {a}.", "correct": a == number + 3} for a in answers]
            record = {"id": f"q{number}", "domain": "math", "query": f"What is {number} + 3?", "rollouts": texts}
            file.write(json.dumps(record | {"reference": str(number + 3)}) + "\n")
    return path


def commands(folder: Path) -> list[tuple[str, str]]:
    """Return the extra that each command needs, "" for none, and its line, in an order that gives each its files."""
    file, memory = rollouts(folder / "new.jsonl"), f"--memory {folder / 'memory'}"
    evaluate = f"evaluate {file} --labels 0,4 --seeds 1 --out {folder / 'evaluation'}"
    return [
        ("", "--help"),
        ("", f"demo --out {folder / 'demo'}"),
        ("", f"warmup {file} {memory} --labels 5"),
        ("", f"score {file} {memory} --out {folder / 'scored.jsonl'}"),
        ("parquet", f"score {file} {memory} --out {folder / 'scored.parquet'}"),
        ("", f"score {file} {memory} --out {folder / 'scored.csv'}"),
        ("", f"read {file} --out {folder / 'read.jsonl'}"),
        ("", f"check {folder / 'read.jsonl'}"),
        ("", f"review {folder / 'scored.csv'} --against {file} --page {folder / 'review.html'}"),
        ("parquet", f"verify {file} {memory} --out {folder / 'verified.parquet'}"),
        ("", f"inspect q3/0 {memory}"),
        ("", f"propose {memory}"),
        ("", f"ledger {memory}"),
        ("", f"label {memory} --batch 2 --out {folder / 'to_label.jsonl'}"),
        ("", f"label {memory} --import {folder / 'to_label.jsonl'}"),
        ("label", f"label {memory}"),
        ("endpoint", f"label {memory} --judge http://127.0.0.1:9/v1 --model tiny"),
        ("", f"verify {file} {memory} --out {folder / 'verified.jsonl'} --labels all"),
        ("", f"prior fit {file} --out {folder / 'prior.safetensors'}"),
        ("", f"prior show {folder / 'prior.safetensors'}"),
        ("", "prior show"),
        ("", evaluate),
        ("", f"{evaluate} --predictors memreward,majority,majority_hard"),
        ("baselines", f"{evaluate} --predictors logistic_evidence,majority"),
        ("paper", f"{evaluate} --predictors paper"),
        ("", f"{evaluate} --predictors majority --page"),
        ("hub", f"read hub:nobody/nothing/test --domain math --out {folder / 'hub.jsonl'}"),
        ("llm", f"collect --model nobody/nothing --questions {file} --out {folder / 'sampled.jsonl'}"),
        (
            "endpoint",
            f"collect --model m --url http://localhost:9/v1 --questions {file} --out {folder / 'sampled.jsonl'}",
        ),
        ("serve", f"serve {memory}"),
        ("ray", f"serve {memory} --engine ray --host 127.0.0.1:8123"),
        ("ray", f"score {file} {memory} --engine ray --out {folder / 'shards'}"),
        ("train", f"train --model nobody/nothing --questions {file} --out {folder / 'policy'}"),
    ]


def complaint(extra: str, line: str) -> str:
    """Run one command that needs an extra, "" for none; return what is wrong with how it ended, "" if nothing is."""
    from memreward.cli import app

    result = CliRunner().invoke(app, line.split())
    said = result.stderr.strip().splitlines()[-1:]
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return "".join(traceback.format_exception(result.exception))
    if result.exit_code != bool(extra):
        return f"ended with {result.exit_code}, not {int(bool(extra))}: {said}"
    if extra and not any(f"pip install 'memreward[{extra}]'" in text for text in said):
        return f"does not name the extra {extra}: {said}"
    return ""


def main() -> int:
    """Check the public names and every command; return the exit status."""
    present = [name for name in EXTRAS if importlib.util.find_spec(name)]
    if present:
        print(f"this is no base install: {', '.join(present)} can be imported", file=sys.stderr)
        return 2
    names: dict[str, object] = {}
    exec("from memreward import *", names)
    assert "RewardPredictor" in names
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MEMREWARD_CACHE"] = str(Path(folder) / "cache")
        for extra, line in commands(Path(folder)):
            started = time.monotonic()
            wrong = complaint(extra, line)
            failed += bool(wrong)
            shown = line.replace(folder, ".")
            print(f"{'FAILED' if wrong else 'ok':6} {time.monotonic() - started:5.1f} s  memreward {shown}", flush=True)
            if wrong:
                print(wrong, flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
