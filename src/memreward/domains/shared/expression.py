r"""The mathematical expression, or the short text, that a completion commits to.

What is denied is no answer ("\boxed{4} is wrong"), and what corrects it is one ("The answer is 4? No, it is 5").
"""

import re
from fractions import Fraction
from math import prod

from memreward.domains.math.arithmetic import arithmetic_statements
from memreward.domains.math.magnitudes import in_words, is_magnitude
from memreward.domains.math.quantity import quantity
from memreward.domains.shared.commitment import SET_AGAINST, TURNED_AT_END, said_by_others, supposed, taken_back
from memreward.domains.shared.dress import peeled
from memreward.domains.shared.markers import (
    Marked,
    boxes,
    explicit,
    joined,
    last_match,
    phrases,
    without_calculator,
    without_code,
)

_FORMULA = re.compile(
    r"\\\[(.{1,600}?)\\\]|\$\$([^$]{1,600})\$\$|\\\((.{1,300}?)\\\)|(?<!\\)\$((?:[^$\\]|\\.){1,300})\$(?!\d)", re.DOTALL
)
# "So \\(x\\)." is all of a reply.
_CONCLUDED = re.compile(
    r"(?:(?:so|thus|hence|therefore|then|finally|it is|this is|it equals|gives|"
    r"we (?:get|have|obtain))[,:]?\s){1,3}"
    r"(?:\\\(([^\\]{0,2}(?:(?!\\\)).){1,80})\\\)|\$\$?([^$]{1,80})\$\$?)[.!\s]{0,3}",
    re.IGNORECASE,
)
_NUMBER_START = re.compile(r"[-+−]?\\?[$£€]?\s?[-+−]?(?:\d(?:[\d,]*\d)?(?:\.\d+)?|\.\d+)(?:\s?/\s?\d+)?(?:\s?\\?%)?")
# A bracket with words in it only explains, "47 (31 red and 16 green)", unless they change the value.
_GOES_ON = re.compile(
    r"[\w^*+\-/\\{_=×·⋅∙÷!‰¢±√⁻∞]|\((?!(?!mod|base|in\b|\w*(?:thousand|[mb]illion|hundred|dozen)|pairs)[^()]{0,60}\b[a-z]{2}[^()]{0,60}\))"
    r"|[–−]\s?\d|['’:]\d|\$\s?(?:\$\s?)?\\(?:times|cdot|div|pm|over)\b"
)
_HASHES = re.compile(r"\A\$?#{2,6}\s?")
_CLOSED = re.compile(r"\A[*_]{1,3}(?=\s[a-z]{3}(?<!sqr)|[\s.,!)]*\Z)")  # which ends what begins before the number
_PERCENT = re.compile(r"per\s?cent\b", re.IGNORECASE)
_OTHER_PARTS = re.compile(r"\w\Z|per\s?mille\b|basis points?\b|bps?\b|ppm\b|factorial\b", re.IGNORECASE)
_LISTED = re.compile(r"\s{0,3}(?:,\s{0,3}(?:and|or)?|and|or)\s{0,3}")
_SENTENCE_END = re.compile(
    r"[.?!](?=\s|$)|;\s(?![-\d.,;\s]{0,40}$)|\s[-–—]\s(?!(?:sqrt|sin|cos|tan|log|ln|exp|pi)\b)(?=[A-Za-z]{2})|\s(?:because|since|which)\b|,\s(?:so|because|since|which|and|as|given)\b"
    r"|,?\s(?:not|rather than|instead of|as opposed to)\b"
)
_NUMBER = (
    r"\d[\d.]{0,12} ?(?:[xX×·*]|\\times|\\cdot) ?10(?: ?\^ ?\{?[-−]?\d{1,3}\}?|[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]{1,4})"
    r"|(?:\d{1,4}/\d{1,2}/\d{1,4}|\d{4}-\d\d-\d\d|\d{1,2}(?::\d\d){1,2})(?:\s?[aApP]\.?[mM]\b\.?)?(?![\w/])"
    r"|(?<=\bare )-?\d[\d.]*(?:, -?\d[\d.]*){0,8},? and -?\d[\d.]*(?=[.\s]*\Z)"
    r"|\d+\s?:\s?\d+(?![\w:])|(?<=\bis )\d+ to \d+(?=[.\s]{0,3}\Z)"
    r"|[\d.,]{1,12} (?:hours?|minutes?|feet|dollars?),?\s(?:and )?[\d.]{1,6} (?:minutes?|seconds?|inche?s?|cents?)\b"
    r"|[a-z] = [-\d.]{1,12}(?:,|,? (?:or|and)) [a-z] = [-\d.]{0,12}\d|\d{1,6} \d{1,4}/\d{1,4}"
    r"|(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:/\d+|[¼½¾⅓⅔]| (?:thousand|million|billion|trillion)\b)?"
)
_TUPLE = r"[(\[]\s?(?:-?[\w.^/\\∞]{1,20}\s?,\s?){1,5}[-+]?[\w.^/\\∞]{1,20}\s?[)\]]"
_TUPLE += rf"(?:\s?∪\s?{_TUPLE}){{0,4}}"
_STOP = re.compile(r"[.?!](?=\s|$)|\n")
_WEAKENED = re.compile(
    r"(?:\b(?:not|never|cannot|\w{2,6}n['’]t)\s(?:\w{1,12}\s){0,2}|\b(?:more|less|fewer|greater|other)\sthan\s"
    r"|\b(?:half|twice|double|triple)\s(?:of\s)?|\b(?:anything|everything)\sbut\s"
    r"|\b(?:day|week|month|year|hour|letter|number)\s(?:before|after)\s"
    r"|\d\W{0,6}(?:as well as|along with|besides)\W{1,3}"
    r"|\A\s{0,9}(?:is|was|are|could|would|does)\s(?:it|he|she|they|the)\b[^\n]{0,60})[\s$*(\\]{0,4}$",
    re.IGNORECASE,
)
# What follows implies the look ahead, which passes over most of a text in a quarter of the time.
_LAST_NUMBER = re.compile(rf"(?=[-\d.,(\[]|[a-z] =)(?:(?:(?<![\w)\]}}.])-)?(?:{_NUMBER})|(?<!\w){_TUPLE})")
_NUMBER_AND_WORDS = re.compile(r"([-+]?\$?[\d,]+(?:\.\d+)?%?)\s([a-zA-ZÀ-ɏ][a-zA-ZÀ-ɏ ]*)")
_BOLD = re.compile(r"(?<![\w)*])\*\*(?=\S)([^*\n]{1,200}?)(?<=\S)\*\*(?![\w(*])")
_SAID_IN_BOLD = re.compile(
    rf"\b(?:is|was|are|were|be|called|named|titled)\s{_BOLD.pattern}|\A{_BOLD.pattern}(?=\s(?:is|was|are|were)\b)"
)
# Letters of other scripts than the Latin and the Greek one, and among them what scales, bounds or denies a number.
_OTHER_SCRIPT = r"[\u0400-\u04ff\u0600-\u06ff\u0900-\u0dff\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
_SCALED = (
    r"[万亿億萬千百十兆만억천백십倍成以半左右多余几打]|分(?=[之の])|ダース|다스|тыс|мил|млн|млрд|сот|дес|дюж|проц|раз|полов|хаз|"
    r"हज़ार|लाख|करोड़|सौ|พัน|หมื่น|แสน|ล้าน|ألف|مليون"
)
_LETTER = rf"(?:(?!\d)(?:{_OTHER_SCRIPT}|\w))"
_COUNTED_ABROAD = re.compile(
    rf"([-+−]?\$?\d[\d,]*(?:\.\d+)?)\s?(?!{_SCALED}|\d){_OTHER_SCRIPT}{_LETTER}{{0,19}}(?:\s(?!아니){_LETTER}{{1,19}}){{0,2}}[\s。．.!！]*"
)
_LETTERS_ABROAD = re.compile(_OTHER_SCRIPT)
_BOUNDED_ABROAD = re.compile(r"以[上下内外]|左右|不到|[多余][\s。.]*\Z")
_SCALED_ABROAD = re.compile(r"\s?(?:[万亿億萬兆만억]|тыс|млн|млрд|милли|हज़ार|लाख|करोड़|พัน|หมื่น|แสน|ล้าน|ألف|مليون)")
_DENIED_ABROAD = re.compile(
    r"[不没沒非]|(?<!\w)(?:не|ни|или|кроме|более|менее|больше|меньше)(?!\w)|नहीं|নয়|కాదు|ไม่|ません|ない|아니|않|ليس"
)
_CHANGED_ABROAD = re.compile(rf"\d\s?(?:{_SCALED})|[除至或比共超]|{_DENIED_ABROAD.pattern}")
_STATED = re.compile(r"\b(?:is|are|was|were|be|equals)\s([-−]?\$?\d[\d,]*(?:\.\d+)?)(?: [a-z]{2,15}){0,3}\s?\Z")
_WORD = re.compile(r"(?<![\\\w])[a-zA-Z]{2,}")
_WORDS_OF_SENTENCE = 4
# What a result is calculated from: "54 - 9 - 28 = " of "she has 54 - 9 - 28 = 17 left".
_CALCULATED = re.compile(r"(?<![\w.,=])\$?\d[\d\s.,$+*/×÷−-]{2,80}=\s?(?=\$?\d)")
_SEVERAL_SAID = re.compile(r"[,;:]\s|\b(?:and|or|but|while|has|have|had|is|are|was|were)\b")
# A formula that no sign sets off, as "6x + 2", "3√2" and "\\frac{5}{9}"; letters of words are no part of it.
_FUNCTION = r"(?:(?:arc)?(?:sin|cos|tan)|cot|sec|csc|ln|log|exp|sqrt|pi)(?![a-zA-Z])(?: (?=[a-zθπ√(\d]))?"
_TERM = (
    rf"(?:\d[\d,]*(?:\.\d+)?|\.\d+|[√π∞θ()|{{}}°⁰¹²³⁴-⁹⁻]|(?<=[a-zA-Z])'|!(?=\s?[-+*/)=])"
    rf"|\\(?:[dt]?frac|sqrt|pi|left|right)(?![a-z])"
    rf"|(?<![a-zA-Z\\])(?:{_FUNCTION}|[a-zA-Z](?:_\w)?(?![a-zA-Z'’])|[a-zA-Z](?='+[(=\s])))"
)
_PLAIN_FORMULA = re.compile(
    rf"(?<![\w\\}}$])[-−]?{_TERM}(?:{_TERM}| (?={_FUNCTION})"
    rf"|\s?(?:[-+−/^×·÷=<>≤≥±]|\*{{1,2}}|\\(?:cdot|times)(?![a-z]))\s?[-−]?{_TERM})*"
)
_OF_LETTERS = re.compile(r"[a-zA-Zπθ√∞\\]")
_NAME = re.compile(r"\w(?:_\w)?'*(?:\^?\(-1\)|⁻¹)?(?:\(\w\))?\s?=\s?[^=]*")
_WITH_UNIT = re.compile(r"[-−]?[\d.,]+[a-zA-Z]|[^a-zA-Z]+[=<>≤≥][^a-zA-Z]+[a-zA-Z]")
_NO_ANSWER = re.compile(
    r"\bno (?:\w+ )?(?:solution|answer)"
    r"|\b(?:can ?not|can['’]t|(?:im|not )possible to)\s(?:\w+ )?(?:determine|answer|solve)",
    re.IGNORECASE,
)
_BEHIND_FORMULA = re.compile(r"[\s.]*(?:[a-z]{2,15}[\s.]*){0,2}")
# A footnote, its mark, and how the number before it came about: "47 (= 31 + 16)".
_ASIDE = re.compile(
    r"^\[\^\w{1,9}\]:[^\n]*$|\[\^\w{1,9}\]|(?<=[.!?])\[\d{1,3}\]|(?<=\d) ?\(=[^()\n]{1,40}\)", re.MULTILINE
)
# How a number was calculated, in brackets, and that number before it, perhaps with words or signs of bold face behind.
_CALCULATION = re.compile(
    r" \((?=[^()\[\]\n]{0,80}(?:[-+*/×·x=]|\d[^()\[\]\d\n]{2,60}\d))"
    r"([^()\[\]\n]{3,100})\)(?! ?[=+*/^×·\w$\\]| ?-)"
)
_RESULT = re.compile(
    r"(?<![\w.,^])(?<![+*/^×·−-])(?<![+*/×·−-] )\$?(\d[\d,]*(?:\.\d+)?)(?: [a-z]{2,15}){0,4}[*_]{0,2}\Z"
)
_PART = re.compile(r"\d[\d,]*(?:\.\d+)?")
_EXPLAINED = re.compile(r"\s\([\d\s.,+*/×·=$-]+\)\Z")
_CHANGES = re.compile(
    r"\\|n['’]t\b|\b(?:not|no|never|least|most|more|less|than|over|under|half|third|quarter|twice|double|triple|times|plus|"
    r"minus|almost|nearly|between|from|to|until|or|if|unless|per|base|mod|remainder|negative|square|root|power|squared|"
    r"cubed|factorial|cannot|wrong|unknown|neither|nor|either|except|without|too|few|fewer|below|above)\b|[=<>^*/+]",
    re.IGNORECASE,
)
_PROSE = re.compile(
    r"[a-z]{2,} [a-z]{2,}|\A[A-Z][a-z]* [a-z]{2,}.*\d|[a-z]{2,}.*[.?!] [A-Z\d]|[$)] (?!or |and )[a-z]{2,}|, so "
)
_PROSE_ABROAD = re.compile(rf"{_OTHER_SCRIPT}{{2,}}[\s\S]*\d(?!\s?(?:{_SCALED}))")
_COUNTED = re.compile(r"(?: [a-z]{2,}){1,5}")
_THEN_EXPLAINED = re.compile(r"\A([^\n]{1,80})\n\W{0,9}(?:Explanation|Rationale|Justification)\b[^\n]{0,9}:")
# "The last letters are: xya", 'The town is "Lyon"'.
_TOLD = re.compile(r"[^:\n\"“]{3,120}\b(?:is|are)(?::\s|\s(?=[\"“]))([^:\n]+)")
_PHRASES_READ = 20
_SHORT_ANSWER = 80
_WORDS_ALONE = 3
_NEAR = 200
_LONGEST_FORMULA = 600
_LONGEST_PARAGRAPH = 5000

_UNDER_LABEL = re.compile(r"(?:[-*•] )?[A-Za-z][a-z]+(?: [a-z]+){0,3}:\s{0,3}([-+$\d(\\].*)")

# "1 cup + 1 cup = 2 cups", of which one side is to be known.
_RESULT_IN_WORDS = re.compile(r"[^=\\]*\b[a-z]{3,}\b[^=\\]*=\s*([^=\\]*\d[^=\\]*)")

_SURE = (
    r"(?:(?:yes|so|actually|really|in fact|indeed|clearly|simply|just|only|exactly|precisely|therefore|thus|hence|then|"
    r"now|instead|rather|probably|likely|most likely|maybe|perhaps|possibly|definitely|certainly|equal to|equals|"
    r"given by|that there (?:is|are)|rounded (?:off |up |down )?to|"
    r"(?:found|calculated|computed|determined) (?:to be|as))[,: ]\s{0,3}){1,4}"
)
_HEDGE = re.compile(_SURE, re.IGNORECASE)
_FILLER = (
    r"(?:think|thinks|believe|say|claim|agree|accept|mean|assume|convinced|sure|certain|true|correct|right|case|be|is|"
    r"possible|conclude|follow|follows|see|how|why|hold|holds|that|the|my|our|your|this|a|an|final|it|its|to|at|all|"
    r"really|necessarily|actually|definitely|anyone|who|says|thinking|saying)"
)
_DENIED_BEFORE = re.compile(
    r"(?:\b(?:do|does|did|is|are|was|were|can|could|would|will|should|must|may|might|have|has)\s{0,2}(?:not|n['’]?t)|"
    r"\b(?:don|doesn|didn|isn|wasn|can|couldn|wouldn|won|shouldn|ain)['’]?t|\bcannot|\bnever|\bnot|\bneither|\bdoubts?|"
    r"\bdoubted|\brefuse|\bdisagree|\bdeny|\bwrong|\bfalse|\bincorrect|\buntrue|\bunlikely|\bimpossible|\babsurd|"
    r"\bmistaken|\bmistake|\bnonsense|\bno way|\banything but|\bno one|\bnobody|\bif|\bwhether|\bunless|"
    r"\bsuppose(?<!\bI suppose)|\bsupposing|\bassuming)"
    rf"(?:[ \n]{{1,3}}{_FILLER}\b){{0,7}}[\s$*_\"'“(\\]{{0,6}}$",
    re.IGNORECASE,
)
_WORDS_BACKWARDS = re.compile(r"[\s$*_\"'“(\\]*(?:[^\W\d_]|['’\s])*")
# What is said of a number, and is none: "the answer is correct", "reasonable", "as follows".
_COMMENT = re.compile(
    r"(?:(?:indeed|also|thus|therefore|now|both|quite|really)\s)?(?:(?:in)?correct|wrong|verified|confirmed|checked|reasonable|consistent|valid|accurate"
    r"|sensible|plausible|straightforward|as (?:expected|follows|required|desired)"
    r"|(?:found|obtained|calculated|computed) by [a-z]+ing)\b(?:[ ,][^\d\\$.:\n]*)?(?:[.:!]|\Z)",
    re.IGNORECASE,
)
_DENIED_CONTENT = re.compile(
    r"(?:(?:definitely|certainly|clearly|probably|surely|obviously|actually)\s{1,3})?"
    r"(?:not|never|neither|nor|no longer|hardly|anything but|far from|n['’]t)\b",
    re.IGNORECASE,
)
_BUT = re.compile(
    r"(?<!anything),?\s(?:but|it is|it['’]s|rather|instead)\s(?:rather\s|it is\s|it['’]s\s)?", re.IGNORECASE
)
_ASKED = re.compile(r"[\s$*_)}\]\\]{0,6}\?")
_REFUSED = re.compile(
    r"[\s$*_)}\]\\?.!,–—-]{0,8}(?:no|nope|not|wrong|never|incorrect|scratch that|hardly|of course not)\b", re.IGNORECASE
)
_AFFIRMED = re.compile(r"[\s?!$*_)}\]\\]{0,8}(?:yes|yep|indeed|right|correct|true)\b", re.IGNORECASE)
_TURN = re.compile(
    r"\b(?:no|nope|wait|actually|sorry|oops|correction|scratch that|i mean|i meant|or rather|rather|on second thought|"
    r"make that|make it|instead|wrong|incorrect|mistake|mistaken|in fact|apologies|recalculate|recompute|not)\b",
    re.IGNORECASE,
)
_CORRECTION = re.compile(
    r"(?:\b(?:it|that|this)(?:['’]s|\s(?:is|was|should be|must be|would be|has to be|makes|equals))"
    rf"|\b(?:no|nope|wait|sorry|oops|correction|i mean|i meant|rather|actually|make that|make it|"
    rf"i get|i got|but|instead)\b[,:;.!–—-]{{0,2}})\s{{1,3}}"
    rf"(?:{_SURE})?(?=[-+−]?\\?[$£€]?\d|[-+−]?\.\d|\$|\\[(\[a-zA-Z])",
    re.IGNORECASE,
)


def find_expression(text: str, *, guess: bool) -> tuple[str | None, str]:
    """Return the answer that a text commits to last, or a `guess` (formula, number), and its form; (None, "none")."""
    answer, form = _committed(_without_calculation(text) if guess else text, guess=guess)
    answer = None if answer is None else peeled(answer) or None
    counted = guess and answer and not answer.isascii() and not _BOUNDED_ABROAD.search(answer)
    abroad = _COUNTED_ABROAD.fullmatch(answer) if answer and counted else None
    return (answer if abroad is None else abroad[1]), form


def _without_calculation(text: str) -> str:
    """The text without calculations in brackets behind their results: "18 ($9 * 2)" or "18 (2 eggs at $9)" is 18."""

    def kept(bracket: re.Match[str]) -> str:
        number = _RESULT.search(text[max(bracket.start() - _NEAR // 2, 0) : bracket.start()])
        said = arithmetic_statements(f"{bracket[1]} = {number[1]}") if number is not None else []
        parts = [Fraction(part.replace(",", "")) for part in _PART.findall(bracket[1])] if number is not None else []
        made = number is not None and Fraction(number[1].replace(",", "")) in (sum(parts), prod(parts))
        return "" if (all(true for _, true in said) if said else made) else bracket[0]

    return _CALCULATION.sub(kept, text)


def _committed(text: str, *, guess: bool) -> tuple[str | None, str]:
    mark, denied = explicit(text), False
    if mark is not None and mark.form == "boxed":
        mark, text = _standing_box(text)
        denied = mark is None
    elif mark is not None and mark.form == "a_line" and _is_role(mark, text):
        text, mark = text[mark.end - len(mark.content) :], None
    elif mark is not None and taken_back(text, mark.end):
        text, mark, denied = text[mark.end :], None, True
    if mark is not None:
        return _opened(mark, guess=guess)
    text = without_code(text)
    answer, form, denied_until = _of_phrases(text, guess=guess)
    if answer is not None:
        return answer, form
    stripped = peeled(text)
    sentence = not guess and len(stripped) <= _NEAR and _STOP.search(stripped.rstrip(".!")) is None
    short = (sentence or len(stripped) <= _SHORT_ANSWER) and "\n" not in stripped and not denied_until and not denied
    formula = _CONCLUDED.fullmatch(stripped) if guess and short else None
    if formula is not None:
        return next(group for group in formula.groups() if group).strip(), "formula"
    if not guess and (bold := _said_in_bold(text[denied_until:])):
        return bold, "text"
    abroad = _PROSE_ABROAD.search(stripped) and not _DENIED_ABROAD.search(stripped)
    if short and not (guess and (_PROSE.search(stripped) or abroad)):
        value = (
            (_UNDER_LABEL.fullmatch(stripped) or _RESULT_IN_WORDS.fullmatch(stripped))
            if guess
            else _TOLD.fullmatch(stripped)
        )
        return _unhedged(without_calculator(value[1] if value is not None else stripped)), "text"
    if not guess:
        return _last_words(stripped)
    bold = None if denied_until or denied else _first_in_bold(stripped)
    return (bold, "last_number") if bold else _at_the_end(text[denied_until:])


def _is_role(mark: Marked, text: str) -> bool:
    """Whether the "A:" of a line only says who speaks, and a reply of several sentences or a phrase follows it."""
    more = _SENTENCE_END.search(mark.content.rstrip(".")) is not None or text[mark.end :].strip() != ""
    return (more and _PROSE.search(mark.content) is not None) or bool(phrases(text[mark.end - len(mark.content) :]))


def _last_words(text: str) -> tuple[str | None, str]:
    """The last line, or the first before an explanation, if it is but a few words."""
    explained = _THEN_EXPLAINED.match(text)
    line = (explained[1] if explained is not None else text.rsplit("\n", 1)[-1]).strip()
    line = peeled(value[1] if (value := _TOLD.fullmatch(line)) is not None else line)
    return (line, "text") if 0 < len(line.split()) <= _WORDS_ALONE else (None, "none")


def _said_in_bold(text: str) -> str | None:
    """What the first or last paragraph says that something is, "The town is **Lyon**"; None where there are several."""
    found = {peeled(mark[1] or mark[2]): mark.span() for mark in _SAID_IN_BOLD.finditer(text)}
    said, (start, end) = next(iter(found.items()), ("", (0, 0)))
    within = "\n\n" in text[:start].lstrip() and "\n\n" in text[end:].rstrip()
    return None if len(found) != 1 or within or _denied(text, start, end) else said


def _first_in_bold(text: str) -> str | None:
    """The only number in bold face, where the first sentence says that something is that: "its volume is **5 l**"."""
    numbers = [mark for mark in _BOLD.findall(text) if _PART.search(mark)]
    said = _said_in_bold(_STOP.split(text, maxsplit=1)[0]) if len(numbers) == 1 else None
    return said if said is not None and _NUMBER_START.match(said) else None


def _standing_box(text: str) -> tuple[Marked | None, str]:
    """The last box that is not taken back, and, where there is none, the text behind the last one."""
    found = [*boxes(text)]
    last = found[-1].end
    while found:
        mark = joined(text, found)
        if not _denied(text, mark.start, mark.end):
            after = text[mark.end : mark.end + _NEAR]
            corrected = _corrected(after, denied=False) or _answered_anew(after) or _corrected_word(mark.content, after)
            return (Marked(corrected, mark.start, "boxed", mark.end) if corrected else mark), text
        while found and found[-1].end > mark.start:
            found.pop()
    return None, text[last:]


def _denied(text: str, start: int, end: int) -> bool:
    """Whether what stands from `start` to `end` is denied, said by others, or asked and then answered with no."""
    after, before = text[end : end + _NEAR], text[max(start - _NEAR, 0) : start]
    if taken_back(text, end) or _denied_before(before) or said_by_others(_STOP.split(before)[-1]):
        return True
    asked = _ASKED.match(after)
    return asked is not None and _REFUSED.match(after, asked.end()) is not None


def _denied_before(text: str) -> bool:
    """Whether a text ends in a denial, of which it is enough to look at the words that no other sign ends."""
    words = _WORDS_BACKWARDS.match(text[::-1])
    return words is not None and _DENIED_BEFORE.search(text, len(text) - words.end()) is not None


def _corrected(after: str, *, denied: bool) -> str | None:
    """What a text says instead of the answer before it, "No, it is 5"; None where it corrects nothing."""
    answer = None
    turn = _TURN.search(after) if not denied else None
    if not denied and turn is None:
        return None
    for claim in _CORRECTION.finditer(after, turn.start() if turn is not None else 0):
        before = after[max(claim.start() - _NEAR, 0) : claim.start()]
        content = _clause(after[claim.end() :].split("\n", 1)[0])
        if content and not _denied_before(before) and not taken_back(after, claim.end() + len(content)):
            answer = content
    return answer


def _corrected_word(content: str, after: str) -> str | None:
    """What stands instead of an answer in words at the end of the text, "Paris. No, Lyon."."""
    turned = TURNED_AT_END.match(after) if not any(map(str.isdigit, content)) and len(after) < _NEAR else None
    return None if turned is None else turned[1]


def _answered_anew(after: str) -> str | None:
    """The answer that a phrase gives behind a turn, "On second thought the answer is 5"."""
    turn = _TURN.search(after)
    return None if turn is None else _of_phrases(after[turn.start() :])[0]


def _of_phrases(text: str, *, guess: bool = False) -> tuple[str | None, str, int]:
    """The answer of the last "the answer is ..." that is not taken back, and where the last denied one ends."""
    denied_until = 0
    for phrase in reversed(phrases(text)[-_PHRASES_READ:]):
        end = phrase.end
        content = phrase.content
        before = text[max(phrase.start - _NEAR, 0) : phrase.start]
        if guess and _COMMENT.match(content) and not _denied_before(before):
            if content.startswith(("incorrect", "wrong")):  # as what was said before it
                return None, "none", denied_until or end
            continue
        if _DENIED_CONTENT.match(content):
            parts = _BUT.split(content, maxsplit=1)
            content = _clause(parts[1]) if len(parts) > 1 else ""
            denied = not content
        else:
            content = _clause(content, numeric=guess)
            place = text.find(content, phrase.end)
            end = place + len(content) if content and 0 <= place < phrase.end + 40 else phrase.end
            denied = _denied(text, phrase.start, end) or _only_asked(text, phrase, end)
            comma = content.find(",")
            denied = denied or (comma > 0 and taken_back(content, comma))
        if content:
            corrected = _corrected(text[end : end + _NEAR], denied=denied) or _corrected_word(content, text[end:])
            if corrected or not denied:
                return corrected or content, "phrase", 0
        denied_until = denied_until or end + len(_sentence(text[end : end + _NEAR]))
    return None, "none", denied_until


def _only_asked(text: str, phrase: Marked, end: int) -> bool:
    """Whether a phrase is but a question, "the answer is 4?", or a case that is not given, "if so, it would be 4"."""
    asked = _ASKED.match(text, end)
    if asked is not None and not _AFFIRMED.match(text, asked.end()):
        return True
    return supposed(text[phrase.start : phrase.end], text[max(phrase.start - _NEAR, 0) : phrase.start])


def _sentence(text: str) -> str:
    end = _STOP.search(text)
    return text if end is None else text[: end.end()]


def _opened(mark: Marked, *, guess: bool) -> tuple[str | None, str]:
    """The answer in a marker, which inside of an answer tag may have its own marker."""
    content = without_calculator(mark.content).strip()
    if mark.form == "answer_tag":
        inner = explicit(content)
        if inner is not None and inner.form != "answer_tag":
            content = without_calculator(inner.content).strip()
        else:
            answer, _, denied_until = _of_phrases(content)
            if guess and answer is None and not denied_until:
                result = _RESULT_IN_WORDS.fullmatch(content)
                several = result is None and _STOP.search(content.rstrip(".!"))
                said = _at_the_end(content)[0] if several else _number_of_sentence(content)
                answer = said if result is None else result[1].strip()
            content = answer or ("" if denied_until else content)
    elif mark.form in {"hash", "a_line"} and guess:
        content = _of_phrases(content)[0] or content
        clause = _clause(content)
        end = content.find(clause) + len(clause)
        content = "" if taken_back(content, end) or _ASKED.match(content, end) else clause
    return (content, mark.form) if content else (None, "none")


def _clause(content: str, *, numeric: bool = False) -> str:
    """The expression at the start of running text: its first formula, number, or clause; `numeric` not without one."""
    content = _unhedged(_BOLD.sub(r"\1", _HASHES.sub("", without_calculator(content).strip())).strip("*_ "))
    formula = _FORMULA.search(content)
    if formula is not None and not _NUMBER_START.match(content[: formula.start()]) and formula.start() < 40:
        return _listed_formulas(content, formula)
    number = _NUMBER_START.match(content)
    if number is not None:
        content = number[0] + _CLOSED.sub("", content[number.end() :])
        rest = content[number.end() :].lstrip(" ")
        if not _GOES_ON.match(rest) and not re.match(r"[,;]?\s\d", content[number.end() :]):
            return number[0].strip().rstrip(",")
    end = _SENTENCE_END.search(content)
    clause = (content if end is None else content[: end.start()]).strip().strip("*_ ").rstrip(".:, ")
    words = _NUMBER_AND_WORDS.fullmatch(_EXPLAINED.sub("", clause))
    if words is not None and _PERCENT.match(words[2]):
        return f"{words[1]}%"
    if words is not None:
        kept = is_magnitude(words[2]) or _OTHER_PARTS.match(words[2]) or quantity(clause).dimension
        return clause if kept else words[1].rstrip(",")
    said = in_words(clause)
    if said is not None and not said.start() and _COUNTED.fullmatch(clause, said.end()) and not _CHANGES.search(clause):
        return said[0]
    if numeric and not any(map(str.isdigit, clause)) and (stated := _STATED.search(_STOP.split(content)[0])):
        return str(stated[1])
    return _number_of_sentence(clause) or clause


def _listed_formulas(content: str, first: re.Match[str]) -> str:
    """The formula, or all of a list of formulas that is all there is: "$1$ and $2$"."""
    found = [first]
    while (comma := _LISTED.match(content, found[-1].end())) and (
        formula := _FORMULA.match(content, comma.end())
    ) is not None:
        found.append(formula)
    inside = [next(group for group in formula.groups() if group).strip() for formula in found]
    whole = _SENTENCE_END.match(content, found[-1].end()) or not content[found[-1].end() :].strip()
    return ", ".join(inside) if whole else inside[0]


def _number_of_sentence(clause: str) -> str | None:
    """The only number of a plain sentence, or what it says that something "is"; None where words may change it."""
    clause = _CALCULATED.sub("", clause)
    numbers = list(_LAST_NUMBER.finditer(clause))
    words = len(_WORD.findall(clause)) + len(_LETTERS_ABROAD.findall(clause)) + ("$" in clause)
    if not numbers or words < _WORDS_OF_SENTENCE or _CHANGES.search(clause) or _CHANGED_ABROAD.search(clause):
        return None
    stated = _STATED.search(clause)
    if len(numbers) > 1 and (stated is None or _SEVERAL_SAID.search(clause[: stated.start()])):
        return None
    return None if is_magnitude(clause[numbers[-1].end() :]) else numbers[-1][0].rstrip(",")


def _unhedged(content: str) -> str:
    """Without the adverbs in front that leave the value as it is."""
    return _HEDGE.sub("", content, count=1) if _HEDGE.match(content) else content


def _at_the_end(text: str) -> tuple[str | None, str]:
    """The formula that ends the text or holds its last number, else that number, unless it is denied."""
    text = SET_AGAINST.sub("", _ASIDE.sub("", without_calculator(text)))
    paragraph = max(text.rfind("\n\n"), 0)
    number = last_match(_LAST_NUMBER, text, paragraph) or last_match(_LAST_NUMBER, text) or in_words(text)
    if number is None or _SCALED_ABROAD.match(text, number.end()):
        return None, "none"
    said = text[paragraph:] if number.start() < paragraph else _STOP.split(text[paragraph : number.end()])[-1]
    if _NO_ANSWER.search(said):
        return None, "none"
    formula = _formula_around(text, number)
    plain = _plain_formula(text, number) if formula is None else None
    found = formula or plain or number
    if _denied(text, found.start(), found.end()) or _weakened(text, found):
        return None, "none"
    if plain is not None:
        return _side_of(plain[0]), "formula" if _BEHIND_FORMULA.fullmatch(text, plain.end()) else "last_number"
    if formula is None:
        return number[0].rstrip(","), "last_number"
    inside = next(group for group in formula.groups() if group).strip()
    return inside, "formula" if _BEHIND_FORMULA.fullmatch(text, formula.end()) else "last_number"


def _weakened(text: str, found: re.Match[str]) -> bool:
    """Whether the sentence of a number that nothing marks denies it, bounds it, or asks for it."""
    before = _STOP.split(text[max(found.start() - _NEAR, 0) : found.start()])[-1]
    end = _STOP.search(text, found.end())
    return _WEAKENED.search(before) is not None or (end is not None and end[0] == "?")


def _cut_off(text: str, start: int) -> bool:
    """Whether a sign of formulas stands before it in its paragraph: it may be the begin of one that was cut off."""
    paragraph = text[text.rfind("\n\n", 0, start) + 1 : start]
    return any(sign in paragraph for sign in ("$", "\\[", "\\("))


def _plain_formula(text: str, number: re.Match[str]) -> re.Match[str] | None:
    """The formula in plain characters around the last number, if there is more to it than numbers and their unit."""
    begin = max(text.rfind("\n", 0, number.start()) + 1, number.start() - _NEAR)
    for found in _PLAIN_FORMULA.finditer(text, begin, number.end() + _NEAR):
        if found.end() >= number.end():
            side = found[0].rpartition("=")[2]
            whole = found.start() <= number.start() and ("=" in found[0] or not _cut_off(text, found.start()))
            whole = whole and all(side.count(a) == side.count(b) for a, b in ("()", "{}"))
            return found if whole and _OF_LETTERS.search(side) and not _WITH_UNIT.fullmatch(side.strip()) else None
    return None


def _side_of(formula: str) -> str:
    """What a chain of equations ends in, with its name where it has one: "y = 2x + 3"."""
    return formula if _NAME.fullmatch(formula) else formula.rpartition("=")[2].strip()


def _formula_around(text: str, number: re.Match[str]) -> re.Match[str] | None:
    # From the begin of the paragraph: inside of one, a dollar sign may open or close.
    begin = text.rfind("\n\n", 0, number.start()) + 1
    if number.start() - begin > _LONGEST_PARAGRAPH:
        return None
    last = None
    for last in _FORMULA.finditer(text, begin, number.end() + _LONGEST_FORMULA):
        if last.end() >= number.end():
            break
    return last if last is not None and last.start() < number.start() < last.end() else None
