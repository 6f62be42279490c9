"""Code evidence by execution: inputs, runs, and the signals made of them."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memreward.domains import parse_rollout
from memreward.features.behaviour import (
    NAMESPACE,
    RETURNED,
    Behaviour,
    CodeRunner,
    ContainedRunner,
    normal_form,
    runner_for,
)
from memreward.features.cache import VectorStore
from memreward.features.code_inputs import Example, code_inputs
from memreward.features.evidence import Evidence, compute_evidence
from memreward.features.featurizer import Featurizer
from memreward.sandbox import Allowance, Execution, Sandbox
from memreward.sandbox.inside.plain import encode
from memreward.types import FloatArray, Query, Rollout, SandboxError
from rows import each_row

DOUBLE = 'def double(n):\n    """Return twice n.\n    >>> double(2)\n    4\n    >>> double(-1)\n    -2\n    """\n'
PLAIN = 'def double(n):\n    """Return twice n."""\n'
SOLUTIONS = ["return n * 2", "return n + n", "return sum([n, n])", "return 4",
             "return 4 if n == 2 else -2 if n == -1 else 0", "return 1 / 0", "return undefined",
             "while True: pass"]  # fmt: skip


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    made = Sandbox(places=1)
    yield made
    made.close()


def rollouts_of(bodies: Sequence[str], prompt: str = DOUBLE, query_id: str = "q") -> list[Rollout]:
    query = Query(query_id, prompt, "code")
    return [parse_rollout(query, f"    {body}\n", id=f"{query_id}/{i}") for i, body in enumerate(bodies)]


def column(evidence: Evidence, name: str) -> list[float]:
    return [float(value) for value in evidence.values[:, evidence.names.index(name)]]


@each_row(
    ("text", "examples"),
    [
        ("    >>> f(1, [2])\n    [1, 2]\n", [Example((1, [2]), [1, 2], True)]),
        ("    f('a') ➞ 'b'\n    f(\"x\") => True\n", [Example(("a",), "b", True), Example(("x",), True, True)]),
        ("    f(3) == 4, f(5) = 6.\n", [Example((3,), 4, True), Example((5,), 6, True)]),
        ("    f([1]) should return (1, 2).\n    f(2) returns None\n",
         [Example(([1],), (1, 2), True), Example((2,), None, True)]),
        ("    f(2) ==> true\n    f(0) -> -1\n", [Example((2,), True, True), Example((0,), -1, True)]),
        ("    f(x) is what it is; f(7) is not told.\n", [Example((7,))]),
        ("    f([1, 3, 2, 0]) == 1 + 9 + 0 + 0 = 10\n", [Example(([1, 3, 2, 0],), 10, True)]),
        ("    f('5 apples', 19) ->19 - 5 - 6 = 8\n", [Example(("5 apples", 19), 8, True)]),
        ("    f(2) == -1 + 3\n", [Example((2,))]),
        ("    For a = [1, 2] the output should be 3.\n    For a = [] the output should be 0.\n",
         [Example(([1, 2],), 3, True), Example(([],), 0, True)]),
        ("    For N = 150, the sum will be 6 the output should be \"110\".\n", [Example((150,), "110", True)]),
        ("    Example 1:\n\n        Input: 3\n        Output: (1, 2)\n        Explanation: 1 and 2.\n",
         [Example((3,), (1, 2), True)]),
        ("    Example:\n    Input: nums = [2,7,11], target = 9\n    Output: [0,1]  # the first two\n", []),
        ("    grade([4.0, 3]) ==> ['A+', 'B']\n    assert other([\"aa\"]) => [\"aa\"]\n",
         [Example(([4.0, 3],), ["A+", "B"], True), Example((["aa"],), ["aa"], True)]),
        ("    set([1, 2]) -> {1, 2}; print(3) -> 3; g(1) is 4\n", []),
    ],
)  # fmt: skip
def test_examples_of_a_docstring_are_read(text: str, examples: list[Example]) -> None:
    found = code_inputs(f'def f(a, b=None):\n    """Do it.\n{text}    """\n')
    assert found is not None
    assert list(found.examples) == examples
    assert found.through == ""


@each_row(
    ("text", "args"),
    [
        ("Input: nums = [2,7,11], target = 9\nOutput: [0,1]", ([2, 7, 11], 9)),
        ("Input: target = 9, nums = [2,7,11]\nOutput: [0,1]", ([2, 7, 11], 9)),
        ("Input:\n  nums : [2,7,11]\n  target : 9\nOutput: [0,1]", ([2, 7, 11], 9)),
        ("Input: array = [2,7,11], k = 9\nOutput: [0,1]", ([2, 7, 11], 9)),
        ("Input: [2,7,11], 9\nOutput: [0,1]", ([2, 7, 11], 9)),
        ("For nums = [2,7,11] and target = 9, the result is [0,1].", ([2, 7, 11], 9)),
    ],
)
def test_values_are_bound_to_parameters_by_name_or_in_their_order(text: str, args: tuple[object, ...]) -> None:
    found = code_inputs(f'def f(nums, target):\n    """Do it.\n\n{text}\n    """\n')
    assert found is not None
    assert found.examples == (Example(args, [0, 1], True),)


@each_row(
    ("text", "through", "examples"),
    [
        ("assert set(f((3, 4), [5])) == set((4, 5))\nassert set(f(1, 2)) == {2}",
         "set(_)", [Example(((3, 4), [5]), {4, 5}, True), Example((1, 2), {2}, True)]),
        ("assert (f([1], [2])) == [3,\n  4]", "", [Example(([1], [2]), [3, 4], True)]),
        ("assert sorted(f('ba')) == ['a', 'b'], 'letters'", "sorted(_)", [Example(("ba",), ["a", "b"], True)]),
        ("def f(x):\n    pass\nassert round(len(f(3)), 2) == 4", "round(len(_), 2)", [Example((3,), 4, True)]),
        ("assert math.isclose(f(10), 4188.790204786391, rel_tol=0.001)",
         "float(f'{_:.3g}')", [Example((10,), 4190.0, True)]),
        ("assert f('a')\nassert not f('b')", "bool(_)", [Example(("a",), True, True), Example(("b",), False, True)]),
        ("assert f('a') == True\nassert not f('b')", "", [Example(("a",), True, True), Example(("b",), False, True)]),
        ("assert f(1) == 2\nassert f(2) == 3\nassert set(f(3)) == {4}",
         "", [Example((1,), 2, True), Example((2,), 3, True), Example((3,))]),
        ("assert f(x for x in y) == 2\nassert f(2) == g(3)", "", [Example((2,))]),
    ],
)  # fmt: skip
def test_what_stands_around_a_call_is_done_to_its_value(text: str, through: str, examples: list[Example]) -> None:
    found = code_inputs(f"Write a function.\n{text}\n")
    assert found is not None
    assert found.through == through
    told = [one if one.has_expected else Example(one.args) for one in found.examples]
    assert told == examples


def test_a_doctest_may_do_something_with_the_value() -> None:
    found = code_inputs(
        'def f(xs):\n    """\n    >>> round(f([1, 2]), 2) # f(x) = 1 + 2x\n    -0.5\n    >>> f([3])\n    """\n'
    )
    assert found is not None
    assert found.through == "round(_, 2)"
    assert found.examples == (Example(([1, 2],), -0.5, True), Example(([3],)))


def test_solutions_are_compared_as_the_prompt_compares_them(sandbox: Sandbox) -> None:
    """Order counts for nothing where the prompt's assertions ask for a set, in its examples and in what is varied."""
    prompt = "Find it.\nassert set(both([1, 2, 3], [2, 3])) == set([3, 2])\nassert set(both([1], [2])) == set()\n"
    bodies = ["return [x for x in a if x in b]", "return set(b) & set(a)", "return sorted({*a} & {*b}, reverse=True)",
              "return a", "return 1 / 0"]  # fmt: skip
    query = Query("q", prompt, "code")
    rollouts = [
        parse_rollout(query, f"```python\ndef both(a, b):\n    {body}\n```", id=f"q/{i}")
        for i, body in enumerate(bodies)
    ]
    rollouts.append(parse_rollout(query, "```python\ndef other(a, b):\n    return a\n```", id="q/other"))
    evidence = compute_evidence(rollouts, behaviours=CodeRunner(sandbox).observe(rollouts))
    assert len(set(evidence.cluster[:3])) == 1
    assert len(set(evidence.cluster)) == 4
    assert column(evidence, "run_examples") == [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    assert column(evidence, "run_loads") == [1.0] * 5 + [0.0]


PIECES = (
    *("def f(a, b):\n", "'''", "f(", "g(", "set(", "round(", "math.isclose(", "1", "-2.5", "'x'", '"', "[", "]", "("),
    *(")", "{", "}", ", ", " == ", " = ", " => ", " -> ", " + ", "assert ", "not ", ">>> ", "\n", "\n    ", "For a = "),
    *("Input: ", "b = ", "Output: ", "the output should be ", "returns ", "True", "None", "rel_tol=0.1", "abs_tol="),
    *("f(1)", "f([1], 2)", "\nassert f(2) == ", "\n>>> f(3)\n", "\nf(4, 5) => ", "For a = 1, b = 2 "),
    *("0x" + "f" * 5000, "1e999", "for x in y", "lambda: 0", "# ", "\ud800", "\0", "1j", "*", ":"),
)


def test_no_prompt_is_too_odd_to_be_read() -> None:
    """Whatever a prompt says, inputs come of it, or none, with arguments that can be written down."""
    generator, found = random.Random(0), 0
    for number in range(1500):
        text = "".join(generator.choice(PIECES) for _ in range(generator.randint(2, 30)))
        begin = ('def f(a, b):\n    """', "Write f.\nassert f(1, 2) == 3\n", "")[number % 3]
        inputs = code_inputs(begin + text)
        assert inputs is None or all(repr(args) for args in inputs.all)
        found += inputs is not None and len(inputs.examples) > 1
    assert found > 20, "some hold examples"


def test_guessed_values_are_of_the_types_that_names_and_prompt_speak_of() -> None:
    found = code_inputs('def volume(l, w, h):\n    """Find the volume of a cuboid."""\n')
    assert found is not None
    assert len(found.generated) == 40
    numbers = [args for args in found.generated if all(type(value) is int for value in args)]
    assert len(numbers) >= 5
    assert any(len(set(args)) == 3 for args in numbers), "equal arguments hide which is which"
    found = code_inputs('def count(test_list, K):\n    """Count in the tuple list."""\n')
    assert found is not None
    assert {type(xs) for xs, k in found.generated if type(k) is int} >= {list, tuple}
    assert sum(type(k) is int for _, k in found.generated) > len(found.generated) / 3
    many = ", ".join(f"word{number}" for number in range(40))
    found = code_inputs(f'def f({many}):\n    """Join them."""\n')
    assert found is not None, "the types of many parameters are not all combined"
    assert {len(args) for args in found.generated} == {40}


def test_assertions_of_a_prompt_are_read() -> None:
    prompt = "Write a function.\nassert f((1, 2)) == (2,\n 1)\nassert f([]) == []\nassert f('x')\nassert not f(0)\n"
    found = code_inputs(prompt)
    assert found is not None
    assert found.name == "f"
    assert list(found.examples)[1:] == [
        Example(([],), [], True),
        Example(("x",), True, True),
        Example((0,), False, True),
    ]


def test_generated_inputs_keep_the_types_and_are_the_same_everywhere() -> None:
    found = code_inputs('def f(xs, k):\n    """\n    >>> f([3, 1, 2], "ab")\n    0\n    """\n')
    assert found is not None
    assert len(found.generated) >= 8
    for xs, k in found.generated:
        assert isinstance(k, str)
        assert all(type(x) is int for x in xs)
    code_inputs.cache_clear()
    assert code_inputs('def f(xs, k):\n    """\n    >>> f([3, 1, 2], "ab")\n    0\n    """\n') == found


def test_annotations_serve_where_there_are_no_examples() -> None:
    found = code_inputs('def f(x: int, names: List[str]) -> bool:\n    """Say so."""\n')
    assert found is not None
    assert found.examples == ()
    assert all(type(x) is int and all(type(name) is str for name in names) for x, names in found.generated)


def test_a_prompt_that_names_no_function_gives_none() -> None:
    assert code_inputs("Print the sum of two numbers.") is None


@each_row(
    ("a", "b", "equal"),
    [
        (1, True, True), (2, 2.0, True), (0.1 + 0.2, 0.3, True), ([1], (1,), False), ("1", 1, False), (None, 0, False),
        ({1, 2}, {2, 1}, True), ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True), (float("nan"), float("nan"), True),
        ([[]], [], False), (1.5, 1.50001, False), (b"a", "a", False), (10**30, 10**30 + 1, False),
    ],
)  # fmt: skip
def test_normal_forms_follow_equality(a: Any, b: Any, equal: bool) -> None:
    forms = [normal_form(encode(value, lambda kept: {"h": 0, "type": type(kept).__name__})) for value in (a, b)]
    assert (forms[0] == forms[1]) is equal


def test_equal_behaviour_is_agreement(sandbox: Sandbox) -> None:
    rollouts = rollouts_of(SOLUTIONS)
    evidence = compute_evidence(rollouts, behaviours=CodeRunner(sandbox).observe(rollouts))
    cluster = evidence.cluster
    assert len({cluster[0], cluster[1], cluster[2]}) == 1
    assert len({*cluster[3:], cluster[0]}) == 6
    assert column(evidence, "agreement_share")[:4] == pytest.approx([3 / 8, 3 / 8, 3 / 8, 1 / 8])
    assert column(evidence, "run_agreement") == pytest.approx([3 / 8] * 3 + [1 / 8] * 2 + [0.0] * 3)
    assert column(evidence, "run_examples") == [1.0, 1.0, 1.0, 0.5, 1.0, 0.0, 0.0, 0.0]
    assert column(evidence, "run_loads") == [1.0] * 8
    assert column(evidence, "run_returns")[0] == 1.0
    assert column(evidence, "run_returns")[5] == 0.0
    shared = column(evidence, "run_agreement_inputs")
    assert shared[0] == shared[1] > shared[4] > 0.0
    assert shared[5] == 0.0


def test_without_execution_nothing_changes_and_syntax_decides() -> None:
    rollouts = rollouts_of(SOLUTIONS)
    evidence = compute_evidence(rollouts)
    assert not [name for name in evidence.names if name.startswith("run_")]
    assert len(set(evidence.cluster)) == 8
    unknown = compute_evidence(rollouts, behaviours=[None] * 8)
    assert (unknown.cluster == evidence.cluster).all()
    assert all(math.isnan(value) for value in column(unknown, "run_agreement"))


def test_inputs_that_most_solutions_raise_on_do_not_count(sandbox: Sandbox) -> None:
    words = ["return len(n.split())", "return sum(1 for _ in n.split())", "return len(str(n).split())"]
    rollouts = rollouts_of(words, 'def count(n):\n    """Count."""\n')
    evidence = compute_evidence(rollouts, behaviours=CodeRunner(sandbox).observe(rollouts))
    assert len(set(evidence.cluster)) == 1, "the third also counts numbers and lists, which are no input"


def test_a_solution_without_a_return_statement_returns_nothing_unless_none_is_asked_for(sandbox: Sandbox) -> None:
    runner, forgot = CodeRunner(sandbox), "s = n * 2"
    kept = runner.observe(rollouts_of([forgot, "return n * 2"], PLAIN))
    assert [one is not None and bool(one.returned.any()) for one in kept] == [False, True]
    none = runner.observe(rollouts_of([forgot], 'def drop(n):\n    """drop(2) returns None."""\n'))
    assert none[0] is not None
    assert none[0].returned.any()
    partly = runner.observe(rollouts_of(["return n if n > 0 else None"], PLAIN))[0]
    assert partly is not None
    assert len(set(partly.outcomes[partly.returned, 1])) > 1, "None is a value where others are returned too"


def test_solutions_that_do_nothing_neither_decide_which_inputs_count_nor_agree(sandbox: Sandbox) -> None:
    """Six lack their return statement: the two that work are compared on what they take, the six are alike in vain."""
    rollouts = rollouts_of(["return n * 2", "return n + n", *["s = n * 2"] * 6], PLAIN)
    evidence = compute_evidence(rollouts, behaviours=CodeRunner(sandbox).observe(rollouts))
    assert evidence.cluster[0] == evidence.cluster[1]
    assert column(evidence, "run_returns") == [1.0] * 2 + [0.0] * 6
    assert column(evidence, "run_agreement") == pytest.approx([0.25] * 2 + [0.0] * 6)
    assert column(evidence, "run_agreement_relative") == pytest.approx([1.0] * 2 + [0.0] * 6)
    alone = compute_evidence(rollouts[2:], behaviours=CodeRunner(sandbox).observe(rollouts[2:]))
    assert column(alone, "run_returns") == column(alone, "run_agreement_inputs") == [0.0] * 6


def test_a_row_depends_on_its_own_query_only(sandbox: Sandbox) -> None:
    first, second = rollouts_of(SOLUTIONS[:5]), rollouts_of(SOLUTIONS[2:7], PLAIN, "other")
    runner = CodeRunner(sandbox)
    mixed = [r for pair in zip(first, second, strict=True) for r in pair]
    alone = compute_evidence(first, behaviours=runner.observe(first))
    together = compute_evidence(mixed, behaviours=runner.observe(mixed))
    np.testing.assert_array_equal(together.values[::2], alone.values)


class CountingSandbox(Sandbox):
    """A sandbox that counts what it runs."""

    runs = 0

    def call(
        self, source: str, name: str, inputs: Sequence[Sequence[Any]], limits: Allowance | None = None
    ) -> Execution:
        self.runs += 1
        return super().call(source, name, inputs, limits)


def test_no_program_runs_twice(tmp_path: Path) -> None:
    sandbox = CountingSandbox(places=1)
    rollouts = rollouts_of([SOLUTIONS[0], SOLUTIONS[0], SOLUTIONS[1]])
    try:
        first = CodeRunner(sandbox, VectorStore(NAMESPACE, tmp_path)).observe(rollouts)
        assert sandbox.runs == 2
        again = CodeRunner(sandbox, VectorStore(NAMESPACE, tmp_path)).observe([replace(rollouts[2], id="new")])
        assert sandbox.runs == 2
    finally:
        sandbox.close()
    assert first[2] is not None
    assert again[0] is not None
    np.testing.assert_array_equal(again[0].outcomes, first[2].outcomes)


def test_other_domains_and_rollouts_without_code(sandbox: Sandbox) -> None:
    query = Query("m", "What is 2 + 2?", "math")
    mixed = [parse_rollout(query, "It is 4.", id="m/0"), *rollouts_of(["return n * 2"])]
    nothing = parse_rollout(mixed[1].query, "I cannot.", id="q/none")
    math_one, code_one, without = CodeRunner(sandbox).observe([*mixed, nothing])
    assert math_one is None
    assert code_one is not None
    assert (code_one.outcomes[:, 0] == RETURNED).all()
    assert without is not None
    assert not without.loads
    assert without.examples_met == 0.0


class _Encoder:
    name, dimension = "constant", 2

    def encode(self, texts: Sequence[str]) -> FloatArray:
        return np.tile(np.array([1.0, 0.0], dtype=np.float32), (len(texts), 1))


class _Runner:
    def __init__(self, behaviours: list[Behaviour | None]) -> None:
        self._behaviours = behaviours

    def observe(self, rollouts: Sequence[Rollout]) -> list[Behaviour | None]:
        return self._behaviours[: len(rollouts)]


def test_edges_between_answers_follow_behaviour(sandbox: Sandbox) -> None:
    rollouts = rollouts_of(["return n * 2", "return n + n", "return 4"])
    behaviours = CodeRunner(sandbox).observe(rollouts)
    features = Featurizer(_Encoder(), runner=_Runner(behaviours)).features(rollouts)
    assert features.cluster[0] == features.cluster[1] != features.cluster[2]
    assert "run_agreement" in features.evidence_names
    assert features.evidence.shape == (3, len(features.evidence_names))


def test_code_is_run_by_default_and_where_it_cannot_be_contained_none_is_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rollout = parse_rollout(
        Query("q", 'def f(a):\n    """Double a.\n\n    >>> f(2)\n    4\n    """', "code"),
        "```python\ndef f(a):\n    return a * 2\n```",
        id="q/0",
    )
    other = parse_rollout(Query("m", "1 + 1?", "math"), "2", id="m/0")
    runner = runner_for("auto")
    assert runner is not None
    assert runner.observe([other]) == [None]
    assert runner.contained is None  # no sandbox starts before there is code
    (found,) = runner.observe([rollout])
    assert found is not None
    assert found.examples_met == 1
    assert runner_for("off") is None

    def uncontained(self: Sandbox) -> str:
        raise SandboxError("no namespaces here")

    monkeypatch.setattr(Sandbox, "containment", property(uncontained))
    said: list[str] = []
    assert ContainedRunner(warn=said.append).observe([rollout, other]) == [None, None]
    assert said == ["no code is run: no namespaces here"]
    with pytest.raises(SandboxError):
        runner_for("on")
