"""Ground truth for short answers in words: the reference, however it is written, is right; of others none can tell."""

from __future__ import annotations

from memreward.domains.shared.verifier import ClaimVerifier
from memreward.domains.text.key import says_the_same
from memreward.types import Claim, Verdict

RULES = 2


class TextVerifier(ClaimVerifier):
    """Says whether an answer in words is the reference; never "wrong", since other words may say the same.

    What counts as the same stands in `memreward.domains.text.key` and in `docs/verifiers.md`.
    """

    name = f"text-{RULES}"

    def subject(self, claim: Claim) -> tuple[str | None, ...]:
        """Return all that a verdict depends on: the key of a cache."""
        return claim.rollout.answer, claim.reference, claim.rollout.query.text

    def judge(self, claim: Claim) -> Verdict:
        """Return right or "cannot tell"."""
        answer = claim.rollout.answer
        if answer is None:
            return Verdict(None, "no answer is marked in the text")
        if claim.reference.strip() and says_the_same(answer, claim.reference, claim.rollout.query.text):
            return Verdict(True, "the same text", details={"answer": answer})
        return Verdict(None, "texts differ, and other words may say the same", details={"answer": answer})
