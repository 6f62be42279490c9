"""What a reading is, whoever reads: its columns, and which of a rollout's tokens are thinking and which are answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from memreward.types import ConfigurationError, FloatArray, Rollout
from memreward.unicode import replace_surrogates

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


@dataclass(frozen=True)
class Reading:
    """What a reader saw in n rollouts.

    Attributes:
        values: (n, s) float32, columns `names`; NaN where undefined. Log-probabilities are natural and at most 0. The
            answer's tokens are those of the last place where `Rollout.answer` stands in `Rollout.text`, the thinking's
            are all tokens before; without such a place, or where it was not read, all tokens are thinking.
        coverage: (n,) share of each rollout's tokens that was read; 1 unless it is longer than `max_tokens`.
        names: s names, always `READER_NAMES`.
    """

    values: FloatArray
    coverage: FloatArray
    names: tuple[str, ...] = READER_NAMES


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


def summarise(logprobs: FloatArray, answer: tuple[int, int] | None) -> list[float]:
    """Return the values of `READER_NAMES` of (t,) log-probabilities, those of the answer's tokens told apart."""
    first, end = answer if answer and answer[1] <= len(logprobs) else (len(logprobs), len(logprobs))
    parts = (logprobs, logprobs[:first], logprobs[first:end])
    (mean, least), thinking, answered = [(p.mean(), p.min()) if len(p) else (np.nan, np.nan) for p in parts]
    unlikely = (logprobs < UNLIKELY).mean() if len(logprobs) else np.nan
    return [float(value) for value in (mean, least, unlikely, *thinking, *answered)]


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
