"""Sample groups of rollouts from a causal language model in this process.

A prompt is prefilled once and its key-value cache repeated for every rollout of its group. Groups are decoded
together: as rows finish they are dropped, and the next waiting groups take their place. What several prompts have in
common (a few-shot preamble) is prefilled once and kept. Every group draws from its own stream of random numbers, so
what a group samples does not depend on which groups it was decoded with.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.decoding.key_values import cache_argument, cache_of
from memreward.policy.local import load_pretrained
from memreward.policy.prompts import render
from memreward.policy.sampler import Chat, Sample, SampledGroup
from memreward.policy.settings import SamplingConfig
from memreward.types import ConfigurationError, MissingExtraError, content_hash

try:
    import torch
    from torch import Tensor
    from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
    from transformers.cache_utils import DynamicLayer
except ImportError as error:
    raise MissingExtraError(error.name or "transformers", "llm", "sampling from a language model") from error

_NUCLEUS_CANDIDATES = 256
_ROOM = 64


@dataclass(frozen=True, slots=True)
class Prompt:
    """One group to sample.

    Of its tokens, the first `shared` are those of other prompts too, prefilled once for all. `rows` are the rollouts of
    the group to sample, each as it would be in the whole group; () for all.
    """

    id: str
    tokens: tuple[int, ...]
    shared: int = 0
    rows: tuple[int, ...] = ()

    @property
    def digest(self) -> str:
        """Changes with the tokens."""
        return content_hash(repr(self.tokens))


@dataclass(eq=False)
class _Row:
    """One rollout that is being decoded."""

    group: _OpenGroup
    uniforms: NDArray[np.float64]
    tokens: list[int] = field(default_factory=list)
    token_logprobs: list[float] = field(default_factory=list)
    finished: bool = False
    truncated: bool = False


@dataclass(eq=False)
class _OpenGroup:
    id: str
    rows: list[_Row] = field(default_factory=list)


class _Layer(DynamicLayer):  # type: ignore[no-untyped-call, unused-ignore]
    """Keys and values of one layer with room behind them: a token is written there, and nothing before it copied."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self.lazy_initialization(keys, values)
        self.keys: Tensor = keys
        self.values: Tensor = values
        self._with_room: list[Tensor] = []

    def changed(self, change: Callable[[Tensor], Tensor]) -> _Layer:
        return _Layer(change(self.keys), change(self.values))

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        start = self.keys.shape[-2]
        end = start + key_states.shape[-2]
        if not self._with_room or end > self._with_room[0].shape[-2]:
            room = end - start + max(_ROOM, start // 4)
            self._with_room = [torch.nn.functional.pad(old, (0, 0, 0, room)) for old in (self.keys, self.values)]
        for whole, new in zip(self._with_room, (key_states, value_states), strict=True):
            whole[:, :, start:end] = new
        self.keys, self.values = (whole[:, :, :end] for whole in self._with_room)
        return self.keys, self.values


@dataclass
class _Batch:
    """Rows under way. Columns of the cache that a row does not use are 0 in its mask.

    Shapes: keys and values of each layer (rows, heads, columns, size), mask (rows, columns), position (rows,),
    logits (rows, vocabulary) of the next token.
    """

    rows: list[_Row]
    layers: list[_Layer]
    mask: Tensor
    position: Tensor
    logits: Tensor

    def keep(self, indices: Sequence[int]) -> _Batch:
        """Only these rows, and only the columns one of them uses."""
        index = torch.tensor(indices, device=self.mask.device)
        mask = self.mask[index]
        columns = mask.any(dim=0).nonzero().squeeze(1)
        first = int(columns[0])
        return _Batch(
            [self.rows[i] for i in indices],
            [layer.changed(lambda part: part[index, :, first:]) for layer in self.layers],
            mask[:, first:],
            self.position[index],
            self.logits[index],
        )

    def join(self, other: _Batch) -> _Batch:
        """Rows of both, the narrower one padded on the left."""
        width = max(self.mask.shape[1], other.mask.shape[1])
        return _Batch(
            self.rows + other.rows,
            [
                _Layer(
                    torch.cat([_widen(mine.keys, width), _widen(its.keys, width)]),
                    torch.cat([_widen(mine.values, width), _widen(its.values, width)]),
                )
                for mine, its in zip(self.layers, other.layers, strict=True)
            ],
            torch.cat([torch.nn.functional.pad(b.mask, (width - b.mask.shape[1], 0)) for b in (self, other)]),
            torch.cat([self.position, other.position]),
            torch.cat([self.logits, other.logits]),
        )


def _widen(tensor: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(tensor, (0, 0, width - tensor.shape[2], 0))


def draw_tokens(logits: Tensor, uniforms: Tensor, *, temperature: float, top_p: float) -> tuple[Tensor, Tensor]:
    """Sample one token a row by inverting the distribution function of the tempered nucleus.

    The nucleus is the smallest set of most probable tokens whose tempered probability reaches `top_p`. Of (rows,
    vocabulary) logits, and (rows,) float64 in [0, 1) of which one decides one token, returns (rows,) tokens and their
    log-probabilities under the plain, untempered distribution. Temperature 0 takes the most probable.
    """
    logits = logits.float()
    if temperature == 0:
        tokens = logits.argmax(dim=-1)
    else:
        scaled = logits / temperature
        total = torch.logsumexp(scaled, dim=-1, keepdim=True)
        count = min(_NUCLEUS_CANDIDATES, logits.shape[-1])
        values, indices = scaled.topk(count, dim=-1)
        tokens, enough = _invert(values, indices, total, uniforms, top_p)
        if not bool(enough.all()):
            rest = ~enough
            values, indices = _ordered(scaled[rest], indices[rest])
            tokens[rest], _ = _invert(values, indices, total[rest], uniforms[rest], top_p)
    logprobs = logits.gather(1, tokens[:, None]).squeeze(1) - torch.logsumexp(logits, dim=-1)
    return tokens, logprobs


def _ordered(scaled: Tensor, leading: Tensor) -> tuple[Tensor, Tensor]:
    """All tokens by descending logit; the `leading` ones keep their places, so that ties are broken one way."""
    values = scaled.gather(1, leading)
    others = scaled.scatter(1, leading, -torch.inf).sort(dim=-1, descending=True)
    count = scaled.shape[1] - leading.shape[1]
    return torch.cat([values, others.values[:, :count]], dim=1), torch.cat([leading, others.indices[:, :count]], dim=1)


def _invert(values: Tensor, indices: Tensor, total: Tensor, uniforms: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """Tokens at `uniforms` of the nucleus, and whether the ordered candidates were enough to know it."""
    cumulative = (values - total).double().exp().cumsum(dim=-1)
    if top_p < 1:
        crossing = torch.searchsorted(cumulative, torch.full_like(total, top_p, dtype=torch.float64))
        enough = crossing.squeeze(1) < values.shape[1]
        mass = cumulative.gather(1, crossing.clamp(max=values.shape[1] - 1))
    else:
        mass = torch.ones_like(total, dtype=torch.float64)
        enough = cumulative[:, -1] > uniforms
    place = torch.searchsorted(cumulative, uniforms[:, None] * mass, right=True).clamp(max=values.shape[1] - 1)
    return indices.gather(1, place).squeeze(1), enough


class GroupDecoder:
    """Samples groups from one model, given or loaded, on CUDA where there is one. Holds the weights; keep it.

    The log-probabilities of its samples are those under the model itself (temperature 1, all tokens). Rollouts end at
    the stop tokens, by default those of the model's generation settings and the tokenizer. ConfigurationError where the
    model cannot be loaded, or its cache cannot be repeated.
    """

    def __init__(
        self,
        config: SamplingConfig,
        *,
        groups_per_batch: int = 8,
        dtype: str = "float32",
        model: Any = None,
        tokenizer: Any = None,
        stop_tokens: Iterable[int] | None = None,
    ) -> None:
        self.config = config
        self.groups_per_batch = groups_per_batch
        self.tokenizer = tokenizer if tokenizer is not None else load_pretrained(AutoTokenizer, config.model)
        if model is None:
            model = load_pretrained(AutoModelForCausalLM, config.model, dtype=getattr(torch, dtype))
            model = model.to("cuda" if torch.cuda.is_available() else "cpu")
        if getattr(model, "_is_stateful", False):
            raise _no_key_values(config.model)
        self.model, self.device = model.eval(), model.device
        self.stop_tokens = _stop_tokens(self.model, self.tokenizer) if stop_tokens is None else frozenset(stop_tokens)
        self._preambles: dict[tuple[int, ...], list[_Layer]] = {}

    def prompts(self, chats: Sequence[Chat]) -> list[Prompt]:
        """Put chats into tokens; what all chats of a template begin with is marked as shared."""
        tokens = [render(self.tokenizer, chat.messages) for chat in chats]
        alike: dict[str, list[tuple[int, ...]]] = {}
        for chat, prompt in zip(chats, tokens, strict=True):
            alike.setdefault(chat.template, []).append(prompt)
        shared = {template: common_prefix(prompts) for template, prompts in alike.items()}
        return [Prompt(chat.id, prompt, shared[chat.template]) for chat, prompt in zip(chats, tokens, strict=True)]

    def sample(self, prompts: Iterable[Prompt]) -> Generator[SampledGroup, None, None]:
        """Yield a group as soon as its last rollout is finished; the order is that of finishing."""
        waiting = deque(prompts)
        capacity = self.groups_per_batch * self.config.rollouts
        batch: _Batch | None = None
        while waiting or batch is not None:
            under_way = len(batch.rows) if batch is not None else 0
            room = (capacity - under_way) // self.config.rollouts
            if waiting and room:
                admitted = self._prefill([waiting.popleft() for _ in range(min(room, len(waiting)))])
                batch = admitted if batch is None else batch.join(admitted)
            assert batch is not None
            batch, finished = self._step(batch)
            yield from finished

    @torch.no_grad()  # not inference_mode: what a forward pass leaves in a model that trains must be of use there
    def _prefill(self, prompts: Sequence[Prompt]) -> _Batch:
        by_preamble: dict[tuple[int, ...], list[Prompt]] = {}
        for prompt in prompts:
            if not prompt.tokens:
                raise ConfigurationError(f"the prompt of {prompt.id!r} is empty: a prompt needs at least one token")
            shared = min(prompt.shared, len(prompt.tokens) - 1)
            by_preamble.setdefault(prompt.tokens[:shared], []).append(prompt)
        return reduce(_Batch.join, (self._prefill_alike(preamble, alike) for preamble, alike in by_preamble.items()))

    def _prefill_alike(self, preamble: tuple[int, ...], prompts: Sequence[Prompt]) -> _Batch:
        """Prompts that begin with `preamble`: its cache is reused, the rest is padded between the two."""
        start, count = len(preamble), len(prompts)
        rests = [prompt.tokens[start:] for prompt in prompts]
        width = max(map(len, rests))
        tokens = torch.zeros((count, width), dtype=torch.long)
        mask = torch.zeros((count, start + width), dtype=torch.long)
        mask[:, :start] = 1
        for row, rest in enumerate(rests):
            tokens[row, width - len(rest) :] = torch.tensor(rest)
            mask[row, start + width - len(rest) :] = 1
        mask = mask.to(self.device)
        position = (mask.cumsum(dim=1) - 1).clamp(min=0)
        past = [layer.changed(lambda part: part.expand(count, -1, -1, -1)) for layer in self._preamble(preamble)]
        logits, layers = self._forward(tokens.to(self.device), mask, position[:, start:], past)
        groups = [self._open(prompt) for prompt in prompts]
        repeats = torch.tensor([len(group.rows) for group in groups], device=self.device)
        return _Batch(
            [row for group in groups for row in group.rows],
            [layer.changed(lambda part: part.repeat_interleave(repeats, dim=0)) for layer in layers],
            mask.repeat_interleave(repeats, dim=0),
            (position[:, -1] + 1).repeat_interleave(repeats, dim=0),
            logits.repeat_interleave(repeats, dim=0),
        )

    def _preamble(self, preamble: tuple[int, ...]) -> list[_Layer]:
        if not preamble:
            return []
        if preamble not in self._preambles:
            tokens = torch.tensor([preamble], device=self.device)
            position = torch.arange(len(preamble), device=self.device)[None]
            _, self._preambles[preamble] = self._forward(tokens, torch.ones_like(tokens), position, [])
        return self._preambles[preamble]

    def _open(self, prompt: Prompt) -> _OpenGroup:
        """The rows asked for, each with its own uniform number for every token it may sample."""
        shape = (self.config.rollouts, self.config.max_new_tokens)
        seed = int(content_hash(f"{self.config.seed} {prompt.id}")[:16], 16)
        uniforms = np.random.default_rng(seed).random(shape)
        group = _OpenGroup(prompt.id)
        group.rows = [_Row(group, uniforms[row]) for row in prompt.rows or range(self.config.rollouts)]
        return group

    @torch.no_grad()
    def _step(self, batch: _Batch) -> tuple[_Batch | None, list[SampledGroup]]:
        """Sample one token for every row, hand back what that finished, and compute the next logits."""
        config = self.config
        uniforms = torch.tensor(
            [0.0 if row.finished else row.uniforms[len(row.tokens)] for row in batch.rows], dtype=torch.float64
        )
        tokens, logprobs = draw_tokens(
            batch.logits, uniforms.to(self.device), temperature=config.temperature, top_p=config.top_p
        )
        closed: list[SampledGroup] = []
        for row, token, logprob in zip(batch.rows, tokens.tolist(), logprobs.tolist(), strict=True):
            if row.finished:
                continue
            self._append(row, token, logprob)
            if row.finished and all(other.finished for other in row.group.rows):
                closed.append(self._close(row.group))
        left = [index for index, row in enumerate(batch.rows) if not row.finished]
        if not left:
            return None, closed
        if len(batch.rows) - len(left) >= max(1, len(batch.rows) // 8):
            batch, tokens = batch.keep(left), tokens[torch.tensor(left, device=tokens.device)]
        mask = torch.nn.functional.pad(batch.mask, (0, 1), value=1)
        logits, layers = self._forward(tokens[:, None], mask, batch.position[:, None], batch.layers)
        return _Batch(batch.rows, layers, mask, batch.position + 1, logits), closed

    def _append(self, row: _Row, token: int, logprob: float) -> None:
        row.tokens.append(token)
        row.token_logprobs.append(logprob)
        row.truncated = token not in self.stop_tokens and len(row.tokens) == self.config.max_new_tokens
        row.finished = row.truncated or token in self.stop_tokens

    def _close(self, group: _OpenGroup) -> SampledGroup:
        samples = (
            Sample(
                self.tokenizer.decode(row.tokens, skip_special_tokens=True),
                tuple(row.tokens),
                tuple(row.token_logprobs),
                row.truncated,
            )
            for row in group.rows
        )
        return SampledGroup(group.id, tuple(samples))

    def _forward(
        self, tokens: Tensor, mask: Tensor, position: Tensor, past: list[_Layer]
    ) -> tuple[Tensor, list[_Layer]]:
        """Logits (rows, vocabulary) after the last token, and every layer.

        The layers of `past` are written to.
        """
        cache = DynamicCache()
        cache.layers.extend(past)
        output = self.model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=position,
            **{cache_argument(): cache},
            use_cache=True,
            # The last position by its number: a slice would have the whole output layer copied for every row.
            logits_to_keep=torch.tensor([tokens.shape[1] - 1], device=tokens.device),
        )
        return output.logits[:, -1], _layers(cache_of(output), self.config.model)


def _layers(cache: Any, name: str) -> list[_Layer]:
    layers = getattr(cache, "layers", [])
    if not layers or not all(isinstance(getattr(layer, "keys", None), Tensor) for layer in layers):
        raise _no_key_values(name)
    return [layer if isinstance(layer, _Layer) else _Layer(layer.keys, layer.values) for layer in layers]


def _no_key_values(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"model {name!r} keeps a state that is no key-value cache in every layer, which cannot be repeated for a "
        "group: use a model with attention in all layers"
    )


def common_prefix(prompts: Sequence[tuple[int, ...]]) -> int:
    """Number of leading tokens that all prompts have. The least and the greatest of them differ first."""
    least, greatest = min(prompts), max(prompts)
    return next((i for i, (a, b) in enumerate(zip(least, greatest, strict=False)) if a != b), len(least))


def _stop_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    ends = model.generation_config.eos_token_id if model.generation_config is not None else None
    ends = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
    if tokenizer.eos_token_id is not None:
        ends.append(tokenizer.eos_token_id)
    return frozenset(ends)
