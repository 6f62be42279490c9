"""No mutant of a correct solution passes where its tests call it with an input on which it differs.

The tests of a question are made here, from inputs and what the question's own solution returns for them, so that for
every mutant it is known by plain calls, without the verifier, whether it must pass. MEMREWARD_MUTANTS sets how many
questions are taken, all of their mutants each; 0 takes all.
"""

from __future__ import annotations

import ast
import copy
import gzip
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memreward.domains import parse_rollout
from memreward.domains.code.verify import CodeVerifier
from memreward.sandbox import Allowance
from memreward.sandbox.inside.plain import encode
from memreward.types import Claim, Query

QUESTIONS = int(os.environ.get("MEMREWARD_MUTANTS", "6"))
INPUTS, MOST_MUTANTS = 12, 12
LIMITS = Allowance(cpu_seconds=10, call_seconds=1, wall_seconds=60.0, memory_mb=512)

EXCHANGED: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.FloorDiv,
    ast.FloorDiv: ast.Div, ast.Mod: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
WRAPPED = (
    "{0} if {0} is None else Same({0})", "[{0}]", "str({0})", "iter([])", "None", "True", "next(iter(()))", "[]", "''",
    "float('nan')", "print({0})",
)  # fmt: skip
"""What stands in place of a returned value; `Same` is a class that equals everything."""
SAME = (
    "class Same:\n    def __init__(self, value): pass\n    def __eq__(self, other): return True\n    __hash__ = None\n"
)


def mutants(source: str, name: str) -> Iterator[str]:
    """Copies of a solution with one place changed: an operator, a number, a condition, a statement, what it returns."""
    function = [n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == name][-1]
    places = range(sum(1 for _ in ast.walk(function)))
    for place in places:
        for change in (operators, numbers, conditions, returns):
            tree = ast.parse(source)
            mutated = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name][-1]
            node = list(ast.walk(mutated))[place]
            if change(node, random.Random(place)):
                yield SAME + ast.unparse(ast.fix_missing_locations(tree))


def operators(node: ast.AST, rng: random.Random) -> bool:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in EXCHANGED:
        node.ops[0] = EXCHANGED[type(node.ops[0])]()
    elif isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in EXCHANGED:
        node.op = EXCHANGED[type(node.op)]()
    else:
        return False
    return True


def numbers(node: ast.AST, rng: random.Random) -> bool:
    if not isinstance(node, ast.Constant) or type(node.value) not in (int, float, bool, str):
        return False
    changed: dict[type, Any] = {bool: not node.value, str: "x"}
    node.value = changed.get(type(node.value), node.value + rng.choice((-1, 1)) if type(node.value) is int else 0.5)
    return True


def conditions(node: ast.AST, rng: random.Random) -> bool:
    if not isinstance(node, ast.If | ast.IfExp | ast.While):
        return False
    node.test = ast.Constant(isinstance(node, ast.If | ast.IfExp) and rng.random() < 0.5)
    return True


def returns(node: ast.AST, rng: random.Random) -> bool:
    if not isinstance(node, ast.Return) or node.value is None:
        return False
    text = rng.choice(WRAPPED).format(f"({ast.unparse(node.value)})")
    node.value = ast.parse(text, mode="eval").body
    return True


def calls_in(tests: list[str], name: str) -> list[list[Any]]:
    """Arguments, all literals, of the calls in the tests, and the inputs that they list."""
    found: list[list[Any]] = []
    for node in ast.walk(ast.parse("\n".join(tests))):
        try:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in (name, "candidate"):
                found.append([ast.literal_eval(argument) for argument in node.args])
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                given = ast.literal_eval(node.value) if node.targets[0].id == "inputs" else []
                found += [list(arguments) for arguments in given]
        except (ValueError, TypeError, SyntaxError):
            continue
    return [arguments for arguments in found if arguments and len(repr(arguments)) < 300]


def lazily(name: str, cases: list[tuple[list[Any], Any]]) -> list[str]:
    """The same tests in the ways that people write them."""
    pairs = f"inputs = {[case for case, _ in cases]!r}\nexpected = {[value for _, value in cases]!r}\n"
    return [
        "\n".join(f"assert {name}(*{case!r}) == {value!r}" for case, value in cases),
        f"from itertools import starmap\n{pairs}assert all(a == b for a, b in zip(starmap({name}, inputs), expected))\n"
        f"assert len(list(starmap({name}, inputs))) == {len(cases)}",
        f"{pairs}assert not list(filter(lambda both: {name}(*both[0]) != both[1], zip(inputs, expected)))",
        f"{pairs}assert all(map(lambda a, b: {name}(*a) == b, inputs, expected))",
        f"def check(candidate):\n    for a, b in {cases!r}:\n        assert candidate(*a) == b, 'other value'",
        f"import unittest\n{pairs}class Case(unittest.TestCase):\n    def test_all(self):\n"
        f"        for a, b in zip(inputs, expected):\n            with self.subTest(a=a):\n"
        f"                self.assertEqual({name}(*a), b)\nunittest.main()",
    ]


def questions(shared_data: Path) -> list[tuple[str, str, str, list[str]]]:
    """(id, prompt, solution, tests) of each, in an order of its own."""
    found = []
    for file in ("humanevalplus", "mbppplus"):
        with gzip.open(shared_data / "questions" / f"{file}.jsonl.gz", "rt") as lines:
            for line in map(json.loads, lines):
                head = line["query"] if file == "humanevalplus" else ""
                found.append(
                    (line["id"], line["query"], head + line["canonical_solution"], json.loads(line["reference"]))
                )
    random.Random(7).shuffle(found)
    return found


@pytest.fixture(scope="module")
def verifier() -> Iterator[CodeVerifier]:
    made = CodeVerifier(limits=Allowance(call_seconds=1, cpu_seconds=3, memory_mb=512, wall_seconds=20.0))
    yield made
    made.close()


def behaviour(verifier: CodeVerifier, source: str, name: str, inputs: list[list[Any]]) -> list[str] | None:
    """What each call gives, told by plain calls; None where the solution is not loaded."""
    plain = [[encode(value, str) for value in arguments] for arguments in inputs]  # type: ignore[arg-type]
    loaded, *lines = verifier.sandbox.call(source, name, plain, LIMITS).report.strip().split("\n")
    return lines if loaded == '{"loaded": true}' else None


def plain_value(line: str) -> Any:
    """The value of a line that is a JSON value and survives a literal; KeyError else."""
    reply = json.loads(line)
    if "raised" in reply or "args" in reply or not simple(reply["value"]):
        raise KeyError
    return reply["value"]


def simple(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(simple, value))
    return value is None or isinstance(value, bool | str | int) or (isinstance(value, float) and abs(value) < 1e300)


@pytest.mark.slow
def test_no_mutant_that_differs_passes(verifier: CodeVerifier, shared_data: Path) -> None:
    checked = different = 0
    wrong: list[str] = []
    for query_id, prompt, solution, tests in questions(shared_data):
        names = [n.name for n in ast.parse(solution).body if isinstance(n, ast.FunctionDef)]
        name = names[-1] if names else ""
        inputs = calls_in(tests, name)[:INPUTS]
        cases = cases_of(verifier, solution, name, inputs) if inputs else []
        if len(cases) < 3:
            continue
        known = behaviour(verifier, solution, name, [case for case, _ in cases])
        every = list(mutants(solution, name))
        some = random.Random(query_id).sample(every, min(MOST_MUTANTS, len(every)))
        forms = lazily(name, cases)
        claims, must_fail = [], []
        for number, source in enumerate([solution, *some]):
            shown = behaviour(verifier, source, name, [case for case, _ in cases])
            query = Query(query_id, prompt, "code")
            rollout = parse_rollout(query, f"```python\n{source}\n```", id=f"{number}")
            claims.append(Claim(rollout, json.dumps([forms[number % len(forms)]])))
            must_fail.append(differs(shown, known))
        for verdict, claim, fails in zip(verifier.verify(claims), claims, must_fail, strict=True):
            if fails is not None and verdict.correct is not (not fails):
                wrong.append(f"{query_id}: differs: {fails}, {verdict}\n{claim.rollout.text}\n{claim.reference}")
        different += sum(map(bool, must_fail))
        checked += 1
        if checked == QUESTIONS:
            break
    assert not wrong, "\n\n".join(wrong[:5])
    assert different > 4 * checked > 0


def cases_of(verifier: CodeVerifier, solution: str, name: str, inputs: list[list[Any]]) -> list[tuple[list[Any], Any]]:
    found = []
    for arguments, line in zip(inputs, behaviour(verifier, solution, name, copy.deepcopy(inputs)) or [], strict=False):
        try:
            found.append((arguments, plain_value(line)))
        except KeyError:
            continue
    return found


def differs(shown: list[str] | None, known: list[str] | None) -> bool | None:
    """Whether a mutant must fail; None where only Python's own equality of unlike forms could tell."""
    assert known is not None
    if shown is None or len(shown) != len(known):
        return True
    unclear = False
    for mine, right in zip(map(json.loads, shown), map(json.loads, known), strict=True):
        if "raised" in mine:
            return True
        if "value" not in mine or (isinstance(mine["value"], dict) and "h" not in mine["value"]):
            unclear = True
        elif mine["value"] != right["value"]:
            return True
    return None if unclear else False
