"""A tiny random Qwen2, and rollouts of sums as if it had been asked them: what `memreward train` needs, made here."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from additions import sums

sys.path.append(str(Path(__file__).resolve().parents[1] / "reward"))
sys.path.append(str(Path(__file__).resolve().parents[1] / "policy"))

from sums import toy_prior

from memreward.data import write_groups

CHARACTERS = "0123456789+=? #"
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint folder of a random two-layer Qwen2 that knows little but digits: what it says is often a number."""
    from tiny_model import tiny_model, tiny_tokenizer  # torch takes seconds to load

    folder = tmp_path_factory.mktemp("model")
    tokenizer = tiny_tokenizer(characters=CHARACTERS)
    tokenizer.pad_token = tokenizer.eos_token
    made = tiny_model(characters=CHARACTERS, spread=0.2)
    # Half an equation as an answer would start two processes that load sympy, in every training.
    made.generation_config.suppress_tokens = tokenizer.convert_tokens_to_ids(["=", "+"])
    made.save_pretrained(folder)
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
def prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of a prior in which votes, and words that others use too, speak for an answer."""
    path = tmp_path_factory.mktemp("prior") / "toy.safetensors"
    toy_prior().save(path)
    return path


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of a process that trains."""
    return {**os.environ, **ENVIRONMENT, "MEMREWARD_CACHE": str(tmp_path_factory.mktemp("cache"))}
