r"""When two mathematical answers are the same: a key per answer, equal for equivalent answers.

A key, not a comparison of pairs, makes equivalence reflexive, symmetric and transitive and costs one evaluation an
answer instead of one a pair. Plain numbers, text, lists, intervals and matrices are keyed here; only what is left,
expressions with operators or commands, is parsed by math-verify (`math_process`), and keyed by its values: of a
constant to six decimals (six significant digits below 1), as math-verify compares; of a formula at two fixed points.

Conventions: a percent sign, a currency sign, a degree sign and a unit are dropped (10\% is 10, not 0.1); a name
before an equals sign is dropped (x = 5 is 5); lists without parentheses and sets have no order, those in
parentheses or brackets have; a base written as index is dropped (as math-verify does). What cannot be evaluated, or
not in time, is equivalent only to the same normal form.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache

from memreward.parsing.algebra import NoValueError, Values, algebra_values
from memreward.parsing.markers import without_calculator
from memreward.parsing.math_process import values_of

_LONGEST = 1000
_LONGEST_EVALUATED = 250
_LARGEST = 400
_NOISE = Decimal("1e-40")
_CONTEXT = Context(prec=60)
_CHARACTERS = str.maketrans(
    {"−": "-", "–": "-", "×": "\\times ", "·": "\\cdot ", "÷": "/", "π": "\\pi ", "∞": "\\infty ", "°": "", "²": "^2"}
    | {"³": "^3", "≤": "\\le ", "≥": "\\ge ", "∪": "\\cup ", "±": "\\pm ", "∈": "\\in ", "≈": "=", "√": "\\sqrt "}
    | {"½": "\\frac{1}{2}", "′": "'", "’": "'", "£": "", "€": "", "`": ""}
)
_DROPPED = re.compile(
    r"\\\\|\\(?:left|right|bigl?|bigr|Bigl?|Bigr|displaystyle|textstyle|quad|qquad|limits|nolimits)(?![a-zA-Z])"
    r"|\\[,;:! ()\[\]]|~|\\?\$|\\?%|\^\s?\{?\s?\\circ\s?\}?|\\(?:degree|circ)(?![a-zA-Z])"
    r"|^\*\*|\*\*$|\{,\}(?=\d)"
)
_KEPT = {"~": " ", "\\ ": " ", "\\quad": " ", "\\qquad": " ", "\\\\": "\\\\"}
_SYNONYMS = (
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\frac\s*(\d)\s*(\d)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\frac\s*(\d)\s*\{"), r"\\frac{\1}{"),
    (re.compile(r"\\frac\s*\{([^{}]{1,60})\}\s*(\d)(?!\d)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\frac\s*(\\pi)\s*(\d)(?!\d)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\sqrt\s*([0-9a-zA-Z])"), r"\\sqrt{\1}"),
    (re.compile(r"(?<![a-zA-Z\\])sqrt\s*\(([^()]{1,60})\)"), r"\\sqrt{\1}"),
    (re.compile(r"(?<![a-zA-Z\\])(pi|sqrt|infty)(?![a-zA-Z])"), r"\\\1"),
    (re.compile(r"\\(?:leq|leqslant)(?![a-zA-Z])"), r"\\le "),
    (re.compile(r"\\(?:geq|geqslant)(?![a-zA-Z])"), r"\\ge "),
    (re.compile(r"\\(?:lt)(?![a-zA-Z])"), "<"),
    (re.compile(r"\\(?:gt)(?![a-zA-Z])"), ">"),
    (re.compile(r"\\(?:neq)(?![a-zA-Z])"), r"\\ne "),
    (re.compile(r"\\[vV]ert(?![a-zA-Z])|\\mid(?![a-zA-Z])"), "|"),
    (re.compile(r"\\(?:approx|equiv)(?![a-zA-Z])"), "="),
    (re.compile(r"(?<=\S)\s?\*\*\s?(?=\S)"), "^"),
    (re.compile(r"(?<![a-zA-Z\\])infinity(?![a-zA-Z])"), r"\\infty"),
)
_TEXT_COMMAND = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|operatorname|mathcal|mathbb|bf|rm)\s{0,4}\{([^{}]*)\}(?:\s?\^\s?\{?[23]\}?)?"
)
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\s?\d{3})+(?![\d])")
_ASSIGNMENT = re.compile(
    r"^(?:[a-zA-Z]|\\[a-zA-Z]{2,10}|[a-zA-Z]_\{?\w{1,3}\}?|[a-zA-Z]{1,3}(?:\^\{-1\})?\([a-zA-Z, ]{1,9}\)"
    r"|[a-zA-Z][a-zA-Z ]{1,30})\s?(?:=|\\in(?![a-z]))\s?(?=\S)"
)
_INTEGER_OR_DECIMAL = re.compile(r"[-+]?\s?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?")
_RATIO = re.compile(
    r"([-+]?)\s?(?:(\d+)\s?)?(?:\\frac\s?\{\s?([-+]?\d+)\s?\}\s?\{\s?(\d+)\s?\}|(?<![.\d])(\d+)\s?/\s?(\d+))"
)
_REPEATING = re.compile(r"(-?)(\d*)\.(\d*)\\overline\s?\{(\d+)\}")
_NUMBER_THEN_UNIT = re.compile(
    r"([-+]?\s?(?:\d+(?:\.\d+)?|\.\d+)(?:\s?/\s?\d+)?|[-+]?\s?\d*\s?\\frac\{[-\d]+\}\{\d+\}|[^\\]{0,60}\})"
    r"\s?((?:[a-zA-Z]{2,}|\s[a-zA-Z])[a-zA-Z .'/]*(?:\^\{?[23]\}?)?)"
)
_NO_UNITS = re.compile(r"\b(?:and|or|to|pi|sqrt|sin|cos|tan|log|ln|mod|times|if|for|frac|th|st|nd|rd)\b")
_WORDS = re.compile(r"[a-zA-Z][a-zA-Z' .\-]*[a-zA-Z'.]|\(?[a-zA-Z]\)?")
_HALF_OF_DAY = re.compile(r"[aApP]\.?\s?[mM]\.?")
_CLOCK_OR_RATIO = re.compile(r"\d+(?:\s?:\s?\d+)+\b.*")
_BASE_INDEX = re.compile(r"(\d+)_\s?\{?\d+\}?")
_NO_MATHEMATICS = re.compile(r"[^ -~]|[?@#&;\"`]|\\\\|^[^0-9a-zA-Z]*$")
_WORD = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{3,}")
_WORDS_OF_PROSE = 3
_MATRIX = re.compile(r"\\begin\{([pbvBV]?matrix)\}(.*)\\end\{\1\}", re.DOTALL)
_RELATION = re.compile(r"<=|>=|\\le(?![a-zA-Z])|\\ge(?![a-zA-Z])|\\ne(?![a-zA-Z])|[<>=]")
_RELATION_NAMES = {"<=": "≤", "\\le": "≤", ">=": "≥", "\\ge": "≥", "\\ne": "≠"}
_MIRRORED = {">": "<", "≥": "≤"}
_BRACKETS = {"(": ")", "[": "]"}


def normal_form(answer: str) -> str:
    """Return the answer without decoration, in one spelling; equal forms are equivalent, others need `math_key`."""
    form = without_calculator(answer).translate(_CHARACTERS).strip()
    if len(form) > _LONGEST:
        return " ".join(form.split())
    form = _DROPPED.sub(lambda match: _KEPT.get(match[0], ""), form)
    for pattern, replacement in _SYNONYMS:
        form = pattern.sub(replacement, form)
    form = _without_text_commands(" ".join(form.split()))
    form = form.rstrip(' .,;:*_"').lstrip(' ,;:*_"')
    form = _THOUSANDS.sub(lambda match: re.sub(r",\s?", "", match[0]), form)
    for _ in range(2):
        form = _ASSIGNMENT.sub("", form, count=1)
    unit = _NUMBER_THEN_UNIT.fullmatch(form)
    if unit is not None and not _NO_UNITS.search(unit[2]):
        form = unit[1]
    return form.strip()


def _without_text_commands(form: str) -> str:
    r"""`\text{...}` becomes its words where it is the answer, a comma where it joins, and goes where it is a unit."""
    whole = _TEXT_COMMAND.fullmatch(form)
    if whole is not None:
        return whole[1].strip()

    def shown(match: re.Match[str]) -> str:
        words = match[1].strip()
        if words.lower() in {"and", "or", ","}:
            return ", "
        if _HALF_OF_DAY.fullmatch(words):
            return f" {words}"
        if len(words) == 1 or match.start() == 0 or form[: match.start()].rstrip()[-1:] in {",", "=", "(", "{", "&"}:
            return f" {words} "
        return " "

    return " ".join(_TEXT_COMMAND.sub(shown, form).split())


@lru_cache(maxsize=65_536)
def math_key(answer: str) -> str:
    """Return a key that is equal for equivalent answers.

    Raises:
        MemRewardError: if math-verify's worker process is needed and cannot start.
    """
    return _key(normal_form(answer), 0)


def _key(form: str, depth: int) -> str:
    form = form.strip()
    simple = _simple_key(form)
    if simple is not None:
        return simple
    if len(form) > _LONGEST_EVALUATED or depth > 4:
        return "literal " + form.replace(" ", "")
    return _composite_key(form, depth) or _relation_key(form, depth) or _value_key(form)


def _simple_key(form: str) -> str | None:
    number = as_fraction(form)
    if number is not None:
        return "number " + _grid(number)
    if _WORDS.fullmatch(form) or _CLOCK_OR_RATIO.fullmatch(form):
        return "text " + " ".join(re.sub(r"[^a-z0-9:]+", "", form.lower()).split())
    return None


def as_fraction(form: str) -> Fraction | None:
    r"""The value of a literal: 12, -3.5, 1/2, \frac{1}{2}, mixed 3\frac{1}{2}, 0.\overline{3}; None for all else."""
    if len(form) > 400:
        return None
    compact = form.replace(" ", "")
    if _INTEGER_OR_DECIMAL.fullmatch(compact):
        return Fraction(compact)
    ratio = _RATIO.fullmatch(form)
    if ratio is not None:
        whole, top, bottom = ratio[2], ratio[3] or ratio[5], int(ratio[4] or ratio[6])
        if bottom == 0:
            return None
        value = Fraction(int(top), bottom) + int(whole or 0)
        return -value if ratio[1] == "-" else value
    repeating = _REPEATING.fullmatch(compact)
    if repeating is not None:
        sign, whole, fixed, period = repeating.groups()
        tail = Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(fixed))
        value = Fraction(int(whole + fixed or "0"), 10 ** len(fixed)) + tail
        return -value if sign else value
    index = _BASE_INDEX.fullmatch(compact)
    return Fraction(index[1]) if index is not None else None


def _grid(value: Fraction) -> str:
    """Integers to 50 digits; others to six decimals, or six significant digits below 1/10."""
    if abs(value) < _NOISE:
        return "0"
    exponent = _CONTEXT.divide(Decimal(value.numerator), Decimal(value.denominator)).adjusted()
    if value.denominator == 1:
        return str(value if exponent < 50 else round(value, 49 - exponent))
    return str(round(value, 6 if exponent >= -1 else 5 - exponent))


def _split(form: str, separator: re.Pattern[str]) -> list[str]:
    """Split at separators outside of brackets."""
    parts, depth, begin = [], 0, 0
    position = 0
    while position < len(form):
        symbol = form[position]
        match = separator.match(form, position) if depth == 0 else None
        if match is not None:
            parts.append(form[begin:position])
            position = begin = match.end()
            continue
        depth += (symbol in "([{") - (symbol in ")]}" and depth > 0)
        position += 1
    parts.append(form[begin:])
    return parts


_COMMA = re.compile(r",|;|\s(?:and|or)\s")
_UNION = re.compile(r"\\cup(?![a-zA-Z])|(?<=[)\]])\s?U\s?(?=[(\[])")
_ROW, _CELL = re.compile(r"\\\\"), re.compile("&")


def _composite_key(form: str, depth: int) -> str | None:
    """Key of a union, set, list, tuple, interval, matrix or a pair of signs; None if it is none of them."""
    union = _split(form, _UNION)
    if len(union) > 1:
        return "union " + _unordered(union, depth)
    items = [item for item in _split(form, _COMMA) if item.strip()]
    if len(items) > 1:
        return "set " + _unordered([_ASSIGNMENT.sub("", item.strip(), count=1) for item in items], depth)
    if form.startswith("\\{") and form.endswith("\\}"):
        inner = [item for item in _split(form[2:-2], _COMMA) if item.strip()]
        return "set " + _unordered(inner, depth)
    matrix = _MATRIX.fullmatch(form)
    if matrix is not None:
        rows = [row for row in _split(matrix[2], _ROW) if row.strip()]
        keys = [[_key(cell, depth + 1) for cell in _split(row, _CELL)] for row in rows]
        return "matrix " + ";".join(",".join(row) for row in keys)
    if form[:1] in _BRACKETS and form[-1:] in {")", "]"} and len(_split(form[:-1], re.compile("(?!)"))) == 1:
        return _bracketed_key(form, depth)
    if len(re.findall(r"\\pm(?![a-zA-Z])", form)) == 1:
        return "set " + _unordered([re.sub(r"\\pm(?![a-zA-Z])", sign, form) for sign in "+-"], depth)
    return None


def _bracketed_key(form: str, depth: int) -> str | None:
    inner = form[1:-1]
    if _unbalanced(inner):
        return None
    items = _split(inner, _COMMA)
    if len(items) > 1:
        return f"{form[0]} {','.join(_key(item, depth + 1) for item in items)} {form[-1]}"
    return _key(inner, depth + 1) if form[0] == "(" and form[-1] == ")" else None


def _unbalanced(inner: str) -> bool:
    """Whether a bracket closes inside that was opened outside, as in (1)(2) without its ends."""
    depth = 0
    for symbol in inner:
        depth += (symbol in "([") - (symbol in ")]")
        if depth < 0:
            return True
    return False


def _unordered(items: list[str], depth: int) -> str:
    keys = sorted({_key(item, depth + 1) for item in items})
    return "{" + ", ".join(keys) + "}"


def _relation_key(form: str, depth: int) -> str | None:
    """Key of an equation or inequality, or of a chain of them; None where there is no relation sign."""
    signs = [_RELATION_NAMES.get(match[0], match[0]) for match in _RELATION.finditer(form)]
    sides = _split(form, _RELATION)
    if len(sides) != len(signs) + 1 or not signs or not all(side.strip() for side in sides):
        return None
    if set(signs) == {"="} and len(signs) > 1:
        return _key(sides[-1], depth + 1)
    keys = []
    for left, sign, right in zip(sides, signs, sides[1:], strict=False):
        if sign in _MIRRORED:
            left, sign, right = right, _MIRRORED[sign], left
        keys.append(_difference_key(left.strip(), sign, right.strip()))
    return "relation " + " & ".join(sorted(keys))


def _difference_key(left: str, sign: str, right: str) -> str:
    """Key of left - right up to a factor: any for equations, a positive one for inequalities."""
    literal = f"{left} {sign} {right}".replace(" ", "")
    values = _values(f"({left})-({right})")
    if values is None or not values.symbols:
        return literal
    (first, first_imaginary), (second, second_imaginary) = values.values
    if first_imaginary or second_imaginary or abs(first) < _NOISE:
        return literal
    scale = first if sign in {"=", "≠"} else abs(first)
    return f"{','.join(values.symbols)} {sign} {_digits(first / scale)} {_digits(second / scale)}"


def _values(form: str) -> Values | None:
    try:
        values = algebra_values(form) or (values_of(form) if _may_have_values(form) else None)
    except NoValueError:
        return None
    if values is None or any(abs(part.adjusted()) > _LARGEST for pair in values.values for part in pair if part):
        return None
    return values


def _may_have_values(form: str) -> bool:
    """Whether the grammar is worth its time: balanced, in its alphabet, and no running text."""
    return (
        not _NO_MATHEMATICS.search(form)
        and all(form.count(opening) == form.count(closing) for opening, closing in ("{}", "()", "[]"))
        and len(_WORD.findall(form)) < _WORDS_OF_PROSE
    )


def _constant(values: Values) -> bool:
    """Whether a formula has one value at both points, as sin^2 x + cos^2 x has."""
    (first, first_imaginary), (second, second_imaginary) = values.values
    return abs(first - second) < _NOISE and abs(first_imaginary - second_imaginary) < _NOISE


def _digits(value: Decimal) -> str:
    return "0" if abs(value) < _NOISE else f"{value:.10e}"


def _value_key(form: str) -> str:
    values = _values(form)
    if values is None:
        return "literal " + re.sub(r"[ {}]", "", form)
    if values.symbols and not _constant(values):
        points = [f"{_digits(real)} {_digits(imaginary)}" for real, imaginary in values.values]
        return f"formula {','.join(values.symbols)} " + " ".join(points)
    real, imaginary = values.values[0]
    if abs(imaginary) < _NOISE:
        return "number " + _grid(Fraction(real))
    return f"number {_grid(Fraction(real))} + {_grid(Fraction(imaginary))} i"
