"""What a causal language model sees in a rollout: token log-probabilities and a hidden state.

A language model that reads a rollout knows more about its correctness than a sentence encoder (method, section 4 h):
reasoning that is wrong tends to hold tokens the reader finds unlikely.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from memreward.features.cache import DiskVectorStore, VectorStore, model_fingerprint
from memreward.features.encoder import replace_surrogates
from memreward.types import (
    ConfigurationError,
    FloatArray,
    MissingExtraError,
    Rollout,
    content_hash,
)

READER_NAMES = (
    "reader_logprob_mean",
    "reader_logprob_min",
    "reader_unlikely_share",
    "reader_thinking_logprob_mean",
    "reader_thinking_logprob_min",
    "reader_answer_logprob_mean",
    "reader_answer_logprob_min",
)
UNLIKELY = -3.0
"""A token with a log-probability below this counts into `reader_unlikely_share`."""

_PLAIN_TEMPLATE = "{query}\n"


@dataclass(frozen=True)
class ReaderConfig:
    """Which language model reads, and how.

    Attributes:
        model: Folder of a causal language model, or a name in the local hub cache; nothing is downloaded.
        layer: Whose output is the hidden state, 0 (the embeddings) to the number of layers; None is `middle_layer`.
        pooling: The hidden state is the last token's, the mean over the rollout's tokens, or both, one after the other.
        template: The prompt with `{query}` in it. None is the model's chat template with the query as the user's
            message where the model has one, else the query and a line break.
        max_tokens: Tokens of a rollout that are read, from its start; `Reading.coverage` tells what share that was.
        batch_size: Rollouts of one query read side by side.
        tokens_per_forward: Tokens in one forward pass; 512 need about 0.7 GB for a vocabulary of 150,000. A GPU is
            faster with several thousand.
        dtype: Name of a torch dtype. float32 is the fastest on a CPU; log-probabilities are float32 in any case.
        device: A torch device; None is CUDA where there is one, else the CPU.
    """

    model: str
    layer: int | None = None
    pooling: Literal["last", "mean", "both"] = "last"
    template: str | None = None
    max_tokens: int = 2048
    batch_size: int = 8
    tokens_per_forward: int = 512
    dtype: str = "float32"
    device: str | None = None

    def __post_init__(self) -> None:
        for field in ("max_tokens", "batch_size", "tokens_per_forward"):
            if getattr(self, field) < 1:
                raise ConfigurationError(f"reader: {field} is {getattr(self, field)}; it must be at least 1")
        if self.pooling not in ("last", "mean", "both"):
            raise ConfigurationError(f"reader: pooling is {self.pooling!r}; use 'last', 'mean' or 'both'")
        if self.dtype not in ("float32", "float16", "bfloat16"):
            raise ConfigurationError(f"reader: dtype is {self.dtype!r}; use float32, float16 or bfloat16")
        if self.template is not None and "{query}" not in self.template:
            raise ConfigurationError(f"reader: the template {self.template!r} has no {{query}} in it")


@dataclass(frozen=True)
class Reading:
    """What a reader saw in n rollouts.

    Attributes:
        values: (n, s) float32, columns `names`; NaN where undefined. Log-probabilities are natural and at most 0. The
            answer's tokens are those of the last place where `Rollout.answer` stands in `Rollout.text`, the thinking's
            are all tokens before; without such a place, or where it was not read, all tokens are thinking.
        hidden: (n, h) float32; zeros for an empty rollout.
        coverage: (n,) share of each rollout's tokens that was read; 1 unless it is longer than `max_tokens`.
        names: s names, always `READER_NAMES`.
    """

    values: FloatArray
    hidden: FloatArray
    coverage: FloatArray
    names: tuple[str, ...] = READER_NAMES


@dataclass(frozen=True)
class _Item:
    """A rollout in tokens: `ids` are the first of `n_tokens`, as many as are read."""

    key: str
    ids: list[int]
    n_tokens: int


@dataclass(frozen=True)
class TokenSpans:
    """A rollout's text in a tokenizer's tokens.

    Attributes:
        n_tokens: How many they are, without special ones.
        answer: First token of the answer at its last place in the text, and the one after its last; None where it has
            no place.
    """

    n_tokens: int
    answer: tuple[int, int] | None

    @classmethod
    def of(cls, tokenizer: Any, rollout: Rollout) -> Self:
        """Put a rollout into tokens."""
        text = replace_surrogates(rollout.text)
        encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        offsets = np.array(encoding["offset_mapping"]).reshape(-1, 2)
        first = rollout.text.rfind(rollout.answer) if rollout.answer else -1
        if first < 0 or rollout.answer is None:
            return cls(len(offsets), None)
        tokens = np.flatnonzero((offsets[:, 0] < first + len(rollout.answer)) & (offsets[:, 1] > first))
        return cls(len(offsets), (int(tokens[0]), int(tokens[-1]) + 1) if len(tokens) else None)


class Reader:
    """Reads rollouts with a causal language model, each text once.

    A query's prompt goes through the model once and its key-value cache is repeated for the rollouts, which follow
    in padded batches, longest first; a row leaves the batch when its rollout ends. What was read is kept in a store
    after every batch, by the content of query and rollout, so an interrupted run goes on where it stopped; another
    answer found in the same text needs no second reading. The model is loaded when the first rollout is not in the
    store.

    Args:
        config: Model and settings.
        store: Where readings are kept; None is a `DiskVectorStore` named `Reader.name` in the default cache folder.

    Raises:
        MissingExtraError: if transformers is not installed.
        ConfigurationError: if the model is not on this machine, has no such layer, or its tokenizer gives no offsets.
    """

    def __init__(self, config: ReaderConfig, store: VectorStore | None = None) -> None:
        if find_spec("transformers") is None or find_spec("torch") is None:
            raise MissingExtraError("transformers", "llm", "reading rollouts with a language model")
        self.config = config
        self.layer = self._resolve_layer()
        self._store: VectorStore = store if store is not None else DiskVectorStore(self.name)

    @cached_property
    def name(self) -> str:
        """Model with its fingerprint and every setting that changes a reading."""
        folder, c = Path(self.config.model), self.config
        model = f"{folder.name}-{model_fingerprint(folder)}" if folder.is_dir() else c.model
        template = "auto" if c.template is None else content_hash(c.template)[:12]
        return f"reader/{model}/layer={self.layer}-{c.pooling}/{c.dtype}/max={c.max_tokens}/template={template}"

    @property
    def hidden_size(self) -> int:
        """Length h of a hidden state, twice the model's with pooling "both"."""
        return int(self._text_config.hidden_size) * (2 if self.config.pooling == "both" else 1)

    def read(self, rollouts: Sequence[Rollout], progress: Callable[[int], None] | None = None) -> Reading:
        """Return what the model sees in `rollouts`, in their order.

        Args:
            rollouts: n rollouts of any queries, in any order.
            progress: Called with the number of rollouts finished since its last call, known and repeated ones included.
        """
        keys = [_reading_key(rollout) for rollout in rollouts]
        known = self._store.get(list(dict.fromkeys(keys)))
        report = _ProgressByKey(keys, progress)
        report(known)
        missing = {key: rollout for key, rollout in zip(keys, rollouts, strict=True) if key not in known}
        for new in self._read_missing(missing):
            self._store.put(list(new), np.stack(list(new.values())))
            known |= new
            report(new)
        entries = [_Entry.from_row(known[key], self.hidden_size) for key in keys]
        values = [
            summarise(entry.logprobs, TokenSpans.of(self._tokenizer, rollout).answer)
            for entry, rollout in zip(entries, rollouts, strict=True)
        ]
        return Reading(
            values=np.array(values, dtype=np.float32).reshape(len(entries), len(READER_NAMES)),
            hidden=np.array([entry.hidden for entry in entries], np.float32).reshape(len(entries), self.hidden_size),
            coverage=np.array([entry.coverage for entry in entries], dtype=np.float32),
        )

    def _read_missing(self, missing: dict[str, Rollout]) -> Iterator[dict[str, FloatArray]]:
        by_query: dict[str, dict[str, Rollout]] = {}
        for key, rollout in missing.items():
            by_query.setdefault(rollout.query.text, {})[key] = rollout
        for query_text, group in by_query.items():
            prompt = self._prompt_ids(query_text)
            items = [self._tokenize(key, rollout, len(prompt)) for key, rollout in group.items()]
            if empty := {item.key: _Entry.empty(self.hidden_size).to_row() for item in items if not item.ids}:
                yield empty
            items = sorted((item for item in items if item.ids), key=lambda item: -len(item.ids))
            prefix = self._prefill(prompt) if items else None
            for start in range(0, len(items), self.config.batch_size):
                yield self._read_batch(items[start : start + self.config.batch_size], prefix)

    def _read_batch(self, batch: list[_Item], prefix: Any) -> dict[str, FloatArray]:
        logprobs, hidden = self._forward_rows([item.ids for item in batch], prefix)
        if not (np.isfinite(logprobs).all() and np.isfinite(hidden).all()):
            raise ConfigurationError(
                f"reader: {self.config.model!r} gave NaN or infinity in {self.config.dtype}; use dtype float32, and if "
                "it is that already, check the weights"
            )
        return {
            item.key: _Entry(item.n_tokens, state, row[: len(item.ids)]).to_row(len(batch[0].ids))
            for item, row, state in zip(batch, logprobs, hidden, strict=True)
        }

    def _prefill(self, prompt: list[int]) -> tuple[Any, Any]:
        import torch

        cache, last = None, None
        with torch.inference_mode():
            for start in range(0, len(prompt), self.config.tokens_per_forward):
                ids = torch.tensor([prompt[start : start + self.config.tokens_per_forward]], device=self._device)
                out = self._model(input_ids=ids, past_key_values=cache, use_cache=True)
                cache, last = out.past_key_values, out.logits[:, -1:].float()
        return cache, last

    def _forward_rows(self, rows: list[list[int]], prefix: Any) -> tuple[FloatArray, FloatArray]:
        """Return token log-probabilities (b, longest) and hidden states (b, h); rows come longest first, none empty."""
        import torch

        lengths = torch.tensor([len(row) for row in rows], device=self._device)
        width = len(rows[0])
        # one column more than the longest row: the last position's target is padding
        ids = torch.zeros((len(rows), width + 1), dtype=torch.long, device=self._device)
        for padded, row in zip(ids, rows, strict=True):
            padded[: len(row)] = torch.tensor(row)
        logprobs = torch.zeros(ids.shape, device=self._device)
        states = torch.zeros((len(rows), self.hidden_size), device=self._device)
        with torch.inference_mode():
            cache = copy.deepcopy(prefix[0])
            cache.batch_repeat_interleave(len(rows))
            logprobs[:, :1] = _token_logprobs(prefix[1].expand(len(rows), -1, -1), ids[:, :1])
            start, n_active = 0, len(rows)
            while start < width:
                if (still := int((lengths > start).sum())) < n_active:
                    n_active = still
                    cache.batch_select_indices(torch.arange(n_active, device=self._device))
                stop = min(width, start + max(1, self.config.tokens_per_forward // n_active))
                out = self._model(
                    input_ids=ids[:n_active, start:stop],
                    past_key_values=cache,
                    use_cache=True,
                    output_hidden_states=True,
                )
                targets = ids[:n_active, start + 1 : stop + 1]
                logprobs[:n_active, start + 1 : stop + 1] = _token_logprobs(out.logits, targets)
                weight = self._token_weight(lengths[:n_active], start, stop)
                pooled = torch.einsum("prt,rth->rph", weight, out.hidden_states[self.layer].float())
                states[:n_active] += pooled.flatten(1)
                start = stop
        return logprobs[:, :width].cpu().numpy(), states.cpu().numpy()

    def _token_weight(self, lengths: Any, start: int, stop: int) -> Any:
        import torch

        position = torch.arange(start, stop, device=lengths.device)[None, :]
        weights = {
            "last": (position == lengths[:, None] - 1).float(),
            "mean": (position < lengths[:, None]).float() / lengths[:, None],
        }
        return torch.stack([weight for name, weight in weights.items() if self.config.pooling in (name, "both")])

    def _tokenize(self, key: str, rollout: Rollout, n_prompt: int) -> _Item:
        text = replace_surrogates(rollout.text)
        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return _Item(key, ids[: min(self.config.max_tokens, self._positions - n_prompt)], len(ids))

    def _prompt_ids(self, query_text: str) -> list[int]:
        query = replace_surrogates(query_text)
        if self.config.template is None and self._tokenizer.chat_template:
            message = [{"role": "user", "content": query}]
            prompt = self._tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
            ids = self._tokenizer(prompt, add_special_tokens=False)["input_ids"]
        else:
            template = self.config.template or _PLAIN_TEMPLATE
            ids = self._tokenizer(template.replace("{query}", query))["input_ids"]
        if not ids:
            raise ConfigurationError(
                f"reader: the template {self.config.template!r} gives no token for the query {query_text[:40]!r}; "
                "put some text around {query}"
            )
        # the end of an overlong prompt is what the rollout follows; half the positions stay for the rollout
        return list(ids[-max(1, self._positions // 2) :])

    def _resolve_layer(self) -> int:
        n_layers = int(self._text_config.num_hidden_layers)
        layer = middle_layer(n_layers) if self.config.layer is None else self.config.layer
        if not 0 <= layer <= n_layers:
            raise ConfigurationError(f"reader: layer is {layer}; {self.config.model!r} has layers 0 to {n_layers}")
        return layer

    @property
    def _positions(self) -> int:
        return int(getattr(self._text_config, "max_position_embeddings", None) or 1_000_000)

    @cached_property
    def _text_config(self) -> Any:
        from transformers import AutoConfig

        return self._load(AutoConfig).get_text_config()

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return fast_tokenizer(self._load(AutoTokenizer), self.config.model)

    @cached_property
    def _device(self) -> Any:
        import torch

        return torch.device(self.config.device or ("cuda" if torch.cuda.is_available() else "cpu"))

    @cached_property
    def _model(self) -> Any:
        from transformers import AutoModelForCausalLM

        return self._load(AutoModelForCausalLM, dtype=self.config.dtype).eval().to(self._device)

    def _load(self, auto_class: Any, **settings: Any) -> Any:
        try:
            return auto_class.from_pretrained(self.config.model, local_files_only=True, **settings)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"reader: cannot load {self.config.model!r}: {error}; give a checkpoint's folder, or fetch it first "
                f"with `hf download {self.config.model}`, since memreward downloads nothing"
            ) from error


@dataclass(frozen=True)
class _Entry:
    """A reading as it is stored: one float32 row of token count, hidden state (h,), log-probabilities, NaN to fill."""

    n_tokens: int
    hidden: FloatArray
    logprobs: FloatArray

    @classmethod
    def empty(cls, hidden_size: int) -> Self:
        return cls(0, np.zeros(hidden_size, np.float32), np.zeros(0, np.float32))

    @classmethod
    def from_row(cls, row: FloatArray, hidden_size: int) -> Self:
        logprobs = row[1 + hidden_size :]
        return cls(int(row[0]), row[1 : 1 + hidden_size], logprobs[~np.isnan(logprobs)])

    @property
    def coverage(self) -> float:
        return len(self.logprobs) / self.n_tokens if self.n_tokens else 1.0

    def to_row(self, length: int = 0) -> FloatArray:
        filler = np.full(max(0, length - len(self.logprobs)), np.nan)
        return np.concatenate([[self.n_tokens], self.hidden, self.logprobs, filler], dtype=np.float32)


class _ProgressByKey:
    """Tells a callback how many rollouts the finished keys stand for."""

    def __init__(self, keys: Sequence[str], callback: Callable[[int], None] | None) -> None:
        self._keys, self._callback = keys, callback

    def __call__(self, finished: dict[str, FloatArray]) -> None:
        if self._callback and (count := sum(key in finished for key in self._keys)):
            self._callback(count)


def _reading_key(rollout: Rollout) -> str:
    return content_hash(json.dumps([rollout.query.text, rollout.text]))


def _token_logprobs(logits: Any, targets: Any) -> Any:
    logits = logits.float()
    return logits.gather(-1, targets[..., None])[..., 0] - logits.logsumexp(-1)


def middle_layer(layers: int) -> int:
    """Return the layer two thirds of the way up: 16 of 24, the best of a 0.5B model on GSM8K (method, section 4 h)."""
    return 2 * layers // 3


def fast_tokenizer(tokenizer: Any, model: str) -> Any:
    """Return `tokenizer` if it tells where in the text its tokens stand.

    Raises:
        ConfigurationError: it does not.
    """
    if not tokenizer.is_fast:
        raise ConfigurationError(
            f"reader: the tokenizer of {model!r} tells no character positions (it is not a fast one), "
            "so thinking and answer cannot be told apart; convert it with `tokenizers`"
        )
    return tokenizer


def summarise(logprobs: FloatArray, answer: tuple[int, int] | None) -> list[float]:
    """Return the values of `READER_NAMES` of (t,) log-probabilities, those of the answer's tokens told apart."""
    first, end = answer if answer and answer[1] <= len(logprobs) else (len(logprobs), len(logprobs))
    parts = (logprobs, logprobs[:first], logprobs[first:end])
    (mean, least), thinking, answered = [(p.mean(), p.min()) if len(p) else (np.nan, np.nan) for p in parts]
    unlikely = (logprobs < UNLIKELY).mean() if len(logprobs) else np.nan
    return [float(value) for value in (mean, least, unlikely, *thinking, *answered)]
