"""What a causal language model sees in a rollout: token log-probabilities.

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
from typing import Any, Self

import numpy as np

from memreward.features.cache import DiskVectorStore, VectorStore, model_fingerprint
from memreward.policy.key_values import cache_argument, cache_of
from memreward.policy.readings import READER_NAMES, Reading, TokenSpans, fast_tokenizer, summarise
from memreward.types import (
    ConfigurationError,
    FloatArray,
    MissingExtraError,
    Query,
    Rollout,
    content_hash,
)
from memreward.unicode import replace_surrogates

Messages = list[dict[str, str]]
"""A chat, each message with "role" and "content"."""

_PLAIN_TEMPLATE = "{query}\n"


@dataclass(frozen=True)
class ReaderConfig:
    """Which language model reads, and how.

    Attributes:
        model: Folder of a causal language model, or a name in the local hub cache; nothing is downloaded.
        template: The prompt with `{query}` in it. None is the model's chat template with the query as the user's
            message where the model has one, else the query and a line break; where a `Reader` is told the chat, that.
        max_tokens: Tokens of a rollout that are read, from its start; `Reading.coverage` tells what share that was.
        batch_size: Rollouts of one query read side by side.
        tokens_per_forward: Tokens in one forward pass; 512 need about 0.7 GB for a vocabulary of 150,000. A GPU is
            faster with several thousand.
        dtype: Name of a torch dtype. float32 is the fastest on a CPU; log-probabilities are float32 in any case.
        device: A torch device; None is CUDA where there is one, else the CPU.
    """

    model: str
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
        if self.dtype not in ("float32", "float16", "bfloat16"):
            raise ConfigurationError(f"reader: dtype is {self.dtype!r}; use float32, float16 or bfloat16")
        if self.template is not None and "{query}" not in self.template:
            raise ConfigurationError(f"reader: the template {self.template!r} has no {{query}} in it")


@dataclass(frozen=True)
class _Item:
    """A rollout in tokens: `ids` are the first of `n_tokens`, as many as are read."""

    key: str
    ids: list[int]
    n_tokens: int


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
        chat: Gives the chat in which a query was asked, system message and worked examples included, so that rollouts
            are read under the prompt that they were sampled with. None is the bare query, see `ReaderConfig.template`.
            A reader is as picklable as this is.

    Raises:
        MissingExtraError: if transformers is not installed.
        ConfigurationError: if the model is not on this machine, or its tokenizer gives no offsets;
            if both a template and a chat are given.
    """

    def __init__(
        self,
        config: ReaderConfig,
        store: VectorStore | None = None,
        *,
        chat: Callable[[Query], Messages] | None = None,
    ) -> None:
        if find_spec("transformers") is None or find_spec("torch") is None:
            raise MissingExtraError("transformers", "llm", "reading rollouts with a language model")
        if chat is not None and config.template is not None:
            raise ConfigurationError(
                f"reader: the template {config.template!r} and a chat both say what the prompt is: give one of them"
            )
        self.config, self.chat = config, chat
        self._text_config  # noqa: B018  a model that is missing is told here, before anything is spent
        self._store: VectorStore = store if store is not None else DiskVectorStore(self.name)

    @cached_property
    def name(self) -> str:
        """Model with its fingerprint and every setting that changes a reading."""
        folder, c = Path(self.config.model), self.config
        model = f"{folder.name}-{model_fingerprint(folder)}" if folder.is_dir() else c.model
        template = "auto" if c.template is None else content_hash(c.template)[:12]
        if self.chat is not None:
            template = "chat"
        return f"reader/{model}/{c.dtype}/max={c.max_tokens}/template={template}"

    def read(self, rollouts: Sequence[Rollout], progress: Callable[[int], None] | None = None) -> Reading:
        """Return what the model sees in `rollouts`, in their order.

        Args:
            rollouts: n rollouts of any queries, in any order.
            progress: Called with the number of rollouts finished since its last call, known and repeated ones included.

        Raises:
            ConfigurationError: if the model gives no finite number, or has no chat template to put a chat into tokens.
        """
        asked = {query: self._asked(query) for query in dict.fromkeys(rollout.query for rollout in rollouts)}
        keys = [content_hash(json.dumps([asked[rollout.query], rollout.text])) for rollout in rollouts]
        known = self._store.get(list(dict.fromkeys(keys)))
        report = _ProgressByKey(keys, progress)
        report(known)
        missing = {key: rollout for key, rollout in zip(keys, rollouts, strict=True) if key not in known}
        for new in self._read_missing(missing):
            self._store.put(list(new), np.stack(list(new.values())))
            known |= new
            report(new)
        entries = [_Entry.from_row(known[key]) for key in keys]
        values = [
            summarise(entry.logprobs, TokenSpans.of(self._tokenizer, rollout).answer)
            for entry, rollout in zip(entries, rollouts, strict=True)
        ]
        return Reading(
            values=np.array(values, dtype=np.float32).reshape(len(entries), len(READER_NAMES)),
            coverage=np.array([entry.coverage for entry in entries], dtype=np.float32),
        )

    def _read_missing(self, missing: dict[str, Rollout]) -> Iterator[dict[str, FloatArray]]:
        by_prompt: dict[str, dict[str, Rollout]] = {}
        for key, rollout in missing.items():
            by_prompt.setdefault(json.dumps(self._asked(rollout.query)), {})[key] = rollout
        for asked, group in by_prompt.items():
            prompt = self._prompt_ids(json.loads(asked))
            items = [self._tokenize(key, rollout, len(prompt)) for key, rollout in group.items()]
            if empty := {item.key: _Entry.empty().to_row() for item in items if not item.ids}:
                yield empty
            items = sorted((item for item in items if item.ids), key=lambda item: -len(item.ids))
            prefix = self._prefill(prompt) if items else None
            for start in range(0, len(items), self.config.batch_size):
                yield self._read_batch(items[start : start + self.config.batch_size], prefix)

    def _read_batch(self, batch: list[_Item], prefix: Any) -> dict[str, FloatArray]:
        logprobs = self._forward_rows([item.ids for item in batch], prefix)
        if not np.isfinite(logprobs).all():
            raise ConfigurationError(
                f"reader: {self.config.model!r} gave NaN or infinity in {self.config.dtype}; use dtype float32, and if "
                "it is that already, check the weights"
            )
        return {
            item.key: _Entry(item.n_tokens, row[: len(item.ids)]).to_row(len(batch[0].ids))
            for item, row in zip(batch, logprobs, strict=True)
        }

    def _prefill(self, prompt: list[int]) -> tuple[Any, Any]:
        import torch

        cache, last = None, None
        with torch.inference_mode():
            for start in range(0, len(prompt), self.config.tokens_per_forward):
                ids = torch.tensor([prompt[start : start + self.config.tokens_per_forward]], device=self._device)
                out = self._model(input_ids=ids, **{cache_argument(): cache}, use_cache=True)
                cache, last = cache_of(out), out.logits[:, -1:].float()
        return cache, last

    def _forward_rows(self, rows: list[list[int]], prefix: Any) -> FloatArray:
        """Return token log-probabilities (b, longest); rows come longest first, none empty."""
        import torch

        lengths = torch.tensor([len(row) for row in rows], device=self._device)
        width = len(rows[0])
        # one column more than the longest row: the last position's target is padding
        ids = torch.zeros((len(rows), width + 1), dtype=torch.long, device=self._device)
        for padded, row in zip(ids, rows, strict=True):
            padded[: len(row)] = torch.tensor(row)
        logprobs = torch.zeros(ids.shape, device=self._device)
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
                    **{cache_argument(): cache},
                    use_cache=True,
                )
                targets = ids[:n_active, start + 1 : stop + 1]
                logprobs[:n_active, start + 1 : stop + 1] = _token_logprobs(out.logits, targets)
                start = stop
        read: FloatArray = logprobs[:, :width].cpu().numpy()
        return read

    def _tokenize(self, key: str, rollout: Rollout, n_prompt: int) -> _Item:
        text = replace_surrogates(rollout.text)
        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return _Item(key, ids[: min(self.config.max_tokens, self._positions - n_prompt)], len(ids))

    def _asked(self, query: Query) -> str | Messages:
        """What a rollout of `query` answers: its text, or the chat it ends."""
        return query.text if self.chat is None else self.chat(query)

    def _prompt_ids(self, asked: str | Messages) -> list[int]:
        if isinstance(asked, list) or (self.config.template is None and self._tokenizer.chat_template):
            ids = self._chat_ids([{"role": "user", "content": asked}] if isinstance(asked, str) else asked)
        else:
            template = self.config.template or _PLAIN_TEMPLATE
            ids = self._tokenizer(template.replace("{query}", replace_surrogates(asked)))["input_ids"]
        if not ids:
            raise ConfigurationError(
                f"reader: the template {self.config.template!r} gives no token for the query {str(asked)[:40]!r}; "
                "put some text around {query}"
            )
        # the end of an overlong prompt is what the rollout follows; half the positions stay for the rollout
        return list(ids[-max(1, self._positions // 2) :])

    def _chat_ids(self, messages: Messages) -> list[int]:
        if not self._tokenizer.chat_template:
            raise ConfigurationError(
                f"reader: the tokenizer of {self.config.model!r} has no chat template, so the chat of a rollout cannot "
                "be put into tokens; leave `chat` out, or name a model that has one"
            )
        prompt = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return list(self._tokenizer(replace_surrogates(prompt), add_special_tokens=False)["input_ids"])

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
    """A reading as it is stored: one float32 row of token count and log-probabilities, NaN to fill."""

    n_tokens: int
    logprobs: FloatArray

    @classmethod
    def empty(cls) -> Self:
        return cls(0, np.zeros(0, np.float32))

    @classmethod
    def from_row(cls, row: FloatArray) -> Self:
        return cls(int(row[0]), row[1:][~np.isnan(row[1:])])

    @property
    def coverage(self) -> float:
        return len(self.logprobs) / self.n_tokens if self.n_tokens else 1.0

    def to_row(self, length: int = 0) -> FloatArray:
        filler = np.full(max(0, length - len(self.logprobs)), np.nan)
        return np.concatenate([[self.n_tokens], self.logprobs, filler], dtype=np.float32)


class _ProgressByKey:
    """Tells a callback how many rollouts the finished keys stand for."""

    def __init__(self, keys: Sequence[str], callback: Callable[[int], None] | None) -> None:
        self._keys, self._callback = keys, callback

    def __call__(self, finished: dict[str, FloatArray]) -> None:
        if self._callback and (count := sum(key in finished for key in self._keys)):
            self._callback(count)


def _token_logprobs(logits: Any, targets: Any) -> Any:
    logits = logits.float()
    return logits.gather(-1, targets[..., None])[..., 0] - logits.logsumexp(-1)
