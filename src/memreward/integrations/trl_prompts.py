"""TRL: read the prompt of a group once in the training pass, not once for each of its rollouts.

TRL's forward pass reads prompt and completion of every rollout, so eight rollouts of a group pay for the same prompt
eight times, there and back. Here each distinct prompt of a micro-batch is read once, its keys and values are handed to
all of its completions, and the gradient flows back through them. Log-probabilities, entropies and gradients are TRL's
but for rounding. It pays where prompts are long beside completions, and on a CPU, where TRL also takes the output
layer over every token of the prompt.
"""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def prompt_sharing_trainer() -> type[Any]:
    """Return the `GRPOTrainer` that shares prompts.

    It falls back to TRL's pass where a prompt cannot be shared: in several processes, with gradient checkpointing,
    inputs that are not text, mixture-of-experts losses, or a model whose cache keeps only a window.
    """
    import torch
    from transformers.cache_utils import DynamicLayer
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
            read = None
            text_alone = all(value is None or value is False for value in others.values())
            if (batch_size or len(input_ids)) >= len(input_ids) and text_alone:
                read = self._read_prompts(model, input_ids, attention_mask, logits_to_keep)
            if read is not None:
                tokens = input_ids[:, -logits_to_keep - 1 :]
                return self._of_completions(model, read, tokens, attention_mask, compute_entropy)
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, **others
            )

        def _read_prompts(self, model: Any, input_ids: Any, attention_mask: Any, completion: int) -> Any:
            """Keys and values of each row's prompt but for its last token; None leaves the pass to TRL."""
            shared = input_ids.shape[1] - completion - 1
            checkpointing = getattr(self.model, "is_gradient_checkpointing", False)
            if shared < 1 or checkpointing or self.accelerator.num_processes > 1:
                return None
            prompts = torch.stack([input_ids[:, :shared], attention_mask[:, :shared]], 1)
            distinct, owner = torch.unique(prompts, dim=0, return_inverse=True)
            if len(distinct) == len(input_ids):
                return None
            ids, mask = distinct.unbind(1)
            with self.accelerator.autocast():
                read = model(input_ids=ids, attention_mask=mask, use_cache=True, logits_to_keep=1).past_key_values
            if not all(type(layer) is DynamicLayer for layer in read.layers):
                return None
            read.batch_select_indices(owner)
            return read

        def _of_completions(self, model: Any, read: Any, tokens: Any, mask: Any, compute_entropy: bool) -> Any:
            """Log-probabilities and entropies of all tokens but the first, which is the prompt's last one."""
            length = tokens.shape[1]
            labels = tokens.masked_fill(mask[:, -length:] == 0, -100)
            labels[:, 0] = -100
            with self.accelerator.autocast():
                found = model(
                    input_ids=tokens, attention_mask=mask, past_key_values=read, labels=labels, fused_lm_head=True
                )
            entropy = found.entropy[:, 1 - length :] if compute_entropy else None
            return found.log_probs[:, 1 - length :], entropy, None

    return PromptSharingTrainer
