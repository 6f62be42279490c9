"""The embedded policy: a transformer of about a million parameters, its own tokenizer, and how it is first taught."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.testbed.config import PolicyConfig
from lab.testbed.questions import demonstrations
from memreward.types import MissingExtraError, Progress, StoreError, silent

try:
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
except ImportError as error:
    raise MissingExtraError(error.name or "transformers", "train", "the embedded policy") from error

if TYPE_CHECKING:
    from torch import Tensor

_PAD, _START, _END, _UNKNOWN = "<pad>", "<s>", "</s>", "<unk>"
# Digits one by one, so that carries have to be learned; what always comes together in one piece, for speed.
_PIECES = r'\n\([A-D]\) |\n#### |\):\n    """Return| [-+*=] |\n    |\d| ?[A-Za-z]+|[.]"""|\n| +|[^\w\s]'
# The policy knows questions only: no instructions, no worked examples.
_CHAT = f"{_START}{{{{ messages[-1]['content'] }}}}{{{{ '\\n' }}}}"
_SEEN = 4000
_IGNORED = -100


def build_tokenizer() -> Any:
    """Return the tokenizer whose pieces are those of the questions and their completions."""
    seen = [text for pair in demonstrations(_SEEN, 0, frozenset()) for text in (prompt_of(pair[0]), pair[1])]
    pieces = sorted({piece for text in seen for piece, _ in _splitter().pre_tokenize_str(text)} - {_START})
    vocabulary = {piece: index for index, piece in enumerate([_PAD, _START, _END, _UNKNOWN, *pieces])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=_UNKNOWN))
    tokenizer.pre_tokenizer = _splitter()
    tokenizer.decoder = decoders.Fuse()
    tokenizer_class: Any = PreTrainedTokenizerFast
    return tokenizer_class(
        tokenizer_object=tokenizer,
        pad_token=_PAD,
        bos_token=_START,
        eos_token=_END,
        unk_token=_UNKNOWN,
        chat_template=_CHAT,
    )


def _splitter() -> pre_tokenizers.Split:
    return pre_tokenizers.Split(Regex(_PIECES), "isolated")


def prompt_of(question: str) -> str:
    """Return what the policy is given for a question."""
    return f"{_START}{question}\n"


def teach(config: PolicyConfig, avoid: frozenset[str], progress: Progress = silent) -> tuple[Any, Any]:
    """Train a policy on imperfect demonstrations.

    Args:
        config: Network and training.
        avoid: Texts of questions that are not demonstrated.
        progress: Told of steps.

    Returns:
        The model, in eval mode, and its tokenizer.
    """
    tokenizer = build_tokenizer()
    torch.manual_seed(config.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.width,
            intermediate_size=3 * config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            max_position_embeddings=config.positions,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            tie_word_embeddings=True,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.steps, pct_start=0.1
    )
    pairs = demonstrations(config.steps * config.batch, config.seed, avoid)
    for done in range(1, config.steps + 1):
        tokens, labels = _batch(tokenizer, islice(pairs, config.batch))
        loss = model(input_ids=tokens, attention_mask=(tokens != tokenizer.pad_token_id).long(), labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        progress("teaching the starting policy", done, config.steps)
    return _in_eval_mode(model), tokenizer


def _in_eval_mode(model: Any) -> Any:
    return model.eval()


def _batch(tokenizer: Any, pairs: Iterator[tuple[str, str]]) -> tuple[Tensor, Tensor]:
    """Tokens (batch, length), padded on the right, and labels that are set on completions only."""
    rows = []
    for question, completion in pairs:
        prompt = tokenizer(prompt_of(question)).input_ids
        said = [*tokenizer(completion).input_ids, tokenizer.eos_token_id]
        rows.append((prompt + said, [_IGNORED] * len(prompt) + said))
    width = max(len(tokens) for tokens, _ in rows)
    tokens = torch.full((len(rows), width), tokenizer.pad_token_id)
    labels = torch.full((len(rows), width), _IGNORED)
    for row, (ids, targets) in enumerate(rows):
        tokens[row, : len(ids)] = torch.tensor(ids)
        labels[row, : len(ids)] = torch.tensor(targets)
    return tokens, labels


def save_policy(folder: Path, model: Any, tokenizer: Any, config: PolicyConfig) -> None:
    """Write model, tokenizer and settings to a folder, whole or not at all.

    Raises:
        StoreError: it cannot be written.
    """
    unfinished = folder.with_name(f"{folder.name}.partial")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        model.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
        (unfinished / "policy.json").write_text(json.dumps(asdict(config), indent=1), encoding="utf-8")
        unfinished.replace(folder)
    except OSError as error:
        raise StoreError(f"cannot write the policy to {folder}: {error}; name another folder or free space") from error


def load_policy(folder: Path) -> tuple[Any, Any]:
    """Read what `save_policy` wrote: the model, in eval mode, and its tokenizer.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
        return _in_eval_mode(model), PreTrainedTokenizerFast.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read the policy in {folder}: {error}; delete the folder to have it made") from error
