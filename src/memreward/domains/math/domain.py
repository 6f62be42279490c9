"""Mathematics as a domain."""

import re

from memreward.domains.config import VerifyConfig
from memreward.domains.math import process
from memreward.domains.math.form import math_key, measure, normal_form
from memreward.domains.math.quantity import quantity
from memreward.domains.math.rules import by_value
from memreward.domains.math.subjects import number_before_asked, number_beside_given, number_of_asked
from memreward.domains.math.wanted import Wanted, wanted
from memreward.domains.rules import DomainRules
from memreward.domains.shared.expression import find_expression
from memreward.domains.shared.markers import answer_tag, phrases
from memreward.types import Verifier

_PRICE = re.compile(r"[-−]?\\?\$\s?\d[\d,]{0,30}(?:\.\d{1,30})?(?: (?:thousand|[mbtr]{1,2}illion))?")
_NUMBER_AND_UNIT = re.compile(rf"[-+−]?[\d.,/ ]{{1,30}}[a-zA-Z¢][a-zA-Z /¢]{{0,30}}|{_PRICE.pattern}")

# It begins or ends as a program, whose numbers are none of its answers.
_PROGRAM = re.compile(
    r"\A\s*(?:#[^\n]*\n\s*)*(?:import|from|def)\s\w"
    r"|\n\s*(?:print\([^\n]*\)|return\s[^\n]+|(?=[^\n]*[a-z]_[a-z])\w+ = (?![\d.]+\s*\Z)[^\n]+)\s*\Z"
)
_SENTENCE = re.compile(r"[a-z]{2,} [a-z]{2,}[^\\]*\d")


class Math(DomainRules):
    """Numbers, formulas, sets, intervals; in what the query asks for."""

    name = "math"
    numeric = True

    def begin(self) -> None:
        process.begin()

    def read(self, text: str, prompt: str) -> tuple[str | None, str]:
        if (option := by_value(text.strip(), prompt)) != text.strip():
            return option, "text"
        answer, form = find_expression(text, guess=True)
        if form == "last_number" and _PROGRAM.search(text):
            return None, "none"
        if form in {"last_number", "none"} and (number := number_before_asked(text, prompt)) is not None:
            return number, "last_number"
        tagged = answer_tag(text) if answer is not None and form == "answer_tag" else None
        said = text if tagged is None or phrases(tagged.content) else tagged.content
        if answer is not None and (form == "last_number" or (said != text and _SENTENCE.search(said))):
            answer = number_of_asked(said, prompt) or answer
        elif answer is not None and _SENTENCE.search(answer):
            answer = number_beside_given(answer, prompt) or answer
        if answer is not None and (form in {"phrase", "hash", "a_line"} or _PRICE.fullmatch(answer)):
            answer = _without_plain_unit(answer, prompt)
        return answer, form

    def spelling(self, answer: str) -> str:
        """Return the answer without what LaTeX adds to its looks, and what it measures: 5 cm is not 5 m."""
        measured = measure(answer, Wanted())
        return f"{measured.dimension} {measured.factor} {normal_form(answer)}"

    def key(self, answer: str, prompt: str) -> str:
        return math_key(by_value(answer, prompt), prompt)

    def verifier(self, config: VerifyConfig) -> Verifier:  # noqa: ARG002
        from memreward.domains.math.verify import MathVerifier  # which parses by these rules

        return MathVerifier()


def _without_plain_unit(answer: str, prompt: str) -> str:
    """In a sentence, the unit of a number says nothing, unless it is another than the one that is asked for."""
    measured = quantity(answer)
    plain = measured.dimension not in {"", "percent"} and _NUMBER_AND_UNIT.fullmatch(answer) is not None
    return measured.body if plain and wanted(prompt).other_unit(measured) is None else answer
