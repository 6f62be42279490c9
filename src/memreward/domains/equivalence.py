"""One notion of equivalent answers a domain: two answers are equivalent when their keys are equal.

=======  ==========================================================================================================
domain   key
=======  ==========================================================================================================
math     value or structure, in what the query asks for, see `math_form`
qa       option letter, named by letter or by the option's text; without known options yes or no; else as other
code     normal form of the syntax tree, see `python_code.code_normal_form`
other    the normal form of free text, see `free_text`
=======  ==========================================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence

from memreward.domains.choice.parse import letter_of, options, yes_or_no
from memreward.domains.code.parse import code_normal_form, entry_point
from memreward.domains.math.form import math_key, normal_form
from memreward.domains.text.key import free_text_key
from memreward.types import Domain


def answer_key(answer: str, domain: Domain, *, query_text: str = "") -> str:
    """Return a string that is equal for equivalent answers to one query, and stable across processes.

    Raises:
        MemRewardError: if math-verify's worker process is needed and cannot start.
    """
    if domain == "math":
        return math_key(answer, query_text)
    if domain == "code":
        return code_normal_form(answer, entry_point(query_text))
    if domain == "qa":
        choices = options(query_text)
        letter = letter_of(answer, choices) or (None if choices else yes_or_no(answer))
        return letter if letter is not None else "text " + free_text_key(answer)
    return free_text_key(answer)


def equivalent(a: str, b: str, domain: Domain, *, query_text: str = "") -> bool:
    """Say whether two answers to one query are equivalent: an equivalence relation in the strict sense.

    Raises:
        MemRewardError: if math-verify's worker process is needed and cannot start.
    """
    return a == b or answer_key(a, domain, query_text=query_text) == answer_key(b, domain, query_text=query_text)


def cluster_answers(answers: Sequence[str | None], domain: Domain, *, query_text: str = "") -> list[int]:
    """Return for each answer to one query the index of its class of equivalent answers.

    Classes are numbered from 0 in order of first appearance; None, no answer, gives -1. Where all are spelled alike
    there is nothing to evaluate.

    Raises:
        MemRewardError: if math-verify's worker process is needed and cannot start.
    """
    if len({_spelling(answer, domain) for answer in answers if answer is not None}) < 2:
        return [-1 if answer is None else 0 for answer in answers]
    classes: dict[str, int] = {}
    indices = []
    for answer in answers:
        if answer is None:
            indices.append(-1)
            continue
        key = answer_key(answer, domain, query_text=query_text)
        indices.append(classes.setdefault(key, len(classes)))
    return indices


def _spelling(answer: str, domain: Domain) -> str:
    """What decides the key, and costs little."""
    return normal_form(answer) if domain == "math" else answer
