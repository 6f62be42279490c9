"""What a domain is: how a completion is read, when two answers are equivalent, and who verifies them."""

from collections.abc import Sequence

from memreward.domains.config import VerifyConfig
from memreward.domains.shared.dress import answer_region, own_reply
from memreward.domains.shared.expression import find_expression
from memreward.domains.shared.markers import answer_tag, boxed, explicit
from memreward.domains.text.key import free_text_key
from memreward.types import Claim, Verdict, Verifier

Found = tuple[str | None, str, str]
"""Answer, form (see `Completion.form`), and the text before a separate answer element, "" for all of it."""


class DomainRules:
    """One kind of question. A domain of one's own overrides what differs: `parse`, `key` and `verify` mostly.

    Attributes:
        name: What files say under "domain".
        several_right: Whether several distinct answers of one question may be right.
        settles: Whether a judgement on one rollout settles those with an equivalent answer.
        numeric: Whether numbers and arithmetic of a thinking are evidence.
        program: Whether answers are programs, whose syntax and behaviour are evidence.
        lettered: Whether what is said of the question's options is evidence.
    """

    name = ""
    several_right = False
    settles = True
    numeric = False
    program = False
    lettered = False

    def begin(self) -> None:
        """Start what answers are asked of in another process, so that the first of them does not wait for it."""

    def parse(self, text: str, prompt: str) -> str | None:  # noqa: ARG002
        """Return the answer that a completion without marked thinking commits to; None where it commits to none."""
        return find_expression(text, guess=False)[0] if text.strip() else None

    def key(self, answer: str, prompt: str) -> str:
        """Return a string that is equal for equivalent answers to one query, and stable across processes."""
        return free_text_key(answer, prompt)

    def verify(self, answer: str | None, reference: str, prompt: str) -> bool | None:
        """Say whether an answer is what the reference asks for; None where that cannot be told."""
        return None if answer is None else self.key(answer, prompt) == self.key(reference, prompt)

    def verifier(self, config: VerifyConfig) -> Verifier:  # noqa: ARG002
        """Return what verifies claims: `verify` for each, unless a domain has more to it."""
        return RulesVerifier(self)

    def spelling(self, answer: str) -> str:
        """Return what decides the key, and costs little."""
        return answer

    def region(self, text: str) -> tuple[str | None, str, bool]:
        """Return the thinking that a text marks as such, the rest, and whether the mark is closed."""
        return answer_region(text)

    def reply(self, text: str) -> str:
        """Return a text that marks no thinking up to where it is no reply to its question any more."""
        return own_reply(text)

    def read(self, text: str, prompt: str) -> tuple[str | None, str]:
        """Return what `parse` finds, and how it was found."""
        answer = self.parse(text, prompt)
        return answer, "none" if answer is None else "own"

    def find(self, text: str, prompt: str) -> Found:
        """Return what `read` does, and what stands before a separate element; others stand inside of the thinking."""
        answer, form = self.read(text, prompt)
        mark = explicit(text) if form in {"answer_tag", "hash", "a_line"} else None
        return answer, form, "" if mark is None else text[: mark.start]

    def find_in_thinking(self, thinking: str, prompt: str, *, closed: bool) -> tuple[str | None, str]:  # noqa: ARG002
        """Return an answer that was given inside of the thinking: tagged or boxed, since all else may be passing."""
        mark = answer_tag(thinking) or boxed(thinking)
        if mark is None:
            return None, "none"
        answer, form = self.read(f"<answer>{mark.content}</answer>", prompt)
        return (answer, mark.form) if answer is not None else (None, form)

    def named(self, found: str, prompt: str) -> str:  # noqa: ARG002
        """Return the answer that stands where a pattern of the user's says."""
        return found


class ClaimVerifier:
    """A verifier by its `judge` of one claim."""

    name: str

    def judge(self, claim: Claim) -> Verdict:
        raise NotImplementedError

    def subject(self, claim: Claim) -> tuple[str | None, ...]:
        """Return all that a verdict depends on: the key of a cache."""
        return everything(claim)

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        return [self.judge(claim) for claim in claims]


class RulesVerifier(ClaimVerifier):
    """Verifies by `DomainRules.verify`, under the domain's name."""

    def __init__(self, rules: DomainRules) -> None:
        self.rules, self.name = rules, rules.name

    def judge(self, claim: Claim) -> Verdict:
        answer, prompt = claim.rollout.answer, claim.rollout.query.text
        if answer is None:
            return Verdict(None, "no answer can be read")
        correct = self.rules.verify(answer, claim.reference, prompt)
        reason = {True: "equal to the reference", False: "differs from the reference", None: "cannot be told"}[correct]
        return Verdict(correct, reason)


def everything(claim: Claim) -> tuple[str | None, ...]:
    """Return all that there is of a claim, but provenance."""
    rollout = claim.rollout
    return rollout.query.text, rollout.text, rollout.answer, claim.reference
