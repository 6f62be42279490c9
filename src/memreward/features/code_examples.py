"""Examples that a code prompt shows: calls of its function, and what the prompt says that they return. Nothing is run.

Read are assertions and doctests, which are Python; calls in prose with what follows them ("f(2) => 4", "f(2) should
return 4"); and values by name or alone ("For n = 2 the output should be 4", "Input: n = 2 / Output: 4").
"""

import ast
import builtins
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from keyword import iskeyword
from typing import Any, NamedTuple

from memreward.domains.code.parse import syntax_tree

MOST_EXAMPLES = 16
_CALLS_TRIED = 256
_LONGEST_CALL = 2000
_LONGEST_LINES = 24
_SEPARATOR = re.compile(
    r"[ \t`'\"]*"
    r"(?:(?:\#[ \t]*)?(?P<arrow>=+>|==|➞|→|-+>)"
    r"|(?:\#[ \t]*)?(?:=|:)"
    r"|(?:\#[ \t]*)?(?:should[ \t]+)?(?:returns?|be|equals?|is|gives?)(?:[ \t]+equal[ \t]+to)?\b"
    r"|\n[ \t]*(?![ \t]*>>>))"
    r"[ \t`]*"
)
_REACHED = re.compile(r"[-+*/().\d \t]{0,60}\d[ \t]*[-+*/][-+*/().\d \t]{0,60}=[ \t]*(?=-?\d)")
"""Working in front of a value: 1 + 9 = 10."""
_WORKING = re.compile(r"-?[\d.]+[ \t]*[-+*/%][-+*/% \t(]*\d")
_ENDS = re.compile(r"[,.;`#\s]|$")
_ENDS_TRIED = 12
_PYTHON = re.compile(r"^[ \t]*(?:>>>|assert\b)[ \t]*", re.MULTILINE)
_GIVEN = re.compile(r"\b(?:[Ff]or|[Ii]nputs?|INPUT|[Gg]iven)\b[ \t]*:?\s*")
_BOUND = re.compile(r"(\w+)[ \t]*[=:][ \t]*")
_BETWEEN = re.compile(r"[ \t]*(?:,?[ \t]*\band\b|[,;]|\n)\s*")
_RESULT = re.compile(
    r"\b(?:output|outcome|result|answer|returns?)\b(?:[^\n=:\"'\[({]{0,40}?(?:\bbe\b|\bis\b|[=:]))?\s*", re.IGNORECASE
)
_TRUTH = "bool(_)"
Args = tuple[Any, ...]


@dataclass(frozen=True)
class Example:
    """Arguments of a call that a prompt shows, and what the prompt says it returns, where it says so as a literal."""

    args: Args
    expected: Any = None
    has_expected: bool = False


class _Shown(NamedTuple):
    """An example, and what the prompt does with the returned value before it compares: "" or e.g. "set(_)"."""

    example: Example
    through: str = ""


def examples_of(prompt: str, name: str, parameters: Sequence[str]) -> tuple[tuple[Example, ...], str]:
    """Return the examples of the function `name`, at most `MOST_EXAMPLES`, and through what its value is compared.

    That is the same for all examples, "" mostly, or an expression of the value `_`: "set(_)", "round(_, 2)".
    """
    shown = list(islice(_shown(prompt, name), 4 * MOST_EXAMPLES))
    told = Counter(one.through for one in shown if one.example.has_expected)
    if not told and parameters:
        named = [_Shown(one) for one in _by_name(prompt, parameters)] or [
            _Shown(one) for one in _of_another_name(prompt, name, len(parameters))
        ]
        shown, told = [*shown, *named], Counter([""] * len(named))
    through = told.most_common(1)[0][0] if told else ""
    if {"", _TRUTH} <= told.keys():  # beside others that ask for a value, truth is True
        through, shown = "", [one._replace(through="") if one.through == _TRUTH else one for one in shown]
    kept = (one.example if one.through == through else replace(one.example, has_expected=False) for one in shown)
    return tuple(_distinct(kept)[:MOST_EXAMPLES]), through


def _shown(prompt: str, name: str) -> Iterator[_Shown]:
    """Every call of `name` in the prompt whose arguments are literals, with what the prompt says of its value."""
    read_until = 0
    for match in islice(re.finditer(rf"(?<![\w.]){re.escape(name)}[ \t]?\(", prompt), _CALLS_TRIED):
        if match.start() < read_until:
            continue
        line = prompt.rfind("\n", 0, match.start()) + 1
        before = prompt[line : match.start()]
        if re.search(r"\b(?:def|class)\s+$", before):
            continue
        python = _PYTHON.match(prompt, line)
        if python is not None and python.end() <= match.start():
            found = _in_python(prompt, python, name)
            if found is not None:
                one, read_until = found
                yield one
                continue
        call = _call_at(prompt, match.start())
        if call is not None:
            yield _Shown(_with_expected(call[0], prompt[call[1] :], asserted="assert" in before))


def _in_python(prompt: str, begin: re.Match[str], name: str) -> tuple[_Shown, int] | None:
    """The example in an assertion or a doctest, and where it ends; None where it is none that is understood."""
    asserted = "assert" in begin[0]
    lines = prompt[begin.end() :].split("\n")
    for count in range(1, min(len(lines), _LONGEST_LINES) + 1):
        if count > 1 and _PYTHON.match(lines[count - 1]):
            return None
        piece = "\n".join(lines[:count])
        try:
            test = syntax_tree(piece.strip(), "eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue
        end = begin.end() + len(piece)
        shown = _asserted(test, name) if asserted else _printed(_called(test, name), prompt, end + 1)
        return None if shown is None else (shown, end)
    return None


def _printed(shown: _Shown | None, prompt: str, place: int) -> _Shown | None:
    """The example of a doctest, whose value stands in the line that begins at `place`, if it is a literal."""
    expected = None if _PYTHON.match(prompt, place) else _literal_at(prompt[place:].lstrip(" \t"))
    return shown if expected is None else _told(shown, expected[0])


def _asserted(test: ast.expr, name: str) -> _Shown | None:
    """What an assertion says: f(x), not f(x), f(x) == y, set(f(x)) == {y}, isclose(f(x), y)."""
    if isinstance(test, ast.Tuple) and test.elts:  # assert test, message
        test = test.elts[0]
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return _truth(_called(test.operand, name), expected=False)
    if isinstance(test, ast.Call) and _called_name(test.func) == "isclose" and len(test.args) == 2:
        return _close(test, name)
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq | ast.Is):
        value = _value_of(test.comparators[0])
        shown = _called(test.left, name)
        return shown if value is None else _told(shown, value[0])
    return _truth(_called(test, name), expected=True)


def _truth(shown: _Shown | None, *, expected: bool) -> _Shown | None:
    """An example that asks for truth, not for True."""
    return _told(shown and shown._replace(through=f"bool({shown.through or '_'})"), expected)


def _close(test: ast.Call, name: str) -> _Shown | None:
    """Nearness as equality of so many digits."""
    shown, value = _called(test.args[0], name), _value_of(test.args[1])
    given = {word.arg: _value_of(word.value) for word in test.keywords}
    absolute = given.get("abs_tol")
    (tolerance,) = absolute or given.get("rel_tol") or (1e-9,)
    if shown is None or shown.through or value is None or not isinstance(tolerance, float):
        return shown
    digits = sum(tolerance < 10.0**-places for places in range(1, 9))
    form = f".{digits}f" if absolute else f".{digits + 1}g"
    try:
        return _Shown(Example(shown.example.args, float(format(value[0], form)), True), f"float(f'{{_:{form}}}')")
    except (ValueError, TypeError, OverflowError):
        return shown


def _told(shown: _Shown | None, expected: Any) -> _Shown | None:
    return None if shown is None else shown._replace(example=Example(shown.example.args, expected, has_expected=True))


def _called(node: ast.expr, name: str) -> _Shown | None:
    """The call of `name` with literals, and what is done with its value: f(1) or, say, set(f(1)), round(f(1), 2)."""
    if not isinstance(node, ast.Call) or node.keywords or not node.args:
        return None
    if _called_name(node.func) == name:
        args = [_literal(argument) for argument in node.args]
        return _Shown(Example(tuple(one[0] for one in args if one))) if all(args) else None
    if _called_name(node.func) not in _PURE or not isinstance(node.func, ast.Name):
        return None
    inner, more = _called(node.args[0], name), [_literal(argument) for argument in node.args[1:]]
    if inner is None or not all(more):
        return None
    written = ", ".join([inner.through or "_", *(repr(one[0]) for one in more if one)])
    return inner._replace(through=f"{node.func.id}({written})")


def _called_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _literal(node: ast.expr) -> tuple[Any] | None:
    try:
        return (ast.literal_eval(node),)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


_PURE: dict[str, Callable[..., Any]] = {
    kind.__name__: kind
    for kind in (set, frozenset, sorted, list, tuple, dict, len, sum, abs, round, min, max, str, int, float, bool)
}
"""What may stand around a call, and around the value that it is compared with."""


def _value_of(node: ast.expr) -> tuple[Any] | None:
    """A literal, or one that built-in functions make something of: set([1, 2])."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _PURE):
        return _literal(node)
    args = [_value_of(argument) for argument in node.args]
    if node.keywords or not all(args):
        return None
    try:
        return (_PURE[node.func.id](*(one[0] for one in args if one)),)
    except (ValueError, TypeError, OverflowError, MemoryError):
        return None


def _by_name(prompt: str, parameters: Sequence[str]) -> Iterator[Example]:
    """Values for the parameters, by name or alone in their order, and the result that is said behind them."""
    for match in _GIVEN.finditer(prompt):
        bound = _values_at(prompt, match.end(), parameters)
        if bound is None:
            continue
        args, end = bound
        following = _GIVEN.search(prompt, end)
        result = _RESULT.search(prompt, end, following.start() if following else len(prompt))
        found = _literal_at(prompt[result.end() :]) if result else None
        if found is not None:
            yield Example(args, found[0], has_expected=True)


def _values_at(text: str, start: int, parameters: Sequence[str]) -> tuple[Args, int] | None:
    """One value for each parameter, and where they end."""
    names, values, end = list[str](), list[Any](), start
    while len(values) < len(parameters):
        if values:
            between = _BETWEEN.match(text, end)
            if between is None:
                return None
            end = between.end()
        bound = _BOUND.match(text, end)
        found = _whole_literal(text, bound.end() if bound else end)
        if found is None:
            return None
        names.append(bound[1] if bound else "")
        values.append(found[0])
        end = found[1]
    more = _BETWEEN.match(text, end)
    another = more and not _RESULT.match(text, more.end()) and _BOUND.match(text, more.end())
    if another and _whole_literal(text, another.end()):
        return None
    if sorted(names) == sorted(parameters):
        values = [values[names.index(parameter)] for parameter in parameters]
    return tuple(values), end


def _whole_literal(text: str, start: int) -> tuple[Any, int] | None:
    """The first whole literal from `start`, and where it ends: a string, a number, or what brackets hold."""
    if text[start : start + 1] in ("[", "(", "{"):
        ends = (m.end() for m in re.compile(r"[)\]}]").finditer(text, start, start + _LONGEST_CALL))
    elif text[start : start + 1] in ("'", '"'):
        ends = (m.end() for m in re.compile(re.escape(text[start])).finditer(text, start + 1, start + _LONGEST_CALL))
    else:
        ends = (
            m.end()
            for m in re.compile(r"-?[\d.]*\d|True|False|None").finditer(text, start, start + 40)
            if m.start() == start
        )
    for end in islice(ends, 4 * _ENDS_TRIED):
        value = _parsed(text[start:end])
        if value is not None:
            return value[0], end
    return None


def _of_another_name(prompt: str, name: str, count: int) -> Iterator[Example]:
    """Calls with an arrow behind them whose name is a slip: as many arguments, and a name that nothing defines."""
    for match in re.finditer(r"(?<![\w.])([^\W\d]\w*)\(", prompt):
        known = match[1] == name or iskeyword(match[1]) or hasattr(builtins, match[1])
        if known or re.search(rf"\bdef {match[1]}\b", prompt):
            continue
        call = _call_at(prompt, match.start())
        if call is None or len(call[0]) != count:
            continue
        separator = _SEPARATOR.match(prompt, call[1])
        if separator is not None and separator["arrow"]:
            yield _with_expected(call[0], prompt[call[1] :], asserted=False)


def _call_at(text: str, start: int) -> tuple[Args, int] | None:
    """Arguments of the call that starts there, and where it ends; None if they are no literals."""
    depth = 0
    for end in range(start, min(start + _LONGEST_CALL, len(text))):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if text[end] != ")" or depth > 0:
            continue
        try:
            call = syntax_tree(text[start : end + 1].strip(), "eval").body
            if not isinstance(call, ast.Call) or call.keywords:
                return None
            return tuple(ast.literal_eval(argument) for argument in call.args), end + 1
        except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
            if depth < 0:
                return None
    return None


def _with_expected(args: Args, after: str, *, asserted: bool) -> Example:
    if asserted and not after.partition("\n")[0].strip():
        return Example(args, True, has_expected=True)
    separator = _SEPARATOR.match(after)
    if separator is None:
        return Example(args)
    reached = _REACHED.match(after, separator.end())
    found = (
        None
        if reached is None and _WORKING.match(after, separator.end())
        else _literal_at(after[(reached or separator).end() :])
    )
    return Example(args) if found is None else Example(args, found[0], has_expected=True)


def _literal_at(text: str) -> tuple[Any] | None:
    """The longest literal that the text begins with, within its line or brackets."""
    line = text.partition("\n")[0]
    ends = [len(line)] + [match.start() for match in _ENDS.finditer(line)]
    if text[:1] in "([{":
        ends += [match.end() for match in re.finditer(r"[)\]}]", text[:_LONGEST_CALL])]
    for end in sorted(set(ends), reverse=True)[-_ENDS_TRIED * 4 :]:
        piece = text[:end].strip().rstrip(".,;")
        value = _parsed({"true": "True", "false": "False"}.get(piece, piece)) if piece else None
        if value is not None:
            return value
    return None


def _parsed(piece: str) -> tuple[Any] | None:
    try:
        return (ast.literal_eval(syntax_tree(piece, "eval")),)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return None


def _distinct(examples: Iterator[Example]) -> list[Example]:
    """One example for each arguments; one that says what is expected goes before one that does not."""
    kept: dict[str, Example] = {}
    for example in examples:
        try:
            key = repr(example.args)
        except ValueError:  # a number of thousands of digits
            continue
        if key not in kept or (example.has_expected and not kept[key].has_expected):
            kept[key] = example
    return list(kept.values())
