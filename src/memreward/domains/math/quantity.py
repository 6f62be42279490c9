r"""Numbers with a unit, a percent sign or a currency: what is measured, and how it converts.

A known unit converts within its dimension (500 cm is 5 m, 90° is \pi/2); another is a word without meaning (5 apples).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

TEXT_COMMAND = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|rm)\s{0,4}\{([^{}]*)\}")
_SPACING = re.compile(r"(?<!,)\\[,;:! ](?!\s?\d{3})|~|\\quad|\\left|\\right")
_DEGREES = re.compile(r"\s*(?:\^\s?\{?\s?\\circ\s?\}?|\\degree|°)$")
_PERCENT = re.compile(r"\s*(?:\\?%|\bper\s?cent|\bpercent|\bpercentage points?)$")
_PRIMES = re.compile(r"([-+]?[\d.,/ ]*\d)\s?(?:(\"|″|''|′′)|'|′)")
_OF_ANGLES = re.compile(r"(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")
_MATH_SIGNS = re.compile(r"^(?:\$\$?|\\\(|\\\[)\s*(.*?)\s*(?:\$\$?|\\\)|\\\])$", re.DOTALL)
_CURRENCY = re.compile(r"^([-+]?)\s*(?:(\\?\$|US\s?\\?\$)|(£)|(€)|USD\s)\s*(?=[\d.\\])")
_UNIT = re.compile(
    r"^(?P<body>.*?(?:[\d)}]|\d (?:thousand|[mb]illion|hundred|dozen)))(?P<gap>\s*)"
    r"(?P<kind>(?:square|sq\.?|cubic|cu\.?)\s+)?(?P<unit>[a-zA-Z¢Åöå]+)\.?\s*(?:\^\s*\{?(?P<power>[23])\}?|(?P<mark>[²³]))?"
    r"(?:\s*(?:/|\bper\b|\ban?\b)\s*(?P<under>[a-zA-Z]+)\.?)?$",
    re.DOTALL,
)

_OF_TWO = re.compile(r"(\d[\d,]*)\s*([a-zA-Z]+)\.?,?\s*(?:and\s+)?(\d+(?:\.\d+)?)\s*([a-zA-Z]+)\.?")
_OVER = re.compile(
    r"\s*(?:\\[dt]?frac\s?\{\s*([a-zA-Z]+)\s*\}\s?\{\s*([a-zA-Z]+)\s*\}|\b([a-zA-Z]+)\s+([a-zA-Z]+)\s?\^\s?\{?-1\}?)$"
)

_UNITS_OF = {
    "length": "mm millimeter millimetre 0.001, cm centimeter centimetre 0.01, m meter metre 1,"
    "km kilometer kilometre 1000, nanometer nanometre 1e-9, Å angstrom ångström 1e-10,"
    "in inch inches 0.0254, ft foot feet 0.3048, yd yard 0.9144, mi mile 1609.344",
    "mass": "mg milligram 0.001, g gram 1, kg kilogram 1000, oz ounce 28.349523125, lb pound 453.59237",
    "time": "s sec second 1, min minute 60, h hr hour 3600, day 86400, week 604800",
    "volume": "ml milliliter millilitre 0.001, l liter litre 1, quart 0.946352946, gallon 3.785411784",
    "dollars": "¢ cent 0.01, dollar 1",
    "pounds sterling": "gbp 1",
    "euros": "euro 1",
    "angle": "degree deg 1",
}
"""Names of units by dimension, and how much of its base unit each is."""
_LONGEST = 200
_RATES = {"mph": ("mile", "hour"), "kph": ("km", "hour"), "kmph": ("km", "hour")}


def _table() -> dict[str, tuple[str, Fraction]]:
    units = {}
    for dimension, rows in _UNITS_OF.items():
        for row in rows.split(","):
            *names, factor = row.split()
            for name in names:
                units[name] = (dimension, Fraction(factor))
                if len(name) > 1:
                    units.setdefault(name + "s", (dimension, Fraction(factor)))
    return units


_UNITS = _table()
_AMBIGUOUS = frozenset({"in", "min", "second", "degree", "degrees", "deg", "foot"})


_WORD = re.compile(r"[a-zA-Z]{2,}|¢|£|€|\\?\$(?=\s?\d)")


def is_unit(word: str) -> bool:
    return word in _UNITS


def _known_unit(word: str) -> tuple[str, Fraction] | None:
    """Dimension and factor of a unit; a single letter in capitals, but for L, is none: 47 M are no metres."""
    return _UNITS.get(word) or (_UNITS.get(word.lower()) if len(word) > 1 or word == "L" else None)


def mentioned_units(text: str) -> Iterator[tuple[str, Fraction]]:
    """Yield dimension and factor of every known unit that a text names by more than one letter, or by its sign."""
    signs = {"£": ("pounds sterling", Fraction(1)), "€": ("euros", Fraction(1))}
    for found in _WORD.finditer(text):
        word = found[0]
        if word.endswith("$"):
            yield "dollars", Fraction(1)
        elif word in signs:
            yield signs[word]
        elif word.lower() in _UNITS and (word.lower() not in _AMBIGUOUS or text.startswith("per ", found.start() - 4)):
            yield _UNITS[word.lower()]


@dataclass(frozen=True, slots=True)
class Quantity:
    """An answer cut into what is counted and its unit, in base units of a dimension ("length^2", "percent", "")."""

    body: str
    dimension: str = ""
    factor: Fraction = Fraction(1)


def quantity(answer: str) -> Quantity:
    """Cut a known unit, percent sign or currency off an answer; what has none of them keeps its body whole."""
    spelled = TEXT_COMMAND.search(answer) is not None
    text = TEXT_COMMAND.sub(r" \1 ", answer.replace("\\AA", "Å").replace("\u212b", "Å"))
    text = _SPACING.sub(" ", text).strip().rstrip(".").strip()
    whole = _MATH_SIGNS.match(text)
    text = whole[1] if whole is not None and whole[1] else text
    text = _OVER.sub(lambda rate: f" {rate[1] or rate[3]}/{rate[2] or rate[4]}", text)
    for pattern, dimension in ((_PERCENT, "percent"), (_DEGREES, "angle")):
        cut = pattern.search(text)
        if cut is not None and cut.start() and not (dimension == "angle" and _OF_ANGLES.search(text)):
            return Quantity(text[: cut.start()].rstrip(" \\$"), dimension)
    primes = _PRIMES.fullmatch(text) if len(text) <= _LONGEST else None
    if primes is not None:
        return Quantity(primes[1], *_UNITS["inch" if primes[2] else "foot"])
    money = _CURRENCY.match(text)
    if money is not None:
        dimension = "dollars" if not (money[3] or money[4]) else "pounds sterling" if money[3] else "euros"
        rest = _of_unit(text[money.end() :], spelled)
        return Quantity(money[1] + (rest.body if rest is not None else text[money.end() :]), dimension)
    return _of_two_units(text) or _of_unit(text, spelled) or Quantity(answer)


def _of_two_units(text: str) -> Quantity | None:
    """2 hours and 30 minutes are 150 minutes."""
    found = _OF_TWO.fullmatch(text) if len(text) <= _LONGEST else None
    large, small = (None, None) if found is None else (_UNITS.get(found[2]), _UNITS.get(found[4]))
    if found is None or large is None or small is None or large[0] != small[0] or large[1] <= small[1]:
        return None
    total = int(found[1].replace(",", "")) * (large[1] / small[1]) + Fraction(found[3])
    return Quantity(str(total), *small)


def _of_unit(text: str, spelled: bool) -> Quantity | None:
    match = _UNIT.match(text) if len(text) <= _LONGEST else None
    if match is None or (len(match["unit"]) == 1 and not (spelled or (match["gap"] and "\\" not in text))):
        return None
    over, under = _RATES.get(match["unit"], (match["unit"], match["under"]))
    found = _known_unit(over)
    if found is None:
        return None
    dimension, factor = found
    power = _power(match)
    if power != 1:
        dimension, factor = f"{dimension}^{power}", factor**power
    if under:
        below = _known_unit(under)
        if below is None:
            return None
        dimension, factor = f"{dimension}/{below[0]}", factor / below[1]
    return Quantity(match["body"].rstrip(" \\$"), dimension, factor)


def _power(match: re.Match[str]) -> int:
    named = (match["kind"] or match["mark"] or "")[:1]
    return {"s": 2, "c": 3, "²": 2, "³": 3}.get(named) or int(match["power"] or 1)


def factors(dimension: str) -> frozenset[Fraction]:
    """Return the factors of all units of a simple dimension such as "length" or "length^2"."""
    base, _, power = dimension.partition("^")
    return frozenset(factor ** int(power or 1) for of, factor in _UNITS.values() if of == base)
