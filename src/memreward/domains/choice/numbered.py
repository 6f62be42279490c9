"""Options that have numbers: "Option1: ...", "Solution 2: ...", or "1. ..." in lines. They are read as letters are."""

import re
from collections.abc import Mapping
from functools import partial

_NAMES = r"options?|answers?|solutions?|endings?|choices?|hypothes[ei]s|candidates?|alternatives?"
_NAMED = re.compile(
    rf"(?<!\w)(?:{_NAMES})[ \t_]?(\d)[ \t]?[:.)][ \t]*(\S[^\n]*?)"
    rf"(?=[ \t]*(?:\n|$|answer format\b|(?<!\w)(?:{_NAMES})[ \t_]?[1-9][ \t]?[:.)]))",
    re.IGNORECASE,
)
_LABEL = r"[ \t]*\(?[1-9][.):][ \t]+\S[^\n]*"
_LINES = re.compile(rf"(?:^{_LABEL}\n\s{{0,3}}){{1,8}}{_LABEL}", re.MULTILINE)
_LINE = re.compile(r"^[ \t]*\(?([1-9])[.):][ \t]+(\S[^\n]*?)[ \t]*$", re.MULTILINE)
_IN_LINE = re.compile(r"\(([1-9])\)[ \t]*([^\n]*?)(?=[ \t,;]*(?:\n|$|\([1-9]\)))")
_HEADING = re.compile(r"\b(?:options|choices|alternatives)\b[^\n:?]{0,40}:", re.IGNORECASE)
_LEADS_TO = re.compile(rf"(?:{_HEADING.pattern}|\?)[ \t]*\n\s{{0,3}}\Z", re.IGNORECASE)
_BY_NUMBER = re.compile(
    r"\b(?:answer|choose|select|pick|respond|reply|return|output)\b[^?\n]{0,60}(?:\b1\b|\bnumber\b)", re.IGNORECASE
)
_DIGIT = re.compile(r"(?<![\d.])[1-9](?![\d.]*\d)")
_AFTER_NAME = re.compile(rf"(?<!\w)(?:{_NAMES}|number)[ \t_]?([(\[*]{{0,3}})([1-9])(?![.,]?\d|\w)", re.IGNORECASE)
_BEFORE_TEXT = re.compile(r"(^\W{0,4}|\(|:[ \t]+)([1-9])(?=[.):][*_ \t]+(\S[^\n]{0,400}))", re.MULTILINE)
LETTERS = dict(zip("123456789", "ABCDEFGHI", strict=True))
NUMBERS = {letter: number for number, letter in LETTERS.items()}
_BARE = re.compile(
    r"^\W{0,6}[1-9][.):][*_]{0,2}[ \t]+\S"  # a step of the reply's own
    r"|(?<![\w.,$€£%+/=^−-])(?<![\dx×+*/] [*+/])(?<!\d\*)([1-9])(?=[)\]}*_\"'`$]{0,4}"
    r"(?:[.,;:!?]{0,2}\s{0,9}(?:\Z|\n|<)|[.,;:!?)]\s|\s(?:because|since|as|is|was|not|or|and|but|instead|rather)\b))",
    re.MULTILINE,
)


def numbered_options(question: str) -> dict[str, str]:
    """Return the options of a question by number, "1" and up; empty where they have none, or one's text is such.

    A list of lines counts where a question or "Options:" leads to it and nothing is asked behind it.
    """
    heading = _HEADING.search(question)
    in_line = [] if heading is None else _IN_LINE.findall(question, heading.end())
    for found in (_NAMED.findall(question), _listed(question), in_line):
        choices = dict(found)
        in_order = list(choices) == [str(number + 1) for number in range(len(choices))]
        if len(choices) > 1 and in_order and not choices.keys() & choices.values():
            return choices
    return {}


def _listed(question: str) -> list[tuple[str, str]]:
    lists = list(_LINES.finditer(question))
    if not lists:
        return []
    before, after = question[: lists[-1].start()], question[lists[-1].end() :]
    asked = _BY_NUMBER.search(after) or (_LEADS_TO.search(before) and "?" not in after)
    return _LINE.findall(lists[-1][0]) if asked else []


def are_numbered(choices: Mapping[str, str]) -> bool:
    return choices.get("1", "1") != "1"  # options without letters stand by their texts


def lettered(choices: Mapping[str, str]) -> dict[str, str]:
    """Return the options of the numbers 1, 2, ... as A, B, ..."""
    return {LETTERS[number]: option for number, option in choices.items()}


def in_letters(text: str, choices: Mapping[str, str]) -> str:
    """Return a reply to numbered options as one that names letters: "solution2" is "option B", "(2) dog" is "(B) dog".

    Where options speak of such numbers themselves, a number by itself stays as it is.
    """

    def in_letter(found: re.Match[str], name: str = "option ") -> str:
        *before, number = found.groups()[:2]
        return name + "".join(before) + LETTERS[number] if number in choices else found[0]

    def before_text(found: re.Match[str]) -> str:
        own = choices.get(found[2], "").casefold().rstrip(".")
        same = own != "" and re.match(rf"{re.escape(own)}(?![^\W_])", found[3].casefold()) is not None
        return in_letter(found, "") if same else found[0]

    text = _BEFORE_TEXT.sub(before_text, _AFTER_NAME.sub(in_letter, text))
    return text if any(map(_DIGIT.search, choices.values())) else _BARE.sub(partial(in_letter, name=""), text)
