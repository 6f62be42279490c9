"""The tests' side: runs tests that others wrote, against a solution that lives in another sandbox.

The functions under test are stand-ins that exchange plain data with it, so that no object, frame or module of the
solution is ever in the process that decides.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib
import json
import os
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from .foreign import module_named, run_in
from .plain import LONGEST_REASON, PATIENCE, Malformed, Opaque, decode, digest, encode, receive, said_by, send

_USUAL_NAMES = {"np": "numpy", "numpy": "numpy", "pytest": "pytest", "pd": "pandas", "pandas": "pandas"}
_CHUNK = 10_000
_DEEPER = 4000


class _Ended(BaseException):
    """The verdict is reached before the tests' end; it passes through their `except Exception`."""

    def __init__(self, verdict: dict[str, Any]) -> None:
        super().__init__(verdict["reason"])
        self.verdict = verdict


class _SolutionError(Exception):
    """The solution raised something that is no exception of Python's own, or none that may be raised here."""


class _SolutionStopped(_SolutionError):
    """The solution raised StopIteration, which raised here would end a `map` or `zip` of the tests without a word."""


class Partner:
    """The solution's process, as the tests see it.

    An answer may take `patience` seconds, all together until `until` of the monotonic clock. `verdict` is what can be
    said without the tests' coming to their end; `load_failure` what the solution raised while it was loaded; `changed`
    whether a call changed its arguments, which with `keeps` is not done to the tests' own.
    """

    def __init__(self, descriptor: int, patience: float, until: float) -> None:
        self._channel = socket.socket(fileno=descriptor)
        self._patience, self._until, self._begun, self._waited = patience, until, time.monotonic(), 0.0
        self.calls = self.raised = 0
        self.changed = self.keeps = False
        self.functions: tuple[str, ...] = ()
        self.verdict: dict[str, Any] | None = None
        self.load_failure: dict[str, Any] | None = None
        first = self._exchange(None)
        if "raised" in first:
            self.load_failure = first

    def end(self, verdict: dict[str, Any]) -> NoReturn:
        """Settle the verdict and stop the tests."""
        self.verdict = verdict
        raise _Ended(verdict)

    def names(self, wanted: list[str]) -> dict[str, Any]:
        """Return stand-ins for those of the names that the solution defines."""
        have = self._exchange({"names": wanted}).get("have")
        if not isinstance(have, dict):
            self._malformed("no names")
        self.functions = tuple(name for name in wanted if name in have)
        return {name: self._top_level(name, have[name]) for name in self.functions}

    def _top_level(self, name: str, form: Any) -> Any:
        if isinstance(form, dict) and form.get("callable") is True:

            def function(*args: Any, **kwargs: Any) -> Any:
                return self.call(name, args, kwargs)

            function.__name__ = function.__qualname__ = name
            return function
        return self._decoded(form)

    def call(self, target: str | int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function of the solution and return its value, or raise what it raised."""
        self.calls += 1
        named = {name: self._encoded(value) for name, value in kwargs.items()}
        reply = self._exchange({"call": target, "args": [self._encoded(value) for value in args], "kwargs": named})
        self.raised += "raised" in reply
        value = self._value(reply)
        if "args" in reply:
            after = reply["args"] if isinstance(reply["args"], list) else self._malformed("arguments that are no list")
            self.changed = True
            if not self.keeps:
                _update(args, [self._decoded(form) for form in after])
        return value

    def ask(self, handle: int, what: str, *args: Any) -> Any:
        """Ask for something of a value that stayed there; nothing of what the tests expect goes along."""
        return self._value(self._exchange({"of": handle, "what": what, "args": [self._encoded(arg) for arg in args]}))

    def _value(self, reply: dict[str, Any]) -> Any:
        if "raised" in reply:
            raise _exception(reply)
        if "too_long" in reply:
            self.end(_failed(f"a value of {reply['too_long']} bytes, which is more than is read of a solution"))
        if "value" not in reply:
            self._malformed("no value")
        return self._decoded(reply["value"])

    def _encoded(self, value: Any) -> Any:
        usual = sys.getrecursionlimit()
        sys.setrecursionlimit(usual + _DEEPER)  # what could be decoded can be sent back
        try:
            return encode(value, self._refuse)
        except RecursionError:
            return self._refuse(value)
        finally:
            sys.setrecursionlimit(usual)

    def _decoded(self, form: Any) -> Any:
        try:
            return decode(form, self._resolve)
        except Malformed as error:
            self._malformed(str(error))

    def _refuse(self, value: Any) -> NoReturn:
        self.end(_unknown(f"the tests pass a {type(value).__name__}, which cannot be sent to the solution's process"))

    def _malformed(self, what: str) -> NoReturn:
        self.end(_failed(f"the solution's process sent no value: {what}"))

    def _resolve(self, form: dict[str, Any]) -> Any:
        if type(form["h"]) is not int:
            raise Malformed("a handle that is no number")
        return _Remote(self, form["h"], form)

    def _exchange(self, message: dict[str, Any] | None) -> dict[str, Any]:
        """Send a message, if any, and return the answer. One deadline holds for all of both."""
        if self.verdict is not None:
            raise _Ended(self.verdict)
        asked_at = time.monotonic()
        until = min(asked_at + self._patience, self._until)
        try:
            if message is not None:
                self._channel.settimeout(max(until - asked_at, 1e-6))
                send(self._channel, json.dumps(message).encode("ascii"))
            answer = receive(self._channel, until=until)
        except TimeoutError:
            self._waited += time.monotonic() - asked_at
            self._overdue()
        except OSError:
            answer = None
        except Malformed as error:
            self._malformed(str(error))
        self._waited += time.monotonic() - asked_at
        if answer is None:
            self.end(_failed("the solution's process ended before it had answered"))
        try:
            reply = json.loads(answer)
        except (ValueError, RecursionError) as error:
            self._malformed(str(error))
        if not isinstance(reply, dict):
            self._malformed("a reply that is no object")
        return reply

    def _overdue(self) -> NoReturn:
        now = time.monotonic()
        if now < self._until:
            said = f"the solution gave no answer within {self._patience:g} s"
        elif self._waited > (now - self._begun) / 2:
            said = "the solution took most of the time that there is for a verdict"
        else:
            self.end(_unknown("the tests did not come to an end in time", "strained"))
        # Whether the machine was busy is measured by the owner, when the solution is gone and cannot keep it so.
        self.end(_unknown(said, "overdue"))


def _told(what: str, kind: type[Any]) -> Callable[[Any], Any]:
    """A method of `_Remote` that asks for its value in a form of Python's own."""
    return lambda self: kind(self._ask(what))


class _Remote(Opaque):
    """A value of the solution that stayed there.

    It equals itself and, where it is a long list, what has its items. What can be asked of it without telling what is
    expected is asked there (its attributes, items, length, its value as text or number), and comes back as plain data.
    Arithmetic, comparison by order and `in` are not: Python raises for them as for any object without them.
    """

    _partner: Partner

    def __init__(self, partner: Partner, handle: int, form: dict[str, Any]) -> None:
        super().__init__(handle, form)
        object.__setattr__(self, "_partner", partner)

    def _ask(self, what: str, *args: Any) -> Any:
        return self._partner.ask(self._handle, what, *args)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, _Remote):
            return other._handle == self._handle
        if self._digest is None or not isinstance(other, list | tuple) or type(other).__name__ != self._kind:
            return False
        return len(other) == self._length and (digest(other) == self._digest or self._has_items_of(other))

    def _has_items_of(self, other: list[Any] | tuple[Any, ...]) -> bool:
        starts = range(0, len(other), _CHUNK)
        return all(self._ask("items", start, start + _CHUNK) == list(other[start : start + _CHUNK]) for start in starts)

    def __hash__(self) -> int:
        return self._handle

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._callable:
            raise TypeError(f"{self._kind!r} object is not callable")
        return self._partner.call(self._handle, args, kwargs)

    def __bool__(self) -> bool:
        if not isinstance(self._true, bool):
            raise TypeError(f"the truth of {self._kind!r} object cannot be told")
        return self._true

    def __len__(self) -> int:
        return self._length if isinstance(self._length, int) else self._ask("length")

    def __iter__(self) -> Iterator[Any]:
        if self._digest is not None:
            for start in range(0, len(self), _CHUNK):
                yield from self._ask("items", start, start + _CHUNK)
            return
        iterator = self._ask("iterator")
        if not isinstance(iterator, _Remote):
            self._partner._malformed("an iterator that is none")
        while type(some := iterator._ask("next")) is list and some:
            yield some[0]

    def __next__(self) -> Any:
        some = self._ask("next")
        if type(some) is not list or not some:
            raise StopIteration
        return some[0]

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return self._ask("slice", key.start, key.stop, key.step)
        return self._ask("item", key)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._ask("attribute", name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._ask("set", name, value)

    __str__ = _told("text", str)
    __repr__ = _told("repr", str)
    __float__ = _told("float", float)
    __int__ = _told("int", int)
    __index__ = _told("index", int)


def decide(
    tests: list[str], given: str, entry_point: str, seconds: float, *, channel: int, report: int, call_seconds: int
) -> None:
    """Run the tests one after the other until one fails, and write what came of it to `report`.

    `given` are definitions that stand beside the tests, `seconds` how long the solution may be waited for in all, and
    `channel` and `report` descriptors.
    """
    try:
        partner = Partner(channel, PATIENCE * call_seconds, time.monotonic() + seconds)
        outcomes = map(_prepared(partner, tests, given, entry_point).outcome, tests)
        verdict = next((outcome for outcome in outcomes if outcome is not _PASSED), _PASSED)
        if verdict is _PASSED and not partner.calls:
            verdict = _unknown("the tests never call the solution")
    except _Ended as ended:
        verdict = ended.verdict
    os.write(report, json.dumps(verdict).encode("ascii"))
    os._exit(0)


def rehearse(tests: list[str], given: str, entry_point: str, *, report: int) -> None:
    """Run the tests with functions that return None, passing over statements that raise, and write whether they end."""
    with contextlib.suppress(_Ended):
        bench = _prepared(_Nobody(), tests, given, entry_point)
        for test in tests:
            bench.rehearse(test)
        os.write(report, b"ended")
    os._exit(0)


class _Nobody:
    """In a rehearsal, the partner: it has every function, and each returns None."""

    load_failure = verdict = None
    calls = raised = 0
    changed = keeps = False
    functions = ()

    def names(self, wanted: list[str]) -> dict[str, Any]:
        return dict.fromkeys(wanted, self._call)

    def _call(self, *_: Any, **__: Any) -> None:
        self.calls += 1


def _prepared(partner: Partner | _Nobody, tests: list[str], given: str, entry_point: str) -> Bench:
    """What the tests stand on; `_Ended` by a verdict that needs none of them."""
    try:
        trees = [ast.parse(test) for test in tests]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _Ended(_unknown(f"the reference is no Python: {type(error).__name__}: {said_by(error)}")) from None
    base = module_named("tests").__dict__
    try:
        run_in(base, given, "given.py")
    except Exception as error:
        said = f"what the question defines raised {type(error).__name__}: {said_by(error)}"
        raise _Ended(_unknown(said)) from None
    if partner.load_failure is not None:
        raise _Ended(_load_failure(partner.load_failure))
    free = set().union(*map(_free_names, trees)) - base.keys() | ({entry_point} if entry_point else set())
    modules = _modules(free - {entry_point})
    wanted = free - modules.keys()
    found = partner.names(sorted(wanted))
    called = wanted & set().union(*map(_called_names, trees)) | ({entry_point} if entry_point else set())
    if not entry_point and not found and wanted:
        called = wanted
    if absent := called - found.keys():
        raise _Ended(_failed(f"the solution does not define {', '.join(sorted(absent))}"))
    if others := {name for name in called if not _is_function(found[name])}:
        raise _Ended(_failed(f"in the solution, {', '.join(sorted(others))} is no function"))
    base |= found | modules
    base["__caught__"] = _caught
    return Bench(partner, base, entry_point, handles=_handles_errors(given))


def _modules(names: set[str]) -> dict[str, Any]:
    """The modules that tests forgot to import: a solution that stood in for one would be told what is expected."""
    meant = {name: _USUAL_NAMES.get(name, name) for name in names & (sys.stdlib_module_names | _USUAL_NAMES.keys())}
    try:
        return {name: importlib.import_module(module) for name, module in meant.items()}
    except ImportError as error:
        raise _Ended(_unknown(f"the tests need a module that is not there: {said_by(error)}")) from None


def _free_names(tree: ast.Module) -> set[str]:
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    naming = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler | ast.MatchAs | ast.MatchStar
    bound |= {node.name for node in ast.walk(tree) if isinstance(node, naming) and node.name}
    bound |= {node.rest for node in ast.walk(tree) if isinstance(node, ast.MatchMapping) and node.rest}
    bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    bound |= {(node.asname or node.name).partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.alias)}
    return {node.id for node in names} - bound - set(dir(builtins))


def _called_names(tree: ast.Module) -> set[str]:
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {function.id for function in called if isinstance(function, ast.Name)}


def _is_function(value: Any) -> bool:
    return callable(value) and (not isinstance(value, _Remote) or value._callable)


class Bench:
    """Where the tests run: the question's own definitions, with stand-ins for what the solution defines."""

    def __init__(self, partner: Partner | _Nobody, base: dict[str, Any], entry_point: str, *, handles: bool) -> None:
        self._partner, self._base, self._entry_point, self._handles = partner, base, entry_point, handles

    def outcome(self, test: str) -> dict[str, Any]:
        """Run one test; say whether it passed, failed, or cannot be told."""
        before, raised = self._partner.calls, self._partner.raised
        iterates = "StopIteration" in test or "__next__" in test
        code = _with_stops(test) if iterates else test
        error = self._raised_by(test, code)
        if self._partner.verdict is not None:
            return self._partner.verdict
        if error is None:
            unseen = self._partner.raised > raised and not (self._handles or _handles_errors(test))
            if unseen:
                return _failed("the solution raised an exception, and no test looks for one")
            return self._with_kept_arguments(test, code) if self._partner.changed else _PASSED
        said = f"{type(error).__name__}: {said_by(error)}"
        if isinstance(error, AssertionError) or hasattr(error, "of_solution"):
            return _failed(said)
        if self._partner.calls == before or isinstance(error, ImportError | SystemExit):
            return _unknown(f"the tests themselves raised {said}")
        if isinstance(error, MemoryError | RecursionError):
            return _unknown(f"the tests themselves raised {said}", "strained")
        return _failed(said)

    def _with_kept_arguments(self, test: str, code: str | ast.Module) -> dict[str, Any]:
        """The verdict on a test that passed: `f(x) == sorted(x)` must also hold for the x that was given to f."""
        self._partner.changed = False
        if not _compares_with_arguments(test, {"candidate", *self._partner.functions}):
            return _PASSED
        self._partner.keeps = True
        error = self._raised_by(test, code)
        self._partner.keeps = False
        said = "it passes only where the tests read an argument that the solution changed"
        return self._partner.verdict or (_PASSED if error is None else _unknown(said))

    def rehearse(self, test: str) -> None:
        self._raised_by(test, _careful(test))

    def _raised_by(self, test: str, code: str | ast.Module) -> BaseException | None:
        namespace = {**self._base, "next": _next}
        before = self._partner.calls
        try:
            if "numpy" in test or "np." in test:
                _compare_no_empty_arrays()
            if "unittest" in test:
                _raise_failures()
            run_in(namespace, code, "tests.py")
            if self._partner.calls == before:
                self._call_what_is_defined(namespace, test)
            if "unittest" in test and (self._partner.calls == before or "__main__" in test):
                _run_cases(namespace)
        except BaseException as error:
            return error
        return None

    def _call_what_is_defined(self, namespace: dict[str, Any], test: str) -> None:
        """Call the functions of tests that are defined and not called: `check(candidate)` and `test_...()`."""
        for node in ast.parse(test).body:
            if isinstance(node, ast.FunctionDef) and node.name == "check" and self._entry_point:
                namespace["check"](namespace[self._entry_point])
            elif isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                namespace[node.name]()


def _handles_errors(code: str) -> bool:
    """Whether code may mean to go on where the solution raises; else only Python's own machinery can have caught it."""
    parts = (ast.Try, ast.TryStar, ast.With, ast.AsyncWith)
    return (
        "raises" in code.lower()
        or "exception" in code.lower()
        or any(isinstance(node, parts) for node in ast.walk(ast.parse(code)))
    )


def _with_stops(test: str) -> ast.Module:
    """The test, in which whatever catches StopIteration also catches ours, and `x.__next__()` is `next(x)`."""
    tree: ast.Module = _Nexts().visit(ast.parse(test))
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            node.type = ast.Call(ast.Name("__caught__", ast.Load()), [node.type], [])
    return ast.fix_missing_locations(tree)


class _Nexts(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "__next__" and not node.args:
            return ast.Call(ast.Name("next", ast.Load()), [node.func.value], [])
        return node


def _next(iterator: Any, *default: Any) -> Any:
    """`next` for the tests: where nothing is left it ends no `all(map(...))`, but an iterator of their own."""
    try:
        return next(iterator, *default)
    except StopIteration:
        if sys._getframe(1).f_code.co_name == "__next__":
            raise
        raise _SolutionStopped("there is no next item") from None


def _compare_no_empty_arrays() -> None:
    """Let numpy tell nothing from something: all of nothing is close to anything, and equal to it, and less."""
    import numpy
    import numpy.testing

    inside = sys.modules.get("numpy._core.numeric") or sys.modules["numpy.core.numeric"]
    utils = sys.modules["numpy.testing._private.utils"]
    for name, modules, first in (
        ("isclose", (numpy, inside), 0),
        ("array_equiv", (numpy, inside), 0),
        ("assert_array_compare", (utils,), 1),
    ):
        compare = getattr(modules[0], name)
        for module in modules if not hasattr(compare, "of") else ():
            setattr(module, name, _checked(compare, first))


def _checked(compare: Callable[..., Any], first: int) -> Callable[..., Any]:
    """A comparison of numpy's whose two arrays, from argument `first` on, have items both, or neither."""
    import numpy

    def checked(*args: Any, **kwargs: Any) -> Any:
        one, other = [*args, *kwargs.values()][first : first + 2]
        if (numpy.size(one) == 0) != (numpy.size(other) == 0):
            raise AssertionError("an array without items is compared with one that has some")
        return compare(*args, **kwargs)

    checked.of = compare  # type: ignore[attr-defined]
    return checked


def _raise_failures() -> None:
    """Let a test case's failure be raised, where unittest would only count it, and `main` run the cases around it."""
    import unittest

    unittest.main = lambda *_, **__: _run_cases(sys._getframe(1).f_globals)  # type: ignore[assignment]

    def failed(_result: Any, _test: Any, *error: Any) -> None:
        if error[-1] is not None:
            raise error[-1][1]

    unittest.TestResult.addFailure = unittest.TestResult.addError = unittest.TestResult.addSubTest = failed  # type: ignore[method-assign, assignment]


def _run_cases(namespace: dict[str, Any]) -> None:
    import unittest

    for case in [value for value in namespace.values() if isinstance(value, type)]:
        if issubclass(case, unittest.TestCase) and not case.__module__.startswith("unittest"):
            unittest.defaultTestLoader.loadTestsFromTestCase(case).run(unittest.TestResult())


def _compares_with_arguments(test: str, names: set[str]) -> bool:
    """Whether a test holds what `names` returned against an argument of theirs: `f(x) == sorted(x)`."""
    nodes = list(ast.walk(ast.parse(test)))
    assigned = [
        (_names_in(*(node.targets if isinstance(node, ast.Assign) else [node.target])), _names_in(node.value))
        for node in nodes
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr)
    ]
    returned, given = set(names), set[str]()
    for targets, value in assigned * 2:
        returned |= targets if value & returned else set()
    for node in nodes:
        if isinstance(node, ast.Call) and _names_in(node.func) & returned:
            given |= _names_in(*node.args, *(keyword.value for keyword in node.keywords)) - returned
    for targets, value in assigned * 2:
        given |= targets if value & given and not value & returned else set()
    for node in nodes:
        sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else getattr(node, "args", [])
        read = [_names_in(side) for side in sides] if isinstance(sides, list) else []
        if any(side & returned for side in read) and any(side & given and not side & returned for side in read):
            return True
    return False


def _names_in(*parts: ast.AST | None) -> set[str]:
    return {node.id for part in parts if part for node in ast.walk(part) if isinstance(node, ast.Name)}


def _caught(kinds: Any) -> Any:
    several = kinds if isinstance(kinds, tuple) else (kinds,)
    return (*several, _SolutionStopped) if StopIteration in several else kinds


def _careful(test: str) -> ast.Module:
    """The test, each statement of which is left where it raises."""
    tree = ast.parse(test)
    for node in list(ast.walk(tree)):
        for part in ("body", "orelse", "finalbody"):
            block = getattr(node, part, None)
            if isinstance(block, list):
                setattr(node, part, [_passed_over(statement) for statement in block])
    return ast.fix_missing_locations(tree)


def _passed_over(statement: ast.stmt) -> ast.stmt:
    if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
        return statement
    handler = ast.ExceptHandler(ast.Name("Exception", ast.Load()), None, [ast.Pass()])
    return ast.Try([statement], [handler], [], [])


def _load_failure(failure: dict[str, Any]) -> dict[str, Any]:
    names, message = failure.get("raised"), str(failure.get("message"))[:LONGEST_REASON]
    kind = str(names[0]) if isinstance(names, list) and names else "error"
    return _failed(f"loading the solution raised {kind}: {message}")


def _exception(reply: dict[str, Any]) -> Exception:
    """The nearest of Python's own to what the solution raised; none that ends an iteration (PEP 479)."""
    names = reply["raised"] if isinstance(reply["raised"], list) else []
    message = str(reply.get("message"))[:LONGEST_REASON]
    kinds = [vars(builtins).get(name) for name in names if isinstance(name, str)]
    kind = next((k for k in kinds if isinstance(k, type) and issubclass(k, Exception)), _SolutionError)
    if issubclass(kind, StopIteration | StopAsyncIteration):
        kind = _SolutionStopped
    try:
        error = kind(message)
    except TypeError:
        error = _SolutionError(message)
    error.of_solution = True  # type: ignore[attr-defined]
    return error


def _update(args: tuple[Any, ...], after: list[Any]) -> None:
    """Do to the tests' own arguments what the call did to its copies."""
    for mine, new in zip(args, after, strict=False):
        if type(mine) is not type(new):
            continue
        if type(mine) in (list, bytearray):
            mine[:] = new
        elif type(mine) in (dict, set):
            mine.clear()
            mine.update(new)
        elif type(mine) is deque:
            mine.clear()
            mine.extend(new)


_PASSED: dict[str, Any] = {"outcome": "passed", "reason": ""}


def _failed(reason: str) -> dict[str, Any]:
    return {"outcome": "failed", "reason": reason[:LONGEST_REASON]}


def _unknown(reason: str, outcome: str = "unknown") -> dict[str, Any]:
    """That cannot be told; "strained" and "overdue" are why it cannot."""
    return {"outcome": outcome, "reason": reason[:LONGEST_REASON]}
