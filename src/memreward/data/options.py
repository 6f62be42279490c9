"""Multiple choice as text: the question, and under it one lettered option a line."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

LETTERS = "ABCDEFGHIJ"
_LONGEST_NAME = 12


def lettered(question: str, options: Sequence[str]) -> str:
    """Return the question with its options as "(A) ..."; ValueError where there are more options than letters."""
    if len(options) > len(LETTERS):
        raise ValueError(f"{len(options)} options, and only {len(LETTERS)} letters")
    return "\n".join([question, *(f"({letter}) {option}" for letter, option in zip(LETTERS, options, strict=False))])


def options_apart(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns that hold an option each, with what names it in text: "A" to "J", or "option1", "option2", ...

    Empty where there are not two of a kind; the letters may stand behind "option", "choice" or "op".
    """
    names = {re.sub(r"[ _]", "", name).lower(): name for name in row if len(name) <= _LONGEST_NAME}
    for before in ("", "option", "choice", "op"):
        for labels in (LETTERS, "123456789") if before in ("option", "choice") else (LETTERS,):
            kept: dict[str, str] = {}
            for label in labels:
                column = names.get(f"{before}{label.lower()}")
                if column is None or row[column] is None or isinstance(row[column], list | Mapping):
                    break
                kept[column] = f"({label})" if labels == LETTERS else f"Option{label}:"
            if len(kept) > 1:
                return kept
    return {}


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
