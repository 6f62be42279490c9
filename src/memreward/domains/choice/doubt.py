"""Why a reply may not stand by the option that was read from it; see `shared.doubt`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from memreward.domains.choice.parse import polar_options
from memreward.domains.shared.doubt import NEAR, around, of_others, refused
from memreward.domains.shared.markers import last_match

_SHARE = re.compile(
    r"(?<![\w'])\(?([A-Z])\)?[\s:=(~—–-]{1,5}(?:0?\.\d|[01]\b(?!\.\s)|\d{1,3}(?:\.\d+)?\s?(?:%|/\s?\d))"
)
_POLAR = re.compile(r"\A[\s).:*]{0,6}(?:false|no|true|yes|wrong|incorrect)\b", re.IGNORECASE)
_SHARE_BEFORE = re.compile(
    r"\d\s?%\s(?:sure\s|for\s|on\s|that\s|it['’]s\s|it\sis\s|the\sanswer\sis\s|option\s){0,4}\(?([A-Z])\b"
)
_BELITTLED = re.compile(
    r"[\s)\]}.$*]{0,4},?\s?(?:(?:is|was|seems|looks|sounds|would be|may be|might be|comes)\s(?:\w{1,10}\s){0,2}?"
    r"(?:trap|distractor|trick|decoy|tempting|plausible|likely\sthan|less|worse|weaker|second|close|not|"
    r"what|right[;,]? (?:but|or)|possible|good)\b"
    r"|(?:which|that)\s(?:is|was)\s(?:wrong|false|incorrect)\b|said\s(?:no|nobody)|\(?(?:wrong|false|incorrect)\b)"
    r"|[^.\n]{0,40}[.;,]\s(?:but\s|it\s|that\s){0,2}(?:is\s?n['’]t|is\snot|not(?:\sreally)?)[.!]|[\s)\]}.$*]{0,4}\?(?!\s?\w)",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    r"(?:\b(?:could|might|may)\s(?:well\s)?be\s|\b(?:all|anything|everything)\s(?:but|except)\s"
    r"|\bfor example\b[^.\n]{0,30}|\bnot\s(?:\\\(|\$)?"
    r"|\b(?:student|user|human|example|rejected|hates?|avoid|wrong|(?:he|she|they)\s(?:say|said|chose|pick|answer))\b"
    r"[^.\n]{0,12})\W{0,4}\Z",
    re.IGNORECASE,
)
_ALSO = re.compile(
    r"[\s)\]}.$*]{0,4}[,(]?\s{0,2}(?:possibly|maybe|perhaps|also|and/or|and|or|but|then|\.\.\.?|…|\||/|\[|\()?\s{0,2}\(?([A-Z])\b(?!['’.\w])(?!(?<=[AI])\s[a-z])"
)
_OTHER_AFTER = re.compile(
    r"\b(?:then again|hold on|reconsider|joking|kidding|however|correction|corrected|final answer|no|right one|"
    r"correct (?:one|answer)|should be|edit|update|instead(?!\sof)|actually|rather(?!\sthan))\b"
    r"[^\n]{0,60}?(?<![\w'])\(?([A-Z])\b(?!['’\w])",
    re.IGNORECASE,
)


def choice_doubt(text: str, letter: str, choices: Mapping[str, str]) -> str:
    """Return why a text may not stand by an option, or ""; where the option is last named decides.

    Args:
        text: The reply without its thinking.
        letter: The option that was read from it.
        choices: All options' texts by letter.
    """
    shares = {*_SHARE.findall(text[-NEAR:]), *_SHARE_BEFORE.findall(text[-NEAR:])} & choices.keys()
    if letter in shares and (len(shares) > 1 or _SHARE_BEFORE.search(text)):
        return f"it gives shares to {', '.join(sorted(shares))}"
    place = _last_place(text, letter, choices.get(letter, ""))
    if place is None:
        return ""
    before, after = around(text, *place)
    own = re.match(r"[\s).:\]*]*" + re.escape(choices.get(letter, "")), after, re.IGNORECASE)
    after = after if own is None else after[own.end() :]
    if polar_options(choices):  # "B) False" may be an option that says no
        after = _POLAR.sub("", after)
    found = refused(before, letter, after) or of_others(before, "")
    if found:
        return found
    if _BELITTLED.match(after) or _BEFORE.search(before):
        return "it speaks of the option without choosing it"
    for pattern, where in ((_ALSO.match(after), "stands beside it"), (_OTHER_AFTER.search(after), "follows it")):
        if pattern is not None and pattern[1] != letter and pattern[1] in choices:
            return f"option {pattern[1]} {where}"
    return ""


def _last_place(text: str, letter: str, option: str) -> tuple[int, int] | None:
    found = last_match(re.compile(rf"(?<![\w'’]){letter}(?![\w'’])"), text)
    if found is not None:
        return found.span()
    place = text.lower().rfind(option.lower()) if option else -1
    return None if place < 0 else (place, place + len(option))
