r"""Whether two mathematical forms without units are the same: by keys, by what keys are blind to, by math-verify.

`parsing.math_form` gives answers a key, which is all that clusters of rollouts need. Against a reference more is
known: which of the two is right, and what was asked for. So values with names keep them (x = 1, y = 2), a number keeps
its base, an interval is no point, and an inequality may be written as an interval.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context

from memreward.parsing.equivalence import answer_key

# Takes reference and answer in LaTeX; says of each whether it can be read, and whether they are equal.
Library = Callable[[str, str], tuple[bool, bool, bool]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the rules say.

    Attributes:
        correct: None where they cannot tell.
        rule: Which one decided, or why none could.
    """

    correct: bool | None
    rule: str


_ASKS_POINT = re.compile(
    r"\b(?:points?|coordinates?|ordered|vectors?|vertex|vertices|pairs?|tuples?|triples?|cent(?:er|re)|centroid|foci"
    r"|focus|intersect\w*)\b",
    re.IGNORECASE,
)
_ASKS_INTERVAL = re.compile(r"\b(?:intervals?|range|domain|inequalit(?:y|ies)|values of)\b", re.IGNORECASE)
_NAME = r"(?:[a-zA-Z]|\\[a-z]{2,7})(?:_\{?\w{1,3}\}?)?"
_NAMED = re.compile(rf"\s*({_NAME})\s*=(?!=)\s*([^=<>]+?)\s*", re.DOTALL)
_BETWEEN_NAMED = re.compile(
    rf"\s*(?:[,;]|\\text\s*\{{\s*(?:and|or|,)\s*\}}|\band\b|\\\\|\\quad)+\s*(?=(?:\\quad\s*)?{_NAME}\s*=)"
)
_NAMES_OF_TUPLE = re.compile(r"\(\s*([a-zA-Z](?:\s*,\s*[a-zA-Z]){1,5})\s*\)\s*=\s*(?=\()")
_BASE = re.compile(r"[\dA-F]+_\s?\{?(?:\\text\s?\{)?(\w+)\}?\}?")
_RATIO = re.compile(
    r"\s*(\d+(?:\.\d+)?)\s?(?::|\\?\s?to|\\text\s?\{\s?to\s?\})\s?(\d+(?:\.\d+)?)\s*",
)
_COLUMN = re.compile(r"\s*\\begin\{[pb]matrix\}([^&]*)\\end\{[pb]matrix\}\s*", re.DOTALL)
_ANGLE_BRACKETS = re.compile(r"\s*\\langle(.*)\\rangle\s*", re.DOTALL)
_MATHEMATICS = re.compile(r"[\\^_=<>+*/\d]")
_RELATION = re.compile(r"[<>]|\\(?:le|ge|lt|gt)(?:q|qslant)?(?![a-zA-Z])|≤|≥")
_LONG_TEXT = 4
_LONGEST = 1000
_LONG_NUMERAL = re.compile(r"[-+]?\d[\d,]*(?:\.\d*)?")
_PRECISE = Context(prec=60)
_VALUES = frozenset({"number", "formula"})
_EQUAL = Comparison(True, "equal in value or form")


def same_form(answer: str, reference: str, query_text: str, library: Library) -> Comparison:
    """Decide whether two forms are the same; `query_text` tells points from intervals."""
    answer = _shortened(answer)
    structural = (
        _same_names(answer, reference) or _same_base(answer, reference) or _same_order(answer, reference, query_text)
    )
    if structural is not None:
        return structural
    key, wanted = answer_key(answer, "math"), answer_key(reference, "math")
    if key == wanted:
        return _EQUAL
    return (
        _same_ratio(answer, reference)
        or _by_kind(key, wanted, reference)
        or _by_library(answer, reference, query_text, library)
    )


def _shortened(answer: str) -> str:
    """A numeral of more digits than any reference has, to a precision that still tells it apart."""
    if len(answer) <= _LONGEST or not _LONG_NUMERAL.fullmatch(answer):
        return answer
    return f"{_PRECISE.create_decimal(answer.replace(',', '')):f}"[:_LONGEST]


def _same_names(answer: str, reference: str) -> Comparison | None:
    """Several named values are compared name by name; a tuple of as many values is taken in the names' order."""
    given, wanted = _named(answer), _named(reference)
    if given is None and wanted is None:
        return None
    if given is not None and wanted is not None and given.keys() == wanted.keys():
        return Comparison(all(_equal(given[name], wanted[name]) for name in wanted), "values by name")
    named, other = (given, reference) if given is not None else (wanted, answer)
    if named is not None and other.strip().startswith("("):
        ordered = "(" + ",".join(named[name] for name in sorted(named)) + ")"
        return Comparison(_equal(ordered, other), "named values in order")
    return None


def _named(form: str) -> dict[str, str] | None:
    """Values by name of "x = 1, y = 2" or "(x, y) = (1, 2)"; None where not every part has its own name."""
    plain = form.strip(" $.")
    tuple_names = _NAMES_OF_TUPLE.match(plain)
    if tuple_names is not None and plain.endswith(")"):
        values = plain[tuple_names.end() + 1 : -1].split(",")
        names = [name.strip() for name in tuple_names[1].split(",")]
        return dict(zip(names, values, strict=True)) if len(names) == len(values) else None
    parts = [_NAMED.fullmatch(part) for part in _BETWEEN_NAMED.split(plain)]
    found = {part[1]: part[2] for part in parts if part is not None}
    return found if len(found) == len(parts) > 1 else None


def _equal(a: str, b: str) -> bool:
    return answer_key(a, "math") == answer_key(b, "math")


def _same_base(answer: str, reference: str) -> Comparison | None:
    given, wanted = (_BASE.fullmatch(form.strip(" $")) for form in (answer, reference))
    if given is None or wanted is None or given[1] == wanted[1]:
        return None
    return Comparison(False, "numbers to different bases")


def _same_order(answer: str, reference: str, query_text: str) -> Comparison | None:
    """Points, vectors and columns are the same list of numbers in other brackets; intervals are not."""
    given, wanted = _list_of(answer), _list_of(reference)
    if given is None or wanted is None or given[0] == wanted[0] or len(given[1]) != len(wanted[1]):
        return None
    kinds = {given[0], wanted[0]}
    if "bare" in kinds and (kinds != {"bare", "round"} or _is_interval(reference, query_text)):
        return None
    equal = all(_equal(a, b) for a, b in zip(given[1], wanted[1], strict=True))
    return Comparison(True, "the same list in other brackets") if equal else None


def _list_of(form: str) -> tuple[str, list[str]] | None:
    plain = form.replace("\\left", "").replace("\\right", "").strip(" $.")
    column = _COLUMN.fullmatch(plain)
    if column is not None:
        return "column", [row for row in column[1].split("\\\\") if row.strip()]
    angled = _ANGLE_BRACKETS.fullmatch(plain)
    if angled is not None:
        return "angled", _items(angled[1])
    if plain.startswith("(") and plain.endswith(")") and len(_items(plain[1:-1])) > 1:
        return "round", _items(plain[1:-1])
    return ("bare", _items(plain)) if "," in plain and not re.search(r"[()\[\]{]", plain) else None


def _items(inner: str) -> list[str]:
    parts, depth, begin = [], 0, 0
    for position, symbol in enumerate(inner):
        depth += (symbol in "([{") - (symbol in ")]}")
        if symbol == "," and depth == 0:
            parts.append(inner[begin:position])
            begin = position + 1
    return [*parts, inner[begin:]]


def _is_interval(reference: str, query_text: str) -> bool:
    if "infty" in reference or "∞" in reference or "[" in reference or "]" in reference:
        return True
    return _ASKS_POINT.search(query_text) is None and _ASKS_INTERVAL.search(query_text) is not None


def _same_ratio(answer: str, reference: str) -> Comparison | None:
    r"""3:1, 3 to 1 and \frac{3}{1} are one ratio."""
    ratios = [_RATIO.fullmatch(form.strip(" $")) for form in (answer, reference)]
    if not any(ratios):
        return None
    fractions = [
        f"{ratio[1]}/{ratio[2]}" if ratio is not None else form
        for ratio, form in zip(ratios, (answer, reference), strict=True)
    ]
    return Comparison(True, "equal ratios") if _equal(*fractions) else None


def _by_kind(key: str, wanted: str, reference: str) -> Comparison | None:
    """What two different keys decide by themselves."""
    given_kind, wanted_kind = key.partition(" ")[0], wanted.partition(" ")[0]
    if given_kind in _VALUES and wanted_kind in _VALUES:
        return Comparison(False, "another value")
    if "text" not in (given_kind, wanted_kind) or "literal" in (given_kind, wanted_kind):
        return None
    if wanted_kind == "text" and len(reference.split()) > _LONG_TEXT:
        return Comparison(None, "the reference is a sentence, and other words may say the same")
    if given_kind == wanted_kind:
        return Comparison(False, "another text")
    return Comparison(False, "text is no mathematics, and mathematics no text")


def _by_library(answer: str, reference: str, query_text: str, library: Library) -> Comparison:
    relations = [_RELATION.search(form) is not None for form in (reference, answer)]
    if relations == [False, True] and _ASKS_POINT.search(query_text) and not _is_interval(reference, query_text):
        return Comparison(False, "an inequality is no point")
    if len(answer) > _LONGEST:
        return Comparison(None, f"the answer has more than {_LONGEST} characters")
    wanted_is_read, given_is_read, equal = library(reference, answer)
    if equal:
        return Comparison(True, "math-verify")
    wanted_kind, given_kind = (answer_key(form, "math").partition(" ")[0] for form in (reference, answer))
    if not wanted_is_read and wanted_kind == "literal":
        return Comparison(None, "the reference cannot be read as mathematics")
    if given_is_read or given_kind != "literal" or not _MATHEMATICS.search(answer):
        return Comparison(False, "another value or form")
    return Comparison(None, "the answer cannot be read as mathematics")
