"""TRL: read the prompt of a group once in the training pass, not once for each of its rollouts.

TRL's forward pass reads prompt and completion of every rollout, so eight rollouts of a group pay for the same prompt
eight times, there and back, and all rollouts for the padding of the longest. Here what all prompts of a micro-batch
begin with (a few-shot preamble) is read once, then the rest of each distinct prompt once; their keys and values are
handed to all of their completions, which are read in parts of similar length. The gradient flows back through all of
it. Log-probabilities, entropies and gradients are TRL's but for rounding. It pays where prompts are long beside
completions, and on a CPU, where TRL also takes the output layer over every token of the prompt.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from lab.decoding.key_values import cache_argument, cache_of

if TYPE_CHECKING:
    from torch import Tensor

_ROWS = 8
"""Completions that are read together."""
_KEEPS_A_WINDOW = "_memreward_keeps_a_window"
"""Set on models whose prompts were read in vain."""


class _Read(NamedTuple):
    """Distinct prompts, but for their last tokens.

    Shapes: keys and values in `cache` (prompts, heads, columns, size), mask (prompts, columns), owner (rows,): which of
    the prompts is a row's.
    """

    cache: Any
    mask: Tensor
    owner: Tensor


@cache
def prompt_sharing_trainer() -> type[Any]:
    """Return the `GRPOTrainer` that shares prompts.

    It falls back to TRL's pass where a prompt cannot be shared: in several processes, with gradient checkpointing,
    inputs that are not text, mixture-of-experts losses, or a model whose cache keeps only a window.
    """
    from trl.trainer.grpo_trainer import GRPOTrainer

    class PromptSharingTrainer(GRPOTrainer):  # type: ignore[misc, unused-ignore]
        def _get_per_token_logps_and_entropies(
            self,
            model: Any,
            input_ids: Any,
            attention_mask: Any,
            logits_to_keep: int,
            batch_size: int | None = None,
            compute_entropy: bool = False,
            **others: Any,
        ) -> Any:
            shareable = (
                (batch_size or len(input_ids)) >= len(input_ids)
                and all(value is None or value is False for value in others.values())
                and self.accelerator.num_processes == 1
                and not _checkpoints(self.model)
            )
            if shareable:
                with self.accelerator.autocast():
                    found = _shared_pass(model, input_ids, attention_mask, logits_to_keep, compute_entropy)
                if found is not None:
                    return found
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, **others
            )

    return PromptSharingTrainer


def _checkpoints(model: Any) -> bool:
    """Whether activations are computed twice; transformers has changed the name."""
    names = ("is_activation_checkpointing", "is_gradient_checkpointing")
    return bool(next((getattr(model, name) for name in names if hasattr(type(model), name)), False))


def _shared_pass(model: Any, tokens: Tensor, mask: Tensor, completion: int, compute_entropy: bool) -> Any:
    """Log-probabilities and entropies of the last `completion` tokens, and no loss; None where nothing can be shared.

    Args:
        model: With TRL's fused output layer.
        tokens: (rows, columns); prompts are padded on the left, completions on the right.
        mask: (rows, columns).
        completion: Number of columns of the completions.
        compute_entropy: Entropies are None without it.
    """
    prompt = tokens.shape[1] - completion - 1  # the last token of a prompt is read with the completion it predicts
    read = _read_prompts(model, tokens[:, :prompt], mask[:, :prompt]) if prompt > 0 else None
    if read is None:
        return None
    return _of_completions(model, read, tokens[:, prompt:], mask[:, prompt:], compute_entropy)


def _read_prompts(model: Any, tokens: Tensor, mask: Tensor) -> _Read | None:
    """Read each distinct prompt; None where all differ, or the model does not keep all keys and values."""
    import torch
    from transformers.cache_utils import DynamicLayer

    distinct, owner = torch.unique(torch.stack([tokens, mask], 1), dim=0, return_inverse=True)
    if len(distinct) == len(tokens) or _KEEPS_A_WINDOW in model.__dict__:
        return None
    ids, mask = distinct.unbind(1)
    known = None
    if preamble := _preamble(ids, mask):
        first = int(mask[0].argmax())
        ones = mask.new_ones(len(ids), preamble)
        known = _read(model, ids[:1, first : first + preamble], ones[:1], None)
        known.batch_repeat_interleave(len(ids))
        ids, mask = _without(preamble, ids, mask)
        mask = torch.cat([ones, mask], 1)
    read = _read(model, ids, mask, known)
    if not all(type(layer) is DynamicLayer for layer in read.layers):
        setattr(model, _KEEPS_A_WINDOW, True)
        return None
    return _Read(read, mask, owner)


def _read(model: Any, ids: Tensor, mask: Tensor, known: Any) -> Any:
    """Keys and values of `ids`, after those that are `known`."""
    import torch

    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=_positions(mask)[:, -ids.shape[1] :],
        **{cache_argument(): known},
        use_cache=True,
        # A position by its number: a slice would have the whole output layer copied for every row.
        logits_to_keep=torch.tensor([ids.shape[1] - 1], device=ids.device),
    )
    return cache_of(output)


def _of_completions(model: Any, read: _Read, tokens: Tensor, mask: Tensor, compute_entropy: bool) -> Any:
    """Log-probabilities and entropies of all tokens but the first, which is the prompt's last one."""
    import torch

    lengths = mask.sum(1)
    order = lengths.argsort(descending=True)
    parts = []
    for rows in torch.split(order, _ROWS):
        length = max(2, int(lengths[rows[0]]))
        part = _of_rows(model, read, rows, tokens[rows, :length], mask[rows, :length], compute_entropy)
        parts.append([_wider(value, tokens.shape[1] - 1) for value in part])
    back = order.argsort()
    logps, *entropies = (torch.cat(values)[back] for values in zip(*parts, strict=True))
    return logps, entropies[0] if entropies else None, None


def _of_rows(
    model: Any, read: _Read, rows: Tensor, tokens: Tensor, mask: Tensor, compute_entropy: bool
) -> list[Tensor]:
    """Of some rows: log-probabilities and, where asked for, entropies."""
    import torch
    from transformers.cache_utils import DynamicCache

    owner, length = read.owner[rows], tokens.shape[1]
    known = DynamicCache()
    for number, layer in enumerate(read.cache.layers):
        known.update(layer.keys[owner], layer.values[owner], number)
    whole = torch.cat([read.mask[owner], mask], 1)
    labels = tokens.masked_fill(mask == 0, -100)
    labels[:, 0] = -100
    found = model(
        input_ids=tokens,
        attention_mask=whole,
        position_ids=_positions(whole)[:, -length:],
        **{cache_argument(): known},
        labels=labels,
        fused_lm_head=True,
    )
    values = [found.log_probs, found.entropy] if compute_entropy else [found.log_probs]
    return [value[:, 1 - length :] for value in values]


def _preamble(ids: Tensor, mask: Tensor) -> int:
    """Number of leading tokens that all prompts have, 0 for a single prompt; padding is on the left."""
    if len(ids) < 2:
        return 0
    import torch

    lengths = mask.sum(1)
    columns = (ids.shape[1] - lengths)[:, None] + torch.arange(int(lengths.min()), device=ids.device)
    begun = ids.gather(1, columns)
    return int((begun == begun[0]).all(0).cumprod(0).sum())


def _without(preamble: int, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Prompts without their first tokens, padded on the left."""
    import torch

    rest = mask.sum(1) - preamble
    width = max(1, int(rest.max()))
    place = torch.arange(width, device=mask.device)
    return ids[:, -width:], (place >= width - rest[:, None]).to(mask.dtype)


def _positions(mask: Tensor) -> Tensor:
    return (mask.cumsum(1) - 1).clamp(min=0)


def _wider(values: Tensor, width: int) -> Tensor:
    """Zeros to the right."""
    from torch.nn.functional import pad

    return pad(values, (0, width - values.shape[1]))
