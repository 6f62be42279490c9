"""A tiny random Qwen2, and rollouts of sums as if it had been asked them: what `memreward train` needs, made here."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest

from memreward.data import write_groups
from memreward.parsing import parse_rollout
from memreward.types import Group, Query, Truth

sys.path.append(str(Path(__file__).resolve().parents[1] / "policy"))

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def sums(count: int = 12) -> list[Group]:
    """Questions with four judged answers each."""
    draw = random.Random(0)
    made = []
    for number in range(count):
        a, b = draw.randint(1, 9), draw.randint(1, 9)
        query = Query(f"q{number}", f"{a}+{b}=?", "math", "sums")
        correct = [draw.random() < 0.6 for _ in range(4)]
        answers = [a + b if right else a + b + draw.randint(1, 5) for right in correct]
        rollouts = tuple(parse_rollout(query, f"#### {x}", id=f"q{number}/{i}") for i, x in enumerate(answers))
        made.append(Group(query, rollouts, Truth(str(a + b), tuple(correct))))
    return made


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint folder of a random two-layer Qwen2."""
    from tiny_model import tiny_model, tiny_tokenizer

    folder = tmp_path_factory.mktemp("model")
    tiny_model().save_pretrained(folder)
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = "<|end|>"  # Qwen2's own is not in this vocabulary
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def experience(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rollout file of sums."""
    path = tmp_path_factory.mktemp("experience") / "sums.jsonl"
    write_groups(path, sums())
    return path


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prompts without worked examples: short ones train faster."""
    folder = tmp_path_factory.mktemp("templates")
    (folder / "math.json").write_text('{"system": "", "shots": []}', encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of a process that trains."""
    return {**os.environ, **ENVIRONMENT, "MEMREWARD_CACHE": str(tmp_path_factory.mktemp("cache"))}
