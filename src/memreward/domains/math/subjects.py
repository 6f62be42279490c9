"""Of whom, or of what, a number is said: "Tom has 47 and Anna has 31", "the total is 94, the average is 47"."""

import re

from memreward.domains.math.magnitudes import numeral
from memreward.domains.math.quantity import is_unit
from memreward.domains.shared.markers import last_match, without_calculator

CLAUSE = re.compile(r"[,;]\s|\.\s|\n|\s(?=(?:but|while|whereas|so)\b)|(?<=\d)(?:\s[a-z]{2,20}){0,2}\s(?=and\b)")
_NAME = re.compile(
    r"\b(?!(?:The|This|That|These|So|Thus|Hence|Therefore|Then|Now|And|But|In|On|At|As|If|Of|For|To|It|He|She|They|We|"
    r"You|Its|Her|His|Their|Our|There|Total|Together|Altogether|Both|Each|All|Since|After|Before|Finally|First|Next|Step|"
    r"Answer|Final|Also|Let|Here|Adding|Note)\b)([A-Z][a-z]{2,20})\b"
    r"|\b[Tt]he (?:[a-z]{3,15} )?([a-z]{3,15}) (?:is|was|=)"
)
_NUMBER = re.compile(r"(?<![\w.])-?\$?\d[\d,]*(?:\.\d+)?(?![\w.]*\d)")
_MONEY = re.compile(r"\$\s?(\d[\d,]*(?:\.\d+)?)(?![\d$]|\.\d| (?:thousand|[mbtr]{1,2}illion)\b)")
_GOES_ON = re.compile(r"=\s?\d|\d\s(?:dollars|cents)\b")  # to another amount
_COUNTED = re.compile(r"(?<![\w.])(-?\$?\d[\d,]*(?:\.\d+)?)(?![\w.]*\d)(?:[ -]([a-zA-Z]{3,}))?")
_ASIDE, _PER = re.compile(r"\([^(),]*\d[^(),\d]*[-+*/×x=][^(),]*\)"), re.compile(r"(?<=\d)/[a-z]{3,}\b")
_CHANGES = re.compile(
    r"\\|[=<>^*/+]|n['’]t\b|\b(?:not|no|never|least|most|more|less|than|over|under|half|twice|double|times|almost|nearly|"
    r"between|up to|until|or|if|unless|about|minus|plus)\b",
    re.IGNORECASE,
)
_ASKED = re.compile(r"[^.?!\n]*\?|[^.!\n]+\Z")
_HOW_MANY = re.compile(r"how many ([a-z]{3,})")
_HOW_MANY_OF = re.compile(r"how many (?:of (?:the|these|those|his|her|their) )?(?:\d+ )?([a-z]{3,})")
_MARKS = re.compile(r"[*?!]|[.,](?!\d)")
_NEAR = 300


def number_of_asked(text: str, question: str) -> str | None:
    """Return the number that a text's end says of what is asked, if one of something else stands last; else None."""
    asked = _ASKED.findall(question.strip()[-_NEAR:]) or [""]
    end = without_calculator(text.rstrip()[-_NEAR:])
    last = re.split(r"\n|\. ", end)[-1]
    if (beside := number_beside_given(last, question)) is not None:
        return beside
    money = list(_MONEY.finditer(last))
    if len(money) == 1 and "how much" in asked[-1].lower() and not _GOES_ON.search(last, money[0].end()):
        return str(money[0][1]).strip(",")
    clauses = CLAUSE.split(end.rsplit("\n\n", 1)[-1])
    said = [(_subjects(clause), numbers[-1]) for clause in clauses if clause and (numbers := _NUMBER.findall(clause))]
    words = set(re.findall(r"\w+", asked[-1].lower()))
    fits = {number for subjects, number in said if subjects & words}
    if len(fits) != 1 or not said[-1][0] or said[-1][0] & words:
        return None
    found: str = fits.pop()
    return found.strip("$,")


def number_beside_given(said: str, question: str) -> str | None:
    """Return the only number of a sentence that is not the question's own, or that counts what it asks for; else None.

    "$255 a month for 3 months" is 255 where it asks about the 3 months, and "14 bags with 2 apples each" 14 bags.
    """
    asked = (_ASKED.findall(question.strip()[-_NEAR:]) or [""])[-1].lower()
    plain = _PER.sub("", _ASIDE.sub("", said))
    found = _COUNTED.findall(plain)
    new = [number for number, thing in found if not (thing and f"{number} {thing.rstrip('s').lower()}" in asked)]
    counted = _HOW_MANY.search(asked)
    if len(new) > 1 and counted is not None and not is_unit(counted[1]) and all(thing for _, thing in found):
        new = [number for number, thing in found if thing.lower() == counted[1]]
    alone = len(new) == 1 and (len(found) > 1 or plain != said) and not _CHANGES.search(plain)
    return str(new[0]).replace("$", "").strip(",") if alone else None


def number_before_asked(text: str, question: str) -> str | None:
    """Return how many a text's end says there are, where numbers that the question asks with follow; else None.

    "There are 3 boxes with fewer than 9 pens" is 3, and "there are no boxes with ..." 0, where it asks for those.
    """
    asked = question[-_NEAR:].lower()
    counted = last_match(_HOW_MANY_OF, asked)
    said = [part for part in re.split(r"\n|\. ", text.rstrip()[-_NEAR:]) if re.search(r"\d", part)]
    if counted is None or not said or "?" in said[-1]:
        return None
    words, asked = (" ".join(_MARKS.sub(" ", part).split()) for part in (said[-1].lower(), asked[counted.start() :]))
    starts = (space.start() for space in re.finditer(r" (?=\S+ )", words))
    begin = next((start for start in starts if f"{words[start:]} " in f"{asked} "), None)
    there = re.search(rf"\b{counted[1].rstrip('s')}(?:e?s)?\b", words[:begin])
    if begin is None or there is None or not re.search(r"\d", words[begin:]):
        return None
    head = words[: there.start()].split()
    number = next((word for word in head[:-3:-1] if word == "no" or _NUMBER.fullmatch(word) or numeral(word)), None)
    rest = [word for word in head + words[there.end() : begin].split() if word != number]
    if number is None or _CHANGES.search(" ".join(rest)) or re.search(r"\d", " ".join(rest)):
        return None
    return "0" if number == "no" else number


def _subjects(clause: str) -> set[str]:
    return {(match[1] or match[2]).lower() for match in _NAME.finditer(clause)}
