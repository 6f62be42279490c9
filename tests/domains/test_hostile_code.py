"""Solutions that try to be called right without being right. Each is named for what it guards."""

from __future__ import annotations

import json
import re
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from memreward.domains import parse_rollout
from memreward.domains.code.verify import CodeVerifier
from memreward.domains.shared.cache import VerdictCache, verdict_key
from memreward.domains.verifiers import Verifiers
from memreward.sandbox import Allowance, Sandbox
from memreward.types import Claim, Query, Verdict
from rows import each_row

PROMPT = 'def add(a, b):\n    """Return the sum of a and b."""\n'
TESTS = (
    '["assert add(1, 2) == 3\\nassert add(-1, 1) == 0", '
    '"def check(candidate):\\n    assert candidate(2, 2) == 4\\n    assert candidate([1], [2]) == [1, 2]\\n'
    'check(add)", '
    '"assert add(20, 22) == 42", "assert abs(add(0.1, 0.2) - 0.3) < 1e-6", '
    "\"assert add('a', 'b') in ['ab'] and not add(0, 0)\"]"
)

HOSTILE = {
    # saying that it passed
    "prints that all tests passed": "print('passed')\nprint('all tests passed')\ndef add(a, b): pass",
    "prints a verdict as the harness writes it": """
        print('{"outcome": "passed", "reason": "", "tests_run": 5, "calls": 9}', flush=True)
        def add(a, b):
            print('{"outcome": "passed", "reason": "", "tests_run": 5, "calls": 9}', flush=True)
    """,
    "writes a verdict to every descriptor": """
        import os
        def add(a, b):
            for descriptor in range(256):
                try: os.write(descriptor, b'{"outcome": "passed", "reason": "", "tests_run": 5, "calls": 9}')
                except OSError: pass
    """,
    "sends forged messages with every descriptor": """
        import os, struct
        message = b'{"outcome": "passed", "value": true, "have": {}, "loaded": true}'
        for descriptor in range(3, 64):
            for _ in range(20):
                try: os.write(descriptor, struct.pack('>I', len(message)) + message)
                except OSError: pass
        def add(a, b): return None
    """,
    "announces an endless message": """
        import os
        def add(a, b):
            os.write(3, b'\\xff\\xff\\xff\\xff')
            os._exit(0)
    """,
    "answers with no JSON": "import os\ndef add(a, b): os.write(3, b'\\x00\\x00\\x00\\x02{]')",
    "answers with JSON nested without end": """
        import os, struct
        def add(a, b):
            message = b'{"value": ' + b'[' * 200000 + b']' * 200000 + b'}'
            os.write(3, struct.pack('>I', len(message)) + message)
    """,
    "replaces the encoder of the harness": """
        import json
        json.dumps = lambda *a, **k: '{"outcome": "passed", "value": true}'
        def add(a, b): return None
    """,
    "replaces the functions of the harness": """
        import sys
        for module in list(sys.modules.values()):
            for name in ('encode', 'decode', 'send', 'receive', 'raised', 'is_large'):
                if hasattr(module, name):
                    try: setattr(module, name, lambda *a, **k: True)
                    except Exception: pass
        def add(a, b): return None
    """,
    # leaving early
    "exits with 0 while it is loaded": "import sys\ndef add(a, b): return a + b\nsys.exit(0)",
    "exits hard with 0 while it is loaded": "import os\ndef add(a, b): return a + b\nos._exit(0)",
    "exits hard with 0 when it is called": "import os\ndef add(a, b): os._exit(0)",
    "raises SystemExit(0) when it is called": "def add(a, b): raise SystemExit(0)",
    "exits from a thread": """
        import os, threading, time
        def add(a, b):
            threading.Thread(target=lambda: os._exit(0)).start()
            time.sleep(5)
    """,
    "exits at the second call": """
        import os
        calls = []
        def add(a, b):
            calls.append(1)
            if len(calls) > 1: os._exit(0)
            return a + b
    """,
    "becomes another program": "import os\ndef add(a, b): os.execv('/bin/true', ['true'])",
    "closes every descriptor": "import os\ndef add(a, b): os.closerange(0, 256)",
    # values that claim to be equal
    "equals everything": """
        class Anything:
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            __hash__ = None
        def add(a, b): return Anything()
    """,
    "an int that equals everything": """
        class Anything(int):
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __hash__(self): return 0
        def add(a, b): return Anything()
    """,
    "a str that equals everything": """
        class Anything(str):
            def __eq__(self, other): return True
            def __hash__(self): return 0
        def add(a, b): return Anything('ab')
    """,
    "a list that equals everything": """
        class Anything(list):
            def __eq__(self, other): return True
            def __contains__(self, other): return True
        def add(a, b): return Anything()
    """,
    "a float below every bound": """
        class Below(float):
            def __sub__(self, other): return self
            def __abs__(self): return self
            def __lt__(self, other): return True
            def __eq__(self, other): return True
            def __hash__(self): return 0
        def add(a, b): return Below()
    """,
    "unittest.mock.ANY": "from unittest.mock import ANY\ndef add(a, b): return ANY",
    "a mock of everything": "from unittest.mock import MagicMock\ndef add(a, b): return MagicMock()",
    "a class instead of a value": """
        class Meta(type):
            def __eq__(cls, other): return True
            def __hash__(cls): return 0
        class Value(metaclass=Meta): pass
        def add(a, b): return Value
    """,
    "an object that gives itself for every attribute": """
        class Self:
            def __getattr__(self, name): return self
            def __call__(self, *a, **k): return self
            def __eq__(self, other): return True
            __hash__ = None
        def add(a, b): return Self()
    """,
    "a numpy array of equal signs": """
        import numpy
        class Anything(numpy.ndarray):
            def __eq__(self, other): return True
        def add(a, b): return numpy.zeros(1).view(Anything)
    """,
    "the function is an object whose results equal everything": """
        from unittest.mock import ANY
        class Add:
            def __call__(self, a, b): return ANY
        add = Add()
    """,
    "NotImplemented": "def add(a, b): return NotImplemented",
    "Ellipsis": "def add(a, b): return ...",
    "not a number": "def add(a, b): return float('nan')",
    "true for everything": "def add(a, b): return True",
    # raising
    "raises a BaseException": "class Stop(BaseException): pass\ndef add(a, b): raise Stop('passed')",
    "raises KeyboardInterrupt": "def add(a, b): raise KeyboardInterrupt",
    "raises GeneratorExit": "def add(a, b): raise GeneratorExit",
    "raises StopIteration": "def add(a, b): raise StopIteration(3)",
    "raises an exception whose text is a bomb": """
        class Bomb(Exception):
            def __str__(self): raise SystemExit(0)
        def add(a, b): raise Bomb
    """,
    "raises an exception with a name of ours": """
        class _Gone(BaseException): pass
        class _Doubt(BaseException): pass
        def add(a, b): raise _Doubt
    """,
    # reaching for the tests
    "patches AssertionError": """
        import builtins
        builtins.AssertionError = type('AssertionError', (Exception,), {'__new__': lambda *a: None})
        def add(a, b): return None
    """,
    "patches the functions that tests use": """
        import builtins, math
        builtins.abs = lambda x: 0
        builtins.len = builtins.sum = builtins.round = lambda *a: 0
        math.isclose = lambda *a, **k: True
        def add(a, b): return 0
    """,
    "walks the frames for the expected value": """
        import sys
        def add(a, b):
            frame = sys._getframe()
            while frame:
                for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):
                    if isinstance(value, str) and 'assert add' in value:
                        raise SystemExit(0)
                    if isinstance(value, dict) and 'candidate' in value:
                        value['candidate'] = lambda *a: None
                frame = frame.f_back
    """,
    "looks for the tests among all objects": """
        import gc
        def add(a, b):
            texts = [o for o in gc.get_objects() if isinstance(o, str) and 'assert add' in o]
            held = [d for d in gc.get_objects() if isinstance(d, dict) and 'tests' in d and d['tests']]
            return a + b if texts or held else None
    """,
    "looks for the tests in every file": """
        import os
        def add(a, b):
            for folder, _, files in os.walk('/'):
                if folder.startswith(('/usr', '/lib', '/dev', '/root', '/proc', '/sys')): continue
                for name in files:
                    try:
                        if b'assert add(20, 22)' in open(os.path.join(folder, name), 'rb').read(100000): return a + b
                    except OSError: pass
    """,
    "looks for the tests in the environment": """
        import os, sys
        def add(a, b): return a + b if 'assert' in str(dict(os.environ)) + str(sys.argv) + str(sys.orig_argv) else None
    """,
    "defines the tests' own function": "def check(candidate): pass\ndef candidate(*a): return 3\ndef add(a, b): pass",
    "defines a module of tests": """
        import sys, types
        sys.modules['tests'] = types.SimpleNamespace(check=lambda c: None, add=lambda a, b: a + b)
        def add(a, b): pass
    """,
    "puts an expression in place of assert": """
        import builtins
        setattr(builtins, '__debug__', False)
        def add(a, b): return None
    """,
    "traces its callers to change what they hold": """
        import sys
        def tracer(frame, event, value):
            frame.f_locals.update(outcome='passed')
            return tracer
        sys.settrace(tracer)
        def add(a, b): return None
    """,
    "changes its own code after a right answer": """
        def wrong(a, b): return None
        def add(a, b):
            add.__code__ = wrong.__code__
            return a + b
    """,
    "is not there": "def add(a, b): return a + b\ndel add",
    "is only declared": "def add(a, b):\n    ...",
    "answers a question that was not asked": "def subtract(a, b): return a - b",
    "gives text for numbers": "def add(a, b): return f'{a + b}'",
    "is right for some tests only": "def add(a, b): return {1: 3, -1: 0, 2: 4}.get(a) if a != [1] else None",
    # using things up
    "loops without end": "def add(a, b):\n    while True: pass",
    "loops while it is loaded": "while True: pass\ndef add(a, b): return a + b",
    "loops and ignores the signal that ends it": """
        import signal
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        def add(a, b):
            while True: pass
    """,
    "raises its own limits and loops": """
        import resource
        for kind in (resource.RLIMIT_CPU, resource.RLIMIT_AS):
            try: resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            except (ValueError, OSError): pass
        def add(a, b):
            while True: pass
    """,
    "recurses without end": "def add(a, b): return add(b, a)",
    "recurses in C without end": """
        import sys
        sys.setrecursionlimit(10**9)
        def add(a, b): return add(b, a)
    """,
    "takes all memory": "def add(a, b): return len([0] * 10**12)",
    "takes memory bit by bit": """
        def add(a, b):
            held = []
            while True: held.append(bytearray(10**8))
    """,
    "returns an endless iterator": "import itertools\ndef add(a, b): return itertools.count()",
    "returns a list that holds itself": "def add(a, b):\n    x = []\n    x.append(x)\n    return x",
    "returns a list of great depth": """
        def add(a, b):
            x = []
            for _ in range(10**5): x = [x]
            return x
    """,
    "returns a number of a million digits": "def add(a, b): return 1 << 4_000_000",
    "returns a hundred million characters": "def add(a, b): return 'a' * 10**8",
    "returns a fraction that is dear to read": """
        from fractions import Fraction
        class Dear(Fraction):
            def __str__(self): return '1e999999999'
        def add(a, b): return Dear(1)
    """,
    "returns a dict with a key that cannot be one": """
        import os, struct
        def add(a, b):
            message = b'{"value": {"d": [[[1], 2]]}}'
            os.write(3, struct.pack('>I', len(message)) + message)
    """,
    "floods the output": "import sys\ndef add(a, b):\n    for _ in range(1000): sys.stdout.write('x' * 10**5)",
    "crashes the interpreter": "import ctypes\ndef add(a, b): return ctypes.string_at(0)",
    "aborts": "import os\ndef add(a, b): os.abort()",
    "forks without end": "import os\ndef add(a, b):\n    while True: os.fork()",
    "kills everything it sees": """
        import os, signal
        def add(a, b):
            for victim in (os.getppid(), 1, -1): os.kill(victim, signal.SIGKILL)
    """,
    "kills itself": "import os, signal\ndef add(a, b): os.kill(os.getpid(), signal.SIGKILL)",
    "says that its processor time was up": "import os, signal\ndef add(a, b): os.kill(os.getpid(), signal.SIGXCPU)",
}


@pytest.fixture(scope="module")
def verifier() -> Iterator[CodeVerifier]:
    made = CodeVerifier(
        limits=Allowance(call_seconds=1, cpu_seconds=2, memory_mb=512, wall_seconds=60.0),
        sandbox=Sandbox(places=1),
    )
    yield made
    made.close()


LONG = re.compile("loops|without end|in every file|a hundred million|bit by bit")
"""Names of those that take a second or more until a limit ends them."""


def verdict_on(verifier: CodeVerifier, code: str, prompt: str = PROMPT, tests: str = TESTS) -> Verdict:
    text = f"```python\n{textwrap.dedent(code)}\n```"
    rollout = parse_rollout(Query("q", prompt, "code"), text, id="r")
    return verifier.verify([Claim(rollout, tests)])[0]


def test_the_suite_is_no_smaller_than_it_says() -> None:
    assert len(HOSTILE) >= 60


@each_row("name", [name for name in HOSTILE if not LONG.search(name)])
def test_a_hostile_solution_does_not_pass(verifier: CodeVerifier, name: str) -> None:
    verdict = verdict_on(verifier, HOSTILE[name])
    assert verdict.correct is not True, verdict
    assert verdict.reason


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in HOSTILE if LONG.search(name)])
def test_a_hostile_solution_that_a_limit_ends_does_not_pass(verifier: CodeVerifier, name: str) -> None:
    verdict = verdict_on(verifier, HOSTILE[name])
    assert verdict.correct is not True, verdict
    assert verdict.reason


def test_an_honest_solution_passes_before_and_after_all_of_them(verifier: CodeVerifier) -> None:
    assert verdict_on(verifier, "def add(a, b): return a + b").correct is True


def test_a_solution_cannot_redefine_what_the_question_gives(verifier: CodeVerifier) -> None:
    prompt = (
        "def poly(xs, x):\n    return sum(c * x**i for i, c in enumerate(xs))\n\n\n"
        'def find_zero(xs):\n    """Return x with poly(xs, x) = 0."""\n'
    )
    tests = '["assert abs(poly([-6, 2], find_zero([-6, 2]))) < 1e-4"]'
    honest = "def find_zero(xs): return 3"
    hostile = "def poly(xs, x): return 0\ndef find_zero(xs): return 7"
    assert verdict_on(verifier, honest, prompt, tests).correct is True
    assert verdict_on(verifier, hostile, prompt, tests).correct is False


@pytest.mark.parametrize("module", ["math", "numpy", "np"])
def test_a_solution_cannot_stand_in_for_a_module_that_tests_forgot_to_import(
    verifier: CodeVerifier, module: str
) -> None:
    if module != "math":
        pytest.importorskip("numpy")
    hostile = f"class Own:\n    def isclose(self, *a): return True\n{module} = Own()\ndef add(a, b): return 0"
    tests = f'["assert {module}.isclose(add(1, 2), 3)"]'
    assert verdict_on(verifier, hostile, tests=tests).correct is False
    assert verdict_on(verifier, "def add(a, b): return a + b", tests=tests).correct is True


def test_a_solution_is_not_told_what_a_module_that_is_not_there_is_asked(verifier: CodeVerifier) -> None:
    hostile = "class Own:\n    def approx(self, x):\n        self.x = x\n        return x\npytest = Own()\n"
    hostile += "def add(a, b): return pytest.x"
    assert verdict_on(verifier, hostile, tests='["assert pytest.approx(3) == add(1, 2)"]').correct is not True


def test_a_test_case_that_only_counts_its_failures_fails(verifier: CodeVerifier) -> None:
    test = (
        "import unittest\nclass Case(unittest.TestCase):\n    def test_sums(self):\n        for n in (1, 2):\n"
        "            with self.subTest(n=n):\n                self.assertEqual(add(n, 2), n + 2)\n"
        "unittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromTestCase(Case))"
    )
    for wrong in ("return 3", "return None", "raise ValueError"):
        assert verdict_on(verifier, f"def add(a, b): {wrong}", tests=json.dumps([test])).correct is False
    assert verdict_on(verifier, "def add(a, b): return a + b", tests=json.dumps([test])).correct is True


@each_row(
    "ending",
    [
        "",
        "unittest.main()",
        "if __name__ == '__main__':\n    unittest.main()",
        "add(1, 2)\nif __name__ == '__main__':\n    unittest.main(exit=False)",
    ],
)
def test_test_cases_are_run_as_unittest_would(verifier: CodeVerifier, ending: str) -> None:
    cases = "import unittest\nclass Case(unittest.TestCase):\n    def test_sum(self):\n"
    cases += "        self.assertEqual(add(1, 2), 3)\n    def test_text(self):\n"
    cases += "        self.assertRaises(TypeError, add, 1, 'a')\n"
    tests = json.dumps([cases + ending])
    assert verdict_on(verifier, "def add(a, b): return a + b", tests=tests).correct is True
    assert verdict_on(verifier, "def add(a, b): return 3", tests=tests).correct is False
    assert verdict_on(verifier, "def add(a, b): return a - b", tests=tests).correct is False


@each_row(
    "test",
    [
        "x = [3, 1, 2]\nassert add(x) == sorted(x)",
        "x = [3, 1, 2]\nfound = add(x)\nexpected = sorted(x)\nassert found == expected",
        "def check(candidate):\n    for x in ([3, 1], [2, 1]):\n        assert candidate(x) == sorted(x)\ncheck(add)",
        "import unittest\nx = [3, 1, 2]\nunittest.TestCase().assertEqual(add(x), sorted(x))",
    ],
)
def test_what_the_tests_compute_from_an_argument_is_not_the_solutions_to_change(
    verifier: CodeVerifier, test: str
) -> None:
    tests = json.dumps([test])
    for hostile in ("x.clear()\n    return []", "x[:] = [1]\n    return [1]"):
        assert verdict_on(verifier, f"def add(x):\n    {hostile}", tests=tests).correct is None
    for honest in ("return sorted(x)", "x.sort()\n    return x"):
        assert verdict_on(verifier, f"def add(x):\n    {honest}", tests=tests).correct is True


def test_a_solution_may_work_in_place_where_the_tests_look_there(verifier: CodeVerifier) -> None:
    unique = "def add(x):\n    kept = sorted(set(x))\n    x[: len(kept)] = kept\n    return len(kept)"
    test = "x = [1, 1, 2]\nk = add(x)\nassert k == 2 and x[:k] == [1, 2]"
    assert verdict_on(verifier, unique, tests=json.dumps([test])).correct is True
    assert verdict_on(verifier, "def add(x): return 2", tests=json.dumps([test])).correct is False
    test = "x = [2, 1]\nadd(x)\nassert x == [1, 2]"
    assert verdict_on(verifier, "def add(x): x.sort()", tests=json.dumps([test])).correct is True


@pytest.mark.slow
def test_a_solution_that_keeps_the_machine_busy_is_late_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slowness of the machine is measured when the solution is gone."""
    busy = CodeVerifier(
        limits=Allowance(call_seconds=1, cpu_seconds=60, memory_mb=512, wall_seconds=8.0),
        sandbox=Sandbox(places=1),
    )
    monkeypatch.setattr(busy.sandbox, "slowdown", lambda: 1.0)
    code = """
        import hashlib, signal, threading, time
        threading.stack_size(1 << 18)
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        def burn():
            while True: hashlib.sha256(bytes(10**7)).digest()
        def add(a, b):
            for _ in range(24): threading.Thread(target=burn, daemon=True).start()
            time.sleep(1000)
    """
    try:
        assert verdict_on(busy, code).correct is False
    finally:
        busy.close()


SENDS = """
import json, os, struct, time
def send(form):
    message = json.dumps({'value': form}).encode()
    message = struct.pack('>I', len(message)) + message
    while message: message = message[os.write(3, message):]
    time.sleep(60)
"""
"""Sends a value in the harness' own form, which no object of the solution's needs to have."""

EVASIONS = {
    "is no function": ("f = 5", "assert f(1) == 2"),
    "is an object that cannot be called": ("class C: pass\nf = C()", "assert f(1) == 2"),
    "leaves out the second function": ("def f(x): return 2", "assert g(1) == 1\nassert f(1) == 2"),
    "says that a module is not there": ("raise ModuleNotFoundError(name='anything')", "assert f(1) == 2"),
    "says so when it is called": ("def f(x): raise ModuleNotFoundError(name='anything')", "assert f(1) == 2"),
    "imports what nobody has": ("import a_package_that_is_absent\ndef f(x): return 2", "assert f(1) == 2"),
    "keys of one hash in a set": (
        SENDS + "def f(x): send({'s': [k * (2**61 - 1) for k in range(200_000)]})",
        "assert f(1) == {2}",
    ),
    "keys of one hash in a dict": (
        SENDS + "def f(x): send({'d': [[{'t': [k * (2**61 - 1), 1]}, 0] for k in range(200_000)]})",
        "assert f(1) == {2: 0}",
    ),
    "keys of one hash in a list that the tests put into a set": (
        "def f(x): return [k * (2**61 - 1) for k in range(60_000)]",
        "assert set(f(1)) == {2}",
    ),
    "a number up to which the tests count": ("def f(x): return 10**15", "assert sum(range(f(1))) == 1"),
    "a number that fills the tests' memory": ("def f(x): return 10**12", "assert 'a' * f(1) == 'aa'"),
    "a depth that the tests cannot go down": (
        "def f(x):\n    x = []\n    for _ in range(900): x = [x]\n    return x",
        "def deep(x):\n    return 1 + max(map(deep, x), default=0)\nassert deep(f(1)) == 2",
    ),
    "a depth that cannot be sent back": (
        "def f(x):\n    if x: return 0\n    x = []\n    for _ in range(900): x = [x]\n    return x",
        "assert f(f(0)) == 2",
    ),
    "a long list of other items": ("def f(x): return [0] * 1_200_000", "assert f(1) == [1] * 1_200_000"),
    "more than is read": ("def f(x): return 'a' * 40_000_000", "assert f(1) == 'a'"),
    "an object in place of a number": ("class C: pass\ndef f(x): return C()", "assert abs(f(1) - 2) < 1e-6"),
    "an object in place of one that can be ordered": ("class C: pass\ndef f(x): return C()", "assert f(1) > 1"),
    "an object without the attribute": ("class C: pass\ndef f(x): return C()", "assert f(1).value == 2"),
    "an object whose truth cannot be told": (
        "class C:\n    def __bool__(self): raise ValueError\ndef f(x): return C()",
        "assert f(1)",
    ),
    "an object that has everything in it": (
        "class C:\n    def __contains__(self, x): return True\n    def __iter__(self): return iter(())\n"
        "def f(x): return C()",
        "assert 2 in f(1)",
    ),
    "an object without end": (
        "class C:\n    def __iter__(self): return self\n    def __next__(self): return 1\ndef f(x): return C()",
        "assert list(f(1)) == [2]",
    ),
    "a list of a length that it has not": (
        SENDS + "def f(x): send({'h': 0, 'type': 'list', 'digest': '0', 'length': 10**9})",
        "assert list(f(1)) == [2]",
    ),
    "bytes that drip": (
        "import os, struct, time\ndef f(x):\n    os.write(3, struct.pack('>I', 1000))\n"
        "    while True:\n        os.write(3, b' ')\n        time.sleep(0.2)",
        "assert f(1) == 2",
    ),
    "a little sleep in every call": (
        "import time\ndef f(x):\n    time.sleep(0.4)\n    return 2",
        "for x in range(100):\n    assert f(x) == 2",
    ),
}


@pytest.fixture(scope="module")
def brief(verifier: CodeVerifier) -> CodeVerifier:
    limits = Allowance(call_seconds=1, cpu_seconds=2, memory_mb=512, wall_seconds=8.0)
    return CodeVerifier(limits=limits, sandbox=verifier.sandbox)


@pytest.mark.slow
@pytest.mark.parametrize(("code", "test"), EVASIONS.values(), ids=EVASIONS.keys())
def test_what_the_solution_causes_is_wrong(brief: CodeVerifier, code: str, test: str) -> None:
    started = time.monotonic()
    verdict = verdict_on(brief, code, "Write a function.\n", json.dumps([test]))
    assert verdict.correct is False or "busy" in verdict.reason, verdict
    assert time.monotonic() - started < 25, "without one deadline for the claim they take from 30 to 150 s"


LAZY = {
    "all of a map": "assert all(map(lambda case: f(case) == 2 * case, [1, 2, 3]))",
    "all of a starmap": "from itertools import starmap\nassert all(starmap(lambda x, y: f(x) == y, [(1, 2)]))",
    "a zip": "for x, y in zip(map(f, [1, 2]), [2, 4]): assert x == y",
    "a filter": "assert not list(filter(lambda x: f(x) != 2 * x, [1, 2]))",
    "calls up to a sentinel": "for x in iter(lambda: f(1), 2): assert False",
    "an iterator of the tests' own": (
        "class Cases:\n    def __iter__(self): return self\n    def __next__(self): return f(1)\n"
        "for x in Cases():\n    assert x == 2\n    break"
    ),
}


@each_row("error", ["StopIteration", "StopAsyncIteration", "type('Own', (StopIteration,), {})"])
@each_row("test", LAZY.values())
def test_an_end_of_iteration_that_the_solution_raises_ends_no_test(brief: CodeVerifier, error: str, test: str) -> None:
    right = verdict_on(brief, "def f(x): return 2 * x", "Write a function.\n", json.dumps([test]))
    assert right.correct is True, right
    raises = f"def f(x): raise {error}"
    for given in (test, f"# StopIteration\n{test}"):
        assert verdict_on(brief, raises, "Write a function.\n", json.dumps([given])).correct is False


def test_texts_that_no_encoding_has_are_kept_and_read_again(brief: CodeVerifier, tmp_path: Path) -> None:
    code = "def f(x): raise ValueError('\\ud800 and \\udfff')"
    rollout = parse_rollout(Query("q", "Write a function.\n", "code"), f"```python\n{code}\n```", id="r")
    given = Claim(rollout, '["assert f(1) == 2"]')
    for _ in range(2):
        verifiers = Verifiers(cache=VerdictCache(tmp_path), own={"code": brief})
        verdict = verifiers.verify([given])[0]
        assert verdict.correct is False
        verdict.reason.encode()
    cache = VerdictCache(tmp_path)
    cache.put({verdict_key("a"): Verdict(False, "\ud83d")})
    VerdictCache(tmp_path).get([verdict_key("a")])[verdict_key("a")].reason.encode()


def test_what_a_program_writes_can_be_stored(brief: CodeVerifier, tmp_path: Path) -> None:
    code = "import sys\nsys.stderr.buffer.write(b'\\xed\\xa0\\x80')\nraise ValueError('\\udc80')"
    rollout = parse_rollout(Query("q", "Print 1.\n", "code"), f"```python\n{code}\n```", id="r")
    cases = json.dumps([{"input": "\ud800", "output": "1"}])
    verdict = Verifiers(cache=VerdictCache(tmp_path), own={"code": brief}).verify([Claim(rollout, cases)])[0]
    assert verdict.correct is False
    verdict.reason.encode()


def test_nothing_crosses_from_one_solution_to_the_next(verifier: CodeVerifier) -> None:
    leave = """
        import builtins, os, sys, math, json
        builtins.left = math.left = json.left = True
        sys.modules['left'] = sys
        os.environ['LEFT'] = '1'
        open(os.path.join(os.environ['TMPDIR'], 'left'), 'w').write('1')
        def add(a, b): return a + b
    """
    find = """
        import builtins, os, sys, math, json
        found = [hasattr(m, 'left') for m in (builtins, math, json)]
        found += ['left' in sys.modules, 'LEFT' in os.environ, bool(os.listdir(os.environ['TMPDIR']))]
        def add(a, b): return None if any(found) else a + b
    """
    for _ in range(2 * verifier.sandbox.places):
        assert verdict_on(verifier, leave).correct is True
        assert verdict_on(verifier, find).correct is True


@pytest.mark.parametrize(
    "test",
    [
        "class Point:\n    @property\n    def x(self): return f(1)\nassert getattr(Point(), 'x', 2) == 2",
        "class Numbers:\n    def __getitem__(self, i): return f(i)\nfor i, x in enumerate(Numbers()):\n"
        "    assert x == 2 * i\n    if i == 3: break",
    ],
    ids=["a default of getattr", "items by number"],
)
def test_an_exception_that_python_itself_takes_for_an_end_ends_no_test(brief: CodeVerifier, test: str) -> None:
    tests = json.dumps([test])
    for error in ("AttributeError", "IndexError"):
        assert verdict_on(brief, f"def f(x): raise {error}", "Write a function.\n", tests).correct is False
    assert verdict_on(brief, "def f(x): return 2 * x", "Write a function.\n", tests).correct is True


@each_row(
    "test",
    [
        "try:\n    f(-1)\n    assert False\nexcept ValueError:\n    pass",
        "import contextlib\nwith contextlib.suppress(ValueError):\n    assert f(-1) == 3",
        "import unittest\nunittest.TestCase().assertRaises(ValueError, f, -1)",
        "from concurrent.futures import ThreadPoolExecutor\n"
        "assert isinstance(ThreadPoolExecutor(1).submit(f, -1).exception(), ValueError)",
    ],
)
def test_an_exception_that_tests_look_for_is_right(brief: CodeVerifier, test: str) -> None:
    code = "def f(x):\n    if x < 0: raise ValueError\n    return 2 * x"
    assert verdict_on(brief, code, "Write a function.\n", json.dumps([test])).correct is True


@pytest.mark.parametrize(
    "test",
    [
        "import asyncio\nasync def g(): return f(3)\nassert asyncio.run(g()) == 6",
        "try:\n    f('a', 'b')\nexcept TypeError as error:\n    assert error() if callable(error) else f(3) == 6",
        "match {'a': f(3), 'b': 1}:\n    case {'a': g, **rest}: assert callable(rest) or rest['b'] == 1 and g == 6",
    ],
    ids=["a coroutine", "an exception", "a pattern"],
)
def test_what_tests_name_themselves_is_not_asked_of_the_solution(brief: CodeVerifier, test: str) -> None:
    tests = json.dumps([test])
    assert verdict_on(brief, "def f(x): return 2 * x", "Write a function.\n", tests).correct is True
    assert verdict_on(brief, "def f(x): return 7", "Write a function.\n", tests).correct is False


LAZY = [
    "assert all(map(lambda n: next(numbers(n)) == n, [1, 2, 3]))",
    "assert all(map(lambda n: next(iter(numbers(n))) == n, [1, 2, 3]))",
    "assert all(map(lambda n: numbers(n).__next__() == n, [1, 2, 3]))",
    "assert all(a == b for a, b in zip([1, 2], map(next, map(numbers, [1, 2])), strict=True))",
    "assert list(filter(lambda n: next(numbers(n)) == 0, [1, 2])) == []",
]


@each_row("test", LAZY)
def test_an_iterator_without_items_ends_no_lazy_test(verifier: CodeVerifier, test: str) -> None:
    prompt, tests = 'def numbers(n):\n    """Yield n."""\n', json.dumps([test])
    assert verdict_on(verifier, "def numbers(n): return iter([])", prompt, tests).correct is False
    assert verdict_on(verifier, "def numbers(n):\n    yield n", prompt, tests).correct is True


def test_iterators_of_the_tests_may_end(verifier: CodeVerifier) -> None:
    test = (
        "class Each:\n    def __init__(self, it): self.it = it\n    def __iter__(self): return self\n"
        "    def __next__(self): return next(self.it)\n"
        "assert list(Each(numbers(2))) == [2]\n"
        "it = numbers(2)\nassert next(it) == 2 and next(it, None) is None\n"
        "try:\n    next(it)\n    raise AssertionError\nexcept StopIteration:\n    pass"
    )
    prompt, tests = 'def numbers(n):\n    """Yield n."""\n', json.dumps([test])
    assert verdict_on(verifier, "def numbers(n):\n    yield n", prompt, tests).correct is True
    assert verdict_on(verifier, "def numbers(n): return iter([n, n])", prompt, tests).correct is False


@pytest.mark.parametrize(
    "compare",
    [
        "np.allclose(half(x), x / 2)",
        "np.testing.assert_array_equal(half(x), x / 2) is None",
        *(
            pytest.param(other, marks=pytest.mark.slow)
            for other in (
                "np.isclose(half(x), x / 2).all()",
                "np.array_equiv(half(x), x / 2)",
                "np.testing.assert_almost_equal(half(x), x / 2) is None",
                "np.testing.assert_array_almost_equal(half(x), x / 2) is None",
                "np.testing.assert_array_less(half(x), x / 2 + 1) is None",
            )
        ),
    ],
)
def test_nothing_is_not_close_to_something(verifier: CodeVerifier, compare: str) -> None:
    pytest.importorskip("numpy")
    prompt = 'def half(x):\n    """Return the half."""\n'
    tests = json.dumps([f"import numpy as np\nfor x in (1.0, 3.0):\n    assert {compare}"])
    for wrong in ("[]", "()", "__import__('numpy').zeros(0)", "__import__('numpy').zeros((0, 3))"):
        assert verdict_on(verifier, f"def half(x): return {wrong}", prompt, tests).correct is False, wrong
    assert verdict_on(verifier, "def half(x): return x / 2", prompt, tests).correct is True
