"""Inputs to try solutions on: the examples of a code prompt, and more of their kind. Nothing is run."""

import ast
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, product
from typing import Any

from memreward.domains.code.parse import entry_point, functions_of, prompt_tree
from memreward.features.code_examples import Args, Example, examples_of
from memreward.types import content_hash

GENERATED = 12
"""Inputs made beside the examples; twice as many changed no figure on the rollouts of the readme."""
GUESSED = 40
"""Inputs made for a function without examples and types."""

_LETTERS = "abcdefghijABCDE 0123"

_WRAPPER = "_tried"


@dataclass(frozen=True)
class CodeInputs:
    """What solutions of a query are tried on: calls of a function that stand in the prompt, and further arguments.

    What is compared is the returned value itself, or an expression of it, `_`, as in the prompt's assertions.
    """

    name: str
    examples: tuple[Example, ...]
    generated: tuple[Args, ...]
    through: str = ""

    @property
    def all(self) -> list[Args]:
        return [*(example.args for example in self.examples), *self.generated]

    def called_in(self, source: str) -> tuple[str, str]:
        """Return a program that can be tried, and the name of its function that is."""
        if not self.through:
            return source, self.name
        # A program without the function is not to load, as without the wrapper.
        made = f"\n\n{self.name}\n\n\ndef {_WRAPPER}(*args):\n    _ = {self.name}(*args)\n    return {self.through}\n"
        return source + made, _WRAPPER


@lru_cache(maxsize=1024)
def code_inputs(prompt: str) -> CodeInputs | None:
    """Return inputs for the function that a prompt asks for; None where the prompt neither calls nor heads one.

    Without examples and types, values of many types are tried. The same prompt gives the same inputs on every machine.
    """
    name = entry_point(prompt)
    if name is None:
        return None
    parameters = _parameters(prompt, name)
    examples, through = examples_of(prompt, name, [parameter.arg for parameter in parameters])
    rng = random.Random(content_hash(prompt))
    if examples:
        seeds = [example.args for example in examples]
        return CodeInputs(name, examples, tuple(islice(_generated(seeds, rng), GENERATED)), through)
    typed = [None if p.annotation is None else _of_type(p.annotation) for p in parameters]
    known = [values for values in typed if values is not None]
    if not parameters:
        return None
    if len(known) == len(typed):
        seeds = [tuple(column[i % len(column)] for column in known) for i in range(max(map(len, known)))]
        return CodeInputs(name, (), (*seeds, *islice(_generated(seeds, rng), GENERATED)))
    return CodeInputs(name, (), tuple(_of_many_types(parameters, typed, prompt, rng)))


def _parameters(prompt: str, name: str) -> list[ast.arg]:
    heads = [head for head in functions_of(prompt_tree(prompt), name) if isinstance(head, ast.FunctionDef)]
    if not heads:
        return []
    parameters = [*heads[-1].args.posonlyargs, *heads[-1].args.args]
    return parameters[: len(parameters) - len(heads[-1].args.defaults)]


def _of_many_types(
    parameters: Sequence[ast.arg], typed: Sequence[list[Any] | None], prompt: str, rng: random.Random
) -> list[Args]:
    """Combinations of values of many types, at most `GUESSED`: first of those that names and prompt speak of."""
    kinds = [
        [(0, values)] if values is not None else [(_strangeness(kind, p.arg, prompt), _BANK[kind]) for kind in _BANK]
        for p, values in zip(parameters, typed, strict=True)
    ]
    few = [
        sorted(choices, key=lambda kind: kind[0])[: max(1, round(_COMBINED ** (1 / len(kinds))))] for choices in kinds
    ]
    combinations = list(product(*few))
    rng.shuffle(combinations)
    combinations.sort(key=lambda combination: sum(strange for strange, _ in combination))
    first, others = combinations[:_LIKELY], combinations[_LIKELY:]
    rounds = range(max(len(values) for choices in kinds for _, values in choices))
    turns = [*((combination, turn) for turn in rounds for combination in first)]
    turns += [(combination, turn) for turn in rounds for combination in others]
    # Equal parameters would hide which is which: each begins at another of its values.
    made = (
        tuple(values[(turn + place) % len(values)] for place, (_, values) in enumerate(combination))
        for combination, turn in turns
    )
    return list({repr(args): args for args in islice(made, GUESSED)}.values())


def _strangeness(kind: str, name: str, prompt: str) -> int:
    """How little a type is expected of a parameter: 0 where its name says it, 1 where the prompt does, 3 otherwise."""
    said = next((kinds for pattern, kinds in _NAMED if pattern.fullmatch(name)), ())
    if kind in said:
        return 0
    return 1 if re.search(_WORDS[kind], prompt, re.IGNORECASE) else 3


_LIKELY = 4
"""Combinations of types that are tried with all values; the others follow with one each."""
_COMBINED = 400
"""Combinations that are looked at; of many parameters the few likeliest types of each."""
_BANK: dict[str, list[Any]] = {
    "int": [3, 10, 0, 7, 24],
    "str": ["abc", "Hello World", "", "abcba", "3 apples and 5"],
    "ints": [[1, 2, 3], [4, 1, -3, 2, 2], [], [5, 8, 7, 10], [0, 0, 1]],
    "strs": [["a", "bc", "Def"], [], ["name", "of", "string"], ["1", "234", "11"]],
    "float": [1.5, -2.25, 3.0],
    "lists": [[[1, 2], [3, 4]], [[0, 0, 1], [1, 1, 1]]],
    "dict": [{"a": "b"}, {}, {"Name": "x", "age": "y"}],
    "tuple": [(1, 2, 3), (4, 1, 2, 2), (5, 6)],
    "tuples": [[(1, 2), (3, 4)], [(2, 1), (1, 5), (3, 3)]],
}
_WORDS = {
    "int": r"\b(?:number|integer|digit|n-?th)s?\b",
    "str": r"\b(?:string|text|word|character|sentence)s?\b",
    "ints": r"\b(?:list|array|sequence)s?\b",
    "strs": r"\b(?:strings|words|names)\b",
    "float": r"\b(?:float|decimal|real|percent\w*|angle|radius|area|volume)s?\b",
    "lists": r"\b(?:lists of lists|list of lists|matri\w+|nested|2d|two.dimensional|grid|triangle of)\b",
    "dict": r"\bdict\w*\b",
    "tuple": r"\btuples?\b",
    "tuples": r"\b(?:list of tuples|tuple list|tuples|pairs)\b",
}
_NAMED = [
    (re.compile(pattern, re.IGNORECASE), kinds)
    for pattern, kinds in (
        (r"\w*tup(?:le)?s?\w*", ("tuple", "tuples")),
        (r"\w*(?:matri|grid|lol)\w*|mat\d?|tri(?:angle)?", ("lists",)),
        (r"\w*dict?\w*|d\d?", ("dict",)),
        (r"\w*(?:words|names|strs|strings)", ("strs",)),
        (r"s\d?|st|ch|\w*(?:str|string|text|word|sentence|char|pattern|name)\w*", ("str",)),
        (r"\w*(?:list|lst|lis|arr|nums|numbers|seq|data|items|elements|values)\w*|[xyl]s", ("ints",)),
        (
            r"[a-z]\d?|\w*(?:num|no|size|count|index|len|limit|start|end|sum|side|base|height|year|month|day)\w*",
            ("int",),
        ),
    )
]
"""What names of parameters say of their types; the first that fits."""
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
