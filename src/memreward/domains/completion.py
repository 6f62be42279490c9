"""From the text of a completion to its thinking and its answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from memreward.domains.choice.parse import find_choice, letter_of, options, yes_or_no
from memreward.domains.code.parse import find_code
from memreward.domains.math.quantity import quantity
from memreward.domains.math.wanted import wanted
from memreward.domains.shared.answer_pattern import answer_pattern_of
from memreward.domains.shared.dress import answer_region
from memreward.domains.shared.expression import find_expression
from memreward.domains.shared.markers import answer_tag, boxed, explicit, split_thinking
from memreward.types import Domain, Query, Rollout

_LONGEST = 500_000
_NUMBER_AND_UNIT = re.compile(r"[-+−]?[\d.,/ ]{1,30}[a-zA-Z¢][a-zA-Z /¢]{0,30}")


@dataclass(frozen=True, slots=True)
class Completion:
    """A completion taken apart.

    Attributes:
        thinking: What leads to the answer; the whole text where no separate part does.
        answer: The final answer without what is wrapped around it (qa: its option letter, or yes or no where a question
            has no options; code: the solution's source), or None.
        form: How the answer was found: "answer_tag", "boxed", "hash", "a_line", "phrase", "think_tag" (all
            that follows the thinking), "text" (all of a short text), "letter", "fence", "code" (definitions without a
            fence), "body" (continues the prompt), "formula" (ends the text), "last_number" (a guess), "pattern" (the
            caller's) or "none".
    """

    thinking: str
    answer: str | None
    form: str


def parse_completion(text: str, domain: Domain, prompt: str = "", *, answer_pattern: str | None = None) -> Completion:
    """Split a completion into thinking and answer. Linear in the length of `text`; any string is accepted.

    Args:
        text: The completion; of more than half a million characters, the first 100,000 and the last 400,000 are read.
        domain: Decides which forms of answers are looked for.
        prompt: The query's text: names the options (qa) and holds the head of a function (code).
        answer_pattern: A regular expression that alone says where the answer stands; see `AnswerPattern`.

    Raises:
        ConfigurationError: the pattern does not compile, or runs for too long.
    """
    text = _bounded(text)
    if answer_pattern is not None:
        return _by_pattern(text, domain, prompt, answer_pattern)
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
    answer_pattern: str | None = None,
) -> Rollout:
    """Make a rollout of a completion; `id` must be unique in a memory. For `answer_pattern`, see `parse_completion`."""
    completion = parse_completion(text, query.domain, query.text, answer_pattern=answer_pattern)
    # The last number of a text that was cut off is where it stopped, not what it answers.
    guessed = truncated and completion.form == "last_number"
    return Rollout(
        query=query,
        text=text,
        thinking=completion.thinking,
        answer=None if guessed else completion.answer,
        id=id,
        policy_version=policy_version,
        token_logprobs=None if token_logprobs is None else tuple(float(value) for value in token_logprobs),
        truncated=truncated,
    )


def _bounded(text: str) -> str:
    """What is read of a text: no model writes so long an answer in earnest, and evidence is taken from all of it."""
    return text if len(text) <= _LONGEST else text[: _LONGEST // 5] + text[-(_LONGEST - _LONGEST // 5) :]


def _by_pattern(text: str, domain: Domain, prompt: str, pattern: str) -> Completion:
    parts = split_thinking(text)
    found = answer_pattern_of(pattern).find(parts.rest)
    if found is not None and domain == "qa":
        found = letter_of(found, options(prompt)) or found
    return Completion(parts.thinking or text, found, "none" if found is None else "pattern")


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
        if letter is None and not choices:
            letter, form = _find_open(text)
        return letter, form, _before(text, form)
    answer, form = find_expression(text, guess=domain == "math")
    if domain == "math" and answer is not None and form in {"phrase", "hash", "a_line"}:
        answer = _without_plain_unit(answer, prompt)
    return answer, form, _before(text, form)


def _without_plain_unit(answer: str, prompt: str) -> str:
    """In a sentence, a unit behind a number says nothing, unless it is another than the one that is asked for."""
    measured = quantity(answer)
    plain = measured.dimension not in {"", "percent"} and _NUMBER_AND_UNIT.fullmatch(answer) is not None
    return measured.body if plain and wanted(prompt).other_unit(measured) is None else answer


def _find_open(text: str) -> tuple[str | None, str]:
    """The answer to a question without options: yes or no where the reply says so first, else what it marks."""
    answer, form = find_expression(text, guess=False)
    if form not in {"none", "text"} or yes_or_no(text) is None:
        word = None if answer is None else yes_or_no(answer)
        return (answer if word is None else word), form
    return yes_or_no(text), "text"


def _before(text: str, form: str) -> str:
    """The text before a separate answer element; "" where the answer stands inside of the thinking."""
    if form not in {"answer_tag", "hash", "a_line"}:
        return ""
    mark = explicit(text)
    return text[: mark.start] if mark is not None else ""


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
