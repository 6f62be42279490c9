"""Texts in the shapes that chats have: a string, messages, parts of a message, and a model server's choices."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from memreward.types import DataError, content_hash

# vLLM and OpenAI write this for a token whose log-probability they do not know.
_UNKNOWN_LOGPROB = -9999.0
_TRUNCATED = {"length": True, "max_tokens": True, "stop": False, "eos": False, "tool_calls": False}
_SHAPES = 'give "text", or [{"role": "assistant", "content": "text"}]'
_DEEPEST = 6
"""Levels of a completion: list of messages, message, list of parts, part, text; and one to spare."""


def query_id_of(text: str) -> str:
    return content_hash(text)[:16]


def rollout_ids(query_id: str, texts: Sequence[str]) -> list[str]:
    """Return ids that are made of a question's and of the rollouts' texts; repeats of a text are numbered."""
    seen: dict[str, int] = {}
    ids = []
    for text in texts:
        name = content_hash(text)[:8]
        seen[name] = seen.get(name, 0) + 1
        ids.append(f"{query_id}/{name}" + (f"-{seen[name]}" if seen[name] > 1 else ""))
    return ids


def question_of(prompt: Any) -> str:
    """Return a prompt's text, of a chat the last message's."""
    return text_of(prompt[-1:] if isinstance(prompt, list) else prompt)


def text_of(said: Any) -> str:
    """Return a text as it is, of messages what they say, one after the other; DataError for anything else."""
    return _text_of(said, _DEEPEST)


def _text_of(said: Any, levels: int) -> str:
    if isinstance(said, str):
        return said
    if not levels:
        raise DataError("a message holds messages inside messages, or itself: give a text or a list of messages")
    if isinstance(said, Mapping):
        content = said.get("content", said.get("text"))
        if content is None and (said.get("tool_calls") or said.get("type") not in (None, "text")):
            return ""  # a call of a tool, an image
        return _text_of(content, levels - 1)
    if isinstance(said, Sequence) and not isinstance(said, bytes | bytearray | memoryview):
        return "".join(_text_of(part, levels - 1) for part in said)
    raise DataError(f"a {type(said).__name__} stands where a text or a list of messages should: {_SHAPES}")


def read_choice(choice: Mapping[str, Any]) -> tuple[str, tuple[float, ...] | None, bool | None]:
    """Return a server's completion, its tokens' log-probabilities, and whether it was cut off, or ValueError."""
    truncated, message = was_truncated(choice.get("finish_reason")), choice.get("message")
    text = choice.get("text") if message is None else said_by(message, truncated)
    if not isinstance(text, str):
        raise ValueError(f"a choice without text: {str(choice)[:200]}")
    return text, token_logprobs(choice.get("logprobs")), truncated


def said_by(message: Any, truncated: bool | None) -> str:
    """Return a server's whole completion, with a thinking that it cut out; ValueError where it is no object."""
    if not isinstance(message, dict):
        raise ValueError(f"a message that is not an object: {str(message)[:200]}")
    content, thinking = message.get("content") or "", message.get("reasoning_content") or message.get("reasoning")
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict)]
        thinking = thinking or "".join(str(part.get("reasoning") or "") for part in parts)
        content = "".join(str(part.get("text") or "") for part in parts)
    if not thinking or not isinstance(thinking, str):
        return str(content)
    # The mark of its end is left out where it was cut off.
    return f"<think>\n{thinking}" if truncated and not content else f"<think>\n{thinking}\n</think>\n\n{content}"


def was_truncated(finish_reason: Any) -> bool | None:
    """Return whether a length limit ended a completion; None where its finish reason does not say so."""
    return _TRUNCATED.get(finish_reason) if isinstance(finish_reason, str) else None


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
