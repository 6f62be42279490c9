r"""Whether two mathematical forms without units are the same: by keys, by what keys are blind to, by math-verify.

Beside a reference values with names keep them (x = 1, y = 2), a number keeps its base, an interval is no point, and an
inequality may be written as an interval.
"""

import re

from memreward.domains.math.form import ASSIGNMENT, base_of, changes_value, has_words, normal_form, split, value_key
from memreward.domains.math.library import by_library
from memreward.domains.math.wanted import Wanted
from memreward.types import Verdict

_RATIO = re.compile(r"\s*(\d+(?:\.\d+)?)\s?(?::|\\?\s?to|\\text\s?\{\s?to\s?\})\s?(\d+(?:\.\d+)?)\s*")
_COLUMN = re.compile(r"\s*\\begin\{[pb]matrix\}([^&]*)\\end\{[pb]matrix\}\s*", re.DOTALL)
_ANGLE_BRACKETS = re.compile(r"\s*\\langle(.*)\\rangle\s*", re.DOTALL)
_EQUATION = re.compile(r"relation ([a-zA-Z](?:,[a-zA-Z])*) = ")
_UNIT_VECTOR = re.compile(
    r"\\(?:mathbf|hat|vec|boldsymbol|bm)\s?\{\s?(?:\\(?:hat|mathbf|vec)\s?\{?)?\s?([ijk])\s?\}{1,2}"
)
_ALONG = re.compile(r"([-+]?)\s{0,3}([^-+=ijk]{0,60}?)\s{0,3}([ijk])\s{0,3}")
_ALL_ALONG = re.compile(rf"(?>{_ALONG.pattern})++")
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
_EQUAL = Verdict(True, "equal in value or form")


def same_form(answer: str, reference: str, asked: Wanted) -> Verdict:
    """Decide, and by which rule, whether two forms are the same; what is asked for tells points from intervals."""
    key, right = value_key(answer, asked), value_key(reference, asked)
    bases = base_of(answer), base_of(reference)
    if all(bases) and bases[0] != bases[1]:
        return Verdict(False, "numerals to different bases")
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
        or _by_library(answer, reference, asked)
    )


def _kind(key: str) -> str:
    return key.partition(" ")[0]


def _same_base(key: str, right: str, base: str, right_base: str) -> Verdict | None:
    """The base of the reference may be left out; another one, or one where the reference has none, is wrong."""
    if _kind(right) == "base" and _kind(key) == "number":
        return _EQUAL if right.split(" ", 2)[2] == key else Verdict(False, "another numeral")
    if base == "10" and not right_base and key == f"base 10 {right}":
        return Verdict(None, "the reference does not say its base")
    return Verdict(False, "numerals to different bases") if "base" in (_kind(key), _kind(right)) else None


def _same_names(key: str, right: str) -> Verdict | None:
    """Several named values are compared name by name; a tuple of as many values is taken in the names' order."""
    if "named" not in (_kind(key), _kind(right)):
        return None
    named, other = (key, right) if _kind(key) == "named" else (right, key)
    if _kind(other) == "named":
        return Verdict(False, "values by name")
    names, values = zip(*(value.split(": ", 1) for value in named.removeprefix("named ").split(", ")), strict=True)
    if other.startswith("( "):
        return Verdict(other == f"( {','.join(values)} )", "named values in order")
    if other == "set {" + ", ".join(sorted(set(values))) + "}":
        if len({name.partition("_")[0] for name in names}) == 1:
            return Verdict(True, "several values of one name")
        return Verdict(None, "the values are equal, but one side does not name them")
    return Verdict(False, "values by name")


def _same_list(key: str, right: str, reference: str, asked: Wanted) -> Verdict | None:
    """A list without brackets beside a point: in its order where a point is asked for."""
    if _kind(right) == "union" and key == "set " + right.removeprefix("union "):
        return Verdict(True, "the intervals of the union")
    if _kind(key) == "list" and _kind(right) == "list":
        return Verdict(_sorted_items(key) == _sorted_items(right), "the same values in any order")
    bare, other = (key, right) if _kind(key) in {"list", "set"} else (right, key)
    if _kind(bare) not in {"list", "set"} or not other.startswith("( ") or not other.endswith(" )"):
        return None
    if _is_interval(reference, asked):
        return Verdict(False, "an interval is not a list")
    items = other[2:-2].split(",")
    if _kind(bare) == "list":
        return Verdict(bare == "list " + ", ".join(items), "the same list in other brackets")
    if bare == "set {" + ", ".join(sorted(set(items))) + "}":
        return Verdict(None, "a list without brackets has no order, and the other has one")
    return None


def _sorted_items(key: str) -> list[str]:
    return sorted(set(key.removeprefix("list ").split(", ")))


def _same_order(answer: str, reference: str) -> Verdict | None:
    """Points, vectors and columns are the same list of numbers in other brackets; intervals are not."""
    given, right = _list_of(answer), _list_of(reference)
    if given is None or right is None or len(given[1]) != len(right[1]):
        return None
    if given[0] == right[0] or {given[0], right[0]} == {"round", "square"}:
        return None  # [1, 2] is an interval beside (1, 2), and a column's entries beside a column
    equal = all(value_key(a, Wanted()) == value_key(b, Wanted()) for a, b in zip(given[1], right[1], strict=True))
    return Verdict(True, "the same list in other brackets") if equal else None


def _list_of(form: str) -> tuple[str, list[str]] | None:
    plain = ASSIGNMENT.sub("", form.replace("\\left", "").replace("\\right", "").strip(" $."))
    column = _COLUMN.fullmatch(plain)
    if column is not None:
        return "column", [row for row in column[1].split("\\\\") if row.strip()]
    axes = _UNIT_VECTOR.sub(r"\1", plain)
    if _ALL_ALONG.fullmatch(axes):
        parts = {axis: f"{sign}{value or 1}" for sign, value, axis in _ALONG.findall(axes)}
        return "along axes", [parts.get(axis, "0") for axis in ("ijk" if "k" in parts else "ij")]
    angled = _ANGLE_BRACKETS.fullmatch(plain)
    if angled is not None:
        return "angled", split(angled[1], _COMMA)
    items = split(plain[1:-1], _COMMA)
    brackets = {"()": "round", "[]": "square"}.get(plain[:1] + plain[-1:])
    return (brackets, items) if brackets is not None and len(items) > 1 else None


def _same_equation(answer: str, reference: str, key: str, right: str, asked: Wanted) -> Verdict | None:
    """An equation beside y = 2x + 1, whose key has lost its y: the letter that only the equation has stands for it."""
    if {_kind(key), _kind(right)} != {"formula", "relation"}:
        return None
    formula, form, related = (key, answer, right) if _kind(key) == "formula" else (right, reference, key)
    in_letters = _EQUATION.match(related)
    letters = set(in_letters[1].split(",")) - set(formula.split(" ")[1].split(",")) if in_letters else set()
    if len(letters) != 1:
        return None
    equal = value_key(f"{letters.pop()} + 0 = {normal_form(form)}", asked) == related
    return Verdict(equal, "the same equation" if equal else "another equation")


def _is_interval(reference: str, asked: Wanted) -> bool:
    if "infty" in reference or "∞" in reference or "[" in reference or "]" in reference:
        return True
    return asked.interval and not asked.point


def _same_ratio(answer: str, reference: str, asked: Wanted) -> Verdict | None:
    r"""3:1, 3 to 1 and \frac{3}{1} are one ratio."""
    ratios = [_RATIO.fullmatch(form.strip(" $")) for form in (answer, reference)]
    if not any(ratios):
        return None
    keys = {
        value_key(f"{ratio[1]}/{ratio[2]}" if ratio is not None else form, asked)
        for ratio, form in zip(ratios, (answer, reference), strict=True)
    }
    if len(keys) == 1 and (reference.strip(" $").isdigit() or (asked.chance and ratios[1] is None)):
        return Verdict(None, "a ratio for a number")
    return Verdict(True, "equal ratios") if len(keys) == 1 else None


def _same_interval(answer: str, reference: str, key: str, right: str, asked: Wanted) -> Verdict | None:
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
        return Verdict(True, "an inequality for an interval")
    conditions = inequality.removeprefix("set {").removesuffix("}").replace(", relation ", " & ")
    return Verdict(True, "inequalities for an interval") if keys == [conditions] else None


def _inequality(piece: re.Match[str], name: str) -> str:
    opening, lower, upper, closing = (part.strip() for part in piece.groups())
    left = "" if "infty" in lower or "∞" in lower else f"{lower} {'<' if opening == '(' else '<='} "
    right = "" if "infty" in upper or "∞" in upper else f" {'<' if closing == ')' else '<='} {upper}"
    return f"{left}{name}{right}"


def _by_kind(key: str, right: str, reference: str, asked: Wanted) -> Verdict | None:
    """What two different keys decide by themselves."""
    kinds = {_kind(key), _kind(right)}
    if _kind(right) == "text" and len(reference.split()) > _LONG_TEXT:
        return Verdict(None, "the reference is a sentence, and other words may say the same")
    if kinds == {"text", "formula"}:
        word, formula = (key, right) if _kind(key) == "text" else (right, key)
        letters = word.removeprefix("text ")
        if letters.isalpha() and len(letters) <= _LONGEST_PRODUCT:
            equal = value_key("*".join(letters), asked) == formula
            return Verdict(equal, "a product of letters" if equal else "another value")
    if kinds <= _DECIDED and "literal" not in key + right:
        return Verdict(False, "another value" if kinds <= _VALUES else "another value or form")
    if "text" not in kinds or "literal" in kinds:
        return None
    if len(kinds) == 1:
        return Verdict(False, "another text")
    return Verdict(False, "a text is not mathematics")


def _same_primes(answer: str, reference: str) -> Verdict | None:
    if has_words(normal_form(answer)):
        return None
    given, right = (normal_form(form).rpartition("=")[2].count("'") for form in (answer, reference))
    return None if given == right else Verdict(False, "a symbol with a prime is another one")


def _beside_words(answer: str, reference: str, asked: Wanted) -> Verdict:
    said = _WORDS_AND_NUMBER.fullmatch(normal_form(answer))
    if said is not None and not changes_value(answer) and value_key(said[1], asked) == value_key(reference, asked):
        return Verdict(None, "the reference stands beside words that are not understood")
    return Verdict(False, "words beside mathematics are not a value")


def _by_library(answer: str, reference: str, asked: Wanted) -> Verdict:
    if _kind(value_key(answer, asked)) == "untrue":
        return Verdict(False, "the sides of its equation are not equal")
    relations = [_RELATION.search(form) is not None for form in (reference, answer)]
    finite = reference.lstrip("$ \\").startswith("{") or (asked.point and not _is_interval(reference, asked))
    if relations == [False, True] and finite:
        return Verdict(False, "an inequality is neither a point nor a list of values")
    if len(answer) > _LONGEST:
        return Verdict(None, f"the answer has more than {_LONGEST} characters")
    if _NUMERALS_APART.fullmatch(normal_form(answer).strip("() ")):
        return Verdict(False, "numerals side by side are not a number")
    if _kind(value_key(reference, asked)) in _VALUES and has_words(normal_form(answer)):
        return _beside_words(answer, reference, asked)
    if _INFINITY_BESIDE.search(answer):
        return Verdict(False, "infinity beside a numeral is not a value")
    wanted_is_read, given_is_read, equal = by_library(reference, answer)
    if equal:
        return Verdict(True, "math-verify")
    wanted_kind, given_kind = (_kind(value_key(form, asked)) for form in (reference, answer))
    if not wanted_is_read and wanted_kind == "literal":
        return Verdict(None, "the reference cannot be read as mathematics")
    if given_is_read or given_kind != "literal" or not _MATHEMATICS.search(answer):
        return Verdict(False, "another value or form")
    return Verdict(None, "the answer cannot be read as mathematics")
