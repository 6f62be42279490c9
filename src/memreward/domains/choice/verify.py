"""Ground truth for multiple choice: the one option that a rollout commits to against the reference."""

import re
from collections.abc import Mapping

from memreward.domains.choice.doubt import choice_doubt
from memreward.domains.choice.numbered import LETTERS, are_numbered, in_letters, lettered
from memreward.domains.choice.parse import (
    Choice,
    letter_of,
    normal_text,
    option_of_reference,
    options,
    polar_options,
    read_choice,
    stance,
)
from memreward.domains.rules import ClaimVerifier
from memreward.domains.shared.dress import answer_region
from memreward.domains.shared.retraction import retracted
from memreward.domains.shared.turns import prompt_before
from memreward.domains.text.domain import TextVerifier
from memreward.domains.text.key import differs_in_value
from memreward.types import Claim, Verdict

RULES = 23
_BEGINS_LIST = re.compile(r"^[ \t]*\(?A[).]\s", re.MULTILINE)
_LISTED_LINE = re.compile(r"^[ \t]*\(?([A-Z])[).:][ \t]+(\S[^\n]*?)[ \t]*$", re.MULTILINE)


class ChoiceVerifier(ClaimVerifier):
    """Decides whether a rollout commits to the option that the reference names; see `docs/verifiers.md`."""

    name = f"choice-{RULES}"

    def judge(self, claim: Claim) -> Verdict:
        choices = options(claim.rollout.query.text)
        answer = claim.rollout.answer
        right = option_of_reference(claim.reference, choices)
        letter = None if answer is None else letter_of(answer, choices)
        if right is None and choices:
            return Verdict(None, f"the reference {claim.reference[:60]!r} is none of the question's options")
        if right is None or (letter is None and not choices):
            return _without_options(claim)
        text = answer_region(claim.rollout.text)[1]
        if are_numbered(choices):
            text, right, letter = in_letters(text, choices), LETTERS[right], letter and LETTERS[letter]
            choices = lettered(choices)
        read = read_choice(text, choices)
        if letter is None:
            return _uncommitted(read, right, choices)
        if read.letters == (letter,) and (other := _beside(text, read, choices)):
            return Verdict(None, f"it says {letter}, and the text beside it is that of option {other}")
        if letter != right and letter in choices and choices[letter].split() == choices[right].split():
            return Verdict(None, f"options {letter} and {right} have the same text")
        if letter == right and (why := _doubt(claim, text, letter, choices)):
            return Verdict(None, f"it is option {letter}, but {why}")
        return Verdict(letter == right, f"option {letter}")


def _doubt(claim: Claim, text: str, letter: str, choices: Mapping[str, str]) -> str:
    echoed, own = options(prompt_before(claim.rollout.text)), {*map(normal_text, choices.values())}
    if len(echoed) > 1 and not own & {*map(normal_text, echoed.values())}:
        return "it answers another question"
    relettered = normal_text(echoed.get(letter, ""))
    if relettered and relettered in own and relettered != normal_text(choices[letter]):
        return f"its own option {letter} is another"
    question = claim.rollout.query.text
    return choice_doubt(text, letter, choices, question) or retracted(claim.rollout.text, letter, question)


def _without_options(claim: Claim) -> Verdict:
    """Of a question whose options are not known: wrong only where the reference can be read in the reply's terms."""
    answer, wanted = claim.rollout.answer, stance(claim.reference)
    if answer is None:
        silent = not answer_region(claim.rollout.text)[1].strip() or claim.rollout.truncated
        return Verdict(False, "no answer was committed") if silent else TextVerifier().judge(claim)
    said = stance(answer)
    if wanted is not None and said is not None:
        why = retracted(claim.rollout.text, said, claim.rollout.query.text) if said == wanted else ""
        return Verdict(None if why else said == wanted, f"it says {said}" + (f", but {why}" if why else ""))
    if differs_in_value(answer, claim.reference, claim.rollout.query.text):
        return Verdict(False, "another value")
    return TextVerifier().judge(claim)


def _uncommitted(read: Choice, right: str, choices: Mapping[str, str]) -> Verdict:
    """Of a reply that settles on no option: wrong, as it was asked, unless what it says may mean just the right one."""
    if len(read.letters) > 1:
        named = ", ".join(read.letters)
        if right in read.letters and len({tuple(choices[letter].split()) for letter in read.letters}) == 1:
            return Verdict(None, f"options {named} have the same text")
        return Verdict(False, f"it commits to several options: {named}")
    if read.ruled_out:
        alone = choices.keys() - set(read.ruled_out) == {right}
        return Verdict(None if alone else False, f"it only rules out {', '.join(read.ruled_out)}")
    if read.unread and polar_options(choices):
        return Verdict(None, f"{read.unread!r} may mean yes or no in other words")
    return Verdict(False, "no option was committed to")


def _beside(text: str, read: Choice, choices: Mapping[str, str]) -> str:
    """Another option whose text stands beside the letter of the one that was committed to, or ""."""
    (letter,) = read.letters
    # The options as the rollout itself lists them, a line each; it may have put them in another order.
    begin = _BEGINS_LIST.search(text)
    listed = {match[1]: match[2] for match in _LISTED_LINE.finditer(text)}
    listed |= {} if begin is None else options(text[begin.start() :])
    own = listed.get(letter, "") if len(listed) > 1 else ""
    beside = {normal_text(read.named_text), normal_text(own)} - {""}
    others = (option for option in choices if option != letter and normal_text(choices[option]) in beside)
    return "" if normal_text(choices.get(letter, "")) in beside else next(others, "")
