"""A prompt that is read once for its group: the same log-probabilities, entropies and gradients as TRL's own pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from test_trl_rollouts import TEXTS, lengths, tokenizer
from tiny_model import tiny_model

from lab.trl_prompts import prompt_sharing_trainer

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(280)]


def trainer_of(folder: Path, *, peft_config: Any = None, model: Any = None, **settings: Any) -> Any:
    from datasets import Dataset
    from trl import GRPOConfig

    plain = {"use_cpu": True, "bf16": False, "report_to": "none", "per_device_train_batch_size": 8}
    return prompt_sharing_trainer()(
        model=model or tiny_model(),
        reward_funcs=lengths,
        args=GRPOConfig(str(folder), num_generations=4, max_completion_length=12, **plain, **settings),
        train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in TEXTS]),
        processing_class=tokenizer(),
        peft_config=peft_config,
    )


def batch(
    prompts: int = 3, each: int = 4, prompt: int = 9, completion: int = 7, preamble: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Groups with prompts of different lengths, padded left, and completions of different lengths, padded right.

    All prompts begin with the same `preamble` tokens.
    """
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(4, 90, (prompts, 1, prompt), generator=generator).repeat(1, each, 1)
    answers = torch.randint(4, 90, (prompts, each, completion), generator=generator)
    mask = torch.ones(prompts, each, prompt + completion, dtype=torch.long)
    for number in range(prompts):
        mask[number, :, : 2 * number] = 0
        ids[number, :, 2 * number : 2 * number + preamble] = torch.arange(10, 10 + preamble)
        mask[number, number % each, prompt + 3 :] = 0
    tokens = torch.cat([ids, answers], 2) * mask
    order = torch.randperm(prompts * each, generator=generator)  # TRL shuffles the rows of a step
    return tokens.flatten(0, 1)[order], mask.flatten(0, 1)[order]


def passes(trainer: Any, kind: Any, tokens: torch.Tensor, mask: torch.Tensor) -> tuple[Any, Any, list[Any]]:
    """Log-probabilities, entropies and gradients by the pass of a class."""
    trainer.model.zero_grad()
    logps, entropies, _ = kind._get_per_token_logps_and_entropies(
        trainer, trainer.model, tokens, mask, 7, compute_entropy=True
    )
    kept = mask[:, -7:].bool()
    weight = torch.linspace(-1, 1, int(kept.sum()))
    (logps[kept] * weight).sum().backward()
    gradients = [p.grad.clone() for p in trainer.model.parameters() if p.grad is not None]
    return logps.detach()[kept], entropies.detach()[kept], gradients


@pytest.mark.parametrize(
    ("adapters", "temperature", "preamble", "read"),
    [
        # Each prompt once but for its last token, and the completions after that one: eight long ones, and the rest.
        (False, 1.0, 0, 3 * 8 + 12 * 8),
        (True, 0.7, 0, 3 * 8 + 12 * 8),
        # What all prompts begin with once, then up to as many tokens of each as the longest has left.
        (True, 1.0, 3, 3 + 3 * 5 + 12 * 8),
        (False, 0.7, 4, 4 + 3 * 4 + 12 * 8),
    ],
)
def test_the_figures_and_the_gradient_are_those_of_trl(
    tmp_path: Path, adapters: bool, temperature: float, preamble: int, read: int
) -> None:
    from peft import LoraConfig
    from trl import GRPOTrainer

    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    trainer = trainer_of(tmp_path, peft_config=lora if adapters else None, temperature=temperature)
    trainer.model.eval()
    tokens, mask = batch(preamble=preamble)
    seen: list[int] = []
    trainer.model.get_input_embeddings().register_forward_hook(lambda *given: seen.append(given[1][0].numel()))
    logps, entropies, gradients = passes(trainer, type(trainer), tokens, mask)
    assert sum(seen) == read
    seen.clear()
    theirs = passes(trainer, GRPOTrainer, tokens, mask)
    assert sum(seen) == 12 * 16
    torch.testing.assert_close(logps, theirs[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(entropies, theirs[1], rtol=1e-4, atol=1e-5)
    assert len(gradients) == len(theirs[2]) > 0
    for ours, other in zip(gradients, theirs[2], strict=True):
        torch.testing.assert_close(ours, other, rtol=0, atol=1e-4 * float(other.abs().max()))


def test_short_completions_are_not_read_at_the_length_of_long_ones(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path)
    tokens, mask = batch()
    mask[torch.randperm(12)[:5], 9 + 2 :] = 0  # five of twelve, two tokens each
    seen: list[int] = []
    trainer.model.get_input_embeddings().register_forward_hook(lambda *given: seen.append(given[1][0].numel()))
    with torch.no_grad():
        trainer._get_per_token_logps_and_entropies(trainer.model, tokens * mask, mask, 7)
    assert sum(seen) == 3 * 8 + 8 * 8 + 4 * 3


def test_prompts_that_differ_are_left_to_trl(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path)
    tokens, mask = batch(prompts=4, each=1)
    seen: list[int] = []
    trainer.model.get_input_embeddings().register_forward_hook(lambda *given: seen.append(given[1][0].numel()))
    with torch.no_grad():
        trainer._get_per_token_logps_and_entropies(trainer.model, tokens, mask, 7)
    assert seen == [4 * 16]


def test_a_model_that_keeps_only_a_window_is_left_to_trl_and_not_tried_again(tmp_path: Path) -> None:
    from transformers import MistralConfig, MistralForCausalLM

    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = MistralConfig(vocab_size=len(tokenizer()), num_key_value_heads=2, sliding_window=4, **small)
    trainer = trainer_of(tmp_path, model=MistralForCausalLM(config))
    tokens, mask = batch()
    seen: list[int] = []
    trainer.model.get_input_embeddings().register_forward_hook(lambda *given: seen.append(given[1][0].numel()))
    with torch.no_grad():
        found, _, _ = trainer._get_per_token_logps_and_entropies(trainer.model, tokens, mask, 7)
        again, _, _ = trainer._get_per_token_logps_and_entropies(trainer.model, tokens, mask, 7)
    assert seen == [3 * 8, 12 * 16, 12 * 16]
    torch.testing.assert_close(found, again, atol=1e-5, rtol=0)


def test_it_trains(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, max_steps=2, learning_rate=1e-2, save_strategy="no", disable_tqdm=True)
    before = [p.detach().clone() for p in trainer.model.parameters()]
    trainer.train()
    assert trainer.state.global_step == 2
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))
