"""Strings with lone surrogates, which JSON allows and UTF-8 does not: kept in columns that are UTF-8, or replaced."""

import re

# A noncharacter: Unicode reserves it for internal use, so it does not occur in text meant for interchange.
_MARK = "\ufdd0"
_LONE = re.compile("[\ud800-\udfff]")
_UNSAFE = re.compile("[\ud800-\udfff\ufdd0]")
_ESCAPED = re.compile("\ufdd0(d[89a-f][0-9a-f]{2}|fdd0)")


def escape_surrogates(text: str) -> str:
    """Return `text` with each lone surrogate as U+FDD0 and four hexadecimal digits; all other text is unchanged."""
    if text.isascii() or not _UNSAFE.search(text):
        return text
    return _UNSAFE.sub(lambda match: f"{_MARK}{ord(match[0]):04x}", text)


def restore_surrogates(text: str) -> str:
    """Undo `escape_surrogates`, exactly."""
    if _MARK not in text:
        return text
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def replace_surrogates(text: str) -> str:
    """Return `text` with each lone surrogate as U+FFFD, which tokenizers take; positions stay as they are."""
    return _LONE.sub("\ufffd", text)
