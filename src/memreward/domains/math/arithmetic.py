"""Numbers and arithmetic statements in running text, for evidence. Linear in the length of the text; no `eval`."""

import ast
import math
import operator
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise

from memreward.domains.code.parse import syntax_tree

_NUMBER = r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
# `_NUMBER` with a minus that no operand precedes, written so that a search stops at few characters.
_SIGNED_NUMBER = re.compile(
    rf"[-\d.](?:(?<=-)(?<![\w.)\]}}]-)(?:{_NUMBER})"
    r"|(?<=\d)(?:\d{0,2}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d*(?:\.\d+)?)"
    r"|(?<=\.)\d+)"
)
_TOKEN = re.compile(
    rf"(?P<number>{_NUMBER})"
    r"|(?P<operator>\*\*|\\times(?![a-zA-Z])|\\cdot(?![a-zA-Z])|\\div(?![a-zA-Z])|[-+*/^×·÷−])"
    r"|(?P<equals>\\approx(?![a-zA-Z])|==|[=≈])"
    r"|(?P<open>[({])|(?P<close>[)}])|(?P<percent>\\?%)|(?P<word>\\?[^\W\d_]+)|(?P<skip>[ \t$,]|\\[ ,;!()$])"
    r"|(?P<other>[\s\S])"
)
_ANNOTATION = re.compile(r"<<([^<>\n]{1,200})>>")
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]{1,60})\}\{([^{}]{1,60})\}")
_BOLD = re.compile(r"(?<![\d)])\*\*|\*\*(?![\d(])")
_SPELLING = {"×": "*", "·": "*", "\\times": "*", "\\cdot": "*", "÷": "/", "\\div": "/", "−": "-", "**": "^"}
_SPELLING |= {"{": "(", "}": ")", "\\%": "%"}
_BEFORE_OPERAND = frozenset("(+-*/^")
_IN_PYTHON = {"^": "**", "%": "[0]"}  # a percent sign binds as tightly as an index does
_NO_UNITS = frozenset({"and", "or", "mod", "times", "plus", "minus", "sin", "cos", "tan", "log", "sqrt", "frac"})
_CONTINUES_A_NAME = frozenset("_!|'[")
_LONGEST_STATEMENT = 200
_BREAK = re.compile(r"[\n\[\]:?\"'<>|&#@_`~]|(?<!\\)[;!]|\.(?!\d)|[^\W\d_][ \t$,]+[^\W\d_]+")
_USUAL_SIDE = 50
_SKIP = r"(?:[ \t$,]|\\[ ,;!()$])*"
_COMPARED = re.compile(
    rf"[\d)}}%]{_SKIP}(?:[^\W\d_]{{3,}}{_SKIP})?(?:\\approx(?![a-zA-Z])|==?|≈){_SKIP}(?=[\d.({{−%-]|\\%)"
)
# One equation "a op b = c" and nothing else but words: what many passages are. Each repeat takes one blank: linear.
_EQUATION = re.compile(
    rf"(?:\.(?!\d)|[\n\]:?;\"<>&#@`~])?(?:[^\W\d_]*[ \t$,])*"
    rf"({_NUMBER})[ \t$]*([-+*/×·÷−]|\\times|\\cdot)[ \t$]*({_NUMBER})"
    rf"[ \t$]*=[ \t$]*({_NUMBER})(?:[ \t$,][^\W\d_]*)*[.\n\[\]:?;\"'<>|&#@`~]?",
    re.ASCII,
)


def numbers(text: str) -> list[str]:
    """Return every number in `text` in order, see `normal_number`; a minus counts where no operand precedes it."""
    return [*map(normal_number, _SIGNED_NUMBER.findall(text))]


@lru_cache(maxsize=65_536)
def normal_number(token: str) -> str:
    """Return a decimal number without separators and superfluous zeros: "1,000.50" is "1000.5", ".5" is "0.5"."""
    token = token.replace(",", "")
    sign = "-" if token.startswith("-") else ""
    whole, _, decimals = token.lstrip("-").partition(".")
    whole, decimals = whole.lstrip("0") or "0", decimals.rstrip("0")
    magnitude = f"{whole}.{decimals}" if decimals else whole
    return magnitude if magnitude == "0" else sign + magnitude


def arithmetic_statements(text: str) -> list[tuple[str, bool]]:
    """Return the statements "a op b = c" found in `text`, each once, in order, with whether it is true.

    A chain "a = b = c" gives one statement per pair of neighbours of which one has an operator. Understood are
    + - * x × · / ÷ ^, parentheses, fractions, percent signs, currency signs, unit words after numbers, and
    calculator annotations <<...>>. Equal within half a unit of the last decimal shown, or one part in 10^9.
    """
    found: dict[str, bool] = {}
    for annotation in _ANNOTATION.finditer(text):
        found.update(_statements(annotation[1]))
    text = _FRACTION.sub(r"((\1)/(\2))", _ANNOTATION.sub("", text))
    for passage in _passages(_BOLD.sub("", text) if "**" in text else text):
        found.update(_statements(passage))
    return list(found.items())


@lru_cache(maxsize=8192)
def _statements(passage: str) -> dict[str, bool]:
    """Scan a passage: rollouts to one question have many in common. Not to be changed by the caller."""
    if (found := _EQUATION.fullmatch(passage)) is None:
        return _Scanner().scan(passage)
    left, sign, right, result = (part.replace(",", "") for part in found.groups())
    sign = _SPELLING.get(sign, sign)
    computed = _SIGNS[sign](float(left), float(right))
    return {f"{left} {sign} {right} = {result}": _close(computed, float(result), _last_decimal([result]))}


_Token = tuple[str, str, bool]
"""Kind, value, and whether it is glued to the token before it."""
_END: _Token = ("end", "", False)


def _tokens(text: str) -> list[_Token]:
    """Tokens without blanks, and `_END`."""
    found, glued = [], False
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind != "skip":
            value = match[0]
            value = value.replace(",", "") if kind == "number" else _SPELLING.get(value, value)
            found.append((kind, value, glued))
        glued = kind != "skip"
    return [*found, _END]


def _passages(text: str) -> Iterator[str]:
    """Cut `text` where every chain ends, at signs or between two words; yield what may hold a statement.

    Both sides of a statement are expressions, so an equals sign stands between the end of one (or its unit) and the
    start of another. Most of a text is told apart by that one search and never read token by token.
    """
    end = 0
    for compared in _COMPARED.finditer(text):
        if compared.end() <= end:
            continue
        begin = _last_break(text, max(end - 1, 0), compared.end())
        following = _BREAK.search(text, compared.end())
        end = len(text) if following is None else following.end()
        yield text[begin:end]


def _last_break(text: str, low: int, high: int) -> int:
    """Where the last break in text[low:high] begins; `low` without one. It is mostly near."""
    for begin in (max(low, high - _USUAL_SIDE), low):
        last = begin
        for sign in _BREAK.finditer(text, begin, high):
            last = sign.start()
        if last > begin or begin == low:
            return last
    return low


class _Scanner:
    """Collects chains "side = side = ..." from tokens; words and other signs end a chain."""

    def __init__(self) -> None:
        self.found: dict[str, bool] = {}
        self._start()

    def scan(self, text: str) -> dict[str, bool]:
        """Read a passage and return its statements; none spans two lines."""
        previous = _END
        for token, following in pairwise(_tokens(text)):
            previous = self._read(previous, token, following)
        self._finish()
        return self.found

    def _start(self) -> None:
        self._sides: list[list[str]] = [[]]
        self._broken = [False]
        self._depth = 0

    def _finish(self) -> None:
        if len(self._sides) > 1:
            self.found.update(_check_chain(self._sides, self._broken))
        self._start()

    def _read(self, previous: _Token, token: _Token, following: _Token) -> _Token:
        """Take one token; returns what the next one is to see as its predecessor."""
        kind, value, glued = token
        if kind in {"number", "operator", "percent"} or kind == "open" or (kind == "close" and self._depth):
            self._depth += (kind == "open") - (kind == "close")
            if value == "-" and previous[0] == "word" and (glued or not following[2]):
                self._broken[-1] = True
            self._sides[-1].append(value)
        elif kind == "word":
            return self._read_word(previous, token, following)
        elif kind == "equals":
            self._sides.append([])
            self._broken.append(False)
        else:
            self._finish()
            self._broken[-1] = following[2] and value in _CONTINUES_A_NAME
        return token

    def _read_word(self, previous: _Token, word: _Token, following: _Token) -> _Token:
        (before, _, _), (_, value, glued), (after, _, glues) = previous, word, following
        after_operand = before in {"number", "close", "percent"}
        if value in {"x", "X"} and after_operand and after in {"number", "open"}:
            self._sides[-1].append("*")
            return "operator", value, glued
        long = len(value) > 2 and not value.startswith("\\")
        if long and after_operand and value.lower() not in _NO_UNITS and after in {"operator", "equals"}:
            return previous
        if glued and (before == "operator" or (after_operand and not long)):
            self._broken[-1] = True
        self._finish()
        self._broken[-1] = glues and after in {"number", "open"}
        return word


def _check_chain(sides: list[list[str]], broken: list[bool]) -> dict[str, bool]:
    values = [None if bad else _value(side) for side, bad in zip(sides, broken, strict=True)]
    found: dict[str, bool] = {}
    for (left, left_values), (right, right_values) in pairwise(zip(sides, values, strict=True)):
        computed = any(token in "+-*/^" for side in (left, right) for token in side[1:])
        if left_values is None or right_values is None or not computed:
            continue
        slack = max(_last_decimal(left), _last_decimal(right))
        found[f"{' '.join(left)} = {' '.join(right)}"] = any(
            _close(a, b, slack) for a in left_values for b in right_values
        )
    return found


def _last_decimal(side: list[str]) -> float:
    """Half a unit of the last decimal of a side that is one rounded number, 0 for others."""
    plain = [token for token in side if token not in {"-", "%"}]
    if len(plain) != 1 or "." not in plain[0]:
        return 0.0
    return 0.5001 * 10.0 ** -min(len(plain[0].partition(".")[2]), 300)


def _close(a: float, b: float, slack: float) -> bool:
    return math.isfinite(a) and math.isfinite(b) and abs(a - b) <= max(slack, 1e-9 * max(abs(a), abs(b)), 1e-12)


def _value(side: list[str]) -> tuple[float, ...] | None:
    """Values a side may have (percent signs read as hundredths, or left out); None if it is no expression."""
    if not side or len(side) > _LONGEST_STATEMENT:
        return None
    readings = [side]
    if "%" in side:
        readings = [[token for token in side if token != "%"], side]
    values = [_evaluated(reading) for reading in readings]
    return tuple(value for value in values if value is not None) or None


def _evaluated(side: list[str]) -> float | None:
    """None for what is no expression, NaN or infinity where it is one without a value."""
    match side:  # most sides need no parser
        case [number] if _is_number(number):
            return float(number)
        case [left, sign, right] if sign in _SIGNS and _is_number(left) and _is_number(right):
            return _SIGNS[sign](float(left), float(right))
    parts: list[str] = []
    for before, token in pairwise(["", *side]):
        if token == "(" and before and before not in _BEFORE_OPERAND:
            parts.append("*")
        parts.append(_IN_PYTHON.get(token) or (token if token in _BEFORE_OPERAND or token == ")" else _literal(token)))
    try:
        return _value_of(syntax_tree(" ".join(parts), "eval").body)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _is_number(token: str) -> bool:
    return token.isascii() and (token[0].isdigit() or token[0] == ".")  # Python knows no other digits in its literals


def _literal(number: str) -> str:
    return number if "." in number else f"{number}."


def _value_of(node: ast.expr) -> float:
    """The value of a syntax tree; ValueError for what is no arithmetic."""
    match node:
        case ast.Constant(float() as value):
            return value
        case ast.BinOp(left, sign, right):
            return _BINARY[type(sign)](_value_of(left), _value_of(right))
        case ast.UnaryOp(ast.USub(), operand):
            return -_value_of(operand)
        case ast.Subscript(operand):
            return _value_of(operand) / 100
    raise ValueError(ast.dump(node))


def _power(base: float, exponent: float) -> float:
    try:
        value = base**exponent
    except (OverflowError, ZeroDivisionError):
        return math.nan
    return value if isinstance(value, float) else math.nan


def _quotient(left: float, right: float) -> float:
    return left / right if right else math.nan


_SIGNS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _quotient,
    "^": _power,
}
_BINARY = dict(zip((ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow), _SIGNS.values(), strict=True))
