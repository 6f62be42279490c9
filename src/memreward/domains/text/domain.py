"""Free text as a domain: the reference, however it is written, is right; of other words none can tell."""

from memreward.domains.config import VerifyConfig
from memreward.domains.rules import ClaimVerifier, DomainRules
from memreward.domains.shared.expression import find_expression
from memreward.domains.shared.retraction import retracted
from memreward.domains.text.key import says_the_same
from memreward.types import Claim, Verdict, Verifier

RULES = 7


class Text(DomainRules):
    """Answers in words, compared as normalised strings."""

    name = "other"
    numeric = True

    def read(self, text: str, prompt: str) -> tuple[str | None, str]:  # noqa: ARG002
        return find_expression(text, guess=False)

    def verifier(self, config: VerifyConfig) -> Verifier:  # noqa: ARG002
        return TextVerifier()


class TextVerifier(ClaimVerifier):
    """Says whether an answer in words is the reference (docs/verifiers.md); never "wrong": others may say it."""

    name = f"text-{RULES}"

    def subject(self, claim: Claim) -> tuple[str | None, ...]:
        return claim.rollout.answer, claim.reference, claim.rollout.query.text, _doubt(claim)

    def judge(self, claim: Claim) -> Verdict:
        answer = claim.rollout.answer
        if answer is None:
            return Verdict(None, "no answer is marked in the text")
        if claim.reference.strip() and says_the_same(answer, claim.reference, claim.rollout.query.text):
            why = _doubt(claim)
            return Verdict(None if why else True, f"it is the reference, but {why}" if why else "the same text")
        return Verdict(None, "texts differ, and other words may say the same")


def _doubt(claim: Claim) -> str:
    rollout = claim.rollout
    return "" if rollout.answer is None else retracted(rollout.text, rollout.answer, rollout.query.text)
