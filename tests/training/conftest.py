"""A tiny random Qwen2, and rollouts of sums as if it had been asked them: what `memreward train` needs, made here."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch
from additions import sums
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

sys.path.append(str(Path(__file__).resolve().parents[1] / "reward"))

from sums import toy_prior

from memreward.data import write_groups

MARKERS = ("<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def small_tokenizer() -> PreTrainedTokenizerFast:
    """Digits and little else, so that what a random model says is often a number."""
    vocabulary = {token: index for index, token in enumerate((*MARKERS, *"0123456789+=? #"))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=" "))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("[\\s\\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|end|>", unk_token=" ")
    fast.add_special_tokens({"additional_special_tokens": list(MARKERS[1:])})
    fast.chat_template = (
        "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    return fast


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint folder of a random two-layer Qwen2."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = small_tokenizer()
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.2,
        eos_token_id=0,
        pad_token_id=0,
        bos_token_id=None,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
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
