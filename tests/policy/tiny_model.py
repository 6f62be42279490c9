"""A random two-layer Qwen2 and a character tokenizer, made on the spot: tests reach no network."""

from __future__ import annotations

import string
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ("<|end|>", "<|system|>", "<|user|>", "<|assistant|>")


def tiny_tokenizer(*, chat: bool = True, characters: str = string.printable) -> PreTrainedTokenizerFast:
    """One token a character, the space among them, and the markers of a chat."""
    vocabulary = {token: index for index, token in enumerate((*SPECIAL, *characters))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=" "))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("[\\s\\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", unk_token=" ")
    fast.add_special_tokens({"additional_special_tokens": list(SPECIAL[1:])})
    fast.chat_template = CHAT_TEMPLATE if chat else None
    return fast


def tiny_model(seed: int = 0, *, characters: str = string.printable, spread: float = 0.5) -> Qwen2ForCausalLM:
    """Weights of a `spread` that is wide enough for a next token that is neither certain nor uniform."""
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(SPECIAL) + len(characters),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        initializer_range=spread,
        eos_token_id=0,
        pad_token_id=0,
        bos_token_id=None,
    )
    return Qwen2ForCausalLM(config).eval()


def save_tiny_model(folder: Path, seed: int = 0) -> Path:
    """Write model and tokenizer as a checkpoint folder."""
    tiny_model(seed).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder
