"""Sample groups of rollouts from a causal language model in this process, by transformers' `generate`."""

import os
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from memreward.policy.prompts import render
from memreward.policy.sampler import Chat, Sample, SampledGroup
from memreward.policy.settings import SamplingConfig
from memreward.types import ConfigurationError, MissingExtraError, content_hash

try:
    import torch
    from torch import Tensor
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LogitsProcessor, LogitsProcessorList
except ImportError as error:
    raise MissingExtraError(error.name or "transformers", "llm", "sampling from a language model") from error


@dataclass(frozen=True, slots=True)
class Prompt:
    """One group to sample."""

    id: str
    tokens: tuple[int, ...]

    @property
    def digest(self) -> str:
        return content_hash(repr(self.tokens))


class LocalSampler:
    """Samples groups from one model, given or loaded, on CUDA where there is one. Holds the weights; keep it.

    A group is one call of `generate`, seeded by the run's seed and the group's id. The log-probabilities of its samples
    are those under the model itself (temperature 1, all tokens). Rollouts end at the stop tokens of the model's
    generation settings, of which nothing else counts, and of the tokenizer. ConfigurationError where the model cannot
    be loaded.
    """

    def __init__(self, config: SamplingConfig, *, model: Any = None, tokenizer: Any = None) -> None:
        self.config = config
        self.tokenizer = tokenizer if tokenizer is not None else load_pretrained(AutoTokenizer, config.model)
        if model is None:
            # Half precision is slow on most processors, and what the checkpoint is in is right on a GPU.
            device, dtype = ("cuda", "auto") if torch.cuda.is_available() else ("cpu", torch.float32)
            model = load_pretrained(AutoModelForCausalLM, config.model, dtype=dtype).to(device)
        self.model = model.eval()
        ends = getattr(model.generation_config, "eos_token_id", None)
        told = ends if isinstance(ends, list) else [ends]
        self.stop_tokens = sorted({end for end in (*told, self.tokenizer.eos_token_id) if end is not None})
        # `generate` fills up what it is given from here: many a checkpoint sets top_k or a penalty of repetition.
        self.model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call, unused-ignore]
            eos_token_id=self.stop_tokens or None, pad_token_id=self.stop_tokens[0] if self.stop_tokens else 0
        )

    def prompts(self, chats: Sequence[Chat]) -> list[Prompt]:
        return [Prompt(chat.id, render(self.tokenizer, chat.messages)) for chat in chats]

    def sample(self, prompts: Iterable[Prompt]) -> Generator[SampledGroup, None, None]:
        for prompt in prompts:
            if not prompt.tokens:
                raise ConfigurationError(f"the prompt of {prompt.id!r} is empty: a prompt needs at least one token")
            completions, logprobs = self._generate(prompt)
            rows = zip(completions.tolist(), logprobs.tolist(), strict=True)
            yield SampledGroup(prompt.id, tuple(self._sample(*row) for row in rows))

    @torch.no_grad()
    def _generate(self, prompt: Prompt) -> tuple[Tensor, Tensor]:
        config = self.config
        drawn = {"do_sample": True, "temperature": config.temperature, "top_p": config.top_p, "top_k": 0}
        how = drawn if config.temperature else {"do_sample": False}
        given = torch.tensor([prompt.tokens] * config.rollouts, device=self.model.device)
        kept = _KeepsLogprobs()
        devices = [self.model.device] if self.model.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(int(content_hash(f"{config.seed} {prompt.id}")[:15], 16))
            sequences = self.model.generate(
                given,
                attention_mask=torch.ones_like(given),
                max_new_tokens=config.max_new_tokens,
                **how,
                logits_processor=LogitsProcessorList([kept]),
            )
        completions = sequences[:, given.shape[1] :]
        return completions, kept.of(sequences)

    def _sample(self, tokens: Sequence[int], logprobs: Sequence[float]) -> Sample:
        stop = next((place for place, token in enumerate(tokens) if token in self.stop_tokens), None)
        end = len(tokens) if stop is None else stop + 1
        text = self.tokenizer.decode(tokens[:end], skip_special_tokens=True)
        return Sample(text, tuple(tokens[:end]), tuple(logprobs[:end]), stop is None)


class _KeepsLogprobs(LogitsProcessor):
    """Keeps one number a token, where `generate` would keep the logits of the whole vocabulary: gigabytes."""

    def __init__(self) -> None:
        self._last: Tensor | None = None
        self._kept: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Take what was drawn since the last call, and remember what the next token is drawn from."""
        self._take(input_ids)
        self._last = scores.float().log_softmax(dim=-1)
        return scores

    def of(self, sequences: Tensor) -> Tensor:
        self._take(sequences)
        return torch.cat(self._kept, dim=1)

    def _take(self, sequences: Tensor) -> None:
        if self._last is not None:
            self._kept.append(self._last.gather(1, sequences[:, -1:]))


def load_pretrained(loader: Any, name: str, **options: Any) -> Any:
    """Return what `loader.from_pretrained` does; ConfigurationError where it cannot."""
    try:
        return loader.from_pretrained(name, **options)
    except (OSError, ValueError) as error:
        offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
        raise ConfigurationError(
            f"model {name!r} cannot be loaded{offline}: {error}; give the folder of a checkpoint, or a name on the hub"
        ) from error
