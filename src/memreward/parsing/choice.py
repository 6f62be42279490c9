"""Option letters of multiple-choice questions, in the forms real models write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from memreward.parsing.markers import Marked, explicit, phrases

_BRACKETED_OPTION = re.compile(r"\(([A-J])\)[ \t]*([^\n]*?)(?=[ \t]*(?:\n|$|\([A-J]\)))")
_LINE_OPTION = re.compile(r"^[ \t]*([A-J])[.):][ \t]*(\S[^\n]*)$", re.MULTILINE)
_LATEX_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mathbf|mbox)\s{0,4}\{([^{}]*)\}")
_DECORATION = re.compile(r"[*_`$\"'“”‘’]+|\\[()\[\]]|\\[,;! ]")
_WHOLE = re.compile(r"[(\[{]?([A-Ja-j])[)\]}]?[.:,]?")
_LEADING = re.compile(
    r"(?:(?:the\s)?(?:correct\s)?(?:option|choice|answer|letter)\s{0,3}(?:is)?\s{0,3}:?\s{0,3})?"
    r"(?:[(\[]([A-Ja-j])[)\]]|([A-J])[.):](?=\s|$|[^\w])|([A-J])(?=\s*$|\s[-–—:]\s|\s*,|\s+is\b))",
)
_NAMED = re.compile(r"\b(?:option|choice|answer|letter)\s{1,3}([A-J])\b", re.IGNORECASE)
_MENTION = re.compile(
    r"\(([A-J])\)|\b(?:[Oo]ption|[Cc]hoice|[Aa]nswer|[Ll]etter)\s{1,3}([A-J])\b|\*\*([A-J])\b[^*\n]{0,80}\*\*"
)
_CLAIM = re.compile(
    r"(?:\(([A-J])\)|\b(?:[Oo]ption|[Cc]hoice|[Aa]nswer)\s{1,3}([A-J])\b)[^.\n()]{0,80}?"
    r"\b(?:is|are|would be|seems|appears)\b"
    r"(?!\s+(?:not|in)\b)[^.\n()]{0,40}?\b(?:correct|best|right|most likely|most appropriate|most suitable|answer)\b"
)
_RULED_OUT_BEFORE = re.compile(
    r"(?:\b(?:not|never|neither|nor|cannot be|rather than|instead of|except|unlike|excluding|rul(?:e|es|ed|ing) out"
    r"|eliminat(?:e|es|ed|ing)|discard(?:s|ed|ing)?)|n['’]t)[*_\s]+(?:be\s+)?(?:the\s+)?(?:correct\s+)?"
    r"(?:(?:option|choice|answer|letter)\s+)?[*_\"'“]{0,3}(?:\(([A-J])\)|([A-J])\b(?!['’)]|\s+[a-z]))"
)
_RULED_OUT_AFTER = re.compile(
    r"(?:\(([A-J])\)|\b([A-J]))[*_]{0,2}(?=\s)[^.\n()]{0,60}?(?<=\s)"
    r"(?:(?:is|are|was|would be|can)(?:\s+(?:definitely|clearly|also))?\s*(?:not|n['’]t)\s+(?:be\s+)?(?:the\s+)?"
    r"(?:\w+\s+)?(?:correct|right|best|answer|likely|possible)"
    r"|(?:is|are|was)\s+(?:\w+\s+)?(?:incorrect|wrong|false|ruled out|eliminated|out)\b)"
)
_LISTED = re.compile(
    r"(?<!\w)\(?([A-J])\)?[.,]?\s{0,2}(?:,|/|&|\+|\band\b|\bor\b|\bas well as\b)\s{0,2}"
    r"(?=(?:(?:and|or|option|choice)\s)?\(?([A-J])\b\)?(?![\w'’]|\s+[a-z]))"
)
_DECISION = re.compile(
    r"\b(?:go(?:ing)? with|choos(?:e|ing)|pick(?:ing)?|select(?:ing)?|opt(?:ing)? for|settl(?:e|ing) (?:on|for))\s+"
    r"(?:(?:option|choice|answer)\s+)?(?:\(([A-J])\)|([A-J])\b(?!\s+[a-z]))"
)
_SENTENCE_END = re.compile(r"(?<=[.!?])[*\"')]{0,3}\s|\n")
_PHRASES_READ = 20
_LONG_TEXT = 60
_NOT_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Choice:
    """What a completion says about the options.

    Attributes:
        letters: The options it commits to: none, one, or several at once.
        form: Where they stand: "answer_tag", "boxed", "hash", "a_line", "phrase", "letter" or "none".
        named_text: What stands beside the one letter, as in "(B) river bank"; "" for nothing.
        ruled_out: The options that are only ruled out ("not B").
    """

    letters: tuple[str, ...] = ()
    form: str = "none"
    named_text: str = ""
    ruled_out: tuple[str, ...] = ()


@lru_cache(maxsize=1024)
def options(query_text: str) -> Mapping[str, str]:
    """Return the options of a question by letter, from "(A) ..." or lines "A. ..."; empty if it has none."""
    found = {match[1]: match[2].strip() for match in _BRACKETED_OPTION.finditer(query_text)}
    if len(found) < 2:
        found = {match[1]: match[2].strip() for match in _LINE_OPTION.finditer(query_text)}
    return found if len(found) > 1 and "A" in found else {}


def normal_text(text: str) -> str:
    """Casefold, drop LaTeX text commands and punctuation, and join words by single blanks."""
    text = _LATEX_TEXT.sub(r" \1 ", text)
    return _NOT_WORD.sub(" ", text.casefold()).strip()


def letter_of(content: str, choices: Mapping[str, str]) -> str | None:
    """Return the one option letter that `content` names, by letter or by the option's text; None if none or several."""
    letters = _named(content, choices).letters
    return letters[0] if len(letters) == 1 else None


def find_choice(text: str, choices: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the last option that `text` commits to and the form it was found in; (None, "none") without one."""
    choice = read_choice(text, choices)
    if len(choice.letters) == 1:
        return choice.letters[0], choice.form
    mark = explicit(text)
    return (mark.content, mark.form) if mark is not None and mark.content and not choices else (None, "none")


def read_choice(text: str, choices: Mapping[str, str]) -> Choice:
    """Read the last commitment of `text` to one option or to several."""
    mark = explicit(text)
    if mark is not None:
        return _from_marked(mark, choices)
    ruled_out: tuple[str, ...] = ()
    for phrase in reversed(phrases(text)[-_PHRASES_READ:]):
        sentence = _SENTENCE_END.split(phrase.content, maxsplit=1)[0]
        named = _by_whole_text(phrase.content, choices) or _named(sentence, choices)
        if len(named.letters) > 1:
            decisions = [match[1] or match[2] for match in _DECISION.finditer(text, phrase.start)]
            return Choice(_allowed({decisions[-1]}, choices), "phrase") if decisions else replace(named, form="phrase")
        if named.letters:
            return replace(named, form="phrase")
        ruled_out = ruled_out or named.ruled_out
    choice = _from_prose(text, choices)
    return choice if choice.letters or not ruled_out else replace(choice, ruled_out=ruled_out)


def _named(content: str, choices: Mapping[str, str]) -> Choice:
    """The options that a short text names, by letter or by the option's text."""
    whole_option = _by_whole_text(content, choices)
    if whole_option is not None:
        return whole_option
    content, ruled_out = _without_ruled_out(content[:2000])
    plain = _DECORATION.sub("", _LATEX_TEXT.sub(r"\1", content)).strip().rstrip(".").strip()
    whole = _WHOLE.fullmatch(plain)
    if whole is not None:
        return Choice(_allowed({whole[1].upper()}, choices), ruled_out=ruled_out)
    mentioned = _mentions(plain) | _listed(plain)
    beside = ""
    leading = _LEADING.match(plain)
    if leading is not None:
        mentioned.add(next(group for group in leading.groups() if group).upper())
        beside = plain[leading.end() :]
    by_text = _by_text(plain, choices)
    if by_text is not None and mentioned <= {by_text}:
        return Choice((by_text,), ruled_out=ruled_out)
    return Choice(_allowed(mentioned, choices), named_text=beside, ruled_out=ruled_out)


def _from_marked(mark: Marked, choices: Mapping[str, str]) -> Choice:
    choice = _named(mark.content, choices)
    if not choice.letters and mark.form == "answer_tag":
        inner = explicit(mark.content)
        choice = _named(inner.content, choices) if inner is not None else read_choice(mark.content, choices)
    return replace(choice, form=mark.form if choice.letters else "none")


def _from_prose(text: str, choices: Mapping[str, str]) -> Choice:
    whole_option = _by_whole_text(text, choices)
    if whole_option is not None:
        return replace(whole_option, form="letter")
    stripped, ruled_out = _without_ruled_out(text.strip())
    if len(stripped) <= 200 and "\n" not in stripped:
        named = _named(stripped, choices)
        if len(named.letters) == 1:
            return replace(named, form="letter", ruled_out=ruled_out)
    claims = [match[1] or match[2] for match in _CLAIM.finditer(stripped)]
    if claims:
        return Choice(_allowed({claims[-1]}, choices), "letter")
    first = _LEADING.match(_DECORATION.sub("", stripped[:80]))
    if first is not None and len(_mentions(stripped)) <= 1:
        return Choice(_allowed({next(group for group in first.groups() if group).upper()}, choices), "letter")
    for sentence in reversed(_SENTENCE_END.split(stripped[-2000:])):
        named_here = _mentions(sentence)
        if named_here:
            return Choice(_allowed(named_here, choices), "letter")
    return Choice(ruled_out=ruled_out)


def _by_whole_text(content: str, choices: Mapping[str, str]) -> Choice | None:
    """The option whose text `content` is as a whole, behind its letter or without; whatever that text may say."""
    plain = _plain(content)
    leading = _LEADING.match(plain)
    if leading is not None:
        letter = next(group for group in leading.groups() if group).upper()
        if letter in choices and letter in _options_of(plain[leading.end() :], choices):
            return Choice((letter,), named_text=plain[leading.end() :])
    found = () if _WHOLE.fullmatch(plain) else _options_of(plain, choices)
    return Choice(found) if found else None


def _options_of(plain: str, choices: Mapping[str, str]) -> tuple[str, ...]:
    """The option that has this text, which may be cut off where it is long; several where their texts are the same."""
    words = normal_text(plain)
    if not words or not choices:
        return ()
    same = [letter for letter, option in choices.items() if normal_text(_plain(option)) == words]
    exact = [letter for letter in same if _plain(choices[letter]) == plain.strip()]
    if not same and len(words) >= _LONG_TEXT:
        same = [letter for letter, option in choices.items() if normal_text(_plain(option)).startswith(words)]
    return tuple(exact or same)


def _plain(text: str) -> str:
    """The text without decoration, quotes and a final stop, joined by single blanks."""
    return " ".join(_DECORATION.sub("", _LATEX_TEXT.sub(r"\1", text)).split()).rstrip(".").strip()


def _without_ruled_out(text: str) -> tuple[str, tuple[str, ...]]:
    """The text without options that it negates, and their letters."""
    letters: dict[str, None] = {}

    def drop(match: re.Match[str]) -> str:
        letters[match[1] or match[2]] = None
        return " "

    for pattern in (_RULED_OUT_BEFORE, _RULED_OUT_AFTER):
        text = pattern.sub(drop, text)
    return text.strip(), tuple(letters)


def _listed(text: str) -> set[str]:
    return {letter for match in _LISTED.finditer(text) for letter in match.groups()}


def _mentions(text: str) -> set[str]:
    return {next(group for group in match.groups() if group) for match in _MENTION.finditer(text)}


def _allowed(letters: set[str], choices: Mapping[str, str]) -> tuple[str, ...]:
    """The letters, sorted; none where one of them is no option of the question."""
    return tuple(sorted(letters)) if not choices or letters <= choices.keys() else ()


def _by_text(plain: str, choices: Mapping[str, str]) -> str | None:
    words = normal_text(plain)
    if not words:
        return None
    if len(words) > 120:
        return None
    inside = [letter for letter, option in choices.items() if f" {normal_text(_plain(option))} " in f" {words} "]
    return inside[0] if len(inside) == 1 else None
