"""A real GRPOTrainer with a tiny random model: our decoder samples what TRL would, and training does not notice."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset

from alike import FLOAT32
from forked import run_ranks
from lab.decoding.rollouts import GroupRollouts
from memreward.types import ConfigurationError

POLICY_TESTS = Path(__file__).resolve().parents[1] / "policy"
sys.path.append(str(POLICY_TESTS))

from tiny_model import tiny_model, tiny_tokenizer  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(280)]

TEXTS = [f"What is {i}?" if i % 2 else f"Please tell me the value of {i} plus {i}." for i in range(6)]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")


def tokenizer() -> Any:
    made = tiny_tokenizer()
    made.pad_token = "<|end|>"  # Qwen2's own is not in this vocabulary
    return made


def lengths(completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float]:
    return [float(len(ids) + sum(ids) % 7) for ids in completion_ids]


def trainer_of(
    folder: Path,
    rollouts: GroupRollouts | None,
    *,
    model: Any = None,
    prompts: Sequence[Any] = TEXTS,
    reward: Callable[..., list[float]] = lengths,
    peft_config: Any = None,
    **settings: Any,
) -> Any:
    from trl import GRPOConfig, GRPOTrainer

    plain = {
        "use_cpu": True,
        "bf16": False,
        "max_steps": 2,
        "report_to": "none",
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "max_completion_length": 12,
        "learning_rate": 1e-2,
        "save_strategy": "no",
        "disable_tqdm": True,
    }
    return GRPOTrainer(
        model=tiny_model() if model is None else model,
        reward_funcs=reward,
        args=GRPOConfig(str(folder), **{**plain, **settings}),
        train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in prompts]),
        processing_class=tokenizer(),
        rollout_func=rollouts,
        peft_config=peft_config,
    )


@torch.no_grad()
def logprobs_of(model: Any, prompt: Sequence[int], completion: Sequence[int]) -> list[float]:
    logits = model(input_ids=torch.tensor([[*prompt, *completion]])).logits[0].log_softmax(dim=-1)
    return [float(logits[len(prompt) - 1 + i, token]) for i, token in enumerate(completion)]


@pytest.mark.parametrize("settings", [{"top_p": 1e-6}, {"temperature": 1e-4}])
def test_greedy_rollouts_are_those_of_trl(tmp_path: Path, settings: dict[str, float]) -> None:
    trainer = trainer_of(tmp_path, None, **settings)
    prompts = [text for text in TEXTS for _ in range(4)]
    ours = GroupRollouts()(prompts, trainer)
    prompt_ids, images, fields = trainer._tokenize_prompts(prompts)
    theirs, logprobs = trainer._generate_single_turn(prompt_ids, images, fields, 4)
    assert ours["prompt_ids"] == prompt_ids
    assert ours["completion_ids"] == theirs
    assert ours["logprobs"] is logprobs is None


def test_chats_are_rendered_as_trl_renders_them(tmp_path: Path) -> None:
    chats = [[{"role": "system", "content": "Think."}, {"role": "user", "content": text}] for text in TEXTS]
    trainer = trainer_of(tmp_path, None, prompts=chats)
    prompts = [chat for chat in chats for _ in range(4)]
    assert GroupRollouts()(prompts, trainer)["prompt_ids"] == trainer._tokenize_prompts(prompts)[0]


def test_logprobs_are_those_of_the_present_weights_and_the_column_reaches_the_reward(tmp_path: Path) -> None:
    steps: list[list[float]] = []

    def reward(
        prompts: list[str], completion_ids: list[list[int]], token_logprobs: list[list[float]], **_: Any
    ) -> list[float]:
        model = trainer.accelerator.unwrap_model(trainer.model)
        model.eval()
        for prompt, ids, said in zip(prompts, completion_ids, token_logprobs, strict=True):
            assert said == pytest.approx(logprobs_of(model, tokenizer()(prompt)["input_ids"], ids), abs=1e-4)
        model.train()
        steps.append([value for said in token_logprobs for value in said])
        return lengths(completion_ids)

    trainer = trainer_of(tmp_path, GroupRollouts(), reward=reward, temperature=0.8)
    before = [parameter.clone() for parameter in trainer.model.parameters()]
    trainer.train()
    assert len(steps) == 2
    assert any((new != old).any() for new, old in zip(trainer.model.parameters(), before, strict=True))


@pytest.mark.parametrize("settings", [{}, {"num_iterations": 2}])
def test_training_on_given_rollouts_is_unchanged(tmp_path: Path, settings: dict[str, int]) -> None:
    sampled: list[list[list[int]]] = []

    def remembered(completion_ids: list[list[int]], **_: Any) -> list[float]:
        sampled.append(completion_ids)
        return lengths(completion_ids)

    ours = trainer_of(tmp_path, GroupRollouts(), reward=remembered, logging_steps=1, **settings)
    ours.train()
    theirs = trainer_of(tmp_path, None, logging_steps=1, **settings)
    again = iter(sampled)
    theirs._generate_single_turn = lambda *_: (next(again), None)
    theirs.train()
    assert next(again, None) is None
    for mine, other in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        torch.testing.assert_close(mine, other, atol=FLOAT32, rtol=0)
    losses = [[entry["loss"] for entry in run.state.log_history if "loss" in entry] for run in (ours, theirs)]
    assert losses[0] == pytest.approx(losses[1], abs=FLOAT32)
    assert len(losses[0]) == 2


def test_the_model_is_left_as_it_was_and_samples_without_dropout(tmp_path: Path) -> None:
    model = tiny_model()
    model.config.attention_dropout = 0.5
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.5
    trainer = trainer_of(tmp_path, None, model=model)
    trainer.model.gradient_checkpointing_enable()
    trainer.model.train()
    trainer.model.model.layers[0].eval()
    modes = [module.training for module in trainer.model.modules()]
    first = GroupRollouts()(TEXTS[:1] * 4, trainer)
    assert [module.training for module in trainer.model.modules()] == modes
    assert trainer.model.model.gradient_checkpointing
    assert first == GroupRollouts()(TEXTS[:1] * 4, trainer)


def test_adapters_take_part(tmp_path: Path) -> None:
    from peft import LoraConfig

    lora = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "v_proj"], lora_dropout=0.5)
    trainer = trainer_of(tmp_path, None, peft_config=lora)
    with torch.no_grad():
        for name, parameter in trainer.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(0))
    trainer.model.train()
    reply = GroupRollouts()(TEXTS[:1] * 4, trainer)
    trainer.model.eval()
    for ids, said in zip(reply["completion_ids"], reply["token_logprobs"], strict=True):
        prompt = tokenizer()(TEXTS[0])["input_ids"]
        assert said == pytest.approx(logprobs_of(trainer.model, prompt, ids), abs=1e-4)
        with trainer.model.disable_adapter():
            assert said != pytest.approx(logprobs_of(trainer.model, prompt, ids), abs=1e-2)


def test_a_group_depends_on_seed_step_and_prompt_but_not_on_its_neighbours(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, None)

    def sample(prompts: list[str], seed: int = 0, step: int = 0) -> list[list[int]]:
        trainer.state.global_step = step
        return GroupRollouts(seed)(prompts, trainer)["completion_ids"]

    alone = sample(TEXTS[:1] * 4)
    assert len({tuple(ids) for ids in alone}) > 1
    assert sample([*TEXTS[1:2] * 4, *TEXTS[:1] * 4])[4:] == alone
    assert sample(TEXTS[:1] * 4, seed=1) != alone
    assert sample(TEXTS[:1] * 4, step=1) != alone
    twice = sample(TEXTS[:1] * 8)
    assert twice[:4] == alone != twice[4:]


def test_two_calls_of_one_step_differ(tmp_path: Path) -> None:
    trainer, rollouts = trainer_of(tmp_path, None), GroupRollouts()
    first, second = (rollouts(TEXTS[:1] * 4, trainer)["completion_ids"] for _ in range(2))
    assert first != second


def test_evaluation_has_its_own_group_size(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, None, num_generations_eval=2)
    trainer.model.eval()
    reply = GroupRollouts()([TEXTS[0]] * 4, trainer)["completion_ids"]
    assert reply[:2] != reply[2:]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"top_k": 5}, "top_k"),
        ({"min_p": 0.1}, "min_p"),
        ({"repetition_penalty": 1.1}, "repetition_penalty"),
        ({"generation_kwargs": {"num_beams": 1}}, "generation_kwargs"),
    ],
)
def test_other_kinds_of_sampling_are_refused(tmp_path: Path, settings: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"cannot sample with {name}:"):
        GroupRollouts()(TEXTS[:1] * 4, trainer_of(tmp_path, None, **settings))


SCRIPT = """
import json, sys
from pathlib import Path
sys.path[:0] = json.loads(sys.argv[2])
from test_trl_rollouts import GroupRollouts, lengths, trainer_of
folder, batch = Path(sys.argv[1]), int(sys.argv[3])
rows = []
def reward(prompts, completion_ids, **_):
    rows.append([prompts, completion_ids])
    return lengths(completion_ids)
trainer = trainer_of(folder, GroupRollouts(), reward=reward, per_device_train_batch_size=batch,
                     max_steps=1, num_generations=4)
trainer.train()
trainer.accelerator.end_training()
(folder / f"rows-{trainer.accelerator.process_index}.json").write_text(json.dumps(rows))
"""


def rows_by_rank(folder: Path, batch: int, processes: int) -> list[Any]:
    folder.mkdir()
    (folder / "work.py").write_text(SCRIPT, encoding="utf-8")
    places = json.dumps([str(Path(__file__).parent), *map(str, Path(__file__).parents[1:3]), str(POLICY_TESTS)])
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
    run_ranks([str(folder / "work.py"), str(folder), places, str(batch)], env, processes, timeout=270)
    return [json.loads((folder / f"rows-{rank}.json").read_text(encoding="utf-8")) for rank in range(processes)]


@pytest.mark.timeout(580)
def test_two_processes_that_split_a_group_sample_what_one_does(tmp_path: Path) -> None:
    (alone,) = rows_by_rank(tmp_path / "one", 12, 1)
    first, second = rows_by_rank(tmp_path / "two", 6, 2)
    assert first[0][0][-1] == second[0][0][0]  # the cut goes through a group
    for column in range(2):
        assert first[0][column] + second[0][column] == alone[0][column]


def test_rows_cut_at_a_border_are_counted_from_the_groups_start(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, None)
    prompts = [text for text in TEXTS[:3] for _ in range(4)]
    whole = GroupRollouts()(prompts, trainer)["completion_ids"]
    parts = []
    for rank in range(2):
        accelerator = trainer.accelerator
        ranked = SimpleNamespace(
            process_index=rank,
            unwrap_model=accelerator.unwrap_model,
            device=accelerator.device,
            state=accelerator.state,
        )
        trainer.accelerator = ranked
        parts += GroupRollouts()(prompts[6 * rank : 6 * rank + 6], trainer)["completion_ids"]
        trainer.accelerator = accelerator
    assert parts == whole
