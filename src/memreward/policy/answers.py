"""Read what model servers answer. All of them speak OpenAI's protocol, each with its own accent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memreward.data.chat import read_choice
from memreward.policy.sampler import Sample, Usage

_BROKEN_OFF = ("abort", "error")


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request: a sample for each choice, and the tokens that it took."""

    samples: tuple[Sample, ...]
    usage: Usage


def read_answer(body: Any) -> Answer:
    """Read the JSON of a chat completion or a plain completion; ValueError where asking again may help."""
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, dict) for choice in choices):
        raise ValueError(f"an answer without choices: {str(body)[:200]}")
    return Answer(tuple(map(_sample, choices)), _usage(body.get("usage")))


def _sample(choice: Mapping[str, Any]) -> Sample:
    finish = choice.get("finish_reason")
    if finish in _BROKEN_OFF:
        raise ValueError(f"the server broke off generation: finish_reason {finish!r}")
    text, logprobs, truncated = read_choice(choice)
    return Sample(text, token_logprobs=logprobs, truncated=truncated)


def _usage(usage: Any) -> Usage:
    match usage:
        case {"prompt_tokens": int(prompt), "completion_tokens": int(completion)}:
            return Usage(prompt, completion)
    return Usage(uncounted=1)
