"""One notion of equivalent answers: two answers are equivalent when their domain gives them equal keys."""

from __future__ import annotations

from collections.abc import Sequence

from memreward.domains.registry import rules_of
from memreward.types import Domain


def answer_key(answer: str, domain: Domain, *, query_text: str = "") -> str:
    """Return a string that is equal for equivalent answers to one query, and stable across processes."""
    return rules_of(domain).key(answer, query_text)


def equivalent(a: str, b: str, domain: Domain, *, query_text: str = "") -> bool:
    """Say whether two answers to one query are equivalent: an equivalence relation in the strict sense."""
    return a == b or answer_key(a, domain, query_text=query_text) == answer_key(b, domain, query_text=query_text)


def cluster_answers(answers: Sequence[str | None], domain: Domain, *, query_text: str = "") -> list[int]:
    """Return for each answer to one query the index of its class of equivalent answers; -1 for None, no answer.

    Classes are numbered from 0 in order of first appearance. Where all are spelled alike there is nothing to evaluate.
    """
    rules = rules_of(domain)
    if len({rules.spelling(answer) for answer in answers if answer is not None}) < 2:
        return [-1 if answer is None else 0 for answer in answers]
    classes: dict[str, int] = {}
    indices = []
    for answer in answers:
        if answer is None:
            indices.append(-1)
            continue
        key = rules.key(answer, query_text)
        indices.append(classes.setdefault(key, len(classes)))
    return indices
