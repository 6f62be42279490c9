"""Where a text commits to one of several options, and where it only speaks of one.

"The answer is B", "I'd go with B", "Actually, it is B" and "B is correct" commit. "I do not think the answer is B" and
"Everyone thinks the answer is B" do not. Every function is linear in the length of the text.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import Literal

from memreward.domains.shared.markers import Marked, explicit, last_match, phrases

Force = Literal["said", "perhaps", "denied"]

# A and I are words too: they are letters only where nothing follows that could follow the word.
LETTER = (
    r"(?:[(\[]([A-Za-z])[)\]]|([B-HJ-Z])(?![\w'])|([AI])(?![\w'])(?!\s\d{1,4}(?:-[a-z]|\s(?:year|month|week|day|hour)))"
    r"(?!\s{1,3}(?!(?:because|since|as|for|over|or|nor|instead|"
    r"rather|and|but|here|which|due|based|given|is|are|was|not|it|seems|remains|looks|fits|works|makes|beats|trumps|wins|would|"
    r"must|should|could|can|appears|sounds|matches|only|alone)\b)[a-z]))"
)
SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\b(?:Dr|Mr|Ms|St)\.)(?<!\bMrs\.)[\"')>]{0,3}\s|\n")

SET_AGAINST = re.compile(
    r"(?:,\s|\s\()(?:and\s)?(?:not|rather than|instead of|as opposed to)\s[^.;,\n]{1,60}(?=[.\s]*\Z)"
)
TURNED_AT_END = re.compile(
    r"[.!?…,;]\s{1,3}(?:no|wait|actually|sorry|oops|correction|rather|I mean|instead|hmm)[,:.\s–—-]{1,4}"
    r"(?:it'?s\s|it is\s|the\s){0,2}([^.\n!?]{1,80})[.!]?\s{0,9}\Z",
    re.IGNORECASE,
)

_NAME = r"(?i:(?:the\s{1,3})?(?:option|choice|answer|letter)\s{1,3})?"
_DECISION = re.compile(
    r"\b(?i:go(?:ing)?\s{1,3}(?:with|for)|choos(?:e|ing)|chose|pick(?:ing|ed)?|select(?:ing|ed)?|opt(?:ing)?\s{1,3}for|"
    r"settl(?:e|ing)\s{1,3}(?:on|for)|vot(?:e|ing)(?:\s{1,3}for)?|say|guess|answer\s{1,3}with|stick(?:ing)?\s{1,3}with|"
    r"chang(?:e|ing|ed)\s{1,3}(?:my|the)\s{1,3}(?:answer|mind|choice)(?:\s{1,3}from\s{1,3}\(?[A-Z]\)?)?\s{1,3}to|"
    r"conclude|lean(?:ing)?\s{1,3}towards?|bet\s{1,3}on|(?:I|I['’](?:ll|d)|will|would)\s{1,3}take)\s{1,3}(?i:(?:that\s{1,3})?it(?:'s|\s{1,3}is)\s{1,3})?"
    + _NAME
    + LETTER
)
_IDENTITY = re.compile(
    r"\b(?i:it|that|this)(?i:'s|\s{1,3}(?:is|(?:must|should|would|can\s{1,3}only)\s{1,3}be|has\s{1,3}to\s{1,3}be))\s{1,3}"
    r"((?i:(?:actually|really|in\s{1,3}fact|rather|instead)[,\s]{1,3}){0,2})"
    r"(?i:(?:therefore|clearly|definitely|probably|most\s{1,3}likely|just|then|indeed)\s{1,3})?" + _NAME + LETTER
)
_CONNECTED = re.compile(
    r"(?:^|[.!?;,]\s{1,3}|\n|(?<![Aa]nything)(?<![Ee]verything)(?<=\w)\s(?=but\s))[ \t]{0,3}(?:(?:∴\s?|"
    r"(?i:so|but|must\s{1,3}be|definitely|hmm+|sorry|oops|"
    r"on\s{1,3}(?:reflection|second\s{1,3}thoughts?)|for\s{1,3}(?:this|that)\s{1,3}reason|I\s{1,3}mean|just\s{1,3}kidding|never\s?mind|my\s{1,3}mistake|"
    r"by\s{1,3}elimination|thus|hence|therefore|then|actually|no|wait|rather|instead|finally|"
    r"final|correction|ultimately|in\s{1,3}conclusion|overall|conclusion|verdict|without\s{1,3}(?:a\s{1,3})?doubt|no\s{1,3}doubt|only|just|in\s{1,3}short|clearly|yes|ok|okay|"
    r"(?:final|my)\s{1,3}(?:choice|pick|guess|vote))[,:.\s–—-]{1,5})){1,3}"
    + _NAME
    + LETTER
    + r"(?=\s{0,3}(?:[.!,;)]|$|\n)|\s[–—-]\s)"
)
_LABELLED = re.compile(
    r"(?:\b(?i:(?:answer|option|choice|letter|ans|antwort|respuesta|réponse|risposta|resposta|ответ)\s{0,3}(?:[-–—:：=>→]|ist\b|est\b|"
    r"es\b|è\s)|(?:svar|svaret|antwoord|odpověď)\s{1,3}(?:är|er|is|je)\s)|"
    r"(?:答案|答え|选项|정답)\s{0,3}(?:应该|应)?\s{0,3}[是为は은：:])[-–—:：=>→是为 \t]{0,6}" + _NAME + LETTER
)
# "The tree is:" and one option in the line below, which begins no list of them.
_BELOW = re.compile(
    r"\b(?:is|be):\s{0,3}\n\s{0,9}(?=\(?[A-Z][).:])" + _NAME + LETTER + r"(?![^\n]{0,400}\n\s{0,9}\(?[B-Z][).:]\s)"
)
_LEFT = re.compile(
    r"\b(?i:leav(?:es|ing)(?:\s{1,3}us)?(?:\s{1,3}with)?(?:\s{1,3}(?:only|just))?|left\s{1,3}with(?:\s{1,3}only)?"
    r"|(?:answer|choice|option)\s{1,3}(?:appears?\s{1,3}to\s{1,3}be|seems(?:\s{1,3}to\s{1,3}be)?|(?:would\s{1,3}have|has)"
    r"\s{1,3}to\s{1,3}be|(?:might|could|can\s{1,3}only)\s{1,3}be|turns\s{1,3}out\s{1,3}to\s{1,3}be|remains))\s{1,3}"
    + _NAME
    + LETTER
    + r"|\b(?i:only)\s{1,3}"
    + _NAME
    + LETTER
    + r"(?=\s{1,3}(?i:remains|is\s{1,3}(?:left|correct|right|true)|works|fits|makes\s{1,3}sense))"
)
_ALL_BUT = re.compile(
    r"\b(?i:nothing\s{1,3}but\s{1,3})" + LETTER + r"(?=\s(?:fits|works))"
    r"|\b(?i:all|every\s{1,3}\w{1,12})\b[^.\n]{0,30}\b(?:wrong|incorrect|false|out)\b[^.\n]{0,9}\b(?:except|but)\s{1,3}"
    + (_NAME + LETTER)
    + r"|\b(?i:all|every)\s{1,3}\w{1,12}\s{1,3}(?:except|but|other\s{1,3}than)\s{1,3}"
    + (_NAME + LETTER)
    + r"\s(?:is|are)\s{1,3}(?:wrong|incorrect|false|out)\b"
)
_CONFIRMED = re.compile(
    LETTER + r"\s?\?\s{1,3}(?i:yes|yep|correct)\b"
    r"|\b(?i:so|thus|hence|therefore)\s[^.\n]{1,60}?\b(?:is|be)\s{1,3}" + (_NAME + LETTER) + r"(?=[.!)]{0,2}\s{0,3}\Z)"
)
_GUESS = re.compile(
    r"\b(?i:probably|maybe|perhaps|(?:most\s{1,3})?likely|presumably|I\s{1,3}(?:think|believe|suppose|guess))\s{1,3}"
    r"(?i:(?:that\s{1,3})?it(?:'s|\s{1,3}is)\s{1,3})?" + _NAME + LETTER + r"(?=\s{0,3}(?:[.!?,;)]|$|\n))"
)
_LAST = re.compile(
    r"(?:[.!?;:]\s{1,3}|\n)[ \t>#=→⇒•*✅✔\ufe0f-]{0,6}"
    + _NAME
    + LETTER
    + r"(?:,?\s(?:actually|instead|after\sall))?[.!)>✅✔\ufe0f]{0,3}"
    r"(?:\s{0,9}\Z|\s{0,3}\n\s{0,9}(?i:explanation|reason|because|justification)\b)"
)
_CLAIM = re.compile(
    r"(?:(?:^|(?<=[.!?:;,]\s)|(?<=\n)|(?i:\b(?:so|thus|hence|therefore|that|but|think|believe)\s))(?!A\s[A-Z]\w)"
    + LETTER
    + "|"
    r"\b(?i:option|choice|answer)\s{1,3}([A-Z])\b|\(([A-Z])\))(?:(?!,\s(?:but\s)?[A-Z]\b)[^.\n()]){0,80}?(?<=\s)(?i:"
    r"(?:(?:is|are|would\s{1,3}be|seems|appears|looks|sounds|must\s{1,3}be)\b"
    r"(?!\s{1,3}(?:the\s{1,3}|an?\s{1,3}|clearly\s{1,3})?(?:not|in|wrong|incorrect|false|less|out)\b)[^.\n()]{0,40}?"
    r"\b(?:correct|best|right|most\s{1,3}(?:likely|appropriate|suitable|plausible|accurate)|answer|more\s{1,3}likely|better(?=\s{0,3}(?:[.!,;]|$|\n|choice|option|answer|fit)))\b|makes\s{1,3}(?:(?:the\s{1,3})?most\s{1,3})?sense\b|(?:fits|works|matches)(?=\s{1,3}(?:best|better|well|perfectly)|[.!]|\Z)|"
    r"(?:beats|trumps|wins\s{1,3}over|over)\s{1,3}\(?[A-Z]\b|(?:it\s{1,3})?is\b(?=[.!\s]{0,3}(?:\n|$))))"
)
_DESCRIBED = re.compile(
    r"\b(?i:(?!not\s{1,3}[a-z]{1,20}\s{1,3}that\b)(?:not\s{1,3}|least\s{1,3}|in)?(?:correct|right|best|appropriate|likely|probable|accurate|suitable|proper|closest|true|false|remaining|exception|odd\s{1,3}one\s{1,3}out)\s{1,3}(?:[a-z-]{1,20}\s{1,3}){0,8}?"
    r"(?:is|(?:would|must|should)\s{1,3}be)\b[:=\s]{0,6}(?:that\s{1,3})?)"
)

_DECLINED = re.compile(
    r"\b(?i:(?:none|neither|all)\s{1,3}of\s{1,3}(?:the|these|those)\s{1,3}(?!other|remaining|rest|incorrect|wrong)(?:[a-z]{1,12}"
    r"\s{1,3}){0,2}?(?:options|choices|answers|alternatives|above)\b|depends?\s{1,3}on\b)"
)

_ALSO = re.compile(r"\s{0,2}(?:,\s?(?:and|or)?|/|&|\band\b|\bor\b)\s{0,2}\(?[A-Z]\b\)?(?!'|\s{1,3}[a-z(])")
_TURNED_TO = re.compile(
    r"\b(?:but|no|wait|now|actually|instead|oops|sorry|kidding)[,\s]{1,3}$|\b(?:wrong|incorrect|mistake)[.!]\s{1,3}$"
    r"|(?:n't|\bnot)\b[^.;!?\n]{0,60}[,;]\s{1,3}$",
    re.IGNORECASE,
)

_DENIED = re.compile(
    r"(?:n't|\bnot|\bcannot|\bnever|\bhardly|\bno\s{1,3}longer)\s{1,3}(?:[a-z]{1,12}\s{1,3}){0,2}?"
    r"(?:think|believe|say|agree|see|claim|accept|mean|imply|true|clear|sure|convinced|certain|feel|suppose|buy)\b"
    r"[^.;!?]{0,40}$"
    r"|\b(?:(?<!no )(?<!without )(?<!a )(?<!any )(?<!beyond )doubt"
    r"|unlikely|wrong|incorrect|mistake|mistaken|false|deny|refuse|disagree|misconception|unconvinced)\b"
    r"[^.,;!?]{0,40}$"
    r"|(?:n't|\b(?:not|never|rather\s{1,3}than|instead\s{1,3}of|without|avoid|cannot))"
    r"(?:\s{1,3}(?:that|just|be|to|the|necessarily|simply|because|true)){0,2}\s{0,3}$",
    re.IGNORECASE,
)
_THINK = (
    r"(?:think|thought|say|said|claim|believe|assume|guess|argue|suggest|expect|pick|choose|chose|answer|suppose|"
    r"insist|go)"
)
_OTHERS = re.compile(
    r"\b(?:everyone|everybody|nobody|no\s{1,3}one|fools?|(?:most|many|some)(?:\s{1,3}(?:people|students|others|readers))?|people|others|someone|"
    r"students?|one|you|they|he|she|we\s{1,3}(?:might|may|could)|the\s{1,3}(?:user|author|teacher|friend|textbook|key))"
    rf"\s{{1,3}}(?:[a-z]{{1,12}}\s{{1,3}}){{0,3}}?{_THINK}[a-z]{{0,3}}\b[^.;!?]{{0,40}}$"
    r"|\b(?:tempting|tempted|at\s{1,3}first(?:\s{1,3}glance)?)\b[^.;!?]{0,60}$"
    rf"|\b(?:initially|originally)\s{{1,3}}(?:\w{{1,12}}\s{{1,3}}){{0,2}}?{_THINK}[a-z]{{0,3}}\b[^.;!?]{{0,40}}$"
    r"|^\W{0,3}(?:initially|originally)\b\W{1,3}(?:it\s{1,3}(?:is|was)\s{1,3})?$"
    r"|\bfirst\s{1,3}(?:thought|guess|instinct)\b[^.;!?]{0,60}$"
    r"|\bI\s{1,3}(?:first|initially|originally)?\s{0,3}(?:thought|assumed|guessed|believed)\b[^.;!?]{0,40}$"
    r"|\b(?:some|many|(?<!the )most|others)\s{1,3}$",
    re.IGNORECASE,
)
# Before a verb that belongs to the commitment: "no one would" (choose A).
_OTHERS_DO = re.compile(
    r"\b(?:everyone|everybody|nobody|no\s{1,3}one|people|others|students|they|(?:some|many|most)(?=\s{1,3}(?:might|may|would|could|will)\b)|fools?)"
    r"\s{1,3}(?:[a-z]{1,12}\s{1,3}){0,2}$",
    re.IGNORECASE,
)
_CONDITION = re.compile(r"\b(?:if|suppos(?:e|ing)|assum(?:e|ing)|unless|whether|were)\b[^.;!?]{0,120}$", re.IGNORECASE)
TURN = re.compile(
    r"[,;]\s{1,3}(?:but|yet|however|so|and|still|then|therefore)\b|[;—]|\bbut\b|\bhowever\b"
    r"|^\W{0,3}(?:while|although|though)\b[^,;]{0,80},\s",
    re.IGNORECASE,
)
_TAKEN_BACK = re.compile(
    r"\s{0,4}[❌✗✘☒🚫]|[\s$*_\"'”’)}\]\\.,!?]{0,6}(?:(?:but|and|which|that|this|it)\s{1,3}){0,3}(?:"
    r"(?:is|was|are|seems|looks|(?:would|must|has to) be)\s{1,3}(?:(?:\w+ly\s{1,3})?not(?!\s\S{0,3}\d)|"
    r"(?:\w{1,12}\s{1,3}){0,2}?(?:wrong|incorrect|false|mistaken|impossible|untrue|nonsense|absurd|invalid|mistake|"
    r"error|lie|too (?:big|small|large|low|high|much|many|little|few)))\b"
    r"|(?:isn['’]?t|wasn['’]?t|can(?:['’]?t|not) be|could(?:n['’]?t| not) be)\s{1,3}(?:the\s{1,3})?"
    r"(?:correct|right|answer|true|it(?!\?)|possible|valid|so|solution)\b|(?:that|this|it)['’]s\s{1,3}"
    r"(?:wrong|incorrect|false|impossible|not (?:it|right|correct|true)|an? (?:mistake|error|lie))"
    r"|(?:(?:no|wait|oops|sorry|hmm)[,.!]?\s{1,3})?(?:(?:scratch|strike) (?:that|it)|never\s?mind|just kidding|not!|"
    r"(?:ignore|disregard|forget) (?:that|this|it)\b|I take (?:that|it) back|my (?:mistake|bad)\b|"
    r"I (?:was wrong|misspoke)))",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(r"\bif\b[^.;!?\n]*\b(?:were|had|was|did)\b[^.;!?\n]*$", re.IGNORECASE)
_IF_AFTER = re.compile(r"[^.;!?\n]{0,40}\bif\b", re.IGNORECASE)
_CERTAIN = (_DECISION, _CONNECTED, _LABELLED, _BELOW, _LEFT, _ALL_BUT, _CONFIRMED, _LAST)
_SAYS_NO = re.compile(r"[\s\"')]{0,4}(?:no|nope|not)\b", re.IGNORECASE)
# Boxes in a row are one answer of several parts, not the part that happens to stand last.
_BOX_BEFORE = re.compile(r"\\boxed\s?\{([^{}]{1,60})\}[\s$.]{0,6}(?:,|/|&|\band\b|\bor\b)?[\s$]{0,6}$")
_FROM_EACH = 20
_NEAR = 200


@dataclass(frozen=True, slots=True)
class Commitment(Marked):
    """A place where a text names what it may take for the answer: a letter, or text up to the end of its line.

    Its form is "boxed", "hash", "a_line", "phrase" or "letter"; its force is "perhaps" under a condition, as a
    question, or in passing.
    """

    force: Force = "said"


def commitments(text: str) -> list[Commitment]:
    """Return the places in a text without markup that commit to something, or deny it; not others' opinions."""
    ends = [0, *(match.end() for match in SENTENCE_END.finditer(text))]
    weighed = [_weighed(text, ends, place) for place in _places(text)]
    return sorted((said for said in weighed if said is not None), key=lambda said: said.start)


def supposed(said: str, before: str) -> bool:
    """Whether a text speaks of a case that is not given: "if it were so, the answer would be 4"."""
    return "would" in said and _SUPPOSED.search(before[-_NEAR:]) is not None


def taken_back(text: str, start: int) -> bool:
    """Whether what follows an answer takes it back: "is wrong", "Scratch that"."""
    return _TAKEN_BACK.match(text, start, start + _NEAR) is not None


def said_by_others(before: str) -> bool:
    """Whether what follows `before`, the begin of its sentence, is somebody else's opinion."""
    return _OTHERS.search(TURN.split(before[-_NEAR:])[-1]) is not None


def spoken_for_others(before: str) -> bool:
    """Whether what follows `before`, the begin of its sentence, is somebody else's opinion, or denied."""
    clause = TURN.split(before[-_NEAR:])[-1]
    return any(pattern.search(clause) for pattern in (_OTHERS, _OTHERS_DO, _DENIED))


def _places(text: str) -> list[Commitment]:
    places = []
    mark = explicit(text)
    marks = [mark] if mark is not None and mark.form != "answer_tag" else []
    if marks and (beside := _BOX_BEFORE.search(text[max(0, marks[0].start - _NEAR) : marks[0].start])):
        marks = [replace(marks[0], content=f"{beside[1]}, {marks[0].content}")]
    for said in [*marks, *phrases(text)[-_FROM_EACH:]]:
        at = max(text.find(said.content, said.start), said.start)
        length = len(SENTENCE_END.split(said.content, maxsplit=1)[0] if said.form == "phrase" else said.content)
        places.append(Commitment(said.content, said.start, said.form, at + length))
    for match in list(_DESCRIBED.finditer(text))[-_FROM_EACH:]:
        line = text[match.end() : match.end() + _NEAR].split("\n", 1)[0]
        places.append(Commitment(line, match.start(), "letter", match.end() + len(line), "perhaps"))
    if (declined := last_match(_DECLINED, text)) is not None:
        places.append(Commitment(declined[0], declined.start(), "letter", declined.end(), "perhaps"))
    spans = [(said.start, said.end) for said in places]
    for pattern in (*_CERTAIN, _IDENTITY, _CLAIM, _GUESS):
        found = [_letter_place(text, pattern, match) for match in list(pattern.finditer(text))[-_FROM_EACH:]]
        # A labelled letter inside of a phrase or a marked line is read with that.
        again = spans if pattern in (_LABELLED, _LAST) else []
        places += [place for place in found if not any(start <= place.start < end for start, end in again)]
    return places


def _letter_place(text: str, pattern: re.Pattern[str], match: re.Match[str]) -> Commitment:
    letter = next(group for group in reversed(match.groups()) if group and len(group) == 1)
    start = match.end() - len(match[0].lstrip(" \t\n.!?;,:"))
    if pattern is _CLAIM:  # "but B is correct" begins behind its "but"
        start = max(start, match.start(match.lastindex or 0))
    turned = pattern is _IDENTITY and (match[1] or _TURNED_TO.search(text[max(0, start - _NEAR) : start]))
    also = _ALSO.match(text, match.end()) if pattern is not _CLAIM else None
    content = letter.upper() + (also[0] if also is not None else "")
    return Commitment(content, start, "letter", match.end(), "said" if turned or pattern in _CERTAIN else "perhaps")


def _weighed(text: str, ends: list[int], place: Commitment) -> Commitment | None:
    """The place with the force that its sentence leaves it; None for an opinion of others."""
    if place.form in {"hash", "a_line"}:
        return place
    begin = ends[bisect_right(ends, place.start) - 1]
    before = TURN.split(text[max(begin, place.start - _NEAR) : place.start])[-1]
    before = "" if TURN.match(text, place.start) else before
    after = text[place.end : place.end + _NEAR]
    if taken_back(text, place.end):
        return replace(place, force="denied")
    asked = SENTENCE_END.split(after, maxsplit=1)[0].rstrip().endswith("?") or text[place.end - 1 : place.end] == "?"
    if asked and _SAYS_NO.match(after.lstrip(" $?})")):
        return replace(place, force="denied")
    if place.form == "boxed":
        return place
    if _OTHERS.search(before) or _OTHERS_DO.search(before):
        return None
    unreal = "would" in text[place.start : place.end] and _IF_AFTER.match(after) is not None
    if unreal or _DENIED.search(before) or supposed(text[place.start : place.end], text[begin : place.start]):
        return replace(place, force="denied")
    return replace(place, force="perhaps") if asked or _CONDITION.search(before) else place
