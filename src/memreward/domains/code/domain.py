"""Python programs as a domain."""

from memreward.domains.code.parse import code_normal_form, entry_point, find_code
from memreward.domains.code.verify import CodeVerifier
from memreward.domains.config import VerifyConfig
from memreward.domains.rules import DomainRules, Found
from memreward.domains.shared.markers import answer_tag, split_thinking
from memreward.domains.shared.turns import own_turn
from memreward.types import Verifier


class Code(DomainRules):
    """Programs: several may be right, and what reads alike may still differ in a hidden test."""

    name = "code"
    several_right = True
    settles = False
    program = True

    def region(self, text: str) -> tuple[str | None, str, bool]:
        return split_thinking(own_turn(text))

    def reply(self, text: str) -> str:
        return own_turn(text)

    def find(self, text: str, prompt: str) -> Found:
        tagged = answer_tag(text)
        code, form, around = find_code(tagged.content if tagged is not None else text, prompt)
        return code, form, around if tagged is None else text[: tagged.start]

    def find_in_thinking(self, thinking: str, prompt: str, *, closed: bool) -> tuple[str | None, str]:
        code, form, _ = find_code(thinking, prompt) if closed else (None, "none", "")
        return (code, form) if form == "fence" else (None, "none")

    def key(self, answer: str, prompt: str) -> str:
        return code_normal_form(answer, entry_point(prompt))

    def verifier(self, config: VerifyConfig) -> Verifier:
        return CodeVerifier(config)
