"""One notion of equivalent answers a domain: two answers are equivalent when their keys are equal.

=======  ==========================================================================================================
domain   key
=======  ==========================================================================================================
math     value or structure, in what the query asks for, see `math_form`
qa       option letter, named by letter or by the option's text; else normalised text
code     normal form of the syntax tree, see `python_code.code_normal_form`
other    casefolded text without punctuation
=======  ==========================================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence

from memreward.parsing.choice import letter_of, normal_text, options
from memreward.parsing.math_form import math_key
from memreward.parsing.python_code import code_normal_form, entry_point
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
        letter = letter_of(answer, options(query_text))
        return letter if letter is not None else "text " + (normal_text(answer) or answer)
    return normal_text(answer) or answer


def equivalent(a: str, b: str, domain: Domain, *, query_text: str = "") -> bool:
    """Say whether two answers to one query are equivalent: an equivalence relation in the strict sense.

    Raises:
        MemRewardError: if math-verify's worker process is needed and cannot start.
    """
    return a == b or answer_key(a, domain, query_text=query_text) == answer_key(b, domain, query_text=query_text)


def cluster_answers(answers: Sequence[str | None], domain: Domain, *, query_text: str = "") -> list[int]:
    """Return for each answer to one query the index of its class of equivalent answers.

    Classes are numbered from 0 in order of first appearance; None, no answer, gives -1.

    Raises:
        MemRewardError: if math-verify's worker process is needed and cannot start.
    """
    classes: dict[str, int] = {}
    indices = []
    for answer in answers:
        if answer is None:
            indices.append(-1)
            continue
        key = answer_key(answer, domain, query_text=query_text)
        indices.append(classes.setdefault(key, len(classes)))
    return indices
