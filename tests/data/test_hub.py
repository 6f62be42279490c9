"""Data sets of the hub, from copies of repositories beside the working folder: no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from memreward.cli import app
from memreward.data import read_groups
from memreward.data.formats import Reading
from memreward.types import DataError, Domain

pytestmark = pytest.mark.slow  # datasets takes seconds to load

ROWS: dict[str, list[dict[str, Any]]] = {
    "openai/gsm8k/main/test": [{"question": "Two and three?", "answer": "2 + 3 = <<2+3=5>>5.\n#### 5"}],
    "cais/mmlu/all/test": [
        {"question": "Which is even?", "choices": ["1", "2", "3", "5"], "answer": 1, "subject": "numbers"}
    ],
    "allenai/openbookqa/main/test": [
        {
            "id": "7-980",
            "question_stem": "Ice is",
            "choices": {"text": ["hot", "cold"], "label": ["A", "B"]},
            "answerKey": "B",
        }
    ],
    "allenai/ai2_arc/ARC-Challenge/test": [
        {"id": "a", "question": "Ice?", "choices": {"text": ["hot", "cold"], "label": ["1", "2"]}, "answerKey": "1"}
    ],
    # What docs/questions.md puts together itself, with the columns that these data sets have.
    "evalplus/humanevalplus/default/test": [
        {"prompt": "def f(): ...", "test": "def check(c): ...", "entry_point": "f"}
    ],
    "evalplus/mbppplus/default/test": [
        {"prompt": "Add.", "test_list": ["assert f(1) == 2"], "test": "assert f(2) == 3"}
    ],
    "baber/piqa/default/validation": [{"goal": "A jar?", "sol1": "twist", "sol2": "hit", "label": 1}],
    "lighteval/siqa/default/validation": [
        {
            "context": "Tom ate.",
            "question": "And?",
            "answerA": "full",
            "answerB": "sad",
            "answerC": "cold",
            "label": "1",
        }
    ],
    "Idavidrein/gpqa/gpqa_main/train": [
        {"Question": "Which?", "Correct Answer": "c", **{f"Incorrect Answer {n}": str(n) for n in (1, 2, 3)}}
    ]
    * 4,
}
PAGE = Path(__file__).parents[2] / "docs" / "questions.md"


@pytest.fixture(autouse=True)
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    for name, rows in ROWS.items():
        file = tmp_path / f"{name}-00000-of-00001.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        configuration = {
            "config_name": file.parent.name,
            "data_files": [{"split": file.name.split("-")[0], "path": f"{file.parent.name}/*"}],
        }
        (file.parent.parent / "README.md").write_text(f"---\nconfigs: {json.dumps([configuration])}\n---\n")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text", "reference"),
    [
        ("openai/gsm8k/main/test", "Two and three?", "2 + 3 = <<2+3=5>>5.\n#### 5"),
        ("cais/mmlu/all/test", "Which is even?\n(A) 1\n(B) 2\n(C) 3\n(D) 5", "B"),
        ("allenai/openbookqa/main/test", "Ice is\n(A) hot\n(B) cold", "B"),
        ("allenai/ai2_arc/ARC-Challenge/test", "Ice?\n(A) hot\n(B) cold", "A"),
    ],
)
def test_a_benchmark_is_read_with_its_options_and_references(name: str, text: str, reference: str) -> None:
    (group,) = read_groups(f"hub:{name}", reading=Reading(domain="math" if "gsm8k" in name else "qa"))
    assert (group.query.text, group.truth.reference) == (text, reference)


def test_the_pages_code_makes_question_files_of_the_other_benchmarks(copies: Path) -> None:
    block = PAGE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    (copies / "write.py").write_text(block)
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(copies / "cache")}
    subprocess.run([sys.executable, "write.py"], check=True, env=os.environ | offline, capture_output=True)

    def made(name: str, domain: Domain) -> list[tuple[str, str | None]]:
        groups = read_groups(f"{name}.jsonl", reading=Reading(domain=domain))
        return [(group.query.text, group.truth.reference) for group in groups]

    assert made("humaneval", "code") == [("def f(): ...", json.dumps(["def check(c): ...\n\ncheck(f)"]))]
    assert made("mbpp", "code") == [("Add.\nassert f(1) == 2", json.dumps(["assert f(2) == 3"]))]
    assert made("piqa", "qa") == [("A jar?\n(A) twist\n(B) hit", "B")]
    assert made("siqa", "qa") == [("Tom ate. And?\n(A) full\n(B) sad\n(C) cold", "A")]
    turned = made("gpqa", "qa")
    assert [reference for _, reference in turned] == ["A", "B", "C", "D"]
    assert all(f"({reference}) c" in text for text, reference in turned)


def test_the_command_makes_a_question_file(tmp_path: Path) -> None:
    given = ["read", "hub:openai/gsm8k/main/test", "--domain", "math", "--out", "gsm8k.jsonl"]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    assert [group.query.text for group in read_groups("gsm8k.jsonl")] == ["Two and three?"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hub:openai/gsm8k", "name it as hub:OWNER/NAME/SPLIT"),
        ("hub:openai/gsm8k/main/training", "cannot be loaded .*check configuration, split"),
        ("hub:nobody/nothing/test", "HF_HUB_OFFLINE"),
    ],
)
def test_what_cannot_be_loaded_is_named(name: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=words):
        list(read_groups(name, reading=Reading(domain="math")))
