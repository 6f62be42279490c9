"""Multiple choice as a domain."""

from memreward.domains.choice.numbered import are_numbered
from memreward.domains.choice.parse import concluded_stance, find_choice, letter_of, options, polar_options, stance
from memreward.domains.choice.polar import polar_answer
from memreward.domains.choice.verify import ChoiceVerifier
from memreward.domains.config import VerifyConfig
from memreward.domains.rules import DomainRules
from memreward.domains.shared.commitment import taken_back
from memreward.domains.shared.expression import find_expression
from memreward.domains.shared.markers import phrases
from memreward.domains.text.key import free_text_key
from memreward.types import Verifier


class Choice(DomainRules):
    """Lettered options; without them yes or no, else short text."""

    name = "qa"
    lettered = True

    def read(self, text: str, prompt: str) -> tuple[str | None, str]:
        choices = options(prompt)
        letter, form = find_choice(text, choices)
        if letter is not None:
            return letter, form
        said = polar_options(choices).get(polar_answer(text, prompt) or "") if choices else None
        if said is not None or (choices and not are_numbered(choices)):
            return said, form if said is None else "letter"
        return _find_open(text, prompt)

    def named(self, found: str, prompt: str) -> str:
        return letter_of(found, options(prompt)) or found

    def key(self, answer: str, prompt: str) -> str:
        choices = options(prompt)
        letter = letter_of(answer, choices) or (None if choices else stance(answer))
        return letter if letter is not None else "text " + free_text_key(answer, prompt)

    def verifier(self, config: VerifyConfig) -> Verifier:  # noqa: ARG002
        return ChoiceVerifier()


def _find_open(text: str, prompt: str) -> tuple[str | None, str]:
    """The answer to a question without options: yes or no where the reply says so first, else what it marks."""
    answer, form = find_expression(text, guess=False)
    if form in {"none", "text"} and (said := concluded_stance(text)) is not None:
        return said, "text"
    word, marks = None if answer is None else stance(answer), phrases(text)
    if form == "phrase" and word is None and marks:
        content = marks[-1].content  # "The answer is yes, it fits"
        word = None if taken_back(content, len(content.split()[0].rstrip(",;:."))) else stance(content)
    if word is None and (answer is not None or not marks) and (word := polar_answer(text, prompt)) is not None:
        form = "text" if answer is None else form
    return (answer if word is None else word), form
