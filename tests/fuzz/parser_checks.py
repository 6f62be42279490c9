"""What must hold of any text that the parsers are given: `make fuzz` looks for one where it does not."""

from __future__ import annotations

import time
from unittest.mock import patch

from memreward.domains import cluster_answers, parse_rollout
from memreward.domains.math.rules import compare
from memreward.domains.registry import answer_key
from memreward.types import DOMAINS, Domain, Query

QUERIES: dict[Domain, str] = {
    "math": "What percentage of the 12 cm is it? Write it in base 5.",
    "qa": "Which?\n(A) one\n(B) two\n(C) three",
    "code": "def double(x):\n",
    "other": "Who?",
}
SECONDS = 5.0


def check(domain: Domain, text: str) -> None:
    """Parse a text, cluster its answer and its halves, and judge them; raises AssertionError where something is off."""
    start = time.process_time()
    query = Query("q", QUERIES[domain], domain)
    answer = parse_rollout(query, text, id="q/0").answer
    middle = len(text) // 2
    candidates = [answer, text, text[:middle], text[middle:]]
    classes = cluster_answers(candidates, domain, query_text=query.text)
    for candidate, index in zip(candidates, classes, strict=True):
        assert (candidate is None) == (index == -1)
    if domain == "math":
        _check_verdicts([candidate for candidate in candidates if candidate], query.text)
    assert time.process_time() - start < SECONDS + len(text) / 10_000


@patch("memreward.domains.math.forms.by_library", lambda *_: (True, True, False))  # for what only math-verify can tell
def _check_verdicts(candidates: list[str], question: str) -> None:
    for reference in ["4", candidates[0]] if candidates else []:
        verdicts: dict[str, bool | None] = {}
        for candidate in candidates:
            correct = compare(candidate, reference, question).correct
            key = answer_key(candidate, "math", query_text=question)
            assert verdicts.setdefault(key, correct) is correct, (candidate, reference)


def check_bytes(data: bytes) -> None:
    """See `check`: the first byte chooses the domain."""
    if data:
        check(DOMAINS[data[0] % len(DOMAINS)], data[1:].decode("utf-8", "surrogateescape"))
