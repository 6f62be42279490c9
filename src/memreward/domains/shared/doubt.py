"""Why a text may not stand by the answer that was read from it: how it speaks of it, and what it says right behind it.

A parser has to take some answer; a judge may say that it cannot tell. What is found here makes no answer wrong, it
only keeps one that equals the reference from being called right. Every function is linear in the length of the text.
"""

from __future__ import annotations

import re

SENTENCE_END = re.compile(r"[.!?](?=[\s\"')\]]|$)|\n")
_CROSS = r"[❌✗✘☒🚫👎🙅❎⛔]"
_CROSSED_BEFORE = re.compile(rf"{_CROSS}\ufe0f?[\s$*_]{{0,4}}\Z")
_OPENING = re.compile(r"(?:\\(?:f?box(?:ed)?|text)\s?\{\s{0,4}|<\w{1,20}>)+\Z")
_OF_OTHERS = re.compile(
    r"\b(previous|old|initial|first|original|earlier|former|second|second-best|wrong|incorrect|false|bad|worst|opposite|"
    r"other|another|rejected|his|her|their|\w{1,20}['’]s)\s{1,3}(?:guess|answer|result|solution|value)"
    r"(?:\s(?:is|was|would be|of)|:)?[\s$*_:\\(\[]{0,6}\Z",
    re.IGNORECASE,
)
_BEFORE_BOX = re.compile(
    r"\b(?:(?:some|others|many|most|people|students|everyone|nobody) (?:\w{2,12} )?(?:say|get|think|claim|pick|choose)"
    r"|(?:do|does|did|must|should|can) ?(?:not|n['’]t)|don['’]t|"
    r"never|anything but|if (?:\w{1,20} ){1,2}(?:were|was|had)\b[^.;\n]{0,40})[ \w]{0,20}[\s$:,*\\(\[]{0,6}\Z",
    re.IGNORECASE,
)
_REFUSED = re.compile(
    rf"(?:[\s$)}}\]*_.,!?]|</?\w{{1,20}}>){{0,12}}(?:{_CROSS}|\(?\b(?:false|wrong|incorrect|rejected|refused)\b"
    r"|(?:was|is|got|has been) (?:rejected|refused|discarded|ruled out|off by|(?:my|our|the|a|an) (?:first|initial|"
    r"previous|old|earlier|original|wrong|incorrect)\b|what (?:most|many|some|other)))",
    re.IGNORECASE,
)
NEAR = 300
"""Characters around an answer that are looked at."""


def last_place(text: str, answer: str) -> int:
    """Return where an answer stands last, not inside of a longer word or number; -1 for nowhere."""
    place = text.rfind(answer)
    while place >= 0 and (
        (answer[0].isalnum() and re.search(r"[\w.,^+*/-]\Z", text[max(0, place - 1) : place]))
        or (answer[-1].isalnum() and re.match(r"\w|[.,]\d", text[place + len(answer) :][:2]))
    ):
        place = text.rfind(answer, 0, place)
    return place


def around(text: str, start: int, end: int) -> tuple[str, str]:
    """Return what stands before an answer in its sentence, without an opening box or tag, and what follows it."""
    before = SENTENCE_END.split(text[max(0, start - NEAR) : start])[-1]
    return _OPENING.sub("", before), text[end : end + NEAR]


def refused(before: str, answer: str, after: str) -> str:
    """Return whether an answer is crossed out, or refused right behind it: why, or ""."""
    if len(answer) > 2 and answer[0] == answer[-1] == "~":
        return "it is struck out"
    return "it is crossed out or refused" if _CROSSED_BEFORE.search(before) or _REFUSED.match(after) else ""


def of_others(before: str, question: str) -> str:
    """Return whether an answer is somebody else's, an earlier one, or one that is not to be given: why, or ""."""
    named = _OF_OTHERS.search(before)
    if named is not None and named[1].lower() not in question.lower():
        return f"it is called the {named[1]} answer"
    return "it is an answer that is not given" if _BEFORE_BOX.search(before) else ""
