"""What verifiers have in common that judge one claim after the other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from memreward.types import Claim, Verdict


class ClaimVerifier:
    """A verifier by its `judge` of one claim, which says how long each took."""

    name: str

    def judge(self, claim: Claim) -> Verdict:
        """Decide on one claim."""
        raise NotImplementedError

    def subject(self, claim: Claim) -> tuple[str | None, ...]:
        """Return all that a verdict depends on: the key of a cache."""
        return everything(claim)

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        """See `memreward.types.Verifier.verify`."""
        return [self.timed(claim) for claim in claims]

    def timed(self, claim: Claim) -> Verdict:
        """Decide on one claim, with the seconds that it took."""
        start = time.perf_counter()
        verdict = self.judge(claim)
        return replace(verdict, seconds=time.perf_counter() - start)


def everything(claim: Claim) -> tuple[str | None, ...]:
    """Return all that there is of a claim, but provenance."""
    rollout = claim.rollout
    return rollout.query.text, rollout.text, rollout.answer, claim.reference
