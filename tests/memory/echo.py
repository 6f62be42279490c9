"""A verifier that compares spellings, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Sequence

from memreward.types import Claim, Verdict


class Echo:
    name = "echo"

    def __init__(self) -> None:
        self.asked: list[Claim] = []

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        self.asked += claims
        return [
            Verdict(None if claim.rollout.answer is None else claim.rollout.answer == claim.reference, "compared")
            for claim in claims
        ]
