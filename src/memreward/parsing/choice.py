"""Option letters of multiple-choice questions, in the forms real models write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
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
_SENTENCE_END = re.compile(r"(?<=[.!?])[*\"')]{0,3}\s|\n")
_PHRASES_READ = 20
_NOT_WORD = re.compile(r"[\W_]+")


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
    plain = _DECORATION.sub("", _LATEX_TEXT.sub(r"\1", content[:2000])).strip().rstrip(".").strip()
    whole = _WHOLE.fullmatch(plain)
    if whole is not None:
        return _allowed(whole[1].upper(), choices)
    mentioned = _mentions(plain)
    leading = _LEADING.match(plain)
    if leading is not None:
        letter = next(group for group in leading.groups() if group).upper()
        mentioned.add(letter)
    by_text = _by_text(plain, choices)
    if by_text is not None and mentioned <= {by_text}:
        return by_text
    if len(mentioned) == 1:
        return _allowed(mentioned.pop(), choices)
    return None


def find_choice(text: str, choices: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the last option that `text` commits to and the form it was found in; (None, "none") without one."""
    mark = explicit(text)
    if mark is not None:
        return _from_marked(mark, choices)
    for phrase in reversed(phrases(text)[-_PHRASES_READ:]):
        sentence = _SENTENCE_END.split(phrase.content, maxsplit=1)[0]
        letter = letter_of(sentence, choices)
        if letter is not None:
            return letter, "phrase"
        if len(_mentions(sentence)) > 1:
            return None, "none"
    return _from_prose(text, choices)


def _from_marked(mark: Marked, choices: Mapping[str, str]) -> tuple[str | None, str]:
    letter = letter_of(mark.content, choices)
    if letter is None and mark.form == "answer_tag":
        letter, _ = find_choice(mark.content, choices) if explicit(mark.content) is None else (None, "")
        inner = explicit(mark.content)
        if inner is not None:
            letter = letter_of(inner.content, choices)
    if letter is not None:
        return letter, mark.form
    return (mark.content, mark.form) if not choices and mark.content else (None, "none")


def _from_prose(text: str, choices: Mapping[str, str]) -> tuple[str | None, str]:
    stripped = text.strip()
    if len(stripped) <= 200 and "\n" not in stripped:
        letter = letter_of(stripped, choices)
        if letter is not None:
            return letter, "letter"
    claims = [match[1] or match[2] for match in _CLAIM.finditer(text)]
    if claims:
        return _allowed(claims[-1], choices), "letter"
    first = _LEADING.match(_DECORATION.sub("", stripped[:80]))
    if first is not None and len(_mentions(text)) <= 1:
        return _allowed(next(group for group in first.groups() if group).upper(), choices), "letter"
    for sentence in reversed(_SENTENCE_END.split(stripped[-2000:])):
        named = _mentions(sentence)
        if named:
            return (_allowed(named.pop(), choices), "letter") if len(named) == 1 else (None, "none")
    return None, "none"


def _mentions(text: str) -> set[str]:
    return {next(group for group in match.groups() if group) for match in _MENTION.finditer(text)}


def _allowed(letter: str, choices: Mapping[str, str]) -> str | None:
    return letter if not choices or letter in choices else None


def _by_text(plain: str, choices: Mapping[str, str]) -> str | None:
    words = normal_text(plain)
    if not words:
        return None
    equal = [letter for letter, option in choices.items() if normal_text(option) == words]
    if len(equal) == 1:
        return equal[0]
    if len(words) > 120:
        return None
    inside = [letter for letter, option in choices.items() if f" {normal_text(option)} " in f" {words} "]
    return inside[0] if len(inside) == 1 else None
