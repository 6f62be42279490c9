"""Options with numbers instead of letters, "1) car": an answer that names one by its number says what stands there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

_SIGN = r"(\d{1,2}|[ivx]{1,4})"
_WORD = r"(?:(?:option|choice|sol(?:ution)?|answer|number|statement)\s{0,2}#?)?"
_LINE = re.compile(
    rf"[-*•\s]{{0,4}}[*(\[]{{0,3}}{_WORD}{_SIGN}[\])*]{{0,3}}[.):\]][\s*]{{0,3}}(\S.{{0,2000}})", re.IGNORECASE
)
_NAMED = re.compile(
    rf"(?:the\s)?{_WORD}[(\[]?{_SIGN}[)\]]?[.:,]?(?:\s+(?:is\s(?:the\s)?(?:right|correct|answer)\b.{{0,40}}|(.+)))?",
    re.IGNORECASE,
)
_ASKS = re.compile(r"(?:please\s)?(?:(?:your|the)\s)?(?:answer|choose|select|pick|reply|respond|give)\b", re.IGNORECASE)
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")


@lru_cache(maxsize=1024)
def numbered_options(query_text: str) -> Mapping[str, str]:
    """Return the texts of the numbered lines that end a question, by number; empty where none do.

    They count from 1 or i, there are at least two, and behind them stands one line at most, which asks for the answer.
    """
    lines = [line.strip() for line in query_text.splitlines() if line.strip()]
    if lines and _LINE.fullmatch(lines[-1]) is None and _ASKS.match(lines[-1]):
        lines.pop()
    found: list[tuple[str, str]] = []
    while lines and (option := _LINE.fullmatch(lines.pop())) is not None:
        found.append((option[1].lower(), option[2].rstrip("* ")))
        if found[-1][0] in ("1", "i"):
            break
    signs = [sign for sign, _ in reversed(found)]
    counted = [str(n) for n in range(1, len(signs) + 1)]
    return dict(reversed(found)) if len(signs) > 1 and signs in (counted, list(_ROMAN[: len(signs)])) else {}


def spelled_out(answer: str, query_text: str) -> str:
    """Return the text of the numbered option that an answer names, "2", "(2) apple" or "Option 2"; else the answer."""
    choices = numbered_options(query_text)
    named = _NAMED.fullmatch(answer.strip()) if choices else None
    if named is None or answer.strip() in choices.values():
        return answer
    option = choices.get(named[1].lower(), answer)
    beside = (named[2] or "").strip(" .*").casefold()
    return option if not beside or beside == option.strip(" .*").casefold() else answer
