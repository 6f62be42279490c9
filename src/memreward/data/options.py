"""Multiple choice as text: the question, and under it one lettered option a line."""

from __future__ import annotations

import random
from collections.abc import Sequence

LETTERS = "ABCDEFGHIJ"


def lettered(question: str, options: Sequence[str]) -> str:
    """Return the question with its options as "(A) ...".

    Raises:
        ValueError: there are more options than letters.
    """
    if len(options) > len(LETTERS):
        raise ValueError(f"{len(options)} options, and only {len(LETTERS)} letters")
    return "\n".join([question, *(f"({letter}) {option}" for letter, option in zip(LETTERS, options, strict=False))])


def with_options(question: str, answer: str, others: Sequence[str], rng: random.Random) -> tuple[str, str]:
    """Return the question with its options in random order, and the letter of the right one."""
    options = [answer, *others]
    rng.shuffle(options)
    return lettered(question, options), LETTERS[options.index(answer)]
