"""From the text of a completion to its thinking and its answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from memreward.parsing.choice import find_choice, options
from memreward.parsing.dress import answer_region
from memreward.parsing.markers import (
    Marked,
    answer_tag,
    boxed,
    explicit,
    phrases,
    split_thinking,
    without_calculator,
    without_code,
)
from memreward.parsing.python_code import find_code
from memreward.types import Domain, Query, Rollout

_INLINE_MATH = re.compile(r"\\\((.{1,300}?)\\\)|\\\[(.{1,300}?)\\\]|\$\$?([^$]{1,300})\$")
_NUMBER_START = re.compile(r"[-+]?\\?[$£€]?\s?[-+]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:\s?/\s?\d+)?\s?(?:\\?%)?")
_SENTENCE_END = re.compile(r"\.(?=\s|$)|;\s|\s(?:because|since|which)\b|,\s(?:so|because|since|which|and)\b")
_LAST_NUMBER = re.compile(r"(?:(?<![\w)\]}.])-)?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:/\d+)?")
_PHRASES_READ = 20
_SHORT_ANSWER = 80


@dataclass(frozen=True, slots=True)
class Completion:
    """A completion taken apart.

    Attributes:
        thinking: What leads to the answer; the whole text where no separate part does.
        answer: The final answer as written (qa: its option letter; code: the solution's source), or None.
        form: How the answer was found: "answer_tag", "boxed", "hash", "a_line", "phrase", "think_tag" (all
            that follows the thinking), "text" (all of a short text), "letter", "fence", "code" (definitions without a
            fence), "body" (continues the prompt), "last_number" (a guess) or "none".
    """

    thinking: str
    answer: str | None
    form: str


def parse_completion(text: str, domain: Domain, prompt: str = "") -> Completion:
    """Split a completion into thinking and answer. Linear in the length of `text`; any string is accepted.

    Args:
        text: The completion.
        domain: Decides which forms of answers are looked for.
        prompt: The query's text: names the options (qa) and holds the head of a function (code).
    """
    thought, rest, closed = answer_region(text) if domain != "code" else _as_it_is(text)
    answer, form, around = _find(rest, domain, prompt)
    if answer is None and thought is not None:
        answer, form = _committed_while_thinking(thought, domain, prompt, closed=closed)
    thinking = thought if thought is not None else around.strip()
    if form == "text" and thought is not None:
        form = "think_tag"
    return Completion(thinking or text, answer, form if answer is not None else "none")


def parse_rollout(
    query: Query,
    text: str,
    *,
    id: str,
    policy_version: str = "",
    token_logprobs: Sequence[float] | None = None,
    truncated: bool | None = None,
) -> Rollout:
    """Make a rollout of a completion; `id` must be unique in a memory."""
    completion = parse_completion(text, query.domain, query.text)
    return Rollout(
        query=query,
        text=text,
        thinking=completion.thinking,
        answer=completion.answer,
        id=id,
        policy_version=policy_version,
        token_logprobs=None if token_logprobs is None else tuple(float(value) for value in token_logprobs),
        truncated=truncated,
    )


def _as_it_is(text: str) -> tuple[str | None, str, bool]:
    """Thinking and the rest of a text whose tags and braces are code."""
    parts = split_thinking(text)
    return parts.thinking, parts.rest, parts.closed


def _find(text: str, domain: Domain, prompt: str) -> tuple[str | None, str, str]:
    """Answer, form, and the text around the answer ("" for all of it)."""
    if not text.strip():
        return None, "none", ""
    if domain == "code":
        tagged = answer_tag(text)
        code, form, around = find_code(tagged.content if tagged is not None else text, prompt)
        return code, form, around if tagged is None else text[: tagged.start]
    if domain == "qa":
        choices = options(prompt)
        letter, form = find_choice(text, choices)
        if letter is not None or choices:
            return letter, form, _before(text, form)
    answer, form = _find_expression(text, guess=domain == "math")
    return answer, form, _before(text, form)


def _before(text: str, form: str) -> str:
    """The text before a separate answer element; "" where the answer stands inside of the thinking."""
    if form not in {"answer_tag", "hash", "a_line"}:
        return ""
    mark = explicit(text)
    return text[: mark.start] if mark is not None else ""


def _find_expression(text: str, *, guess: bool) -> tuple[str | None, str]:
    mark = explicit(text)
    if mark is not None:
        return _opened(mark, guess=guess)
    text = without_code(text)
    for phrase in reversed(phrases(text)[-_PHRASES_READ:]):
        content = _clause(phrase.content)
        if content:
            return content, "phrase"
    stripped = text.strip()
    if (
        len(stripped) <= _SHORT_ANSWER
        and "\n" not in stripped
        and (not guess or not re.search(r"[a-z]{2,} [a-z]{2,}", stripped))
    ):
        return without_calculator(stripped), "text"
    return (_last_number(text), "last_number") if guess and _last_number(text) else (None, "none")


def _opened(mark: Marked, *, guess: bool) -> tuple[str | None, str]:
    """The answer in a marker, which inside of an answer tag may have its own marker."""
    content = without_calculator(mark.content).strip()
    if mark.form == "answer_tag":
        inner = explicit(content)
        if inner is not None and inner.form != "answer_tag":
            content = without_calculator(inner.content).strip()
        else:
            found = [clause for phrase in phrases(content)[-_PHRASES_READ:] if (clause := _clause(phrase.content))]
            content = found[-1] if found else content
    elif mark.form in {"hash", "a_line"} and guess:
        content = _clause(content)
    return (content, mark.form) if content else (None, "none")


def _committed_while_thinking(thinking: str, domain: Domain, prompt: str, *, closed: bool) -> tuple[str | None, str]:
    """A tagged or boxed answer inside of the thinking; phrases and numbers there may be passing thoughts."""
    if domain == "code" and closed:
        code, form, _ = find_code(thinking, prompt)
        return (code, form) if form == "fence" else (None, "none")
    mark = answer_tag(thinking) or boxed(thinking)
    if mark is None or domain == "code":
        return None, "none"
    answer, form, _ = _find(f"<answer>{mark.content}</answer>", domain, prompt)
    return (answer, mark.form) if answer is not None else (None, form)


def _clause(content: str) -> str:
    """The expression at the start of running text: its first formula, number, or clause."""
    content = without_calculator(content).strip().strip("*_ ")
    formula = _INLINE_MATH.search(content)
    if formula is not None and not _NUMBER_START.match(content[: formula.start()]) and formula.start() < 40:
        inside = next(group for group in formula.groups() if group)
        return inside.strip()
    number = _NUMBER_START.match(content)
    if number is not None and not re.match(r"[\w^*+\-/\\({_=]", content[number.end() :].lstrip(" ")[:1] or " "):
        return number[0].strip()
    end = _SENTENCE_END.search(content)
    clause = (content if end is None else content[: end.start()]).strip().strip("*_ ").rstrip(".:, ")
    words = re.fullmatch(r"([-+]?\$?[\d,]+(?:\.\d+)?%?)\s[a-zA-Z][a-zA-Z ]*", clause)
    return words[1] if words is not None else clause


def _last_number(text: str) -> str | None:
    found = _LAST_NUMBER.findall(without_calculator(text))
    return found[-1].rstrip(",") if found else None
