"""A judge to plug in as a verifier: a function. A language model is asked by `memreward label --judge`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from memreward.types import Claim, EndpointError, Verdict

Decide = Callable[[str, str, str], bool | None]
"""Question, answer and reference ("" where none is given) to a verdict, or None where it cannot be told."""

_AT_ONCE = 8


class JudgeVerifier:
    """Asks a judge about each answer, several at once, from threads; the ledger has its verdicts under its name."""

    def __init__(self, name: str, decide: Decide) -> None:
        self.name, self.decide = name, decide

    def subject(self, claim: Claim) -> tuple[str | None, ...]:
        """Return all that a verdict depends on: the key of a cache."""
        return claim.rollout.query.text, claim.rollout.answer, claim.reference

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        """See `memreward.types.Verifier.verify`."""
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return list(threads.map(self._verdict, claims))

    def _verdict(self, claim: Claim) -> Verdict:
        answer = claim.rollout.answer
        if answer is None:
            return Verdict(None, "no answer is marked in the text")
        try:
            correct = self.decide(claim.rollout.query.text, answer, claim.reference)
        except EndpointError as error:
            return Verdict(None, str(error))
        return Verdict(correct, "the judge says so" if correct is not None else "the judge cannot tell")
