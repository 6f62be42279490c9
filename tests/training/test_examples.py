"""The example configurations, as far as a machine without a GPU can check them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from forked import run_ranks
from memreward.cli.options import Changes, read_tables, values_of
from memreward.training.config import TrainConfig
from memreward.training.history import history
from rows import each_row

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "training"
EXAMPLES = sorted(FOLDER.glob("*.toml"))
UNTRAINED = "qwen2.5-1.5b"
"""Its example for eight GPUs would be the training of the other model's once more."""


def read(path: Path) -> TrainConfig:
    made: TrainConfig = Changes(TrainConfig, values_of(read_tables(path), TrainConfig, path.name)).made()
    return made


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4


@each_row("path", EXAMPLES)
def test_an_example_asks_the_papers_benchmarks(path: Path) -> None:
    config = read(path)
    config.check_complete()
    assert len(config.questions) == 10
    assert all(source.endswith(".jsonl.gz:1500") for source in config.questions)


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_the_papers_settings_and_trl_takes_it(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = read(path)
    if "eight" in path.stem:
        monkeypatch.setenv("WORLD_SIZE", "8")
        config.grpo._batches(config.sampling.rollouts, config.trl["per_device_train_batch_size"])
        monkeypatch.delenv("WORLD_SIZE")
    grpo = config.grpo
    args = grpo.to_trl(config.sampling, tmp_path, {**config.trl, "bf16": True})
    assert (args.num_generations, args.generation_batch_size, args.max_steps, args.beta) == (8, 1024, 410, 0.001)
    assert args.learning_rate == (1e-5 if grpo.lora_rank else 1e-6)
    assert args.use_vllm


def test_the_example_that_is_not_trained_differs_only_in_what_the_training_below_sets_itself() -> None:
    told, trained = (
        tomllib.loads((FOLDER / f"{name}_eight-gpus.toml").read_text()) for name in (UNTRAINED, "qwen2.5-3b")
    )

    def rest(tables: dict[str, Any]) -> dict[str, Any]:
        return {
            name: rest(value) if isinstance(value, dict) else value
            for name, value in tables.items()
            if name not in ("model", "output", "per_device_train_batch_size")
        }

    assert rest(told) == rest(trained)


@pytest.mark.slow
@pytest.mark.timeout(290)
@pytest.mark.parametrize(
    "path", [path for path in EXAMPLES if path.stem != f"{UNTRAINED}_eight-gpus"], ids=lambda path: path.stem
)
def test_an_example_trains_a_tiny_model_of_the_same_architecture_for_two_steps(
    path: Path, tmp_path: Path, model: Path, experience: Path, templates: Path, environment: dict[str, str]
) -> None:
    """Those for eight GPUs in two processes."""
    text = path.read_text(encoding="utf-8")
    start, end = text.index("questions = ["), text.index("]\n") + 2
    own = tmp_path / "train.toml"
    own.write_text(text[:start] + f"questions = [{json.dumps(str(experience))}]\n" + text[end:], encoding="utf-8")
    fitting = (
        f"--model {model} --out {tmp_path / 'run'} --templates {templates} --steps 2 --trl use_vllm=false --prior none "
        "--groups-per-step 2 --rollouts 16 --trl per_device_train_batch_size=8 --max-new-tokens 2 --labels 0.5"
    )
    command = ["-m", "memreward", "train", "--config", str(own), *fitting.split(), "--json"]
    report = json.loads(run_ranks(command, environment, 2 if "eight" in path.stem else 1, timeout=280)[0])
    assert report["steps"] == len(history(tmp_path / "run")) == 2
    # Rollouts of the labelled questions alone were sampled before training, by the starting policy itself.
    assert (tmp_path / "run" / "experience.jsonl.gz").is_file()
    assert report["labelled_queries"] == report["ledger"]["queries"] == 6
    adapters = (tmp_path / "run" / "policy" / "adapter_config.json").is_file()
    assert adapters == (path.stem == "qwen2.5-3b_one-gpu")
    assert (tmp_path / "run" / "checkpoint-2" / "rng_state_1.pth").is_file() == ("eight" in path.stem)
