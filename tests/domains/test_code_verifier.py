"""What the code verifier accepts, refuses and cannot tell."""

from __future__ import annotations

import gzip
import json
import pickle
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from memreward.domains import parse_rollout
from memreward.domains.code.verify import OF_VERDICT, CodeVerifier, output_lines, read_reference
from memreward.sandbox import Allowance, Sandbox
from memreward.sandbox.deadline import within
from memreward.types import Claim, Query, Verdict, Verifier
from rows import each_row

PROMPT = (
    "from typing import List\nimport math\n\n\ndef area(r: float) -> float:\n    return math.pi * r * r\n\n\n"
    'def areas(rs: List[float]) -> List[float]:\n    """Return the area of a circle for each radius."""\n'
)
TESTS = json.dumps(
    ["def check(candidate):\n    assert candidate([]) == []\n    assert candidate([1.0]) == [area(1.0)]"]
)
BODY = "    return [area(r) for r in rs]\n"


@pytest.fixture(scope="module")
def verifier() -> Iterator[CodeVerifier]:
    made = CodeVerifier(
        limits=Allowance(call_seconds=1, cpu_seconds=4, memory_mb=512, wall_seconds=600.0),
        sandbox=Sandbox(places=2),
    )
    yield made
    made.close()


def claim(text: str, reference: str = TESTS, prompt: str = PROMPT) -> Claim:
    return Claim(parse_rollout(Query("q", prompt, "code"), text, id="r"), reference)


def verdict(verifier: CodeVerifier, code: str, *tests: str, prompt: str = "Write a function f.\n") -> Verdict:
    return verifier.verify([claim(f"```python\n{code}\n```", json.dumps(tests), prompt)])[0]


def decided(verdicts: list[Verdict]) -> list[Verdict]:
    """The verdicts, where none is put down to the load of the machine, as they may be."""
    if any(found.correct is None and "busy" in found.reason for found in verdicts):
        pytest.skip("this machine is too busy to tell a slow solution from a slow machine")
    return verdicts


@each_row(
    "text",
    [
        BODY,
        BODY + "\n\nprint(areas([1]))\n",
        f"```python\n{BODY}```",
        f"Here it is:\n```python\ndef areas(rs: List[float]):\n{BODY}```\nIt uses `area`.",
        f"def areas(rs: List[float]):\n{BODY}",
        "<think>Radii.</think>\n```python\nimport math\ndef areas(rs):\n    return [math.pi * r ** 2 for r in rs]\n```",
        f"```python\n{PROMPT}{BODY}```",
    ],
)
def test_a_right_solution_passes_in_every_form(verifier: CodeVerifier, text: str) -> None:
    found = verifier.verify([claim(text)])[0]
    assert found.correct is True, found


@each_row("text", ["    return rs\n", "I would loop over the radii.", "```python\nprint('area')\n```", ""])
def test_a_wrong_solution_or_none_is_wrong(verifier: CodeVerifier, text: str) -> None:
    assert verifier.verify([claim(text)])[0].correct is False


@pytest.mark.parametrize(
    ("code", "test"),
    [
        ("def f(x): return x", "import nothing_of_that_name\nassert f(1) == 1"),
        ("def f(x): return x", "assert f(1) == "),
        ("def f(x): return x", "assert 1 == 1"),
        ("def f(x): return x", "assert undefined_name == f(1)"),
        ("def f(x): return x", "assert f(1) == 1\nraise SystemExit(0)"),
        pytest.param("def f(x): return x", "f(1)\nwhile True: pass", marks=pytest.mark.slow),
        ("def f(x): return x", "import os\nf(1)\nos._exit(0)"),
    ],
    ids=[
        "tests import what is absent", "tests do not parse", "tests do not call", "tests read what is undefined",
        "tests exit", "tests loop", "tests exit hard",
    ],
)  # fmt: skip
def test_what_cannot_be_decided_is_not_wrong(verifier: CodeVerifier, code: str, test: str) -> None:
    found = verdict(verifier, code, test)
    assert found.correct is None, found
    assert found.reason


@each_row("reference", ["", "[]", "[1, 2]", "{}", '[{"input": 3}]', '{"inputs": ["1"], "outputs": []}', "4"])
def test_a_reference_that_is_none_is_not_wrong(verifier: CodeVerifier, reference: str) -> None:
    found = verifier.verify([claim(BODY, reference)])[0]
    assert found.correct is None
    assert "reference" in found.reason


@pytest.mark.parametrize(
    ("code", "test"),
    [
        ("def f(x, y=1): return x + y", "assert f(1) == 2 and f(1, y=5) == 6 and f(x=2) == 3"),
        ("def f(x):\n    if x < 0: raise ValueError('negative')\n    return x", "try:\n    f(-1)\n"
         "    raise RuntimeError\nexcept ValueError as error:\n    assert 'negative' in str(error)"),
        ("def f(xs): xs.sort()", "xs = [3, 1, 2]\nassert f(xs) is None\nassert xs == [1, 2, 3]"),
        ("def f(d): d['a'] = 1", "d = {}\nf(d)\nassert d == {'a': 1}"),
        ("import re\ndef f(s): return re.search('b', s)", "assert f('abc')\nassert not f('xyz')"),
        ("def f(n):\n    for i in range(n): yield i", "assert list(f(3)) == [0, 1, 2]"),
        ("def f(n): return map(str, range(n))", "assert ''.join(f(3)) == '012'"),
        ("def f(n): return lambda x: x + n", "assert f(2)(3) == 5"),
        ("class P:\n    def __init__(self, a): self.a = a\ndef f(p): return p.a", "assert f(P(4)) == 4"),
        ("import numpy as np\ndef f(x): return np.arange(x) * 2.0", "import numpy as np\n"
         "assert np.allclose(f(3), [0, 2, 4])"),
        ("import numpy as np\ndef f(x): return np.int64(x)", "assert f(3) == 3"),
        ("from collections import Counter\ndef f(s): return Counter(s)", "assert f('aab') == {'a': 2, 'b': 1}"),
        ("from fractions import Fraction\ndef f(a, b): return Fraction(a, b)", "from fractions import Fraction\n"
         "assert f(2, 4) == Fraction(1, 2)"),
        ("def f(x): return x", "for v in (None, True, 1.5, -0.0, 10**400, 'é\\ud800', b'\\xff', (1,), {1, 2}, 1j, "
         "range(3), frozenset({1}), [[{'a': (1, [2])}]], float('inf'), bytearray(b'x')):\n    out = f(v)\n"
         "    assert out == v and type(out) is type(v)"),
        pytest.param("def f(n): return list(range(n))", "assert f(2_000_000) == list(range(2_000_000))",
                     marks=pytest.mark.slow),
        ("def f(x): return x", "def test_one():\n    assert f(1) == 1"),
        ("def f(x):\n    f.calls = getattr(f, 'calls', 0) + 1\n    return f.calls",
         "assert f(0) == 1\nassert f(0) == 2"),
    ],
)  # fmt: skip
def test_what_crosses_between_tests_and_solution(verifier: CodeVerifier, code: str, test: str) -> None:
    (found,) = decided([verdict(verifier, code, test)])
    assert found.correct is True, found


def test_types_are_kept_apart_when_they_cross(verifier: CodeVerifier) -> None:
    assert verdict(verifier, "def f(x): return tuple(x)", "assert f([1]) == [1]").correct is False


def test_a_value_longer_than_is_read_of_a_solution_is_wrong(verifier: CodeVerifier) -> None:
    found = verdict(verifier, "def f(n): return 'a' * n", "assert f(32_000_000) == 'a' * 32_000_000")
    assert found.correct is False
    assert "more than is read of a solution" in found.reason


@pytest.mark.slow
def test_items_of_a_list_of_millions_are_kept_apart_as_well(verifier: CodeVerifier) -> None:
    long = "assert f(1_100_000) == [0] * 1_100_000"
    other = verdict(verifier, "def f(n): return list(range(n))", long)
    same = verdict(verifier, "def f(n): return [False] * n", long)  # its text differs, its items do not
    shorter = verdict(verifier, "def f(n): return [1] * n", "assert f(2_000_000) == [1] * 2_000_001")
    assert [found.correct for found in decided([other, same, shorter])] == [False, True, False]


def test_programs_read_and_print(verifier: CodeVerifier) -> None:
    prompt = "Read n and then n numbers; print their sum."
    cases = json.dumps([{"input": "2\n3 4\n", "output": "7\n"}, {"input": "1\n5\n", "output": "5"}])
    good = "```python\nn = int(input())\nprint(sum(map(int, input().split())), '')\n```"
    wrong = "```python\nprint(7)\n```"
    loops = "```python\nwhile True: pass\n```"
    exits = "```python\nprint(7 if int(input()) == 2 else 5)\nraise SystemExit(1)\n```"
    verdicts = decided(verifier.verify([claim(text, cases, prompt) for text in (good, wrong, exits, loops)]))
    assert [found.correct for found in verdicts] == [True, False, False, False]
    assert "in case 1" in verdicts[1].reason
    assert "processor time" in verdicts[3].reason


def test_output_is_compared_without_trailing_white_space() -> None:
    assert output_lines("a \nb\n\n") == ["a", "b"]
    assert output_lines("a\n\nb") != output_lines("a\nb")
    assert output_lines("a\x0cb") != output_lines("a\nb") == output_lines("a\r\nb\r\n")


def test_references_are_read_in_all_their_forms() -> None:
    assert read_reference('["assert f()"]').tests == ("assert f()",)  # type: ignore[union-attr]
    assert read_reference("assert f(1) == 2").tests == ("assert f(1) == 2",)  # type: ignore[union-attr]
    assert read_reference('{"inputs": ["1"], "outputs": ["2"]}').cases == (("1", "2"),)  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_solution_that_never_ends_is_wrong(verifier: CodeVerifier) -> None:
    loop = "def f(x):\n    while True: pass"
    assert verdict(verifier, loop, "assert f(1) == 1").correct is False


def overdue(found: Verdict) -> bool:
    """Whether it is called wrong for its time by the clock; on a machine that is busy indeed, that cannot be told."""
    return found.correct is False or (found.correct is None and "busy" in found.reason)


SLEEPER = "import time\ndef f(x): time.sleep(600)"


def test_a_solution_that_sleeps_is_wrong(verifier: CodeVerifier) -> None:
    brief = CodeVerifier(limits=replace(OF_VERDICT, wall_seconds=1.0), sandbox=verifier.sandbox)
    assert overdue(verdict(brief, SLEEPER, "assert f(1) == 1"))


@pytest.mark.slow
def test_a_call_that_waits_for_nothing_ends_before_the_verdict_must(verifier: CodeVerifier) -> None:
    start = time.monotonic()
    found = verdict(verifier, SLEEPER, "assert f(1) == 1")
    assert overdue(found)
    assert "no answer within 12 s" in found.reason
    assert time.monotonic() - start < 40


@pytest.mark.slow
def test_a_program_that_sleeps_is_wrong_unless_the_machine_is_busy(
    verifier: CodeVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    brief = CodeVerifier(limits=replace(OF_VERDICT, wall_seconds=1.0), sandbox=verifier.sandbox)
    sleeps = claim("```python\nimport time\ntime.sleep(600)\n```", '[{"input": "", "output": ""}]', "Do nothing.")
    for slowdown, correct in ((1.0, False), (50.0, None)):
        monkeypatch.setattr(verifier.sandbox, "slowdown", lambda slowdown=slowdown: slowdown)
        with within(60):  # as in the service: a bound that is not reached excuses nothing
            assert brief.verify([sleeps])[0].correct is correct


@each_row("ending", ["raise ValueError", "raise SystemExit(3)", "import os; os.abort()", "1 / 0"])
def test_a_program_that_fails_does_not_meet_an_empty_output(verifier: CodeVerifier, ending: str) -> None:
    nothing = json.dumps([{"input": "", "output": ""}])
    assert verifier.verify([claim(f"```python\n{ending}\n```", nothing, "Print nothing.")])[0].correct is False
    assert verifier.verify([claim("```python\npass\n```", nothing, "Print nothing.")])[0].correct is True


@pytest.mark.slow
def test_it_works_off_the_main_thread(verifier: CodeVerifier) -> None:
    found: list[Verdict] = []
    loops = claim("```python\ndef areas(rs):\n    while True: pass\n```")
    thread = threading.Thread(target=lambda: found.extend(verifier.verify([claim(BODY), loops])))
    thread.start()
    thread.join(60)
    assert [each.correct for each in found] == [True, False]


@each_row(
    ("code", "test"),
    [
        ("def f(): raise StopIteration('over')", "try:\n    f()\n    assert 0\nexcept StopIteration as error:\n"
         "    assert 'over' in str(error)"),
        ("def f(): raise StopIteration", "try:\n    f()\n    assert 0\nexcept (ValueError, StopIteration): pass"),
        ("import itertools\ndef f(): return itertools.count()", "from itertools import islice\nendless = f()\n"
         "assert next(endless) == 0\nassert list(islice(endless, 3)) == [1, 2, 3]"),
        ("class P:\n    def __init__(self, length): self.length = length\n    def __len__(self): return 2\n"
         "    def __getitem__(self, at): return [4, 5][at]\n    def twice(self): return P(2 * self.length)\n"
         "    def __str__(self): return f'P {self.length}'\n    def __float__(self): return .5\ndef f(): return P(3)",
         "p = f()\nassert p.length == 3 and p.twice().length == 6 and len(p) == 2 and p[1] == 5 and list(p) == [4, 5]\n"
         "assert str(p) == 'P 3' and float(p) == .5 and 5 in p and 6 not in p\np.length = 7\nassert p.length == 7"),
    ],
)  # fmt: skip
def test_tests_may_look_into_what_stays_in_the_solutions_process(verifier: CodeVerifier, code: str, test: str) -> None:
    found = verdict(verifier, code, test)
    assert found.correct is True, found


@pytest.mark.slow
def test_it_is_a_verifier_also_after_a_journey(verifier: CodeVerifier) -> None:
    assert isinstance(verifier, Verifier)
    travelled = pickle.loads(pickle.dumps(verifier))
    try:
        assert travelled.name == verifier.name
        assert travelled.verify([claim(BODY)])[0].correct is True
    finally:
        travelled.close()
    assert verifier.verify([]) == []


@pytest.mark.slow
def test_a_sample_of_the_benchmarks_own_solutions_passes(verifier: CodeVerifier, shared_data: Path) -> None:
    claims = []
    for name in ("humanevalplus", "mbppplus"):
        with gzip.open(shared_data / "questions" / f"{name}.jsonl.gz", "rt") as file:
            lines = [json.loads(line) for line in file][::25]
        for line in lines:
            head = line["query"] if name == "humanevalplus" else ""
            text = f"```python\n{head}{line['canonical_solution']}\n```"
            claims.append(claim(text, line["reference"], line["query"]))
    assert [found.reason for found in verifier.verify(claims) if found.correct is not True] == []
