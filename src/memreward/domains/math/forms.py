r"""Whether two mathematical forms without units are the same: by keys, by what keys are blind to, by math-verify.

Beside a reference values with names keep them (x = 1, y = 2), a number keeps its base, an interval is no point, and an
inequality may be written as an interval.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from memreward.domains.math.form import ASSIGNMENT, base_of, changes_value, has_words, normal_form, split, value_key
from memreward.domains.math.wanted import Wanted

# Takes reference and answer in LaTeX; says of each whether it can be read, and whether they are equal.
Library = Callable[[str, str], tuple[bool, bool, bool]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the rules say: right, wrong, or None; and which rule decided, or why none could."""

    correct: bool | None
    rule: str


_RATIO = re.compile(r"\s*(\d+(?:\.\d+)?)\s?(?::|\\?\s?to|\\text\s?\{\s?to\s?\})\s?(\d+(?:\.\d+)?)\s*")
_COLUMN = re.compile(r"\s*\\begin\{[pb]matrix\}([^&]*)\\end\{[pb]matrix\}\s*", re.DOTALL)
_ANGLE_BRACKETS = re.compile(r"\s*\\langle(.*)\\rangle\s*", re.DOTALL)
_EQUATION = re.compile(r"relation ([a-zA-Z](?:,[a-zA-Z])*) = ")
_UNIT_VECTOR = re.compile(
    r"\\(?:mathbf|hat|vec|boldsymbol|bm)\s?\{\s?(?:\\(?:hat|mathbf|vec)\s?\{?)?\s?([ijk])\s?\}{1,2}"
)
_ALONG = re.compile(r"([-+]?)\s{0,3}([^-+=ijk]{0,60}?)\s{0,3}([ijk])\s{0,3}")
_MATHEMATICS = re.compile(r"[\\^_=<>+*/\d]")
_RELATION = re.compile(r"[<>]|\\(?:le|ge|lt|gt)(?:q|qslant)?(?![a-zA-Z])|≤|≥")
_INFINITY_BESIDE = re.compile(r"(?:\\infty|∞|infinity)[\s{}()]*\d|\d[\s{}()]*(?:\\infty|∞|infinity)")
_NUMERALS_APART = re.compile(r"[-+]?[\d.]+(?:(?:\s|\\[,;: ]|~)+[-+]?[\d.]+)+")
_WORDS_AND_NUMBER = re.compile(r"(?:[^\W\d_]{2,}[ :]){1,6}(-?\d[\d.,]*)")
_SYMBOL = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z](?![a-zA-Z])")
_INTERVAL = re.compile(r"\s*(?:\\left)?\s*([(\[])([^,()\[\]]+),([^,()\[\]]+?)(?:\\right)?\s*([)\]])\s*")
_COMMA = re.compile(",")
_LONGEST_PRODUCT = 6
_LONG_TEXT = 4
_LONGEST = 1000
_DECIDED = frozenset({"number", "formula", "set", "list", "named", "base", "infinite", "empty", "(", "[", "matrix"})
_VALUES = frozenset({"number", "formula", "infinite", "base"})
_EQUAL = Comparison(True, "equal in value or form")


def same_form(answer: str, reference: str, asked: Wanted, library: Library) -> Comparison:
    """Decide whether two forms are the same; what the question asks for tells points from intervals."""
    key, right = value_key(answer, asked), value_key(reference, asked)
    bases = base_of(answer), base_of(reference)
    if all(bases) and bases[0] != bases[1]:
        return Comparison(False, "numerals to different bases")
    if key == right:
        return _EQUAL
    return (
        _same_base(key, right, *bases)
        or _same_names(key, right)
        or _same_list(key, right, reference, asked)
        or _same_order(answer, reference)
        or _same_ratio(answer, reference, asked)
        or _same_equation(answer, reference, key, right, asked)
        or _same_interval(answer, reference, key, right, asked)
        or _by_kind(key, right, reference, asked)
        or _same_primes(answer, reference)
        or _by_library(answer, reference, asked, library)
    )


def _kind(key: str) -> str:
    return key.partition(" ")[0]


def _same_base(key: str, right: str, base: str, right_base: str) -> Comparison | None:
    """The base of the reference may be left out; another one, or one where the reference has none, is wrong."""
    if _kind(right) == "base" and _kind(key) == "number":
        return _EQUAL if right.split(" ", 2)[2] == key else Comparison(False, "another numeral")
    if base == "10" and not right_base and key == f"base 10 {right}":
        return Comparison(None, "the reference does not say its base")
    return Comparison(False, "numerals to different bases") if "base" in (_kind(key), _kind(right)) else None


def _same_names(key: str, right: str) -> Comparison | None:
    """Several named values are compared name by name; a tuple of as many values is taken in the names' order."""
    if "named" not in (_kind(key), _kind(right)):
        return None
    named, other = (key, right) if _kind(key) == "named" else (right, key)
    if _kind(other) == "named":
        return Comparison(False, "values by name")
    names, values = zip(*(value.split(": ", 1) for value in named.removeprefix("named ").split(", ")), strict=True)
    if other.startswith("( "):
        return Comparison(other == f"( {','.join(values)} )", "named values in order")
    if other == "set {" + ", ".join(sorted(set(values))) + "}":
        if len({name.partition("_")[0] for name in names}) == 1:
            return Comparison(True, "several values of one name")
        return Comparison(None, "the values are equal, but one side does not name them")
    return Comparison(False, "values by name")


def _same_list(key: str, right: str, reference: str, asked: Wanted) -> Comparison | None:
    """A list without brackets beside a point: in its order where a point is asked for."""
    if _kind(right) == "union" and key == "set " + right.removeprefix("union "):
        return Comparison(True, "the intervals of the union")
    if _kind(key) == "list" and _kind(right) == "list":
        return Comparison(_sorted_items(key) == _sorted_items(right), "the same values in any order")
    bare, other = (key, right) if _kind(key) in {"list", "set"} else (right, key)
    if _kind(bare) not in {"list", "set"} or not other.startswith("( ") or not other.endswith(" )"):
        return None
    if _is_interval(reference, asked):
        return Comparison(False, "an interval is not a list")
    items = other[2:-2].split(",")
    if _kind(bare) == "list":
        return Comparison(bare == "list " + ", ".join(items), "the same list in other brackets")
    if bare == "set {" + ", ".join(sorted(set(items))) + "}":
        return Comparison(None, "a list without brackets has no order, and the other has one")
    return None


def _sorted_items(key: str) -> list[str]:
    return sorted(set(key.removeprefix("list ").split(", ")))


def _same_order(answer: str, reference: str) -> Comparison | None:
    """Points, vectors and columns are the same list of numbers in other brackets; intervals are not."""
    given, right = _list_of(answer), _list_of(reference)
    if given is None or right is None or len(given[1]) != len(right[1]):
        return None
    if given[0] == right[0] or {given[0], right[0]} == {"round", "square"}:
        return None  # [1, 2] is an interval beside (1, 2), and a column's entries beside a column
    equal = all(value_key(a, Wanted()) == value_key(b, Wanted()) for a, b in zip(given[1], right[1], strict=True))
    return Comparison(True, "the same list in other brackets") if equal else None


def _list_of(form: str) -> tuple[str, list[str]] | None:
    plain = ASSIGNMENT.sub("", form.replace("\\left", "").replace("\\right", "").strip(" $."))
    column = _COLUMN.fullmatch(plain)
    if column is not None:
        return "column", [row for row in column[1].split("\\\\") if row.strip()]
    axes = _UNIT_VECTOR.sub(r"\1", plain)
    if parts := _along_axes(axes):
        return "along axes", [parts.get(axis, "0") for axis in ("ijk" if "k" in parts else "ij")]
    angled = _ANGLE_BRACKETS.fullmatch(plain)
    if angled is not None:
        return "angled", split(angled[1], _COMMA)
    items = split(plain[1:-1], _COMMA)
    brackets = {"()": "round", "[]": "square"}.get(plain[:1] + plain[-1:])
    return (brackets, items) if brackets is not None and len(items) > 1 else None


def _along_axes(form: str) -> dict[str, str]:
    """Axis -> coordinate of 3i - 2j, nothing where some piece has no axis: it ends at the first such piece."""
    parts, place = {}, 0
    while place < len(form):
        part = _ALONG.match(form, place)
        if part is None:
            return {}
        parts[part[3]] = f"{part[1]}{part[2] or 1}"
        place = part.end()
    return parts


def _same_equation(answer: str, reference: str, key: str, right: str, asked: Wanted) -> Comparison | None:
    """An equation beside y = 2x + 1, whose key has lost its y: the letter that only the equation has stands for it."""
    if {_kind(key), _kind(right)} != {"formula", "relation"}:
        return None
    formula, form, related = (key, answer, right) if _kind(key) == "formula" else (right, reference, key)
    in_letters = _EQUATION.match(related)
    letters = set(in_letters[1].split(",")) - set(formula.split(" ")[1].split(",")) if in_letters else set()
    if len(letters) != 1:
        return None
    equal = value_key(f"{letters.pop()} + 0 = {normal_form(form)}", asked) == related
    return Comparison(equal, "the same equation" if equal else "another equation")


def _is_interval(reference: str, asked: Wanted) -> bool:
    if "infty" in reference or "∞" in reference or "[" in reference or "]" in reference:
        return True
    return asked.interval and not asked.point


def _same_ratio(answer: str, reference: str, asked: Wanted) -> Comparison | None:
    r"""3:1, 3 to 1 and \frac{3}{1} are one ratio."""
    ratios = [_RATIO.fullmatch(form.strip(" $")) for form in (answer, reference)]
    if not any(ratios):
        return None
    keys = {
        value_key(f"{ratio[1]}/{ratio[2]}" if ratio is not None else form, asked)
        for ratio, form in zip(ratios, (answer, reference), strict=True)
    }
    if len(keys) == 1 and (reference.strip(" $").isdigit() or (asked.chance and ratios[1] is None)):
        return Comparison(None, "a ratio for a number")
    return Comparison(True, "equal ratios") if len(keys) == 1 else None


def _same_interval(answer: str, reference: str, key: str, right: str, asked: Wanted) -> Comparison | None:
    r"""Inequalities for an interval: x < 2 or x > 3 is (-\infty, 2) \cup (3, \infty); 1 < x and x \le 2 is (1, 2]."""
    inequality, interval, form = (key, reference, answer) if _RELATION.search(answer) else (right, answer, reference)
    if _kind(inequality) not in {"relation", "either", "set"} or (asked.point and not _is_interval(reference, asked)):
        return None
    symbols = set(_SYMBOL.findall(form))
    pieces = [_INTERVAL.fullmatch(piece) for piece in re.split(r"\\cup(?![a-zA-Z])|∪", interval.strip(" $."))]
    if len(symbols) != 1 or not all(pieces):
        return None
    name = symbols.pop()
    keys = sorted({value_key(_inequality(piece, name), asked) for piece in pieces if piece is not None})
    either = "{" + ", ".join(keys) + "}"
    if inequality in {f"either {either}", f"set {either}", *(keys if len(keys) == 1 else ())}:
        return Comparison(True, "an inequality for an interval")
    conditions = inequality.removeprefix("set {").removesuffix("}").replace(", relation ", " & ")
    return Comparison(True, "inequalities for an interval") if keys == [conditions] else None


def _inequality(piece: re.Match[str], name: str) -> str:
    opening, lower, upper, closing = (part.strip() for part in piece.groups())
    left = "" if "infty" in lower or "∞" in lower else f"{lower} {'<' if opening == '(' else '<='} "
    right = "" if "infty" in upper or "∞" in upper else f" {'<' if closing == ')' else '<='} {upper}"
    return f"{left}{name}{right}"


def _by_kind(key: str, right: str, reference: str, asked: Wanted) -> Comparison | None:
    """What two different keys decide by themselves."""
    kinds = {_kind(key), _kind(right)}
    if _kind(right) == "text" and len(reference.split()) > _LONG_TEXT:
        return Comparison(None, "the reference is a sentence, and other words may say the same")
    if kinds == {"text", "formula"}:
        word, formula = (key, right) if _kind(key) == "text" else (right, key)
        letters = word.removeprefix("text ")
        if letters.isalpha() and len(letters) <= _LONGEST_PRODUCT:
            equal = value_key("*".join(letters), asked) == formula
            return Comparison(equal, "a product of letters" if equal else "another value")
    if kinds <= _DECIDED and "literal" not in key + right:
        return Comparison(False, "another value" if kinds <= _VALUES else "another value or form")
    if "text" not in kinds or "literal" in kinds:
        return None
    if len(kinds) == 1:
        return Comparison(False, "another text")
    return Comparison(False, "a text is not mathematics")


def _same_primes(answer: str, reference: str) -> Comparison | None:
    if has_words(normal_form(answer)):
        return None
    given, right = (normal_form(form).rpartition("=")[2].count("'") for form in (answer, reference))
    return None if given == right else Comparison(False, "a symbol with a prime is another one")


def _beside_words(answer: str, reference: str, asked: Wanted) -> Comparison:
    said = _WORDS_AND_NUMBER.fullmatch(normal_form(answer))
    if said is not None and not changes_value(answer) and value_key(said[1], asked) == value_key(reference, asked):
        return Comparison(None, "the reference stands beside words that are not understood")
    return Comparison(False, "words beside mathematics are not a value")


def _by_library(answer: str, reference: str, asked: Wanted, library: Library) -> Comparison:
    if _kind(value_key(answer, asked)) == "untrue":
        return Comparison(False, "the sides of its equation are not equal")
    relations = [_RELATION.search(form) is not None for form in (reference, answer)]
    finite = reference.lstrip("$ \\").startswith("{") or (asked.point and not _is_interval(reference, asked))
    if relations == [False, True] and finite:
        return Comparison(False, "an inequality is neither a point nor a list of values")
    if len(answer) > _LONGEST:
        return Comparison(None, f"the answer has more than {_LONGEST} characters")
    if _NUMERALS_APART.fullmatch(normal_form(answer).strip("() ")):
        return Comparison(False, "numerals side by side are not a number")
    if _kind(value_key(reference, asked)) in _VALUES and has_words(normal_form(answer)):
        return _beside_words(answer, reference, asked)
    if _INFINITY_BESIDE.search(answer):
        return Comparison(False, "infinity beside a numeral is not a value")
    wanted_is_read, given_is_read, equal = library(reference, answer)
    if equal:
        return Comparison(True, "math-verify")
    wanted_kind, given_kind = (_kind(value_key(form, asked)) for form in (reference, answer))
    if not wanted_is_read and wanted_kind == "literal":
        return Comparison(None, "the reference cannot be read as mathematics")
    if given_is_read or given_kind != "literal" or not _MATHEMATICS.search(answer):
        return Comparison(False, "another value or form")
    return Comparison(None, "the answer cannot be read as mathematics")
