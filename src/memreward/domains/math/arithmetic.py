"""Numbers and arithmetic statements in running text, for evidence. Linear in the length of the text; no `eval`."""

import math
import operator
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise

_NUMBER = r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
# `_NUMBER` with a minus that no operand precedes, written so that a search stops at few characters.
_SIGNED_NUMBER = re.compile(
    rf"[-\d.](?:(?<=-)(?<![\w.)\]}}]-)(?:{_NUMBER})"
    r"|(?<=\d)(?:\d{0,2}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d*(?:\.\d+)?)"
    r"|(?<=\.)\d+)"
)
_SKIP = r"(?:[ \t$,]|\\[ ,;!()$])*"
_TOKEN = re.compile(
    rf"{_SKIP}+(?:(?P<number>{_NUMBER})"
    r"|(?P<operator>\*\*|\\times(?![a-zA-Z])|\\cdot(?![a-zA-Z])|\\div(?![a-zA-Z])|[-+*/^×·÷−])"
    r"|(?P<equals>\\approx(?![a-zA-Z])|==|[=≈])"
    r"|(?P<open>[({])|(?P<close>[)}])|(?P<percent>\\?%)|(?P<word>\\?[^\W\d_]+)"
    r"|(?P<other>[\s\S])|(?P<end>\Z))"
)
_ANNOTATION = re.compile(r"<<([^<>\n]{1,200})>>")
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]{1,60})\}\{([^{}]{1,60})\}")
_BOLD = re.compile(r"\*\*(?:(?<![\d)]\*\*)|(?![\d(]))")
_SPELLING = {"×": "*", "·": "*", "\\times": "*", "\\cdot": "*", "÷": "/", "\\div": "/", "−": "-", "**": "^"}
_SPELLING |= {"{": "(", "}": ")", "\\%": "%"}
_NO_UNITS = frozenset({"and", "or", "mod", "times", "plus", "minus", "sin", "cos", "tan", "log", "sqrt", "frac"})
_IN_SIDES = frozenset({"number", "operator", "open", "percent"})
_OPERAND_BEGINS, _OPERAND_ENDS = frozenset({"number", "open"}), frozenset({"number", "close", "percent"})
_CONTINUES_A_NAME = frozenset("_!|'[")
_LONGEST_STATEMENT = 200
_BREAK = re.compile(r"[\n\[\]:?\"'<>|&#@_`~]|(?<!\\)[;!]|\.(?!\d)|[^\W\d_][ \t$,]+[^\W\d_]+")
_USUAL_SIDE = 50
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


@lru_cache(maxsize=8_192)
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
    for passage in _passages(_BOLD.sub("", text)):
        found.update(_statements(passage))
    return list(found.items())


@lru_cache(maxsize=8192)
def _statements(passage: str) -> dict[str, bool]:
    """Scan a passage: rollouts to one question have many in common. Not to be changed by the caller."""
    if (found := _EQUATION.fullmatch(passage)) is None:
        return _scan(passage)
    left, sign, right, result = (part.replace(",", "") for part in found.groups())
    sign = _SPELLING.get(sign, sign)
    computed = _SIGNS[sign](float(left), float(right))
    return {f"{left} {sign} {right} = {result}": _close(computed, float(result), _last_decimal([result]))}


_Token = tuple[str, str, bool]
"""Kind, value, and whether it is glued to the token before it."""
_END: _Token = ("end", "", False)


def _tokens(text: str) -> list[_Token]:
    """Tokens without blanks, and one of kind "end"."""
    found = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        value = match[kind]
        glued = match.end() - match.start() == len(value) and match.start() > 0
        if kind == "number":
            value = value.replace(",", "")
        elif kind != "word":
            value = _SPELLING.get(value, value)
        found.append((kind, value, glued))
    return found


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


def _scan(passage: str) -> dict[str, bool]:
    """Collect the chains "side = side = ..." of a passage, which words and other signs end; return their statements."""
    found: dict[str, bool] = {}
    chain = _Chain()
    previous = _END
    for token, following in pairwise(_tokens(passage)):
        kind, value, glued = token
        if kind in _IN_SIDES or (kind == "close" and chain.depth):
            if value == "-" and previous[0] == "word" and (glued or not following[2]):
                chain.broken[-1] = True
            chain.take(kind, value)
        elif kind == "equals":
            chain.sides.append([])
            chain.broken.append(False)
        elif kind != "word":
            chain = chain.ended(found, broken=following[2] and value in _CONTINUES_A_NAME)
        else:
            after_operand = previous[0] in _OPERAND_ENDS
            after = following[0]
            long = len(value) > 2 and not value.startswith("\\")
            if after_operand and value in {"x", "X"} and after in _OPERAND_BEGINS:
                chain.take("operator", "*")
                token = "operator", value, glued
            elif after_operand and long and after in {"operator", "equals"} and value.lower() not in _NO_UNITS:
                continue  # what follows the unit of a number sees the number
            else:
                if glued and (previous[0] == "operator" or (after_operand and not long)):
                    chain.broken[-1] = True
                chain = chain.ended(found, broken=following[2] and after in _OPERAND_BEGINS)
        previous = token
    chain.ended(found, broken=False)
    return found


class _Chain:
    """Sides so far, whether each is cut off from a name before or behind it, and how many brackets are open."""

    __slots__ = ("broken", "depth", "sides")

    def __init__(self, *, broken: bool = False) -> None:
        self.sides: list[list[str]] = [[]]
        self.broken = [broken]
        self.depth = 0

    def take(self, kind: str, value: str) -> None:
        self.depth += (kind == "open") - (kind == "close")
        self.sides[-1].append(value)

    def ended(self, found: dict[str, bool], *, broken: bool) -> "_Chain":
        """Add the chain's statements to those found; return the next chain."""
        if len(self.sides) > 1:
            found.update(_check_chain(self.sides, self.broken))
        return _Chain(broken=broken)


def _check_chain(sides: list[list[str]], broken: list[bool]) -> dict[str, bool]:
    computed = [not _SIGNS.keys().isdisjoint(side[1:]) for side in sides]
    wanted = [not broken[place] and any(computed[max(place - 1, 0) : place + 2]) for place in range(len(sides))]
    values = [_value(side) if looked else None for side, looked in zip(sides, wanted, strict=True)]
    found: dict[str, bool] = {}
    for place, (left, right) in enumerate(pairwise(sides)):
        left_values, right_values = values[place], values[place + 1]
        if left_values is None or right_values is None or not (computed[place] or computed[place + 1]):
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
    try:
        value, end = _expression(side, 0, 1)
    except (IndexError, ValueError, RecursionError):
        return None
    return value if end == len(side) else None


def _expression(side: list[str], place: int, least: int) -> tuple[float, int]:
    """Read an expression whose signs bind at least so tightly; returns its value and where it ends."""
    token = side[place]
    if token == "-":
        value, place = _expression(side, place + 1, _BINDS["^"])
        value = -value
    elif token == "(":
        value, place = _expression(side, place + 1, 1)
        if side[place] != ")":
            raise ValueError(side[place])
        place += 1
    else:
        value, place = _number(token), place + 1
    while place < len(side):
        sign = side[place]
        if sign == "%":  # binds most tightly, as an exponent's too: it always follows what was read last
            value, place = value / 100, place + 1
            continue
        times = sign == "("  # two factors side by side
        sign = "*" if times else sign
        binds = _BINDS.get(sign, 0)
        if binds < least:
            break
        right, place = _expression(side, place + (not times), binds + (sign != "^"))
        value = _SIGNS[sign](value, right)
    return value, place


def _number(token: str) -> float:
    if not token.isascii():  # float reads the digits of other scripts too
        raise ValueError(token)
    return float(token)


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
_BINDS = {"+": 1, "-": 1, "*": 2, "/": 2, "^": 3}
