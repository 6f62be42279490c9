"""Numbers in words: "seven", "twenty-five", "two hundred and four", "4 million", "three dozen", "one half"."""

import re
from fractions import Fraction

_UP_TO_NINETEEN = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
SMALL = {
    **{word: value for value, word in enumerate(_UP_TO_NINETEEN.split())},
    **{word: 10 * tens for tens, word in enumerate(_TENS.split(), start=2)},
}
_LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "quadrillion": 10**15}
_LARGE |= {"quintillion": 10**18, "sextillion": 10**21, "septillion": 10**24, "octillion": 10**27, "nonillion": 10**30}
_LARGE |= {"decillion": 10**33, "googol": 10**100, "myriad": 10**4, "lakh": 10**5, "crore": 10**7}
_SCALES = {"hundred": 100, **_LARGE, "dozen": 12, "score": 20, "gross": 144}
_PARTS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8}
_PARTS |= {"ninth": 9, "tenth": 10, "hundredth": 100, "thousandth": 1000, "millionth": 10**6}
_POWERS = {"squared": 2, "cubed": 3}
_WORD = "|".join(sorted({*SMALL, *_SCALES, *_PARTS, "halves"}, key=len, reverse=True))
_IN_WORDS = re.compile(
    r"(?:\b(?:minus|negative) )?"
    rf"\b(?:(?:{_WORD})s?\b(?:(?<=thousand),? |(?<=million),? |,? and (?:a )?|[ -])?)+(?<=\w)",
    re.IGNORECASE,
)
_ABBREVIATED = re.compile(r"\s{0,3}(?:[kKMGT]|[mbt]n|mio|mln|mrd|mil)(?!\w)")
_TWICE = re.compile(r"([^()]+?)\s?\(([^()]+)\)")
_OF_MANY = frozenset({"per", "in", "of", "out", "for", "a", "every"})
_ALSO_WORDS = frozenset({"one", "second", "half", "quarter", "third"})
_NUMERAL = re.compile(r"[-+]?\s?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|[-+]?\.\d+")
_LONGEST = 120
_LONGEST_BASE = 30


def _singular(word: str) -> str:
    if word == "halves":
        return "half"
    return word[:-1] if word.endswith("s") and word[:-1] in _SCALES | _PARTS else word


def is_magnitude(words: str) -> bool:
    """Whether the words after a number change its value: "million", "M", "dozen", "squared", "per thousand"."""
    first, *others = re.split(r"[ \-]", words.strip().lower())
    scaled = _singular(first) in _SCALES | _PARTS | _POWERS or _ABBREVIATED.match(words) is not None
    return scaled or (first in _OF_MANY and any(_singular(word) in _LARGE for word in others[:3]))


def numeral(text: str) -> str | None:
    """Return the number that words name, "seven" as "7", "two thirds" as "2/3"; None for all else, "4" too."""
    if len(text) > _LONGEST or not re.search(r"[a-zA-Z]{3}", text):
        return None
    twice = _TWICE.fullmatch(text)
    if twice is not None and any(map(str.isdigit, text)):  # "forty-seven (47)"
        same = {numeral(part) or part.strip() for part in twice.groups()}
        return same.pop() if len(same) == 1 else None
    sign, words = 1, text.strip().lower()
    for negative in ("minus ", "negative "):
        if words.startswith(negative):
            sign, words = -1, words.removeprefix(negative)
    value = _value(words.removeprefix("a ").removeprefix("an ") if words not in {"a", "an"} else words)
    return None if value is None else str(sign * value)


def in_words(text: str) -> re.Match[str] | None:
    """Return the last number that a text without digits says in words, "forty-seven"; None where it says none."""
    found = [match for match in _IN_WORDS.finditer(text) if match[0].lower() not in _ALSO_WORDS and numeral(match[0])]
    return found[-1] if found else None


def _value(words: str) -> Fraction | None:
    digits = _NUMERAL.match(words)
    if digits is not None:
        start = Fraction(digits[0].replace(",", "").replace(" ", ""))
        return _scaled(start, re.split(r"[\s\-]+", words[digits.end() :].strip()))
    return _in_words(
        [word for word in re.split(r"[\s\-]+|(?<=thousand),|(?<=million),", words) if word and word != "and"]
    )


def _scaled(value: Fraction, words: list[str]) -> Fraction | None:
    """A number in digits, followed by words of magnitude alone."""
    for word in (_singular(word) for word in words):
        if word in _SCALES:
            value *= _SCALES[word]
        elif word in _POWERS and words[-1] == word and words.count(word) == 1 and len(str(value)) < _LONGEST_BASE:
            value **= _POWERS[word]
        elif word in _PARTS and value.denominator == 1:
            value /= _PARTS[word]
        else:
            return None
    return value


def _in_words(words: list[str]) -> Fraction | None:
    if len(words) > 1 and words[-1] in _POWERS:
        base = _in_words(words[:-1]) if words[-2] not in _POWERS else None
        return None if base is None else base ** _POWERS[words[-1]]
    if len(words) > 2 and words[-2] == "a" and words[-1] in _PARTS:
        whole = _in_words(words[:-2])
        return None if whole is None else whole + Fraction(1, _PARTS[words[-1]])
    if words and _singular(words[-1]) in _PARTS:
        top = _in_words(words[:-1]) if len(words) > 1 else Fraction(1)
        return None if top is None else top / _PARTS[_singular(words[-1])]
    total, group = 0, None
    for word in (_singular(word) for word in words):
        if word in SMALL:
            if group is not None and not _follows(group, SMALL[word]):
                return None
            group = (group or 0) + SMALL[word]
        elif word in _LARGE:
            total, group = total + (1 if group is None else group) * _LARGE[word], None
        elif word in _SCALES:
            group = (1 if group is None else group) * _SCALES[word]
        else:
            return None
    return Fraction(total + (group or 0)) if words else None


def _follows(group: int, value: int) -> bool:
    """Whether a small number may follow what was read of its group: "twenty five", "hundred five", not "five five"."""
    return group % 100 == 0 or (group % 10 == 0 and group % 100 >= 20 and 0 < value < 10)
