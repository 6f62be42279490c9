"""Settings of a training, TRL's configuration made from them, and the order of the questions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from datasets import Dataset

from memreward.policy.settings import SamplingConfig
from memreward.training.config import TrainConfig
from memreward.training.run import ordered
from memreward.training.settings import KL, LEARNING_RATE, SAVE_STEPS, GrpoSettings
from memreward.types import ConfigurationError

pytestmark = pytest.mark.slow  # TRL takes seconds to load

CHECKPOINTING = {"gradient_checkpointing": True}
SMALL = GrpoSettings(steps=5, groups_per_step=3)
SAMPLING = SamplingConfig("", rollouts=4, temperature=1.0, top_p=1.0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "steps=0 must be at least 1"),
        ({"lora_rank": -1}, "lora_rank=-1"),
    ],
)
def test_what_cannot_be_trained_with_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        replace(SMALL, **wrong)


@pytest.mark.parametrize("wrong", [{"rollouts": 1}, {"temperature": 0.0}])
def test_what_cannot_be_sampled_in_a_training_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="a group needs 2 rollouts at least"):
        TrainConfig(sampling=replace(SAMPLING, **wrong))


@pytest.mark.parametrize(("micro", "passes"), [(0, 1), (12, 1), (4, 3), (3, 4)])
def test_a_step_holds_whole_groups_in_as_many_passes_as_asked(micro: int, passes: int, tmp_path: Any) -> None:
    args = SMALL.to_trl(SAMPLING, tmp_path, {"per_device_train_batch_size": micro} if micro else {})
    assert args.gradient_accumulation_steps == passes
    assert args.generation_batch_size == 12
    assert args.num_generations == 4


def test_micro_batches_that_do_not_fit_are_refused(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="divides 12"):
        SMALL.to_trl(SAMPLING, tmp_path, {"per_device_train_batch_size": 5})
    monkeypatch.setenv("WORLD_SIZE", "16")
    with pytest.raises(ConfigurationError, match=r"on 16 device\(s\)"):
        SMALL.to_trl(SAMPLING, tmp_path)


def test_settings_reach_trl(tmp_path: Any) -> None:
    args = SMALL.to_trl(replace(SAMPLING, seed=7, top_p=0.9, max_new_tokens=5), tmp_path)
    assert (args.beta, args.learning_rate, args.lr_scheduler_type) == (KL, LEARNING_RATE, "constant")
    assert (args.seed, args.max_steps, args.top_p, args.max_completion_length) == (7, 5, 0.9, 5)
    assert (args.save_steps, args.use_cpu, args.bf16) == (SAVE_STEPS, True, False)
    assert SMALL.to_peft() is None
    adapters = replace(SMALL, lora_rank=8).to_peft()
    assert (adapters.r, adapters.lora_alpha, adapters.target_modules) == (8, 16, "all-linear")


def test_what_is_trls_reaches_it_by_its_own_name(tmp_path: Any) -> None:
    given = {"beta": 0.01, "learning_rate": 3e-4, "save_strategy": "no", "use_vllm": True, "save_total_limit": None}
    args = SMALL.to_trl(SAMPLING, tmp_path, given)
    assert {name: getattr(args, name) for name in given} == given
    checkpointing = [SMALL.to_trl(SAMPLING, tmp_path, given).gradient_checkpointing for given in ({}, CHECKPOINTING)]
    assert checkpointing == [False, True]
    assert SMALL.to_trl(SAMPLING, tmp_path).model_init_kwargs == {"dtype": "float32"}


@pytest.mark.parametrize(
    ("trl", "message"),
    [
        ({"use_vlm": True}, r"'use_vlm' is not a setting of TRL's; did you mean 'use_vllm'\?"),
        ({"top_p": 0.1}, "top_p is not TRL's to decide here: set top_p"),
        ({"scale_rewards": "group"}, "scale_rewards is not TRL's to decide here: the arm decides it"),
        ({"report_to": "nobody"}, "report_to='nobody' is not a tracker that is installed"),
        ({"save_total_limit": 1}, "may leave no whole checkpoint"),
        ({"loss_type": 3, "num_iterations": "x", "lr_scheduler_type": "steep"}, "TRL refuses the settings"),
    ],
)
def test_what_trl_does_not_know_or_may_not_decide_is_refused(trl: dict[str, Any], message: str, tmp_path: Any) -> None:
    with pytest.raises(ConfigurationError, match=message):
        SMALL.to_trl(SAMPLING, tmp_path, trl)


def asked(settings: GrpoSettings, count: int = 7, seed: int = 0) -> list[int]:
    found: list[int] = ordered(Dataset.from_dict({"number": list(range(count))}), settings, seed)["number"]
    return list(found)


def test_each_step_asks_different_questions_and_each_pass_in_another_order() -> None:
    numbers = asked(SMALL)
    steps = [numbers[start : start + 3] for start in range(0, 15, 3)]
    assert len(steps) == 5
    assert all(len(set(step)) == 3 for step in steps)
    # A pass over seven questions is two steps of three.
    assert len(set(steps[0] + steps[1])) == len(set(steps[2] + steps[3])) == 6
    assert steps[:2] != steps[2:4]


def test_a_longer_training_begins_as_a_shorter_one_and_another_seed_does_not() -> None:
    assert asked(replace(SMALL, steps=40))[:15] == asked(SMALL)
    assert asked(SMALL, seed=1) != asked(SMALL)
    with pytest.raises(ConfigurationError, match="2 questions are fewer than the 3 of a step"):
        asked(SMALL, count=2)
