"""Multiple choice as text: the question, and under it one lettered option a line."""

from collections.abc import Mapping, Sequence
from typing import Any

LETTERS = "ABCDEFGHIJ"


def lettered(question: str, options: Sequence[str]) -> str:
    """Return the question with its options as "(A) ..."; ValueError where there are more options than letters."""
    if len(options) > len(LETTERS):
        raise ValueError(f"{len(options)} options, and only {len(LETTERS)} letters")
    return "\n".join([question, *(f"({letter}) {option}" for letter, option in zip(LETTERS, options, strict=False))])


def with_choices(question: Any, choices: Any, target: Any) -> tuple[Any, Any]:
    """Return a question with its options under it, if it has some (texts, or text and label), and the right letter."""
    texts = choices.get("text") if isinstance(choices, Mapping) else choices
    if not isinstance(question, str) or not isinstance(texts, list) or not 2 <= len(texts) <= len(LETTERS):
        return question, target
    labels = choices.get("label") if isinstance(choices, Mapping) else None
    if isinstance(labels, list) and target in labels:
        target = labels.index(target)
    if isinstance(target, int) and not isinstance(target, bool) and 0 <= target < len(texts):
        target = LETTERS[target]
    return lettered(question, [str(text) for text in texts]), target
