"""Ground truth for short answers in words: the reference, however it is written, is right; of others none can tell."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from memreward.domains.text.key import says_the_same
from memreward.types import Claim, Verdict

RULES = 2


class TextVerifier:
    """Says whether an answer in words is the reference; never "wrong", since other words may say the same.

    What counts as the same stands in `memreward.domains.text.key` and in `docs/verifiers.md`.
    """

    @property
    def name(self) -> str:
        """Identifies the rules."""
        return f"text-{RULES}"

    def subject(self, claim: Claim) -> tuple[str | None, ...]:
        """Return all that a verdict depends on: the key of a cache."""
        return claim.rollout.answer, claim.reference, claim.rollout.query.text

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        """See `memreward.types.Verifier.verify`."""
        return [_timed(claim) for claim in claims]


def _timed(claim: Claim) -> Verdict:
    start = time.perf_counter()
    return replace(text_verdict(claim), seconds=time.perf_counter() - start)


def text_verdict(claim: Claim) -> Verdict:
    """Return right or "cannot tell"."""
    answer = claim.rollout.answer
    if answer is None:
        return Verdict(None, "no answer is marked in the text")
    if claim.reference.strip() and says_the_same(answer, claim.reference, claim.rollout.query.text):
        return Verdict(True, "the same text", details={"answer": answer})
    return Verdict(None, "texts differ, and other words may say the same", details={"answer": answer})
