"""Why a reply may not stand by the option that was read from it; see `shared.doubt`."""

import re
from collections.abc import Mapping

from memreward.domains.choice.parse import by_letters, letter_of, normal_text, polar_options
from memreward.domains.shared.commitment import LETTER, taken_back
from memreward.domains.shared.doubt import NEAR, SENTENCE_END, alternative, around, of_others, refused, said_aside
from memreward.domains.shared.markers import explicit, last_match

_SHARE = re.compile(
    r"(?<![\w'])\(?([A-Z])\)?(?:[\s:=(~—–-]{1,5}|\swith\s(?:a\s)?(?:probability|chance|confidence)\s(?:of\s)?)(0?\.\d+|[01]\b(?!\.\s)|\d{1,3}(?:\.\d+)?\s?(?:%|/\s?\d{1,3}))"
)
_POLAR = re.compile(r"\A[\s).:*]{0,6}(?:false|no|true|yes|wrong|incorrect)\b", re.IGNORECASE)
_SHARE_BEFORE = re.compile(
    r"(\d{1,3}\s?%)\s(?:sure\s|for\s|on\s|that\s|it['’]s\s|it\sis\s|the\sanswer\sis\s|option\s){0,4}\(?([A-Z])\b"
)
_BELITTLED = re.compile(
    r"[\s)\]}.$*]{0,4},?\s?(?:(?:is|was|seems|looks|sounds|would be|may be|might be|comes)\s(?:\w{1,10}\s){0,2}?"
    r"(?:trap|distractor|trick|decoy|tempting|(?<!most )plausible|likely\sthan|less|worse|weaker|second|close|not|for|"
    r"what|right[;,]? (?:but|or)|possible|good)\b"
    r"|(?:which|that)\s(?:is|was)\s(?:wrong|false|incorrect)\b|said\s(?:no|nobody)|\(?(?:wrong|false|incorrect)\b)"
    r"|\s(?:if|unless|at your)\b|,\s(?:if|unless)\s(?!(?:I|we|you|memory|not|any|that|this)\b)"
    r"|\sor\s(?:it|\d)\b|,?\s(?:and others|among|also|(?:works|fits) too|as (?:one|an?)\s)"
    r"|[^.\n]{0,40}[.;,]\s(?:but\s|it\s|that\s){0,2}(?:is\s?n['’]t|is\snot|not(?:\sreally)?)[.!]"
    r"|,?\s(?:but\s)?(?:it|that|this)(?:['’]s|\s(?:is|was))\s(?:an?\s|all\s|not\s)?(?:lie|wrong|false|incorrect|mistake|"
    r"joke|nonsense|trap|true[.!])"
    r"|[^.!\n]{0,15}!?\?(?!\s?\w)|,[^.!?()\n]{1,40}\)\s(?:is|was)(?:\snot|n['’]t)\b",
    re.IGNORECASE,
)
_DESCRIBED = re.compile(r"[\s)\]}.$*]{0,4}(?:is|was|seems|looks|sounds)\s(?!(?:in|at|on)\b)")
_APPROVED = re.compile(
    r"(?:(?:the|my|our|final|definitely|clearly|certainly|probably|indeed|therefore|thus|most|more|much|by far|an?|"
    r"to be|like|only)\s){0,4}(?:right|correct|best|better|answer(?! to another)|only|one (?:that|which|to)|left|"
    r"likely|appropriate|suitable|plausible|accurate|true|logical|reasonable|choice|option|preferable|it|what|where|"
    r"good|closest|match)\b",
    re.IGNORECASE,
)
_COMMITTED = re.compile(
    r"answer|option|choice|box|pick|cho[o]?se|go with|####|conclu|so |therefore|thus|hence", re.IGNORECASE
)
_UNCLEAR = re.compile(r"\snot\s\(?[A-Z]\)?,?\s(?:or|and)\b")  # "A not B or C"
_BEFORE = re.compile(
    r"(?:\b(?:could|might|may)\s(?:well\s)?be\s|(?:\A\W{0,3}say|\b(?:pretend|imagine|(?<!I )(?:suppos|assum)(?:e|ing)|"
    r"let['’]?s say|far be it))\b"
    r"[^.,;\n]{0,25}|\b(?:all|any(?:thing|one|body|\s\w{1,12})?|every(?:thing|one))\s"
    r"(?:but|except)\s|\bfor example\b[^.\n]{0,30}|\bnot\W{0,3}"
    r"|\bless\s[a-z]{4,15}\s"
    r"|\b(?:next to|like|behind|outside|near|opposite|opposite of|former|no|far from)\s"
    r"(?:an?\s|the\s)?|\b(?:student|user|human|example|rejected|hates?|avoid|wrong(?! (?:except|but))|"
    r"(?:he|she|they)\s(?:say|said|chose|pick|answer))\b"
    r"[^.,;\n]{0,12}|\b(?:was (?:going|about|tempted)|hesitate|reluctant|wanted|used|silly|foolish|absurd|stupid|"
    r"crazy|mistake|naive|wrong) to\b[^.,;\n]{0,12}|\b(?:almost|nearly|(?:would|could|should|might) have|regret\w{0,4})"
    r"\s[^.,;\n]{0,12})\W{0,4}\Z",
    re.IGNORECASE,
)
# What touches an option, and makes it another: "¬(A)", "non-A", "A^c", "(A)-like"; a hyphen may lead to its text.
_JOINED_BEFORE = re.compile(
    r"(?:[¬!~^+]|\\(?:neg|lnot|not|bar|overline|sim)\s?\{?|\b(?!(?:option|answer|choice|letter|is)-)\w+-|\s[<>]\s?)[(\[]?\Z",
    re.IGNORECASE,
)
_JOINED = re.compile(r"\)?(?:[-+](?=[a-z]|[^\w\n]{0,3}(?:\Z|[\n<\"]))|\^|['′’](?!\w)|\s(?:minus|plus)\b)")
_INSIDE_OF_WORD = (
    re.compile(r"\b(?!(?:option|answer|choice|letter|is)[(\[])\w+[(\[]?\Z", re.IGNORECASE),
    re.compile(r"\)?[a-z]"),
)
_CALLED_WRONG = re.compile(r"[\s)\]}.$*]{0,4}(?:is|was)\s(?:\w+ly\s)?(?:wrong|incorrect|false|untrue)\b", re.IGNORECASE)
_CALLED_WRONG_BEFORE = re.compile(
    r"\b(?:incorrect|false|untrue)\W{1,4}\Z"
    r"|\b(?:(?:least|second)\s(?:most\s)?|un|in)(?:likely|probable|appropriate|suitable)\b[^.;!?\n]{0,80}\sis\s"
    r"(?:(?:the|an?)\s)?\W{0,4}\Z",
    re.IGNORECASE,
)
_ASKS_FOR_WRONG = re.compile(
    r"\b(?:not|except|wrong|incorrect|false|untrue|least|second|unlikely|unsuitable|inappropriate)\b"
    r"|n['’]t\b",
    re.IGNORECASE,
)
_BEHIND_LINE = re.compile(r"[\s).*]*\n\s*\(?([A-Z])\)?[\W]*(?:\Z|[}<\"])")
_NAME = re.compile(r"\b(?:the\s)?(?:option|choice|letter)\s(?=\W{0,3}\Z)", re.IGNORECASE)
_NAMED = re.compile(r"(?<![\w'’])(?<!\w\.)\(?([A-Z])\b(?!['’\w]|\.\s?[A-Z]\b|\.\w)(?!(?<=[AI])\s[a-z])")
_AGAINST = re.compile(
    r"(?:\b(?:not|cannot|rather than|instead of|as opposed to|over|beats|trumps|preferable to|unlike|than|versus|"
    r"except|without|neither|wrong|incorrect|false|eliminat\w{0,5}|(?:rul|exclud|discard|reject|dismiss)\w{0,4})|n['’]t)\b[^.;!?]{0,60}\Z",
    re.IGNORECASE,
)
_SET_AGAINST = re.compile(
    r"\)?\s(?:is|are|was|refers|describes|means)\b(?!\s(?:also|equally|right|correct|better|best|possible|plausible|likely|"
    r"true|more|my|it|the|an?)\b)|[^\n]{0,60}?[❌✗✘☒]|[^.;!?]{0,60}?(?:\b(?:wrong|incorrect|false|less|not|worse|inferior|cannot|no|lacks?|irrelevant|unrelated|out)\b|n['’]t\b)",
    re.IGNORECASE,
)
_TURNED = re.compile(
    r"\b(?:then again|hold on|reconsider|joking|kidding|however|correction|corrected|final answer|no|right one|"
    r"correct (?:one|answer)|should be|edit|update|instead(?!\sof)|actually|rather(?!\sthan))\b[^\n]{0,60}?\Z",
    re.IGNORECASE,
)
_TURNS_AWAY = re.compile(
    r"\b(?:but|not|no|wrong|incorrect|false|instead|rather|than|over|however|actually|so|therefore|hence|thus|only|leaves?|"
    r"left|leaving|choose|pick|take|go|answer|option|choice|best|correct|eliminat\w*|rul\w+|while|although|though|cannot|is|are|"
    r"by|then again|between|initially|reflection|from|considered)\b|n['’]t\b",
    re.IGNORECASE,
)
_BESIDE = re.compile(
    r"[\s).:\],(*—–-]{1,6}(?:(?:namely|meaning|that is|which is|it is|it['’]s|i\.e\.|short for|which stands for|aka|"
    r"the|an?),?\s){0,3}",
    re.IGNORECASE,
)
_LETTER = re.compile(rf"(?<![\w'’]){LETTER}")  # an A that is a word is none
_STAR = re.compile(r"(?<!\w)\*(?!\s)|(?<=\S)\*(?!\w)")  # of a list, or between two factors, none
_SHORT = 30
_SHORTEST_OPTION = 4


def choice_doubt(text: str, letter: str, choices: Mapping[str, str], question: str) -> str:
    """Return why a reply, without its thinking, may not stand by an option, or ""; where it is last named decides."""
    text = by_letters(text, choices)
    if shares := _shares(text, letter, choices):
        return shares
    option = choices.get(letter, "")
    place = _last_place(text, letter, option)
    if place is None:
        return ""
    before, after = around(text, *place)
    if other := _other_text(after, letter, choices):
        return f"the text beside it is that of option {other}"
    if _joined(before, after, option, letter=place[1] - place[0] == 1):
        return "it is a part of something else"
    own = re.match(r"[\s().:\]*},$–—-]*" + re.escape(option) + r"\)?", after, re.IGNORECASE)
    after = after if own is None else after[own.end() :]
    if polar_options(choices):  # "B) False" may be an option that says no
        after = _POLAR.sub("", after)
    found = refused(before, letter, after) or of_others(before, after, question) or said_aside(before, after)
    if found:
        return found
    if _BELITTLED.match(after) or _UNCLEAR.match(after) or _BEFORE.search(_NAME.sub("", before)):
        return "it speaks of the option without choosing it"
    wrong = _CALLED_WRONG.match(after) is not None and not re.search(r"\b(?:except|but)\W", before)
    if (wrong or _CALLED_WRONG_BEFORE.search(before)) and not _ASKS_FOR_WRONG.search(question):
        return "it is called wrong"
    described = _DESCRIBED.match(after)
    if described and not (_APPROVED.match(after, described.end()) or _COMMITTED.search(text, 0, place[0])):
        return "it describes the option"
    rival = _marked_before(text, letter, place[0], choices) or _rival(after, letter, choices)
    rival = rival or _rival_before(before, letter, choices)
    return _starred(before, after, text) or rival or alternative(text, place[0])


def _shares(text: str, letter: str, choices: Mapping[str, str]) -> str:
    """Whether an option, by its letter or its text, is given half or less, or others a share too: why, or ""."""
    near, option = text[-NEAR:], choices.get(letter, "")
    if len(option) >= _SHORTEST_OPTION:
        near = re.sub(rf"(?<!\w){re.escape(option)}(?!\w)", letter, near, flags=re.IGNORECASE)
    shares = dict(_SHARE.findall(near)) | {named: part for part, named in _SHARE_BEFORE.findall(near)}
    shares = {named: part for named, part in shares.items() if named in choices and part not in choices[named]}
    unsure = letter in shares and (len(shares) > 1 or not _most(shares[letter]))
    return f"it gives shares to {', '.join(sorted(shares))}" if unsure else ""


def _joined(before: str, after: str, option: str, *, letter: bool) -> bool:
    """Whether something touches an option, or its text behind it, that makes it another; a text may stand in a word."""
    own = re.match(r"\)?[-–—]" + re.escape(option), after, re.IGNORECASE) if option else None
    quoted = before.endswith(("'", "‘", "'(", "‘("))
    inside = letter and (_INSIDE_OF_WORD[0].search(before) or _INSIDE_OF_WORD[1].match(after))
    touched = own is None and not quoted and _JOINED.match(after) is not None
    framed = before.endswith("~") and after.startswith("~")
    return touched or bool(inside) or (not framed and _JOINED_BEFORE.search(before) is not None)


def _starred(before: str, after: str, text: str) -> str:
    if after.startswith(("'", "′", "’")) and not before.endswith(("'", "‘")):
        return "it has a prime"
    if len(_STAR.findall(text)) % 2 and (after.startswith("*") or before.endswith("*")):
        return "it has a star"
    return ""


def _marked_before(text: str, letter: str, place: int, choices: Mapping[str, str]) -> str:
    """Another option in a box or the like before the answer, from which nothing turns away; or ""."""
    mark = explicit(text)
    marked = letter_of(mark.content, choices) if mark is not None and mark.end <= place else None
    turned = mark is None or taken_back(text, mark.end) or _TURNED.search(text[mark.end : place] + " ")
    return "" if turned or marked in (None, letter) else f"option {marked} is marked"


def _most(part: str) -> bool:
    """Whether a share is more than half: "90%", "0.9", "9/10"."""
    top, _, bottom = part.strip(" %").partition("/")
    return float(top) / (float(bottom) if bottom.strip() not in {"", "0"} else 100 if "%" in part else 1) > 1 / 2


def _rival(after: str, letter: str, choices: Mapping[str, str]) -> str:
    """Another option in the sentence of the answer or a short one behind it, which nothing is said against; or ""."""
    behind = _BEHIND_LINE.match(after)
    if behind is not None and behind[1] != letter and behind[1] in choices:
        return f"option {behind[1]} stands behind it"
    ends = [end.end() for end in SENTENCE_END.finditer(after)] + [len(after)] * 2
    near = ends[1] if ends[1] - ends[0] <= _SHORT else ends[0]
    for named in _NAMED.finditer(after):
        before = after[: named.start()]
        if named[1] == letter or named[1] not in choices or re.search(rf"\b{named[1]}\b", choices.get(letter, "")):
            continue  # a numeral of the option's own text, "(F) I, III and IV"
        if _TURNED.search(before[-2 * _SHORT :]) and not _SET_AGAINST.match(after, named.end()):
            return f"option {named[1]} follows it"
        if named.end() <= near and not _AGAINST.search(before) and not _SET_AGAINST.match(after, named.end()):
            return f"option {named[1]} stands beside it"
    return ""


def _rival_before(before: str, letter: str, choices: Mapping[str, str]) -> str:
    """Another option before the answer in its sentence, which it does not turn away from; or ""."""
    before = re.sub(r"\bA \Z", "", before.removeprefix("A: "))  # which marks a line, and an article
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
    own = normal_text(after).startswith(named.get(letter) or "\0")  # "the other" where others is an option too
    return "" if own or letter in fits else next(iter(fits), "")


def _last_place(text: str, letter: str, option: str) -> tuple[int, int] | None:
    named = [found for found in _LETTER.finditer(text) if letter in found.groups()]
    if named:
        return named[-1].span(named[-1].lastindex or 0)
    found = last_match(re.compile(rf"(?<![\w'’]){letter}(?!\w|['’]\w)"), text)
    if found is not None:
        return found.span()
    place = text.lower().rfind(option.lower()) if option else -1
    return None if place < 0 else (place, place + len(option))
