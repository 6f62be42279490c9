"""Inputs to try solutions on: the examples of a code prompt, and more of their kind. Nothing is run."""

import ast
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, product
from typing import Any

from memreward.domains.code.parse import entry_point, functions_of, prompt_tree, syntax_tree
from memreward.types import content_hash

MOST_EXAMPLES = 16
GENERATED = 12
"""Inputs made beside the examples; twice as many changed no figure on the rollouts of the readme."""
GUESSED = 40
"""Inputs made for a function without examples and types."""

_LONGEST_CALL = 2000
_SEPARATOR = re.compile(
    r"[ \t`'\"]*"
    r"(?:(?:\#[ \t]*)?(?:=+>|==|➞|→|-+>|=|:)"
    r"|(?:\#[ \t]*)?(?:should[ \t]+)?(?:returns?|be|equals?|is|gives?)(?:[ \t]+equal[ \t]+to)?\b"
    r"|\n[ \t]*(?![ \t]*>>>))"
    r"[ \t`]*"
)
_ENDS = re.compile(r"[,.;`#\s]|$")
_ENDS_TRIED = 12
_LETTERS = "abcdefghijABCDE 0123"

Args = tuple[Any, ...]


@dataclass(frozen=True)
class Example:
    """Arguments of a call that a prompt shows, and what the prompt says it returns, where it says so as a literal."""

    args: Args
    expected: Any = None
    has_expected: bool = False


@dataclass(frozen=True)
class CodeInputs:
    """What solutions of a query are tried on: calls of a function that stand in the prompt, and further arguments."""

    name: str
    examples: tuple[Example, ...]
    generated: tuple[Args, ...]

    @property
    def all(self) -> list[Args]:
        return [*(example.args for example in self.examples), *self.generated]


@lru_cache(maxsize=1024)
def code_inputs(prompt: str) -> CodeInputs | None:
    """Return inputs for the function that a prompt asks for; None where the prompt neither calls nor heads one.

    Without examples and types, values of many types are tried. The same prompt gives the same inputs on every machine.
    """
    name = entry_point(prompt)
    if name is None:
        return None
    examples = tuple(_distinct(_examples(prompt, name)))[:MOST_EXAMPLES]
    rng = random.Random(content_hash(prompt))
    if examples:
        seeds = [example.args for example in examples]
        return CodeInputs(name, examples, tuple(islice(_generated(seeds, rng), GENERATED)))
    parameters = _parameters(prompt, name)
    typed = [None if p.annotation is None else _of_type(p.annotation) for p in parameters]
    known = [values for values in typed if values is not None]
    if not parameters:
        return None
    if len(known) == len(typed):
        seeds = [tuple(column[i % len(column)] for column in known) for i in range(max(map(len, known)))]
        return CodeInputs(name, (), (*seeds, *islice(_generated(seeds, rng), GENERATED)))
    return CodeInputs(name, (), tuple(_of_many_types(typed, rng)))


def _examples(prompt: str, name: str) -> Iterator[Example]:
    """Every call of `name` in the prompt whose arguments are literals, with what the prompt says of its value."""
    for match in re.finditer(rf"(?<![\w.]){re.escape(name)}[ \t]?\(", prompt):
        before = prompt[: match.start()].rpartition("\n")[2]
        if re.search(r"\b(?:def|class)\s+$", before):
            continue
        call = _call_at(prompt, match.start())
        if call is None:
            continue
        args, end = call
        if re.fullmatch(r"[ \t]*assert[ \t]+not[ \t]+", before):
            yield Example(args, False, has_expected=True)
            continue
        yield _with_expected(args, prompt[end:], asserted="assert" in before)


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
    found = _literal_at(after[separator.end() :])
    return Example(args) if found is None else Example(args, found[0], has_expected=True)


def _literal_at(text: str) -> tuple[Any] | None:
    """The longest literal that the text begins with, within its line or brackets."""
    line = text.partition("\n")[0]
    ends = [len(line)] + [match.start() for match in _ENDS.finditer(line)]
    if text[:1] in "([{":
        ends += [match.end() for match in re.finditer(r"[)\]}]", text[:_LONGEST_CALL])]
    for end in sorted(set(ends), reverse=True)[-_ENDS_TRIED * 4 :]:
        piece = text[:end].strip().rstrip(".,;")
        if not piece:
            continue
        try:
            tree = syntax_tree({"true": "True", "false": "False"}.get(piece, piece), "eval")
            return (ast.literal_eval(tree),)
        except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
            continue
    return None


def _distinct(examples: Iterator[Example]) -> list[Example]:
    """One example for each arguments; one that says what is expected goes before one that does not."""
    kept: dict[str, Example] = {}
    for example in examples:
        key = repr(example.args)
        if key not in kept or (example.has_expected and not kept[key].has_expected):
            kept[key] = example
    return list(kept.values())


def _parameters(prompt: str, name: str) -> list[ast.arg]:
    heads = [head for head in functions_of(prompt_tree(prompt), name) if isinstance(head, ast.FunctionDef)]
    if not heads:
        return []
    parameters = [*heads[-1].args.posonlyargs, *heads[-1].args.args]
    return parameters[: len(parameters) - len(heads[-1].args.defaults)]


def _of_many_types(typed: Sequence[list[Any] | None], rng: random.Random) -> list[Args]:
    """Combinations of values: every type for one parameter, every pair of types for more, at most `GUESSED`."""
    kinds = [list(_BANK.values()) if values is None else [values] for values in typed]
    combinations = list(product(*kinds))
    rng.shuffle(combinations)
    rounds = max(len(values) for choices in kinds for values in choices)
    made = (tuple(values[turn % len(values)] for values in kind) for turn in range(rounds) for kind in combinations)
    return list({repr(args): args for args in islice(made, GUESSED)}.values())


_BANK: dict[str, list[Any]] = {
    "int": [3, 10, 0, 7, 24],
    "str": ["abc", "Hello World", "", "abcba", "3 apples and 5"],
    "ints": [[1, 2, 3], [4, 1, -3, 2, 2], [], [5, 8, 7, 10], [0, 0, 1]],
    "strs": [["a", "bc", "Def"], [], ["name", "of", "string"], ["1", "234", "11"]],
    "float": [1.5, -2.25, 3.0],
    "lists": [[[1, 2], [3, 4]], [[0, 0, 1], [1, 1, 1]]],
    "dict": [{"a": "b"}, {}, {"Name": "x", "age": "y"}],
}
_BASIC: dict[str, list[Any]] = {
    "int": [3, 0, 10],
    "float": [1.5, 0.0, -2.25],
    "str": ["abc", "", "Hello World"],
    "bool": [True, False],
    "list": [[1, 2, 3], []],
    "dict": [{"a": 1}],
    "tuple": [(1, 2)],
    "set": [{1, 2}],
}


def _of_type(annotation: ast.expr) -> list[Any] | None:
    """Values of an annotated type, or None where it is not known."""
    text = ast.unparse(annotation).removeprefix("typing.")
    if text.lower() in _BASIC:
        return _BASIC[text.lower()]
    if text == "Any":
        return [1, "a", [1]]
    if not isinstance(annotation, ast.Subscript):
        return None
    outer = ast.unparse(annotation.value).removeprefix("typing.").lower()
    inner = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
    parts = [_of_type(part) for part in inner]
    if any(part is None for part in parts) or not parts:
        return None
    known = [part for part in parts if part is not None]
    if outer in ("list", "sequence", "iterable"):
        return [known[0][:3], [], known[0][:1] * 2]
    if outer == "tuple":
        return [tuple(part[0] for part in known)]
    if outer == "dict" and len(known) == 2:
        return [dict(zip(known[0], known[1], strict=False)), {}]
    return known[0] if outer in ("optional", "union") else None


def _generated(seeds: Sequence[Args], rng: random.Random) -> Iterator[Args]:
    seen = {repr(seed) for seed in seeds}
    for attempt in range(GENERATED * 6):
        args = tuple(_varied(value, rng) for value in seeds[attempt % len(seeds)])
        if rng.random() < 0.5 and len(args) > 1:
            kept = rng.randrange(len(args))
            args = tuple(a if i == kept else s for i, (a, s) in enumerate(zip(args, rng.choice(seeds), strict=False)))
        if repr(args) not in seen:
            seen.add(repr(args))
            yield args


def _varied(value: Any, rng: random.Random) -> Any:
    vary = _VARIATIONS.get(type(value))
    return value if vary is None else vary(value, rng)


def _vary_int(value: int, rng: random.Random) -> int:
    near = [value + 1, value - 1, value * 2, value + rng.randint(2, 9), abs(value) // 2]
    fitting = [number for number in near if value < 0 or number >= 0]  # negatives only where the prompt has one
    return rng.choice([*fitting, rng.randint(0 if value >= 0 else -20, 20)])


def _vary_float(value: float, rng: random.Random) -> float:
    return rng.choice([value + 1, value / 2, round(value + rng.uniform(-3, 3), 2), -value, float(round(value))])


def _vary_str(value: str, rng: random.Random) -> str:
    letters = list(value)
    choice = rng.randrange(6)
    if choice == 3:
        return value.swapcase()
    if choice == 4:
        return value[::-1]
    if not _rearranged(letters, choice, rng):
        letters.append(rng.choice(value or _LETTERS))
    return "".join(letters)


def _vary_list(value: list[Any], rng: random.Random) -> list[Any]:
    items = list(value)
    if not _rearranged(items, rng.randrange(5), rng) and items:
        for _ in range(1 + len(items) // 4):
            place = rng.randrange(len(items))
            items[place] = _varied(items[place], rng)
    return items


def _rearranged(items: list[Any], choice: int, rng: random.Random) -> bool:
    """Drop an item, repeat one, or shuffle all, as the choice says; return whether it says so."""
    if choice == 2:
        rng.shuffle(items)
    elif choice == 0 and items:
        items.pop(rng.randrange(len(items)))
    elif choice == 1 and items:
        items.insert(rng.randrange(len(items) + 1), rng.choice(items))
    else:
        return False
    return True


def _vary_dict(value: dict[Any, Any], rng: random.Random) -> dict[Any, Any]:
    changed = {key: _varied(held, rng) for key, held in value.items()}
    if changed and rng.random() < 0.3:
        changed.pop(rng.choice(list(changed)))
    return changed


_VARIATIONS: dict[type, Callable[[Any, random.Random], Any]] = {
    bool: lambda value, _: not value,
    int: _vary_int,
    float: _vary_float,
    str: _vary_str,
    list: _vary_list,
    tuple: lambda value, rng: tuple(_varied(item, rng) for item in value),
    dict: _vary_dict,
}
