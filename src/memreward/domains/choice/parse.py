"""Options of multiple-choice questions, and the one that a reply commits to, in the forms real models write them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from memreward.domains.choice.numbered import NUMBERS, are_numbered, in_letters, lettered, numbered_options
from memreward.domains.shared.commitment import SENTENCE_END, TURNED_AT_END, commitments, spoken_for_others, taken_back
from memreward.domains.shared.dress import peeled
from memreward.domains.shared.markers import Marked, answer_tag, explicit, last_match, phrases
from memreward.domains.shared.turns import last_question, next_question

_BRACKETED_OPTION = re.compile(r"\(([A-Z])\)[ \t]*([^\n]*?)(?=[ \t]*(?:\n|$|(?:or[ \t])?\([A-Z]\)))")
_BRACKETED_LINE = re.compile(r"^[ \t]*\(A\)", re.MULTILINE)
_LINE_OPTION = re.compile(
    r"^[ \t]*(?:[-*•][ \t]+)?[*\[(]{0,3}([A-Za-z])[\])*]{0,3}(?:[.):\]]|[ \t][-–—][ \t])[ \t*]*(\S[^\n]*)$",
    re.MULTILINE,
)
_INLINE_OPTION = re.compile(
    r"(?<![\w.])([A-J])(?:[.)][ \t]+|(?<!\S[A-J])\)(?=[\w$\\-]))(\S[^\n]*?)"
    r"(?=[ \t,;]*(?:\n|$|(?:or[ \t])?(?:(?<![\w.])[A-J][.)][ \t]|(?<!\S)[A-J]\))))"
)
_AROUND_OPTION = re.compile(r"\A:\s{0,9}|(?:[,;](?:\s?(?:or|and))?|\s\?|\s?\\q?quad)\Z")
_LISTED_OPTIONS = re.compile(
    r"^[^\n]{0,200}\b(?:options|choices)\b[^\n]{0,40}:[ \t]*\n((?:[ \t]*[-*•][ \t]+\S[^\n]*(?:\n|$)){2,26})",
    re.IGNORECASE | re.MULTILINE,
)
_NAMES = r"(?<!\w)(?i:option|choice|answer|solution|ending|candidate|alternative)[ _]?"
_CUE = re.compile(
    rf"\b(?i:options|choices|alternatives)\b[^\n:]{{0,40}}:(?!\s*\Z)|(?={_NAMES}[Aa]\s?[:.)]|[\"']A[\"']\s?:)"
)
_MARKERS = (
    re.compile(r"\(([A-Ja-j])\)"),
    re.compile(r"(?<![\w(])([A-J])\)"),
    re.compile(r"(?<![\w(])([a-j])\)"),
    re.compile(r"[\[<]([A-J])[\]>]"),
    re.compile(r"(?<![\w(])([a-j])\s\)"),
    re.compile(rf"{_NAMES}([A-Ja-j])\s?[:.)]"),
    re.compile(r"[\"']([A-J])[\"']\s?:"),
    re.compile(r"(?<!\w)([A-J])[、．.:](?!\w{1,3}[.:])"),
)
# "A．cat", "B、dog" and "（C）cow", as Chinese and Japanese write them, but not the points "A、B、C".
_WIDE_LABEL = re.compile(
    r"(?:^|(?<=[\s）)。？?；;]))(?:([A-Z])[．、：]|（([A-Z])）)(?!\s?[A-Z]\s?[．、：，,和与と])", re.MULTILINE
)
_LETTER_AND_SCRIPT = re.compile(r"(?<![A-Za-z])([A-Z])[.、:]\s?(?=[^\W\d_a-zA-Z])")
_LATEX_LABEL = re.compile(r"\\(?:text|math)?(?:bf|rm|it)?\s?\{(\([A-Z]\))(?:\\?[ ,;])?\}(?:\\[ ,;]|~)*")
_LABEL_ABOVE = re.compile(r"^[ \t]*(\([A-Z]\)|[A-Z][.)])[ \t]*\n\s{0,4}(?!\(?[A-Z][.)])(?=\S)", re.MULTILINE)
_AROUND = " \t\"',;[]{}"
_BULLET = re.compile(r"^[ \t]*[-*•][ \t]+(\S[^\n]*?)[ \t]*$", re.MULTILINE)
_LATEX_TEXT = re.compile(r"\\(?:text(?:bf|it|rm)?|math(?:bf|rm|it)|mbox|bf|rm)\s{0,4}\{([^{}]*)\}")
_DECORATION = re.compile(r"[*_`$\"“”]+|(?<!\w)'|'(?!\w)|\\[()\[\]]|\\[,;! ]")
_WHOLE = re.compile(r"(?:(?:[Oo]ption|[Cc]hoice|[Aa]nswer|[Ll]etter)\s{1,3})?[(\[{]?([A-Za-z])[)\]}]?[.:,]?")
_LEADING = re.compile(
    r"(?:(?:the\s)?(?:correct\s)?(?:[Oo]ption|[Cc]hoice|[Aa]nswer|[Ll]etter)\s{0,3}(?:is)?\s{0,3}:?\s{0,3})?"
    r"(?:[(\[]([A-Za-z])[)\]]|([A-Z])[.):](?=\s|$|[^\w])|([a-j])\)(?=\s|$)"
    r"|([A-Z])(?=[ \t]*(?:\n|$)|\s[-–—:]\s|\s*,|\s*;|\s*\(|\s+(?:is|because|since|as|for|rather|instead|but|which|and"
    r"|or)\b))"
)
_MENTION = re.compile(
    r"\(([A-Z])\)|\b(?:[Oo]ption|[Cc]hoice|[Aa]nswer|[Ll]etter)\s{1,3}([A-Z])\b|(?<![\w(])([A-Z])\)(?=\s|$|[.,;])"
)
_NO_LETTER_NEXT = r"(?!['’)]|\s+(?!(?:but|or|nor|and|because|since|as|it|is)\b)[a-z])"
_RULED_OUT_BEFORE = re.compile(
    r"(?:\b(?:not|never|neither|nor|cannot be|rather than|instead of|except|unlike|excluding|rul(?:e|es|ed|ing) out"
    r"|eliminat(?:e|es|ed|ing)|discard(?:s|ed|ing)?)|n['’]t)[*_\s]+(?:be\s+)?(?:the\s+)?(?:correct\s+)?"
    rf"(?:(?:option|choice|answer|letter)\s+)?(?:\(([A-Z])\)|([A-Z])\b{_NO_LETTER_NEXT})"
)
_RULED_OUT_AFTER = re.compile(
    r"(?:\(([A-Z])\)|\b([A-Z])\b\)?)(?=\s)[^.\n()]{0,60}?(?<=\s)"
    r"(?:(?:is|are|was|would be|can)(?:\s+(?:definitely|clearly|also))?\s*(?:not|n['’]t)\s+(?:be\s+)?(?:the\s+)?"
    r"(?:\w+\s+)?(?:correct|right|best|answer|likely|possible)"
    r"|(?:is|are|was)\s+(?:\w+\s+)?(?:incorrect|wrong|false|ruled out|eliminated|out)\b)"
)
_LISTED = re.compile(
    r"(?<!\w)\(?([A-Z])\)?[.,]?\s{0,2}(?:,|/|&|\+|\band\b|\bor\b|\bas well as\b)\s{0,2}"
    r"(?=(?:(?:and|or|option|choice)\s)?\(?([A-Z])\b\)?(?![\w'’]|\s+[a-z]))"
)
_LIST = re.compile(r"(?:\(?[A-Z][).:][\s,;]*(?:(?:and|or)\s)?){2,}")
_REASON = re.compile(
    r"\s\(|[,;.]\s|\s[-–—]\s|\b(?:because|since|due to|while|whereas|although|though|but|which|given|so that|as)\b"
)
_AGAINST_IN_BRACKETS = re.compile(r"\s?\((?:and\s)?(?:not|rather than|instead of|unlike)\b[^()]{0,120}\)")
_REJECTED = re.compile(
    r"[\s:;,–—(\-.]{0,4}(?:(?:is|was|would be|seems)\s)?(?:(?:the|an?|clearly|definitely)\s){0,2}"
    r"(?:(?:wrong|incorrect|false|worst|impossible|not\s(?:correct|right|it|true|so)|rejected|discarded|unlikely|eliminated|excluded|struck)\b"
    r"|(?:no|nope|not)\b(?![ \t]\w)|[❌✗✘☒🚫])",
    re.IGNORECASE,
)
_NEGATED = (
    r"(?:not|never|neither|nor|cannot|except|anything but|rather than|instead of|"
    r"(?:is|was|are|can|do|does|did|wo|could|would|should)n? ?t)(?: (?:be|in|at|on|to|a|an|the|really|just)){0,3}"
)
_CROSSED = re.compile(r"\s{0,4}[❌✗✘☒🚫]|[^\n]{1,80}[❌✗✘☒🚫][.\s]{0,4}\Z")
_NO_OPTION = re.compile(
    r"(?:that\s(?:it\s)?|it\sis\s|this\sis\s|therefore\s|likely\s)*(?:none\b|neither\b|both\b|all\s(?:of|are|the)\b|n\s?/\s?a\b"
    r"|not\s(?:provided|listed|given|available|among|definit|clear|applicable|determin|possible|certain|sure|present|any|in)"
    r"|unknown|inconclusive|indetermina|undetermined|undecid|subjective|uncertain|unclear|cannot|can't|could\snot|unable"
    r"|insufficient|ambiguous|depend|impossible\sto|no\s(?:answer|option|correct))",
    re.IGNORECASE,
)
_GROUNDS = r"(?:based on|according to|given|under|in this case|because|since)"
_SAID_TO_BE = re.compile(
    r"(?i:it|that|this)(?i:['’]s|\s(?:is|(?:would|must|should)\sbe))\s(?:the\s)?([^.?!]{1,120})"
    r"|(?:-\s)?(?:(?i:so|thus|hence|therefore),?\s)?(?:(?i:the\sstatement)\s)?([^?!]{1,120})\s(?:is|would\sbe)\s(?:the\s)?"
    rf"(?:(?:correct|right|best)\s(?:answer|choice|option)|true(?:\s{_GROUNDS}\b.*)?)"
)
_LEFT_OUT = re.compile(r"\s{0,9}\b[Tt]he answer is[ .…]{1,6}\Z")
_ADVERBS = re.compile(
    r"\A(?:(?:therefore|thus|clearly|(?:most )?likely|probably|definitely|obviously|simply|actually|then|still|now|"
    r"surely|certainly|to be|in fact|indeed)[,\s]\s{0,3}){1,3}"
)
_ALONE = re.compile(r"(?<=\b[A-Z])\s(?:only|alone)\Z")
_STANCE = re.compile(
    r"(?:(?:(?:the|this|my)\s)?(?:final\s)?(?:statement|claim|assertion|proposition|sentence|hypothesis|conclusion|decision|"
    r"verdict|label|relation(?:ship)?)(?:(?:\s[^.?!\n]{1,200}?)??\s(?:is|holds)|:)\s|(?:it|this|that)\sis\s|(?:it|that)['’]s\s)?"
    r"(?:(?:technically|probably|likely|most likely|definitely|almost certainly|generally|clearly|simply)[,\s]\s?)?"
    r"(yes|yeah|yep|true|no|nope|false|maybe|unknown|uncertain|undetermined|entailment|neutral|contradiction)"
    r"(?=\s*(?:[.,;:!)(–—-]|$|\n)|\s(?:as|if|it|he|she|they|the|there|for)\b"
    rf"|\s{_GROUNDS}\b"
    r"|\swith\s(?:a\s)?(?:[5-9]\d|100)\s?%)",
    re.IGNORECASE,
)
_STANCE_AT_END = re.compile(
    r"[\s,;.…](yes|yeah|yep|true|no|nope|false)(?:\s(?:if|when|at|otherwise|for)\b[^.\n]{0,60})?[.!]{0,3}\s{0,9}\Z",
    re.IGNORECASE,
)
CONCLUSION = re.compile(
    r"\A\W{0,3}(?:(?:so|as such|thus|hence|therefore|then|overall|finally|ultimately|(?:in )?conclusion|in summary"
    r"|I think|(?:I['’]d|(?:I|we) (?:would|will|can)) say|(?:based on|given|according to) [^,.\n]+(?=,))[,:]?\s){1,3}",
    re.IGNORECASE,
)
_LAST_SENTENCE = 400
_STANCES = {
    **dict.fromkeys(("yes", "yeah", "yep", "true"), "yes"),
    **dict.fromkeys(("no", "nope", "false"), "no"),
    **dict.fromkeys(("unknown", "uncertain", "undetermined"), "unknown"),
    **{word: word for word in ("maybe", "entailment", "neutral", "contradiction")},
}
_UNKNOWN_LETTERS = frozenset("ABCDEFGHIJ")
_LONG_TEXT = 60
_SINGLE_LETTER = re.compile(r"\b[A-Z]\b")
_FINISHED = re.compile(r"[.!?)\]}:\"*]\s*\Z|(?<![\w'])[A-Z]\s*\Z")
_NOT_WORD = re.compile(r"[\W_]+")
# Signs that change a number are words: -4 is not 4, and 1.5 is not 1, 5.
_SIGNS = (
    (re.compile(r"(?<![\w)])[-−](?=[\d.])"), " minus "),
    (re.compile(r"(?<=\d),(?=\d{3}(?!\d))"), ""),
    (re.compile(r"(?<=\d)\.(?=\d)"), " point "),
    (re.compile(r"(?<=\d)/(?=\d)"), " over "),
)
_BETWEEN = re.compile(
    r"\b(?:between|out of)\s(?:options\s)?\(?[A-Z]\b\)?(?:,\s\(?[A-Z]\b\)?)*,?\s(?:and|or)\s\(?[A-Z]\b\)?,?\s",
    re.IGNORECASE,
)
_IS_LETTER = re.compile(r"\b(?:is|be):? (?=\(?[A-Z][).:]\s)")
_BEGINS_LINE = re.compile(r"^\W{0,4}(?:[Oo]ption )?([A-Z])(?:[.):]|\s-)\s", re.MULTILINE)
_TICKED = re.compile(
    r"^\W{0,4}(?:option )?([A-Z])\b[^\w\n](?:[^\n]{0,60}?(?:([✅✓✔☑])|[❌✗✘☒]"
    r"|(?<!not )(?<!n't )(?<!\w)(?:(true|yes|correct|right)"
    r"|not (?:true|correct|right)|false|no|incorrect|wrong))[\W_]{0,3}$"
    r"|\W{0,3}(?:(correct|right)|incorrect|wrong)"
    r"(?:[^\w?\n]{0,3}$|[.,;:]\s(?!but|not|only|except)|\s(?:because|since)\b))",
    re.IGNORECASE | re.MULTILINE,
)


_ORDINAL = re.compile(
    r"\bthe\s(?:(first|second|third|fourth|fifth)|last)\s(?:listed\s|given\s)?option\b", re.IGNORECASE
)
_SMALL = re.compile(r"(?<!\w)\([a-j]\)|(?<![\w(])[a-j]\)(?=\s|$)")
_ORDINALS = ("first", "second", "third", "fourth", "fifth")


@dataclass(frozen=True, slots=True)
class Choice:
    """What a completion says about the options.

    Attributes:
        letters: The options it commits to: none, one, or several at once. Where options have no letters, their texts.
        form: Where they stand: "answer_tag", "boxed", "hash", "a_line", "phrase", "letter" or "none".
        named_text: What stands beside the one letter, as in "(B) river bank"; "" for nothing.
        ruled_out: The options that are only ruled out ("not B").
        declined: It says that none of them, all of them or nothing certain is the answer.
        unread: The answer that it gives in words of its own, which name no option; "" without one.
    """

    letters: tuple[str, ...] = ()
    form: str = "none"
    named_text: str = ""
    ruled_out: tuple[str, ...] = ()
    declined: bool = False
    unread: str = ""


@lru_cache(maxsize=1024)
def options(query_text: str) -> Mapping[str, str]:
    """Return the options of a question by letter, or by number where it numbers them; empty if it has none.

    They stand as "(A) ..." anywhere, or as "A. ...", "a) ..." in lines or in one line. A list without letters under
    "Options:" gives each text by itself. Of several questions, "Q: ...", the others are examples before the last.
    """
    query_text = _with_plain_labels(query_text)
    asked = last_question(query_text)
    if asked > 0 and len(own := options(query_text[asked:])) > 1:
        return own
    bracketed, lines = (_lettered(pattern, query_text) for pattern in (_BRACKETED_OPTION, _LINE_OPTION))
    rows = "A" in bracketed and len(lines) > len(bracketed) and _has_no_gap(lines)
    if rows and not _BRACKETED_LINE.search(query_text):
        return lines  # "(A)" and "(B)" stand in the question
    several = [found for found in (bracketed, lines) if len(found) > 1 and "A" in found]
    if not any(map(_has_no_gap, several)):  # a line may hold two: "A. oak  B. elm"
        inline = _lettered(_INLINE_OPTION, query_text)
        several += [inline] if len(inline) > 1 and "A" in inline else []
    if several:
        return next(filter(_has_no_gap, several), several[0])
    lists = list(_LISTED_OPTIONS.finditer(query_text))
    if lists:
        return {text: text for text in _BULLET.findall(lists[-1][1])}
    return _inline_options(query_text) or numbered_options(query_text)


def _with_plain_labels(text: str) -> str:
    text = _LABEL_ABOVE.sub(r"\1 ", _LATEX_LABEL.sub(r"\1 ", text))
    if text.isascii():
        return text
    return _LETTER_AND_SCRIPT.sub(r" \1. ", _WIDE_LABEL.sub(lambda found: f"{found[1] or found[2]}. ", text))


def _inline_options(text: str) -> dict[str, str]:
    """Return the options behind "Choices:" in other dress: "(a) 4(b) 5", "['A) 4', 'B) 5']", "[A] 4 [B] 5"."""
    cue = last_match(_CUE, text)
    if cue is None:
        return {}
    for marker in _MARKERS:
        marks: list[re.Match[str]] = []
        for mark in marker.finditer(text, cue.end()):
            if mark[1].upper() == chr(ord("A") + len(marks)):
                marks.append(mark)
        ends = [*(mark.start() for mark in marks[1:]), len(text)]
        if len(marks) > (1 if marks and marks[0][1].isupper() else 2):
            found = [text[mark.end() : end].split("\n", 1)[0] for mark, end in zip(marks, ends, strict=True)]
            return {mark[1].upper(): option.strip(_AROUND) for mark, option in zip(marks, found, strict=True)}
    return {}


def _has_no_gap(found: Mapping[str, str]) -> bool:
    return ord(max(found)) - ord("A") + 1 == len(found)


def has_plain_options(query_text: str) -> bool:
    """Return whether options stand there in capitals, "(A) ..." or a line each: "a) ..." may be parts of a question."""
    query_text = _with_plain_labels(query_text)
    found = [{match[1] for match in pattern.finditer(query_text)} for pattern in (_BRACKETED_OPTION, _LINE_OPTION)]
    return any({"A", "B"} <= letters for letters in found)


def _lettered(pattern: re.Pattern[str], text: str) -> dict[str, str]:
    """Options by letter; beyond J only letters that follow on one another, as initials stand in brackets too."""
    letters = {match[1].upper() for match in pattern.finditer(text)}
    last = "A"
    while chr(ord(last) + 1) in letters:
        last = chr(ord(last) + 1)
    last = max(last, "J")
    pattern = re.compile(pattern.pattern.replace("A-Z", f"A-{last}").replace("a-z", f"a-{last.lower()}"), pattern.flags)
    found = {}
    for label, option in pattern.findall(text):
        twice = rf"^\(?{label}[).:]{{1,2}}\s"  # "(A) A): bakery"
        found[label] = re.sub(twice, "", _AROUND_OPTION.sub("", option.strip()))
    upper = {letter: option for letter, option in found.items() if letter.isupper()}
    lower = {letter.upper(): option for letter, option in found.items() if letter.islower()}
    return lower if lower and len(upper) < 2 else upper


def normal_text(text: str) -> str:
    """Casefold, drop LaTeX text commands and punctuation, and join words by single blanks."""
    text = _LATEX_TEXT.sub(r" \1 ", text)
    for pattern, word in _SIGNS if any(map(str.isdigit, text)) else ():
        text = pattern.sub(word, text)
    return _NOT_WORD.sub(" ", text.casefold()).strip()


def letter_of(content: str, choices: Mapping[str, str]) -> str | None:
    """Return the one option that `content` names, by letter or by the option's text; None if none or several."""
    letters = letters_of(content, choices)
    return letters[0] if len(letters) == 1 else None


def letters_of(content: str, choices: Mapping[str, str]) -> tuple[str, ...]:
    if are_numbered(choices):
        if content.strip() in choices:
            return (content.strip(),)
        return tuple(map(NUMBERS.__getitem__, letters_of(in_letters(content, choices), lettered(choices))))
    return _named(_plain(content), choices).letters


def option_of_reference(reference: str, choices: Mapping[str, str]) -> str | None:
    """Return the option that a reference is, or whose whole text it has; without known options, a letter by itself."""
    if are_numbered(choices):
        letter = option_of_reference(in_letters(reference, choices), lettered(choices))
        number = NUMBERS.get(letter or "", reference.strip())
        return number if number in choices else None
    bare = _WHOLE.fullmatch(reference.strip())
    if bare is not None and bare[1].upper() in (choices or _UNKNOWN_LETTERS):
        return bare[1].upper()
    same = [letter for letter, option in choices.items() if normal_text(option) == normal_text(reference)]
    if len(same) == 1:
        return same[0]
    polar = _by_polarity(reference, choices)
    if polar is not None:
        return polar.letters[0]
    letter = letter_of(reference, {})
    return letter if not choices or letter in choices else None


def find_choice(text: str, choices: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the last option that `text` commits to and the form it was found in; (None, "none") without one."""
    choice = read_choice(text, choices)
    return (choice.letters[0], choice.form) if len(choice.letters) == 1 else (None, "none")


def read_choice(text: str, choices: Mapping[str, str]) -> Choice:
    """Read the last commitment of `text`, a reply without its thinking, to one option or to several."""
    if are_numbered(choices):
        read = read_choice(in_letters(text, choices), lettered(choices))
        numbers = (tuple(map(NUMBERS.__getitem__, named)) for named in (read.letters, read.ruled_out))
        return replace(read, letters=next(numbers), ruled_out=next(numbers))
    text = text if text.isascii() else _LETTER_AND_SCRIPT.sub(r"\1. ", text)
    text = by_letters(_BETWEEN.sub("", _undecorated(_of_this_question(text, choices))), choices)
    ticks = {match[1]: bool(match[2] or match[3] or match[4]) for match in _TICKED.finditer(text)}
    if len(ticks) > 1 and ticks.keys() == choices.keys() and sum(ticks.values()) == 1 and not phrases(text):
        return Choice((max(ticks, key=lambda letter: ticks[letter]),), "letter")
    tagged = answer_tag(text)
    if tagged is not None and taken_back(text, tagged.end):
        return read_choice(text[tagged.end :], choices)
    turned = TURNED_AT_END.search(text, max(0, len(text) - 3 * _LONG_TEXT))
    if turned is not None and len(corrected := _options_of(_plain(turned[1]), choices)) == 1:
        return Choice(corrected, "phrase")
    if tagged is not None:
        choice = _from_marked(tagged, choices)
        if choice.letters or choice.declined:
            return choice
    if _CROSSED.match(text):
        return Choice()
    whole = _by_whole_text(_plain(text), choices)
    if whole is not None:
        marks = [mark for mark in [explicit(text), *phrases(text)] if mark is not None]
        return replace(whole, form=marks[0].form if marks else "letter")
    choice = _last_commitment(text, choices)
    return replace(choice, unread=tagged.content[:_LONG_TEXT]) if tagged is not None and not choice.letters else choice


def _of_this_question(text: str, choices: Mapping[str, str]) -> str:
    """The text up to where it asks another question, which has options and names none of this question's."""
    asked = next_question(text) if choices else None
    if asked is None and choices and next_question(f".\n{text.lstrip()}") is not None:
        asked = 0
    if asked is None:
        return text
    tails = [text[start:] for start in {asked, last_question(text) or asked}]
    return text[:asked] if all(has_other_options(tail, choices) for tail in tails) else text


def has_other_options(text: str, choices: Mapping[str, str]) -> bool:
    """Whether a text has options, and names none of these."""
    words = f" {normal_text(text)} "
    return len(options(text)) > 1 and not any(f" {_option_words(option)} " in words for option in choices.values())


def by_letters(text: str, choices: Mapping[str, str]) -> str:
    """Return a text with "the second option" as "option B", and a short one with "(b)" as "(B)"."""
    letters = list(choices) if all(len(key) == 1 for key in choices) else []

    def named(found: re.Match[str]) -> str:
        place = _ORDINALS.index(found[1].lower()) if found[1] else -1
        return f"option {letters[place]}" if place < len(letters) else found[0]

    if len(text) <= _LONG_TEXT and letters:
        text = _SMALL.sub(lambda found: found[0].upper() if found[0].strip("()").upper() in choices else found[0], text)
    return _ORDINAL.sub(named, text) if letters and "option" in text else text


def _last_commitment(text: str, choices: Mapping[str, str]) -> Choice:
    ruled_out: dict[str, None] = {}
    perhaps: Choice | None = None
    unread = ""
    for said in reversed(commitments(text)):
        sentence = SENTENCE_END.split(said.content, maxsplit=1)[0]
        named = _by_whole_text(said.content, choices) or _by_polarity(sentence, choices) or _named(sentence, choices)
        if said.force == "denied" or not named.letters:
            ruled_out |= dict.fromkeys((*named.letters, *named.ruled_out))
        if not (named.letters or named.ruled_out or named.declined or unread or said.form == "letter"):
            unread = sentence[:_LONG_TEXT]
        if said.force == "denied" or not (set(named.letters) - ruled_out.keys() or named.declined):
            continue
        perhaps = perhaps or replace(named, form=said.form if named.letters else "none")
        if said.force == "said":
            return replace(named, form=said.form if named.letters else "none")
    # What it says in words of its own stands above what it says in passing.
    if perhaps is None:
        marked = explicit(text) is not None and bool(choices)
        perhaps = Choice() if unread and (marked or polar_options(choices)) else _from_prose(text, choices)
    choice = perhaps
    if set(choice.letters) <= ruled_out.keys():
        denied = tuple({**ruled_out, **dict.fromkeys(choice.ruled_out)})
        alone = text.strip() if len(text.strip()) <= _LONG_TEXT and not choice.declined else ""
        return Choice(ruled_out=denied, declined=choice.declined, unread=unread or alone)
    return choice


def stance(content: str) -> str | None:
    """Return the word of a closed set that a text begins with: "yes" (or true), "no" (false), "unknown", "maybe" ..."""
    match = _STANCE.match(_undecorated(content[:_LAST_SENTENCE]).strip())
    word = None if match is None else _STANCES[match[1].lower()]
    last = _STANCE_AT_END.search(content, max(0, len(content) - 2 * _LONG_TEXT))
    return word if last is None or _STANCES[last[1].lower()] == word else None


def concluded_stance(text: str) -> str | None:
    """Return the stance that a text begins with, its last sentence is ("In conclusion, no."), or its last part has."""
    sentences = SENTENCE_END.split(text.strip()[-_LAST_SENTENCE:].rsplit("\n\n", 1)[-1])
    said = stance(text if _STANCE.match(text.strip()) else CONCLUSION.sub("", sentences[-1]))
    after = zip(["", *sentences], sentences, strict=False)
    others = {
        stance(one) for before, one in after if re.match("(?:yes|no), ", one, re.IGNORECASE) and before[-1:] != "?"
    }
    return others.pop() if said is None and len(others) == 1 else said


def _named(content: str, choices: Mapping[str, str]) -> Choice:
    """The options that a short text without decoration names, by letter or by the option's text."""
    whole_option = _by_whole_text(content, choices)
    if whole_option is not None:
        return whole_option
    content, ruled_out = _without_ruled_out(_AGAINST_IN_BRACKETS.sub("", content[:2000]))
    plain = _ALONE.sub("", _ADVERBS.sub("", content).rstrip(".")).strip()
    whole = _WHOLE.fullmatch(peeled(plain))
    if whole is not None:
        return Choice(_allowed({whole[1].upper()}, choices), ruled_out=ruled_out)
    leading = _LEADING.match(plain)
    if leading is not None:
        letter, beside = _letter(leading), plain[leading.end() :]
        if _rejected(letter, beside, choices):
            return Choice(ruled_out=(*ruled_out, letter))
        near = _REASON.split(plain, maxsplit=1)[0]
        listed = _listed(plain) | _listed_with_texts(plain, choices)
        mentioned = {letter} if _by_text(plain, choices) == letter else {letter} | _mentions(near) | listed
        return Choice(_allowed(mentioned, choices), named_text=beside, ruled_out=ruled_out)
    if _NO_OPTION.match(plain):
        return Choice(ruled_out=ruled_out, declined=True)
    mentioned, by_text = _mentions(plain) | _listed(plain), _by_text(plain, choices)
    if by_text is not None and mentioned <= {by_text}:
        return Choice((by_text,), ruled_out=ruled_out)
    return Choice(_allowed(mentioned, choices), ruled_out=ruled_out)


def _rejected(letter: str, beside: str, choices: Mapping[str, str]) -> bool:
    """Whether the words beside a letter refuse it, "A: wrong", unless its option may say so itself."""
    if polar_options(choices):
        return False
    refusal = _REJECTED.match(beside)
    own = _option_words(choices.get(letter, ""))
    return refusal is not None and not (own and normal_text(beside).startswith(own.split(" ", 1)[0]))


def _from_marked(mark: Marked, choices: Mapping[str, str]) -> Choice:
    choice = _named(_plain(mark.content), choices)
    if not choice.letters and not choice.declined:
        choice = read_choice(mark.content.replace("<answer>", ""), choices)
    return replace(choice, form=mark.form if choice.letters else "none")


def _from_prose(text: str, choices: Mapping[str, str]) -> Choice:
    """A text that says nowhere that it answers: its only line, its first letter, or its last sentence with one."""
    polar = _by_polarity(text, choices)
    if polar is not None:
        return replace(polar, form="letter")
    stripped, ruled_out = _without_ruled_out(text.strip())
    if (
        len(stripped) <= 200
        and not re.search(r"\n|\?.", stripped)
        and not spoken_for_others("A".join(_SINGLE_LETTER.split(stripped)[:-1]) or stripped)
    ):
        only = _named(stripped, choices)
        if only.letters:
            return replace(only, form="letter", ruled_out=ruled_out)
    near = stripped[-4000:]
    for line in (
        _labelled(_said_to_be(near), choices),
        _labelled(near.split("\n"), choices),
        _last_line(near, choices),
    ):
        if line is not None:
            return Choice((line,), "letter")
    first = _LEADING.match(stripped[:80])
    if first is not None and _rejected(_letter(first), stripped[first.end() :], choices):
        return Choice(ruled_out=(*ruled_out, _letter(first)))
    named = _mentions(stripped) | (choices.keys() & set(_BEGINS_LINE.findall(near)))
    if first is not None and (choices or first.end() == len(stripped)) and len(named) <= 1:
        return Choice(_allowed({_letter(first)}, choices), "letter")
    if len(stripped) > _LONG_TEXT and _FINISHED.search(stripped) is None:
        return Choice(ruled_out=ruled_out)  # cut off, and what it speaks of last is where it was
    letters = _of_last_sentences(stripped, choices) if choices else None
    if letters is not None:
        return Choice(letters, "letter")
    return Choice(ruled_out=ruled_out, declined=_NO_OPTION.match(stripped) is not None)


def _of_last_sentences(text: str, choices: Mapping[str, str]) -> tuple[str, ...] | None:
    """The options that the last sentence of a text names, or the one before it in its paragraph; None for none."""
    after, text = "", _LEFT_OUT.sub("", text)
    for sentence in reversed(SENTENCE_END.split(text.rsplit("\n\n", 1)[-1][-2000:])[-2:]):
        refused = sentence.endswith("?") and stance(after) == "no"
        mention, after = None if refused else _MENTION.search(sentence), sentence
        if mention is not None and not spoken_for_others(sentence[: mention.start()]):
            return _allowed(_mentions(sentence) | _listed(sentence), choices)
    return None


def _labelled(lines: list[str], choices: Mapping[str, str]) -> str | None:
    """The one option that a line begins with, its letter and its text; None where several do."""
    found = {
        letter
        for line in map(str.strip, lines)
        if (leading := _LEADING.match(line[:2000])) is not None
        and (letter := _letter(leading)) in choices
        and normal_text(line[leading.end() :]).startswith(_option_words(choices[letter]))
    }
    return found.pop() if len(found) == 1 else None


def _said_to_be(text: str) -> list[str]:
    """What a text says that something is, "The tree is B. elm", up to the end of the line; not others' opinions."""
    places = [
        place
        for place in _IS_LETTER.finditer(text)
        if not spoken_for_others(SENTENCE_END.split(text[max(place.start() - 200, 0) : place.start()])[-1])
    ]
    return [text[place.end() : place.end() + 2000].split("\n", 1)[0] for place in places]


def _last_line(text: str, choices: Mapping[str, str]) -> str | None:
    """The option whose text is the last of several lines, or is said there to be it; None where lines list them."""
    *before, last = text.split("\n")
    said = _SAID_TO_BE.fullmatch(_plain(last))
    found = _options_of(_plain(said[1] or said[2] if said else last), choices)
    listed = any(_options_of(_plain(line), choices) for line in before)
    return found[0] if before and len(found) == 1 and not listed else None


def _by_whole_text(content: str, choices: Mapping[str, str]) -> Choice | None:
    """The option whose text `content` is as a whole, behind its letter or without; whatever that text may say."""
    plain = _plain(content)
    leading = _LEADING.match(plain)
    if leading is not None:
        letter = _letter(leading)
        if letter in choices and letter in _options_of(plain[leading.end() :], choices):
            return Choice((letter,), named_text=plain[leading.end() :])
    if _WHOLE.fullmatch(plain):
        return None
    found = _options_of(plain, choices) or _options_of(peeled(plain), choices)
    return Choice(found) if found else None


def _by_polarity(content: str, choices: Mapping[str, str]) -> Choice | None:
    """Of options that say yes, no and the like, the one that `content` begins with in any of its words."""
    key = polar_options(choices).get(concluded_stance(content) or "")
    return None if key is None else Choice((key,))


def polar_options(choices: Mapping[str, str]) -> dict[str, str]:
    """Return the options that say yes and no, or true and false, and perhaps "unknown", by stance; {} with others."""
    stances = {_STANCES.get(_option_words(option), ""): key for key, option in choices.items()}
    known = len(stances) == len(choices) and "" not in stances
    return stances if known and {"yes", "no"} <= stances.keys() else {}


@lru_cache(maxsize=4096)
def _option_words(option: str) -> str:
    """The words of an option, which every reply to its question is compared with."""
    return normal_text(_plain(option))


def _options_of(plain: str, choices: Mapping[str, str]) -> tuple[str, ...]:
    """The option that has this text, which may be cut off where it is long; several where their texts are the same."""
    words = normal_text(plain)
    if not words or not choices:
        return ()
    same = [letter for letter, option in choices.items() if _option_words(option) == words]
    exact = [letter for letter in same if _plain(choices[letter]) == plain.strip()]
    if not same and len(words) >= _LONG_TEXT:
        same = [letter for letter, option in choices.items() if _option_words(option).startswith(words)]
    return tuple(exact or same)


def _undecorated(text: str) -> str:
    return _DECORATION.sub("", _LATEX_TEXT.sub(r"\1", text.replace("’", "'").replace("‘", "'")))


def _plain(text: str) -> str:
    return " ".join(_undecorated(text).split()).rstrip(".").strip()


def _without_ruled_out(text: str) -> tuple[str, tuple[str, ...]]:
    """The text without options that it negates, and their letters."""
    letters: dict[str, None] = {}

    def drop(match: re.Match[str]) -> str:
        letters[match[1] or match[2]] = None
        return " "

    for pattern in (_RULED_OUT_BEFORE, _RULED_OUT_AFTER):
        text = pattern.sub(drop, text)
    return text.strip(), tuple(letters)


def _letter(match: re.Match[str]) -> str:
    return next(str(group) for group in match.groups() if group).upper()


def _listed(text: str) -> set[str]:
    return {letter for match in _LISTED.finditer(text) for letter in match.groups()}


def _listed_with_texts(text: str, choices: Mapping[str, str]) -> set[str]:
    """The options of a text that lists their letters and texts, "(A) oak, (B) elm", and says nothing else."""
    for letter, option in choices.items():
        labelled = rf"(?<!\w)({re.escape(letter)}[).:])\s{re.escape(_plain(option))}(?!\w)"
        text = re.sub(labelled, r"\1", text, flags=re.IGNORECASE)
    return set(_SINGLE_LETTER.findall(text)) if _LIST.fullmatch(text) else set()


def _mentions(text: str) -> set[str]:
    return {_letter(match) for match in _MENTION.finditer(text)}


def _allowed(letters: set[str], choices: Mapping[str, str]) -> tuple[str, ...]:
    """The letters, sorted; none where one of them is no option of the question."""
    return tuple(sorted(letters)) if letters <= (choices.keys() or _UNKNOWN_LETTERS) else ()


def _by_text(plain: str, choices: Mapping[str, str]) -> str | None:
    words = normal_text(plain)
    if not words or len(words) > 120:
        return None
    polar = {
        key for word, key in polar_options(choices).items() if word in {"yes", "no"}
    }  # which stand in any sentence
    named = {letter: _option_words(choices[letter]) for letter in choices.keys() - polar}
    inside = [
        letter
        for letter, option in named.items()
        if option
        and option in words
        and re.search(rf"(?<!minus )(?<!point )(?<!over )\b{re.escape(option)}(?:e?s)?\b(?! (?:point|over) \d)", words)
        and not re.search(rf"\b{_NEGATED} {re.escape(option)}\b", words)
    ]
    return inside[0] if len(inside) == 1 else None
