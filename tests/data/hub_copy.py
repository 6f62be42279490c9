"""Copies of the hub's dataset repositories with invented rows: the same folders, file names, columns and types."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset, Features, Sequence, Value

from memreward.data import benchmarks

Rows = list[dict[str, Any]]

TEXT = Value("string")
CHOICES = Sequence({"text": TEXT, "label": TEXT})

GSM8K = [
    {
        "question": "Ida packs 3 boxes of 400 nails. How many nails?",
        "answer": "3*400 = <<3*400=1200>>1,200\n#### 1,200",
    },
    {"question": "Bo had 5 apples and ate 7 less than 9. How many are left? ", "answer": "9-7=2\n5-2=3\n#### 3"},
    {"question": "It was 4 degrees and fell by 10. What is it now?", "answer": "4-10=-6\n#### -6"},
]
SYMBOLIC = [
    {
        "id": template,
        "instance": instance,
        "question": f"Ann buys {template + 2} kites at ${instance + 3}. What does she pay?",
        "answer": f"{template + 2}*{instance + 3}\n#### {(template + 2) * (instance + 3)}",
        "original_id": 40 + template,
        "original_question": "Ann buys 2 kites at $3. What does she pay?",
        "original_answer": "6\n#### 6",
        "canary": "none",
    }
    for template in range(2)
    for instance in range(2)
]
MATH = {
    "algebra": "Algebra",
    "counting_and_probability": "Counting & Probability",
    "geometry": "Geometry",
    "intermediate_algebra": "Intermediate Algebra",
    "number_theory": "Number Theory",
    "prealgebra": "Prealgebra",
    "precalculus": "Precalculus",
}
MMLU = [
    {"question": f"{subject}, question {number}: which?", "subject": subject, "choices": list("wxyz"), "answer": answer}
    for subject, number, answer in [("anatomy", 0, 2), ("anatomy", 1, 0), ("virology", 0, 3), ("virology", 1, 1)]
]
CSQA = [
    {
        "id": f"0000{number}",
        "question": f"Where would you look for spoon number {number}?",
        "question_concept": "spoon",
        "choices": {"label": list("ABCDE"), "text": ["drawer", "sky", "well", "oven", "tree"]},
        "answerKey": key,
    }
    for number, key in enumerate("AEC")
]
OPENBOOK = [
    {
        "id": f"7-{number}",
        "question_stem": f"Ice in room {number} will",
        "choices": {"text": ["melt", "sing", "grow", "burn"], "label": list("ABCD")},
        "answerKey": "A",
    }
    for number in range(3)
]
ARC = [
    {
        "id": "Invented_1",
        "question": "What moves a sailing boat?",
        "choices": {"text": ["salt", "wind", "fish", "moss"], "label": list("ABCD")},
        "answerKey": "B",
    },
    {
        "id": "Invented_2",
        "question": "What is a whale?",
        "choices": {"text": ["a fish", "a bird", "a mammal"], "label": list("123")},
        "answerKey": "3",
    },
    {
        "id": "Invented_3",
        "question": "What falls?",
        "choices": {"text": ["rain", "smoke", "heat", "sound", "light"], "label": list("ABCDE")},
        "answerKey": "A",
    },
]
GPQA = [
    {
        "Pre-Revision Question": "unused",
        "Question": f"What does particle {number} decay into?\n",
        "Correct Answer": f"right {number}\n",
        "Incorrect Answer 1": "wrong a",
        "Incorrect Answer 2": "wrong b",
        "Incorrect Answer 3": "wrong c",
        "High-level domain": "Physics" if number % 2 else "Chemistry",
        "Record ID": f"rec{number}",
    }
    for number in range(6)
]
HUMANEVAL = [
    {
        "task_id": f"HumanEval/{number}",
        "prompt": f'\ndef add{number}(x):\n    """Add {number}."""\n',
        "canonical_solution": f"    return x + {number}\n",
        "entry_point": f"add{number}",
        "test": f"def check(candidate):\n    assert candidate(1) == {1 + number}\n",
    }
    for number in range(3)
]
MBPP = [
    {
        "task_id": number,
        "code": f"import math\ndef root{number}(x):\n    return math.isqrt(x) + {number}",
        "prompt": f"Write a function for the whole root of x plus {number}.",
        "source_file": "invented",
        "test_imports": ["import math"] if number == 3 else [],
        "test_list": [f"assert root{number}(9) == {3 + number}", f"assert root{number}(10) == {3 + number}"],
        "test": f"assert root{number}(16) == {4 + number}",
    }
    for number in (2, 3, 4)
]
NUMINA = [
    {
        "source": source,
        "problem": f"What is {number}/{number + 1} of 1?",
        "solution": solution,
        "messages": [{"content": "unused", "role": "user"}],
    }
    for number, (source, solution) in enumerate(
        [
            ("olympiads", "So it is \\boxed{0}."),
            ("olympiads", "This proves the claim. \\blacksquare"),
            ("cn_k12", "First \\boxed{1}, no: $\\boxed{\\frac{2}{3}}$"),
            ("cn_k12", "Therefore \\boxed{\\dfrac{3}{4}}"),
        ]
    )
]
PIQA = [
    {"goal": "To open a jar,", "sol1": "turn the lid.", "sol2": "paint the lid.", "label": 0},
    {"goal": "To cool soup,", "sol1": "cover it.", "sol2": "wait.", "label": 1},
    {"goal": "To dry a shirt,", "sol1": "hang it up.", "sol2": "fold it wet.", "label": 0},
]
SIQA = [
    {
        "context": f"Guest {number} broke a plate.",
        "question": "How does the host feel?",
        "answerA": "sorry for the plate",
        "answerB": "hungry",
        "answerC": "asleep",
        "label": label,
    }
    for number, label in enumerate(["1", "3", "2"])
]


def math_rows(subject: str) -> Rows:
    return [
        {
            "problem": f"In {subject}, what is $1+{number}$?",
            "level": f"Level {number}",
            "type": subject,
            "solution": f"It is $\\boxed{{{number + 1}}}$.",
        }
        for number in (1, 2)
    ]


def write_hub(root: Path) -> Path:
    """Write all thirteen under `root`, as OWNER/NAME; returns `root`."""
    hidden = [{**row, "answerKey": ""} for row in CSQA]
    choices = {"choices": CHOICES, "answerKey": TEXT, "id": TEXT}
    withheld = [{**row, "label": -1} for row in PIQA]
    piqa = Features(goal=TEXT, sol1=TEXT, sol2=TEXT, label=ClassLabel(names=["0", "1"]))
    _parquet(root / "openai/gsm8k", {"main": {"train": GSM8K[::-1], "test": GSM8K}, "socratic": {"test": GSM8K}})
    _jsonl(root / "apple/GSM-Symbolic", {"main": SYMBOLIC, "p1": SYMBOLIC[:1]})
    _parquet(
        root / "EleutherAI/hendrycks_math",
        {folder: {split: math_rows(subject) for split in ("train", "test")} for folder, subject in MATH.items()},
    )
    mmlu = Features(question=TEXT, subject=TEXT, choices=Sequence(TEXT), answer=ClassLabel(names=list("ABCD")))
    _parquet(root / "cais/mmlu", {"all": {"test": MMLU, "dev": MMLU[:1]}, "anatomy": {"test": MMLU[:2]}}, mmlu)
    _parquet(
        root / "tau/commonsense_qa",
        {"": {"train": CSQA, "validation": CSQA, "test": hidden}},
        Features(**choices, question=TEXT, question_concept=TEXT),
    )
    openbook = Features(**choices, question_stem=TEXT)
    _parquet(
        root / "allenai/openbookqa",
        {name: {"train": OPENBOOK[:1], "test": OPENBOOK} for name in ("additional", "main")},
        openbook,
    )
    _parquet(
        root / "allenai/ai2_arc",
        {"ARC-Challenge": {"test": ARC}, "ARC-Easy": {"test": ARC[:1]}},
        Features(**choices, question=TEXT),
    )
    _csv(root / "Idavidrein/gpqa", {"gpqa_extended": GPQA, "gpqa_main": GPQA})
    _parquet(root / "evalplus/humanevalplus", {"": {"test": HUMANEVAL}})
    _parquet(root / "evalplus/mbppplus", {"": {"test": MBPP}})
    _parquet(root / "AI-MO/NuminaMath-CoT", {"": {"train": NUMINA, "test": NUMINA[:1]}})
    _parquet(root / "baber/piqa", {"": {"train": PIQA[:1], "validation": PIQA, "test": withheld}}, piqa)
    _parquet(root / "lighteval/siqa", {"": {"train": SIQA[:1], "validation": SIQA}})
    assert all((root / benchmark.repository).is_dir() for benchmark in benchmarks().values())
    return root


def _parquet(folder: Path, tables: dict[str, dict[str, Rows]], features: Features | None = None) -> None:
    files: dict[str, dict[str, str]] = {}
    for configuration, splits in tables.items():
        for split, rows in splits.items():
            file = folder / (configuration or "data") / f"{split}-00000-of-00001.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            Dataset.from_list(rows, features=features).to_parquet(file)
            files.setdefault(configuration or "default", {})[split] = f"{file.parent.name}/{split}-*"
    _card(folder, files)


def _jsonl(folder: Path, tables: dict[str, Rows]) -> None:
    for configuration, rows in tables.items():
        file = folder / configuration / "test.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    _card(folder, {configuration: {"test": f"{configuration}/test.jsonl"} for configuration in tables})


def _csv(folder: Path, tables: dict[str, Rows]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for configuration, rows in tables.items():
        with (folder / f"{configuration}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    _card(folder, {configuration: {"train": f"{configuration}.csv"} for configuration in tables})


def _card(folder: Path, configurations: dict[str, dict[str, str]]) -> None:
    """The dataset card, whose head says which files are which configuration and split."""
    lines = ["---", "configs:"]
    for configuration, files in configurations.items():
        lines += [f"- config_name: {configuration}", "  data_files:"]
        for split, pattern in files.items():
            lines += [f"  - split: {split}", f"    path: {pattern}"]
    (folder / "README.md").write_text("\n".join([*lines, "---", "# Invented rows", ""]), encoding="utf-8")
