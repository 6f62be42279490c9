r"""Values of plain algebra in LaTeX, without math-verify: numbers, letters, i, + - * / ^, \frac, \sqrt, \pi, brackets.

This takes microseconds where a full grammar takes milliseconds. What is doubtful is left to `process`.
"""

from __future__ import annotations

import hashlib
import re
from decimal import Context, Decimal, DecimalException, DivisionByZero, InvalidOperation, Overflow
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

DIGITS = 60
_SCALES = (1, -1, 31, -31)
POINTS = len(_SCALES)
_CONTEXT = Context(prec=DIGITS, traps=[InvalidOperation, DivisionByZero, Overflow])
_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")
_TOKEN = re.compile(r"(\d+(?:\.\d+)?|\.\d+)|(\\[a-zA-Z]+)|\s+|([\s\S])")
_TIMES = frozenset({"*", "\\cdot", "\\times"})
_OVER = frozenset({"/", "\\div"})
_STARTS_FACTOR = frozenset({"(", "\\frac", "\\sqrt", "\\pi"})
_LARGEST_POWER = 1000
_CLOSING = {"(": ")", "{": "}", "[": "]"}
_DEEPEST = 40


class Values(NamedTuple):
    """Sorted free symbols of an expression, and its (real, imaginary) values: of a constant one, else one a point."""

    symbols: tuple[str, ...]
    values: tuple[tuple[Decimal, Decimal], ...]


class NoValueError(Exception):
    """The expression is too large to have a value."""


class _UnknownError(Exception):
    """The expression is not plain algebra."""


@lru_cache(maxsize=4096)
def sample_point(symbol: str, point: int) -> Fraction:
    """Return a fixed number for a symbol: in [1/2, 3/2) for point 0; below zero or far out for the others."""
    digest = hashlib.sha256(f"{point}:{symbol}".encode("utf-8", "replace")).digest()
    return _SCALES[point] * (Fraction(int.from_bytes(digest[:6], "big"), 1 << 48) + Fraction(1, 2))


def algebra_values(expression: str) -> Values | None:
    """Return the values of plain algebra, None for anything else; `NoValueError` beyond 10^999999."""
    tokens = [match[0] for match in _TOKEN.finditer(expression) if not match[0].isspace()]
    symbols = sorted({token for token in tokens if len(token) == 1 and token.isalpha()} - {"i"})
    if any(not symbol.isascii() or symbol in "eEI" for symbol in symbols):
        return None
    values = []
    for point in range(POINTS if symbols else 1):
        try:
            values.append(_Reader(tokens, point).whole())
        except Overflow as error:
            raise NoValueError(expression) from error
        except (_UnknownError, DecimalException):
            return None
    return Values(tuple(symbols), tuple(values))


class _Complex(NamedTuple):
    real: Decimal
    imaginary: Decimal = Decimal(0)

    def plus(self, other: _Complex) -> _Complex:
        return _Complex(_CONTEXT.add(self.real, other.real), _CONTEXT.add(self.imaginary, other.imaginary))

    def negated(self) -> _Complex:
        return _Complex(_CONTEXT.minus(self.real), _CONTEXT.minus(self.imaginary))

    def times(self, other: _Complex) -> _Complex:
        if not self.imaginary and not other.imaginary:
            return _Complex(_CONTEXT.multiply(self.real, other.real))
        products = [_CONTEXT.multiply(a, b) for a in self for b in other]
        return _Complex(_CONTEXT.subtract(products[0], products[3]), _CONTEXT.add(products[1], products[2]))

    def over(self, other: _Complex) -> _Complex:
        if not other.imaginary:
            return _Complex(*(_CONTEXT.divide(part, other.real) for part in self))
        size = _CONTEXT.add(_CONTEXT.multiply(other.real, other.real), _CONTEXT.multiply(*[other.imaginary] * 2))
        return self.times(_Complex(other.real, _CONTEXT.minus(other.imaginary))).over(_Complex(size))

    def to(self, exponent: _Complex) -> _Complex:
        if not self.imaginary and not exponent.imaginary:
            return _Complex(_CONTEXT.power(self.real, exponent.real))
        times = exponent.real
        if exponent.imaginary or times != times.to_integral_value() or abs(times) > _LARGEST_POWER:
            raise _UnknownError
        value = _Complex(Decimal(1))
        for _ in range(abs(int(times))):
            value = value.times(self)
        return value if times >= 0 else _Complex(Decimal(1)).over(value)


class _Reader:
    """Recursive descent over tokens, evaluating at one sample point on the way."""

    def __init__(self, tokens: list[str], point: int) -> None:
        self._tokens = [*tokens, ""]
        self._point = point
        self._position = 0
        self._depth = 0

    def whole(self) -> tuple[Decimal, Decimal]:
        value = self._sum()
        if self._next():
            raise _UnknownError
        return value.real, value.imaginary

    def _next(self) -> str:
        return self._tokens[self._position]

    def _take(self) -> str:
        token = self._tokens[self._position]
        self._position += 1
        return token

    def _sum(self) -> _Complex:
        value = self._product()
        while self._next() in {"+", "-"}:
            minus = self._take() == "-"
            term = self._product()
            value = value.plus(term.negated() if minus else term)
        return value

    def _product(self) -> _Complex:
        begin = self._position
        value = self._signed()
        divided = False
        while True:
            token = self._next()
            if token in _TIMES:
                self._take()
                value = value.times(self._signed())
            elif token in _OVER:
                self._take()
                value = value.over(self._signed())
                # 2/3x is two thirds of x; a/bx may be meant either way.
                divided = divided or not self._is_ratio(begin)
            elif token in _STARTS_FACTOR or (len(token) == 1 and token.isalpha()):
                if divided:
                    raise _UnknownError
                value = value.times(self._power())
            else:
                return value

    def _is_ratio(self, begin: int) -> bool:
        read = [token for token in self._tokens[begin : self._position] if token not in "+-"]
        return len(read) == 3 and read[0].isdigit() and read[2].isdigit()

    def _signed(self) -> _Complex:
        if self._next() in {"+", "-"}:
            sign = self._take()
            if self._next() in {"+", "-"}:
                raise _UnknownError
            value = self._power()
            return value if sign == "+" else value.negated()
        return self._power()

    def _power(self) -> _Complex:
        base = self._atom()
        if self._next() != "^":
            return base
        self._take()
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _UnknownError
        exponent = self._power() if self._next() != "-" else self._signed()
        self._depth -= 1
        return base.to(exponent)

    def _atom(self) -> _Complex:
        token = self._take()
        if token[:1].isdigit() or (token[:1] == "." and len(token) > 1):
            return _Complex(_CONTEXT.create_decimal(token))
        if token in _CLOSING and token != "[":
            return self._group(token)
        if token == "\\pi":
            return _Complex(_PI)
        if token == "\\frac":
            return self._braced().over(self._braced())
        if token == "\\sqrt":
            return self._root()
        if len(token) == 1 and token.isalpha():
            return self._symbol(token)
        raise _UnknownError

    def _symbol(self, name: str) -> _Complex:
        if name == "i":
            return _Complex(Decimal(0), Decimal(1))
        if name in "fghFGHPQ" and self._next() == "(":
            raise _UnknownError
        value = sample_point(name, self._point)
        return _Complex(_CONTEXT.divide(Decimal(value.numerator), Decimal(value.denominator)))

    def _root(self) -> _Complex:
        degree = _Complex(Decimal(2))
        if self._next() == "[":
            degree = self._group(self._take())
        radicand = self._braced()
        if radicand.imaginary or degree.imaginary:
            raise _UnknownError
        if degree.real != 2:
            return _Complex(_CONTEXT.power(radicand.real, _CONTEXT.divide(Decimal(1), degree.real)))
        if radicand.real < 0:
            return _Complex(Decimal(0), _CONTEXT.sqrt(_CONTEXT.minus(radicand.real)))
        return _Complex(_CONTEXT.sqrt(radicand.real))

    def _braced(self) -> _Complex:
        if self._next() != "{":
            raise _UnknownError
        return self._group(self._take())

    def _group(self, opening: str) -> _Complex:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _UnknownError
        value = self._sum()
        if self._take() != _CLOSING[opening]:
            raise _UnknownError
        self._depth -= 1
        return value
