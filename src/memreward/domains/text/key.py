"""Short answers in words: their normal form, and which answers of a reply are such.

The normal form ignores case, accents of Latin letters, articles, punctuation and the way to write numbers, dates and
units: "The Eiffel Tower." is "eiffel tower", "seven km" is "7 kilometers", "May 1, 2021" is "05/01/2021".
"""

import re
import unicodedata
from functools import lru_cache

from memreward.domains.math.arithmetic import normal_number
from memreward.domains.math.magnitudes import SMALL
from memreward.domains.shared.dress import peeled

_MONTHS = "january february march april may june july august september october november december"
_MONTH = "(" + "|".join(f"{month}|{month[:3]}" for month in _MONTHS.split()) + r")\.?"
_WRITTEN_DATES = (
    (re.compile(rf"\b{_MONTH}\s{{1,3}}(\d{{1,2}})(?:st|nd|rd|th)?,?\s{{1,3}}(\d{{4}})\b"), (1, 2, 3)),
    (re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?\s{{1,3}}(?:of\s{{1,3}})?{_MONTH},?\s{{1,3}}(\d{{4}})\b"), (2, 1, 3)),
)
_ISO_DATE = re.compile(r"\b(\d{4})-(\d{1,2})-(\d{1,2})\b")
_UNIT_NAMES = (
    "kilometers km kilometer kilometre kilometres kms, meters m meter metre metres, miles mi mile, "
    "centimeters cm centimeter centimetre centimetres, millimeters mm millimeter millimetre millimetres, "
    "feet ft foot, inches inch, kilograms kg kilogram kgs, grams g gram, pounds lb lbs pound, "
    "seconds s sec second secs, minutes min minute mins, hours h hr hour hrs, days day, years yr year yrs, "
    "liters l liter litre litres, milliliters ml milliliter millilitre, percent % pct, degrees ° degree, "
    "dollars $ dollar usd, euros € euro eur, cents cent, weeks week, months month"
)
_UNITS = {name: names.split()[0] for names in _UNIT_NAMES.split(", ") for name in names.split()}
_ABBREVIATION = re.compile(r"\b(?:[^\W\d_]\.){2,}")
_MONEY = re.compile(r"([$€])\s{0,2}(\d[\d,]*(?:\.\d+)?)")
_TOKEN = re.compile(
    r"(?:(?<![\w)])[-−])?(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:/\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*(?:\+\+|#)?|\d+|[%°$€&]"
)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_NUMBER_OR_DATE = re.compile(rf"{_NUMBER.pattern}|\d{{1,2}}/\d{{1,2}}/\d{{4}}")
_ARTICLES = frozenset({"a", "an", "the"})
_COPULA = r"(?:is|are|was|were|equals)"
_TURNED = re.compile(r"\b(?:not|never|no|neither|nor|cannot|but|however|except|unlike|\w+n't)\b")
_CONTRACTED = re.compile(r"\b(it|that|this|here|he|she)['’]s\b", re.IGNORECASE)
_PLAIN = "it this that here there he she they answer so i think final is are was were equals in on at by of to for"
_IN_ANY_SENTENCE = frozenset(_PLAIN.split())
_CHOOSES = re.compile(r"\b(?:or|between|both|which of)\b", re.IGNORECASE)
_OFFERS = re.compile(r"\bor\b", re.IGNORECASE)
_STEM = 5
_CROSSED = re.compile(r"[❌✗✘☒🚫]")
_LONGEST = 400
_LONGEST_SENTENCE = 200
_LONGEST_DATE = 40


def free_text_key(text: str, question: str = "") -> str:
    """Return the normal form of an answer in words: equal for answers that say the same in the ways named above.

    With the question also for those that say it in words of the question: "Lyon is the town", "The town is Lyon".
    """
    # No short answer: what is long is compared word by word.
    key = _short_key(text) if len(text) <= _LONGEST else " ".join(text.casefold().split())
    if not question or len(key) > _LONGEST_SENTENCE or _TURNED.search(key) or _CHOOSES.search(question):
        return key
    words = key.split()
    new = [place for place, word in enumerate(words) if word[:_STEM] not in _known(question)]
    before, after = (words[: new[0]], words[new[-1] + 1 :]) if new else ([], [])
    told = [[word for word in side if word not in _IN_ANY_SENTENCE] for side in (before, after)]
    # Of "New Mexico" both words are the answer, also where the question has one of them; "Ann beat Eve" tells of Ann.
    one_name = len(before + after) == 1 and told != [[], []]
    acts = before[-1:] == told[0][-1:] != [] and not words[new[0]][0].isdecimal()
    return (
        key if not new or one_name or acts or all(told) or "?" in text[-3:] else " ".join(words[new[0] : new[-1] + 1])
    )


@lru_cache(maxsize=16_384)
def _short_key(text: str) -> str:
    plain = unicodedata.normalize("NFKD", _CONTRACTED.sub(r"\1 is", peeled(text)).replace("’", "'").casefold())
    plain = re.sub(r"[\u0300-\u036f]", "", plain)
    for pattern, (month, day, year) in _WRITTEN_DATES:
        plain = pattern.sub(lambda date, at=(month, day, year): _date(*(date[place] for place in at)), plain)  # type: ignore[misc]
    plain = _ISO_DATE.sub(lambda date: _date(date[2], date[3], date[1]), plain)
    plain = _ABBREVIATION.sub(lambda letters: letters[0].replace(".", ""), _MONEY.sub(r"\2 \1", plain))
    words = _counted([_word(token) for token in _TOKEN.findall(plain)])
    kept = [word for word in words if word not in _ARTICLES]
    return " ".join(kept or words) or text.strip()


def says_the_same(answer: str, reference: str, question: str = "") -> bool:
    """Say whether a short answer gives the reference: as it is, with or without a unit, or in one plain sentence.

    Most of such a sentence is in words of the question: "Paris is the capital of France", and not "Paris is a lie".
    """
    if _CROSSED.search(answer) and not _CROSSED.search(reference):
        return False
    said, wanted = free_text_key(answer), free_text_key(reference)
    if wanted in {said, free_text_key(answer, question)}:
        return True
    number, of_wanted = (_NUMBER.match(key) for key in (said, wanted))
    if number is not None and of_wanted is not None and number[0] == of_wanted[0]:
        units = {said[number.end() :].strip(), wanted[of_wanted.end() :].strip()}
        plain = {"", *_UNITS.values()} - ({"percent"} if "percent" not in wanted else set())
        return "" in units and units <= plain
    if len(answer) > _LONGEST_SENTENCE or (_TURNED.search(answer.casefold()) and not _TURNED.search(wanted)):
        return False
    sentence = re.search(rf"^(.*)\b{_COPULA} {re.escape(wanted)}$|^{re.escape(wanted)} {_COPULA}\b(.*)$", said)
    if sentence is None:
        return False
    others = (sentence[1] or sentence[2] or "").split()
    return not question or 4 * sum(word[:_STEM] in _known(question) for word in others) >= 3 * len(others)


@lru_cache(maxsize=1024)
def _asked(question: str) -> str:
    """The normal form of the last line that asks, or of the end of a text that asks nothing."""
    lines = [line for line in question.splitlines() if "?" in line]
    return _short_key(lines[-1] if lines else question[-_LONGEST:])


@lru_cache(maxsize=1024)
def _known(question: str) -> frozenset[str]:
    """The beginnings of the words of a question, and those of any sentence."""
    return frozenset(word[:_STEM] for word in (*_IN_ANY_SENTENCE, *_asked(question).split()))


def written_date(text: str) -> str | None:
    """Return a date that is all of a text, in words or as ISO writes it, as month/day/year; None for anything else."""
    plain = text.strip().lower().removeprefix("the ")
    if len(plain) > _LONGEST_DATE or not any(map(str.isdigit, plain)):
        return None
    for pattern, (month, day, year) in (*_WRITTEN_DATES, (_ISO_DATE, (2, 3, 1))):
        if (found := pattern.fullmatch(plain)) is not None:
            return _date(found[month], found[day], found[year])
    return None


def differs_in_value(answer: str, reference: str, question: str = "") -> bool:
    """Say whether both are plain numbers or dates, and not the same, or two that the question offers: "Ann or Eve"."""
    said, wanted = free_text_key(answer), free_text_key(reference)
    if said == wanted or all(map(_NUMBER_OR_DATE.fullmatch, (said, wanted))):
        return said != wanted
    offered = f" {_asked(question)} " if _OFFERS.search(question) else ""
    apart = f" {said} " not in f" {wanted} " and f" {wanted} " not in f" {said} "
    return apart and all(f" {one} " in offered for one in (said, wanted))


def _date(month: str, day: str, year: str) -> str:
    number = int(month) if month.isdecimal() else [name[:3] for name in _MONTHS.split()].index(month[:3]) + 1
    return f"{number}/{int(day)}/{year}"


def _word(token: str) -> str:
    if token == "&":
        return "and"
    if not token.lstrip("-−.").replace(",", "")[:1].isdecimal():
        return _UNITS.get(token, token) if len(token) > 1 or not token.isalpha() else token
    return "/".join(map(normal_number, token.replace("−", "-").split("/")))


def _counted(words: list[str]) -> list[str]:
    """The words with numbers as numerals, "twenty one" as one, and one-letter units behind a number by their names."""
    counted: list[str] = []
    for word in words:
        value = SMALL.get(word)
        before = counted[-1] if counted else ""
        if value is not None and 0 < value < 10 and before in {str(10 * tens) for tens in range(2, 10)}:
            counted[-1] = str(int(before) + value)
        elif value is not None:
            counted.append(str(value))
        else:
            counted.append(_UNITS.get(word, word) if _NUMBER.fullmatch(before) else word)
    return counted
