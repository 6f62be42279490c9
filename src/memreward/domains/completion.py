"""From the text of a completion to its thinking and its answer."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from memreward.domains.registry import rules_of
from memreward.domains.shared.answer_pattern import AnswerPattern
from memreward.domains.shared.markers import split_thinking
from memreward.types import Domain, Query, Rollout

_LONGEST = 500_000
_DECLINES = re.compile(
    r"\b(?:cannot|can['’]?t|unable to|(?:do not|don['’]t) know|unknown|refuse|take (?:that|it|this) back|wrong"
    r"|incorrect|give up|no idea)\b",
    re.IGNORECASE,
)
"""Said behind the thinking: no answer of the thinking is given."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A completion taken apart.

    Attributes:
        thinking: What leads to the answer; the whole reply where no separate part does.
        answer: The final answer without what is wrapped around it (qa: its option letter, or yes or no where a question
            has no options; code: the solution's source), or None.
        form: How the answer was found: "answer_tag", "boxed", "hash", "a_line", "phrase", "think_tag" (all
            that follows the thinking), "text" (all of a short text), "letter", "fence", "code" (definitions without a
            fence), "body" (continues the prompt), "formula" (ends the text), "last_number" (a guess), "pattern" (the
            caller's), "own" (of a domain that a user added) or "none".
    """

    thinking: str
    answer: str | None
    form: str


def parse_completion(text: str, domain: Domain, prompt: str = "", *, answer_pattern: str | None = None) -> Completion:
    """Split a completion into thinking and answer. Linear in the length of `text`; any string is accepted.

    Of more than half a million characters, the first 100,000 and the last 400,000 are read. The query's text names the
    options (qa) and holds the head of a function (code). An `AnswerPattern` alone says where the answer stands.
    """
    if len(text) > _LONGEST:
        # No model writes so long an answer in earnest, and evidence is taken from all of it.
        text = text[: _LONGEST // 5] + text[-(_LONGEST - _LONGEST // 5) :]
    if answer_pattern is not None:
        return _by_pattern(text, domain, prompt, answer_pattern)
    rules = rules_of(domain)
    thought, rest, closed = rules.region(text)
    answer, form, around = rules.find(rest, prompt) if rest.strip() else (None, "none", "")
    if answer is None and thought is not None and not _DECLINES.search(rest):
        answer, form = rules.find_in_thinking(thought, prompt, closed=closed)
    thinking = thought if thought is not None else around.strip()
    if form == "text" and thought is not None:
        form = "think_tag"
    return Completion(thinking or rules.reply(text), answer, form if answer is not None else "none")


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


def _by_pattern(text: str, domain: Domain, prompt: str, pattern: str) -> Completion:
    thinking, rest, _ = split_thinking(text)
    found = AnswerPattern(pattern).find(rest)
    if found is not None:
        found = rules_of(domain).named(found, prompt)
    return Completion(thinking or text, found, "none" if found is None else "pattern")
