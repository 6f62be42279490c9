"""Configuration files say the same as options, and what they say wrongly is named with its remedy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memreward.cli.options import Changes, read_tables, values_of
from memreward.training.config import TrainConfig
from memreward.types import ConfigurationError
from rows import each_row

FILE = """
questions = ["a.jsonl", "gcd:5"]
labels = 1

[sampling]
model = "m"
temperature = 2

[grpo]
steps = 7
lora_rank = 4

[trl]
use_vllm = true

[verify]
containment = "landlock"
"""


def made(tables: dict[str, Any]) -> TrainConfig:
    config: TrainConfig = Changes(TrainConfig, values_of(tables, TrainConfig, "train.toml")).made()
    return config


def test_a_file_becomes_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "train.toml"
    path.write_text(FILE, encoding="utf-8")
    config = made(read_tables(path))
    assert (config.questions, config.labels) == (("a.jsonl", "gcd:5"), "1")
    assert config.sampling == replace(TrainConfig().sampling, model="m", temperature=2.0)
    assert (config.grpo.steps, config.grpo.groups_per_step) == (7, TrainConfig().grpo.groups_per_step)
    assert (config.grpo.lora_rank, config.trl) == (4, {"use_vllm": True})
    assert config.verify.containment == "landlock"


@each_row(
    ("tables", "message"),
    [
        ({"sampling": {"modle": "m"}}, r"train.toml: 'sampling.modle' is unknown; did you mean 'model'\?"),
        ({"grpo": {"step": 1}}, r"'grpo.step' is unknown; did you mean 'steps'\?"),
        ({"verify": {"zzz": 1}}, "'verify.zzz' is unknown; use one of "),
        ({"grpo": 3}, r"grpo is 3; give a table \[grpo\]"),
        ({"grpo": {"steps": 2.5}}, "grpo.steps is 2.5; give a value of type int"),
        ({"grpo": {"steps": True}}, "grpo.steps is True; give a value of type int"),
        ({"execute": "never"}, "execute is 'never'; use one of "),
        ({"trl": 3}, "trl is 3; give a table"),
        ({"questions": "gsm8k"}, r"questions is 'gsm8k'; give a list, as \['gsm8k'\]"),
    ],
)
def test_what_is_wrong_is_named(tables: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        made(tables)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("model = ", encoding="utf-8")
    for bad in (path, tmp_path / "none.toml"):
        with pytest.raises(ConfigurationError, match=f"{bad.name}: not a configuration file"):
            read_tables(bad)
