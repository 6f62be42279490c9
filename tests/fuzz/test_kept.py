"""The smallest texts on which fuzzing, or somebody's attack, once failed."""

from __future__ import annotations

import protocol_checks
import pytest
from parser_checks import check, check_bytes

from memreward.types import DOMAINS, Domain
from rows import each_row

KEPT = [
    "\\boxed{" * 1100,
    "\\boxed{" * 300 + "4" + "}" * 300,
    "9" * 10_001,
    "\\boxed{\\text{\\text{B}}}",
    "999" + " cubed" * 18,
    "nine" + " cubed" * 18,
    "\rA: number 9!A: number 9!",
    "\\approx 3 4",
    "(12,102)",
    "\\boxed{1} and \\boxed{2}",
    "\ud800\\boxed{\ud800}",
    "The answer is A. Or B.",
    "**Answer:is A. Also B.",
    ":: A: 0",
    "F.\t$x=47$$x=47$.\x07\x00\n",
]


@each_row("domain", DOMAINS)
@each_row("text", KEPT)
def test_kept_texts(text: str, domain: Domain) -> None:
    check(domain, text)


@pytest.mark.slow
@each_row("domain", DOMAINS)
def test_a_million_digits(domain: Domain) -> None:
    check(domain, "9" * 1_000_001)


@each_row(
    "reply",
    [
        b'"value": [1], "args": 5',
        b'"value": {"h": "x"}',
        b'"value": {"h": 1, "length": -1}',
        b'"value": {"h": 1, "length": 111111111111}}\n{"value": 1}\n{"value": 1}\n{"value": 1',
        b'"value": {"h": 1, "type": "list"}}\n{"value": [1]',
    ],
)
def test_kept_replies_of_a_solution(reply: bytes) -> None:
    protocol_checks.check_bytes(b'{}\n{"have": {"f": {"callable": true}}}\n{' + reply + b"}")


def test_bytes_choose_a_domain() -> None:
    check_bytes(b"")
    for first in range(len(DOMAINS)):
        check_bytes(bytes([first]) + b"\\boxed{\xff}")
