"""Read what model servers answer. All of them speak OpenAI's protocol, each with its own accent."""

from __future__ import annotations

from typing import Any

from memreward.data.chat import read_choice
from memreward.policy.sampler import Sample

_BROKEN_OFF = ("abort", "error")


def read_answer(body: Any) -> list[Sample]:
    """Read the JSON of a chat completion, a sample a choice; ValueError where asking again may help."""
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, dict) for choice in choices):
        raise ValueError(f"an answer without choices: {str(body)[:200]}")
    samples = []
    for choice in choices:
        if (finish := choice.get("finish_reason")) in _BROKEN_OFF:
            raise ValueError(f"the server broke off generation: finish_reason {finish!r}")
        text, logprobs, truncated = read_choice(choice)
        samples.append(Sample(text, token_logprobs=logprobs, truncated=truncated))
    return samples
