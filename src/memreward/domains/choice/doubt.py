"""Why a reply may not stand by the option that was read from it; see `shared.doubt`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from memreward.domains.choice.parse import normal_text, polar_options
from memreward.domains.shared.commitment import LETTER
from memreward.domains.shared.doubt import NEAR, SENTENCE_END, alternative, around, of_others, refused
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
    r"(?:trap|distractor|trick|decoy|tempting|plausible|likely\sthan|less|worse|weaker|second|close|not|for|"
    r"what|right[;,]? (?:but|or)|possible|good)\b"
    r"|(?:which|that)\s(?:is|was)\s(?:wrong|false|incorrect)\b|said\s(?:no|nobody)|\(?(?:wrong|false|incorrect)\b)"
    r"|[^.\n]{0,40}[.;,]\s(?:but\s|it\s|that\s){0,2}(?:is\s?n['’]t|is\snot|not(?:\sreally)?)[.!]|[^.!\n]{0,15}!?\?(?!\s?\w)",
    re.IGNORECASE,
)
_UNCLEAR = re.compile(r"\snot\s\(?[A-Z]\)?,?\s(?:or|and)\b")  # "A not B or C"
_BEFORE = re.compile(
    r"(?:\b(?:could|might|may)\s(?:well\s)?be\s|\b(?:all|any(?:thing|one|body|\s\w{1,12})?|every(?:thing|one))\s(?:but|except)\s"
    r"|\bfor example\b[^.\n]{0,30}|\bnot\W{0,3}"
    r"|\b(?:student|user|human|example|rejected|hates?|avoid|wrong|(?:he|she|they)\s(?:say|said|chose|pick|answer))\b"
    r"[^.,;\n]{0,12}|\b(?:was (?:going|about|tempted)|hesitate|reluctant|wanted|used) to\b[^.,;\n]{0,12})\W{0,4}\Z",
    re.IGNORECASE,
)
_NAMED = re.compile(r"(?<![\w'’])(?<!\w\.)\(?([A-Z])\b(?!['’\w]|\.\s?[A-Z]\b|\.\w)(?!(?<=[AI])\s[a-z])")
_AGAINST = re.compile(
    r"(?:\b(?:not|cannot|rather than|instead of|as opposed to|over|unlike|than|versus|except|without|neither|wrong|"
    r"incorrect|false|eliminat\w{0,5}|(?:rul|exclud|discard|reject|dismiss)\w{0,4})|n['’]t)\b[^.;!?]{0,60}\Z",
    re.IGNORECASE,
)
_SET_AGAINST = re.compile(
    r"[^.;!?]{0,60}?(?:\b(?:wrong|incorrect|false|less|not|worse|inferior|cannot|no|lacks?|irrelevant|unrelated|out)\b|n['’]t\b)",
    re.IGNORECASE,
)
_TURNED = re.compile(
    r"\b(?:then again|hold on|reconsider|joking|kidding|however|correction|corrected|final answer|no|right one|"
    r"correct (?:one|answer)|should be|edit|update|instead(?!\sof)|actually|rather(?!\sthan))\b[^\n]{0,60}?\Z",
    re.IGNORECASE,
)
_TURNS_AWAY = re.compile(
    r"\b(?:but|not|no|wrong|incorrect|false|instead|rather|than|over|however|actually|so|therefore|hence|thus|only|leaves?|"
    r"left|leaving|choose|pick|go|answer|option|choice|best|correct|eliminat\w*|rul\w+|while|although|though|cannot|is|are|"
    r"by|then again)\b|n['’]t\b",
    re.IGNORECASE,
)
_BESIDE = re.compile(
    r"[\s).:\],(*—–-]{1,6}(?:(?:namely|meaning|that is|which is|it is|it['’]s|i\.e\.|short for|which stands for|aka|"
    r"the|an?),?\s){0,3}",
    re.IGNORECASE,
)
_LETTER = re.compile(rf"(?<![\w'’]){LETTER}")  # an A that is a word is none
_SHORT = 30
_SHORTEST_OPTION = 4


def choice_doubt(text: str, letter: str, choices: Mapping[str, str]) -> str:
    """Return why a reply, without its thinking, may not stand by an option, or ""; where it is last named decides."""
    shares = {*_SHARE.findall(text[-NEAR:]), *_SHARE_BEFORE.findall(text[-NEAR:])} & choices.keys()
    if letter in shares and (len(shares) > 1 or _SHARE_BEFORE.search(text)):
        return f"it gives shares to {', '.join(sorted(shares))}"
    place = _last_place(text, letter, choices.get(letter, ""))
    if place is None:
        return ""
    before, after = around(text, *place)
    if other := _other_text(after, letter, choices):
        return f"the text beside it is that of option {other}"
    own = re.match(r"[\s).:\]*]*" + re.escape(choices.get(letter, "")), after, re.IGNORECASE)
    after = after if own is None else after[own.end() :]
    if polar_options(choices):  # "B) False" may be an option that says no
        after = _POLAR.sub("", after)
    found = refused(before, letter, after) or of_others(before, after, "")
    if found:
        return found
    if _BELITTLED.match(after) or _UNCLEAR.match(after) or _BEFORE.search(before):
        return "it speaks of the option without choosing it"
    if after.startswith(("'", "′", "’")) and not before.endswith(("'", "‘")):
        return "it has a prime"
    if text.count("*") % 2 and (after.startswith("*") or before.endswith("*")):
        return "it has a star"
    rival = _rival(after, letter, choices) or _rival_before(before, letter, choices)
    return rival or alternative(text, place[0])


def _rival(after: str, letter: str, choices: Mapping[str, str]) -> str:
    """Another option in the sentence of the answer or a short one behind it, which nothing is said against; or ""."""
    ends = [end.end() for end in SENTENCE_END.finditer(after)] + [len(after)] * 2
    near = ends[1] if ends[1] - ends[0] <= _SHORT else ends[0]
    for named in _NAMED.finditer(after):
        before = after[: named.start()]
        if named[1] == letter or named[1] not in choices:
            continue
        if _TURNED.search(before[-2 * _SHORT :]):
            return f"option {named[1]} follows it"
        if named.end() <= near and not _AGAINST.search(before) and not _SET_AGAINST.match(after, named.end()):
            return f"option {named[1]} stands beside it"
    return ""


def _rival_before(before: str, letter: str, choices: Mapping[str, str]) -> str:
    """Another option before the answer in its sentence, which it does not turn away from; or ""."""
    before = before.removeprefix("A: ")  # which marks a line of its own
    for named in _NAMED.finditer(before[-2 * _SHORT :]):
        if named[1] != letter and named[1] in choices and not _TURNS_AWAY.search(before):
            return f"option {named[1]} stands before it"
    return ""


def _other_text(after: str, letter: str, choices: Mapping[str, str]) -> str:
    """Another option whose text follows the letter, or ""."""
    filler = _BESIDE.match(after)
    said = f"{normal_text(after[filler.end() :] if filler else '')} "
    named = {key: normal_text(option) for key, option in choices.items()}
    fits = [key for key, option in named.items() if len(option) >= _SHORTEST_OPTION and said.startswith(f"{option} ")]
    return "" if letter in fits else next(iter(fits), "")


def _last_place(text: str, letter: str, option: str) -> tuple[int, int] | None:
    named = [found for found in _LETTER.finditer(text) if letter in found.groups()]
    if named:
        return named[-1].span(named[-1].lastindex or 0)
    found = last_match(re.compile(rf"(?<![\w'’]){letter}(?!\w|['’]\w)"), text)
    if found is not None:
        return found.span()
    place = text.lower().rfind(option.lower()) if option else -1
    return None if place < 0 else (place, place + len(option))
