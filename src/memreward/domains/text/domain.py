"""Free text as a domain."""

from __future__ import annotations

from memreward.domains.config import VerifyConfig
from memreward.domains.rules import DomainRules
from memreward.domains.shared.expression import find_expression
from memreward.domains.text.verify import TextVerifier
from memreward.types import Verifier


class Text(DomainRules):
    """Answers in words, compared as normalised strings."""

    name = "other"
    numeric = True

    def read(self, text: str, prompt: str) -> tuple[str | None, str]:  # noqa: ARG002
        """Return the marked answer, or all of a short text."""
        return find_expression(text, guess=False)

    def verifier(self, config: VerifyConfig) -> Verifier:  # noqa: ARG002
        """Return the comparison of strings, which never says "wrong"."""
        return TextVerifier()
