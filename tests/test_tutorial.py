"""Runs docs/tutorial.md from top to bottom, in its order; the last step with a tiny random model."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from memreward.cli import app

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
STEP = re.compile(r"^```python\n(.*?)^```|^ {4}(memreward [^\n]*)$", re.MULTILINE | re.DOTALL)
TINY = "--steps 2 --groups-per-step 2 --rollouts 4 --max-new-tokens 2 --trl beta=0 --trl save_steps=2"


def ran(line: str) -> str:
    done = CliRunner().invoke(app, shlex.split(line)[1:])
    assert done.exit_code == 0, (line, done.output, done.exception)
    return done.stdout


def do(steps: list[tuple[str, str]]) -> list[str]:
    """Run blocks of Python, which share their names, and calls of the command line; return what these printed."""
    names: dict[str, Any] = {"__name__": "tutorial"}
    said = []
    for code, line in steps:
        if code:
            exec(compile(code, "docs/tutorial.md", "exec"), names)
        else:
            said.append(ran(line))
    return said


def numbered() -> list[tuple[str, str]]:
    found = [(match[1] or "", match[2] or "") for match in STEP.finditer(PAGE)]
    assert len(found) >= 14
    return found


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEMREWARD_CACHE", str(tmp_path / "cache"))


def test_the_notebook_is_the_page() -> None:
    """After a change of the page: make notebook, which runs it as well."""
    path = ROOT / ".ci" / "notebook.py"
    spec = importlib.util.spec_from_file_location("notebook", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert made.NOTEBOOK.read_text(encoding="utf-8") == made.written(PAGE)
    code = "".join("".join(cell["source"]) for cell in made.notebook(PAGE)["cells"] if cell["cell_type"] == "code")
    for python, line in numbered():
        assert (python or line).strip() in code or line.startswith(("memreward train", "memreward watch"))


@pytest.mark.slow
def test_steps_of_the_base_install(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    do([step for step in numbered() if not step[1].startswith(("memreward train", "memreward watch"))])
    before, after = (
        [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        for name in ("unlabelled.jsonl", "scored.jsonl")
    )
    assert len(before) == len(after) == 60 * 8
    assert [one["value"] for one in before] != [one["value"] for one in after]
    assert len(capsys.readouterr().out.splitlines()) == 8
    assert json.loads((tmp_path / "runs" / "evaluation" / "evaluation.json").read_text())["files"]


@pytest.mark.slow
def test_the_training_and_what_is_watched_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trl")
    sys.path.append(str(ROOT / "tests" / "policy"))
    from tiny_model import tiny_model, tiny_tokenizer

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    tiny_model().save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "templates").mkdir()
    for domain in ("math", "qa"):
        (tmp_path / "templates" / f"{domain}.json").write_text('{"system": "", "shots": []}')
    steps = numbered()
    do(steps[:1])
    (train,) = [line for _, line in steps if line.startswith("memreward train")]
    ran(f"{train.replace('Qwen/Qwen2.5-0.5B-Instruct', 'model')} {TINY} --templates templates")
    (watch,) = [line for _, line in steps if line.startswith("memreward watch")]
    assert "step 2, " in ran(watch)
