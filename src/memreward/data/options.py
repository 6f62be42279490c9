"""Multiple choice as text: the question, and under it one lettered option a line."""

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

LETTERS = "ABCDEFGHIJ"
_LABELS = (LETTERS, "123456789")
_LONGEST_NAME = 12
_FEWEST_LETTERS = 3
"""Of columns that are called by a letter alone, as two numbers of a sum may be too."""


def lettered(question: str, options: Sequence[str]) -> str:
    """Return the question with its options as "(A) ..."; ValueError where there are more options than letters."""
    if len(options) > len(LETTERS):
        raise ValueError(f"{len(options)} options, and only {len(LETTERS)} letters")
    return "\n".join([question, *(f"({letter}) {option}" for letter, option in zip(LETTERS, options, strict=False))])


def options_apart(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns that hold an option each, with what names it in text: "A", "B", "C" ..., or "option1" ...

    Letters may stand behind "option", "choice" or "op", as in "option_a". Empty where there are none.
    """
    names = {re.sub(r"[ _]", "", name).lower(): name for name in row if 1 < len(name) <= _LONGEST_NAME}
    kinds = [(_FEWEST_LETTERS, [(letter, letter) for letter in LETTERS])]
    for before in ("option", "choice", "op"):
        kinds += [(2, [(names.get(f"{before}{label.lower()}", ""), label) for label in labels]) for labels in _LABELS]
    for fewest, columns in kinds:
        there = takewhile(lambda column: isinstance(row.get(column[0]), str | int | float), columns)
        kept = {column: f"({label})" if label in LETTERS else f"Option{label}:" for column, label in there}
        if len(kept) >= fewest:
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
