"""Ground truth for multiple choice: the one option that a rollout commits to against the reference."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from memreward.parsing.choice import Choice, letter_of, normal_text, options, read_choice
from memreward.parsing.dress import answer_region
from memreward.types import Claim, Verdict

RULES = 1
_BARE_LETTER = re.compile(r"\s*\(?([A-Ja-j])\)?\.?\s*")
_LISTED_LINE = re.compile(r"^[ \t]*\(?([A-J])[).:][ \t]+(\S[^\n]*?)[ \t]*$", re.MULTILINE)


class ChoiceVerifier:
    """Decides whether a rollout commits to the option that the reference names; see `docs/verifiers.md`.

    Every rule takes time linear in the length of the text, so that no clock is needed.
    """

    @property
    def name(self) -> str:
        """Identifies the rules."""
        return f"choice-{RULES}"

    def subject(self, claim: Claim) -> tuple[str | None, ...]:
        """Return all that a verdict depends on: the key of a cache."""
        return claim.rollout.query.text, claim.rollout.text, claim.rollout.answer, claim.reference

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        """See `memreward.types.Verifier.verify`."""
        return [_timed(claim) for claim in claims]

    async def verify_async(self, claims: Sequence[Claim]) -> list[Verdict]:
        """See `memreward.types.Verifier.verify_async`."""
        return await asyncio.to_thread(self.verify, claims)


def _timed(claim: Claim) -> Verdict:
    start = time.perf_counter()
    verdict = _verdict(claim)
    return replace(verdict, seconds=time.perf_counter() - start)


def _verdict(claim: Claim) -> Verdict:
    choices = options(claim.rollout.query.text)
    right = _reference_letter(claim.reference, choices)
    if right is None:
        return _by_text(claim, choices)
    answer = claim.rollout.answer
    letter = None if answer is None else letter_of(answer, choices)
    read = read_choice(answer_region(claim.rollout.text)[1], choices)
    if letter is None and right in read.letters and len({tuple(choices[one].split()) for one in read.letters}) == 1:
        return Verdict(None, f"options {', '.join(read.letters)} have the same text", details={"answer": answer})
    if letter is None and choices.keys() - read.ruled_out == {right}:
        return Verdict(None, f"it rules out all options but {right}", details={"answer": answer})
    if letter is None:
        return Verdict(False, _uncommitted(read), details={"answer": answer})
    if read.letters == (letter,) and (other := _beside(claim.rollout.text, read, choices)):
        doubt = f"it says {letter}, and the text beside it is that of option {other}"
        return Verdict(None, doubt, details={"answer": answer})
    if letter != right and letter in choices and choices[letter].split() == choices.get(right, "").split():
        return Verdict(None, f"options {letter} and {right} have the same text", details={"answer": letter})
    return Verdict(letter == right, f"option {letter}", details={"answer": letter})


def _reference_letter(reference: str, choices: Mapping[str, str]) -> str | None:
    """The letter that a reference is or whose text it has; a part of an option's text is not enough here."""
    bare = _BARE_LETTER.fullmatch(reference)
    if bare is not None and (not choices or bare[1].upper() in choices):
        return bare[1].upper()
    same = [letter for letter, option in choices.items() if normal_text(option) == normal_text(reference)]
    if len(same) == 1:
        return same[0]
    letter = letter_of(reference, {})
    return letter if not choices or letter in choices else None


def _by_text(claim: Claim, choices: Mapping[str, str]) -> Verdict:
    if choices:
        return Verdict(None, f"the reference {claim.reference[:60]!r} is none of the question's options")
    answer = claim.rollout.answer
    if answer is None:
        return Verdict(False, "no answer was committed")
    if normal_text(answer) and normal_text(answer) == normal_text(claim.reference):
        return Verdict(True, "the same text", details={"answer": answer})
    return Verdict(None, "texts differ, and other words may say the same", details={"answer": answer})


def _uncommitted(read: Choice) -> str:
    if len(read.letters) > 1:
        return f"it commits to several options: {', '.join(read.letters)}"
    if read.ruled_out:
        return f"it only rules out {', '.join(read.ruled_out)}"
    return "no option was committed to"


def _beside(text: str, read: Choice, choices: Mapping[str, str]) -> str:
    """Another option whose text stands beside the letter of the one that was committed to, or ""."""
    (letter,) = read.letters
    beside = {normal_text(read.named_text), normal_text(_own_list(answer_region(text)[1]).get(letter, ""))} - {""}
    own = normal_text(choices.get(letter, ""))
    others = (option for option in choices if option != letter and normal_text(choices[option]) in beside)
    return "" if own in beside else next(others, "")


def _own_list(text: str) -> Mapping[str, str]:
    """The options as the rollout itself lists them, a line each; it may have put them in another order."""
    listed = {match[1]: match[2] for match in _LISTED_LINE.finditer(text)}
    return listed if len(listed) > 1 else {}
