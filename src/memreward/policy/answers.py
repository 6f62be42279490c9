"""Read what model servers answer. All of them speak OpenAI's protocol, each with its own accent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memreward.policy.sampler import Sample, Usage

# vLLM and OpenAI write this for a token whose log-probability they do not know.
_UNKNOWN_LOGPROB = -9999.0
_TRUNCATED = {"length": True, "max_tokens": True, "stop": False, "eos": False, "tool_calls": False}
_BROKEN_OFF = ("abort", "error")


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request.

    Attributes:
        samples: One a choice, at least one.
        usage: Tokens that it took.
    """

    samples: tuple[Sample, ...]
    usage: Usage


def read_answer(body: Any) -> Answer:
    """Read the JSON of a chat completion or a plain completion.

    Raises:
        ValueError: if it is neither, or generation was broken off; asking again may help.
    """
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, dict) for choice in choices):
        raise ValueError(f"an answer without choices: {str(body)[:200]}")
    samples = tuple(_sample(choice) for choice in choices)
    return Answer(samples, _usage(body.get("usage")))


def _sample(choice: Mapping[str, Any]) -> Sample:
    finish = choice.get("finish_reason")
    if finish in _BROKEN_OFF:
        raise ValueError(f"the server broke off generation: finish_reason {finish!r}")
    truncated = _TRUNCATED.get(finish) if isinstance(finish, str) else None
    message = choice.get("message")
    text = choice.get("text") if message is None else _said(message, truncated)
    if not isinstance(text, str):
        raise ValueError(f"a choice without text: {str(choice)[:200]}")
    return Sample(text, token_logprobs=token_logprobs(choice.get("logprobs")), truncated=truncated)


def _said(message: Any, truncated: bool | None) -> str:
    """The whole completion; a thinking that the server cut out is put back as the parser expects it."""
    if not isinstance(message, dict):
        raise ValueError(f"a message that is no object: {str(message)[:200]}")
    content = message.get("content") or ""
    if isinstance(content, list):
        content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    thinking = message.get("reasoning_content") or message.get("reasoning")
    if not isinstance(thinking, str) or not thinking:
        return str(content)
    if truncated and not content:
        return f"<think>\n{thinking}"
    return f"<think>\n{thinking}\n</think>\n\n{content}"


def token_logprobs(logprobs: Any) -> tuple[float, ...] | None:
    """Log-probabilities of the sampled tokens, whichever way they are laid out; None if any is not known.

    Chat completions have `content[].logprob` (vLLM, SGLang, llama.cpp, Ollama), which llama.cpp also uses in plain
    completions; plain completions of the others have `token_logprobs`.
    """
    if not isinstance(logprobs, dict):
        return None
    values = logprobs.get("token_logprobs")
    content = logprobs.get("content")
    if isinstance(content, list):
        values = [entry.get("logprob") if isinstance(entry, dict) else None for entry in content]
    if not isinstance(values, list) or not values or not all(map(_known, values)):
        return None
    return tuple(float(value) for value in values)


def _known(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value > _UNKNOWN_LOGPROB


def _usage(usage: Any) -> Usage:
    counts = usage if isinstance(usage, dict) else {}
    prompt, completion = counts.get("prompt_tokens"), counts.get("completion_tokens")
    if not isinstance(prompt, int) or not isinstance(completion, int):
        return Usage(uncounted=1)
    return Usage(prompt, completion)
