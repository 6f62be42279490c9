"""The tests' side: runs tests that others wrote, against a solution that lives in another sandbox.

The functions under test are stand-ins that send their arguments to the solution's process as plain data and give back
plain data. So no object, frame or module of the solution is ever in the process that decides.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import json
import os
import socket
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

from .foreign import module_named, run_in
from .plain import Malformed, Opaque, decode, digest, encode, receive, send

PATIENCE = 12
"""How many times its processor time a call may take by the clock: the machine may be busy."""

_LONGEST_REASON = 300


class _Gone(BaseException):
    """The solution's process has ended."""


class _Doubt(BaseException):
    """The tests look into a value that has no plain form."""


class _SolutionError(Exception):
    """The solution raised something that is no exception of Python's own."""


class Partner:
    """The solution's process, as the tests see it.

    Attributes:
        calls: How often it was asked for a value.
        gone: Whether it ended before the tests did.
        doubt: What could not be decided, "" if nothing.
        load_failure: What it raised while it was loaded, None if nothing.
    """

    def __init__(self, descriptor: int, patience: float) -> None:
        self._channel = socket.socket(fileno=descriptor)
        self._channel.settimeout(patience)
        self.calls, self.gone, self.doubt = 0, False, ""
        self.load_failure: dict[str, Any] | None = None
        first = self._read()
        if "raised" in first:
            self.load_failure = first

    def names(self, wanted: list[str]) -> dict[str, Any]:
        """Return stand-ins for those of the names that the solution defines."""
        have = self._ask({"names": wanted}).get("have")
        if not isinstance(have, dict):
            raise Malformed("no names")
        return {name: self._top_level(name, have[name]) for name in wanted if name in have}

    def _top_level(self, name: str, form: Any) -> Any:
        if isinstance(form, dict) and form.get("callable") is True:
            return _named(name, lambda *args, **kwargs: self.call(name, args, kwargs))
        return decode(form, self._resolve)

    def call(self, target: str | int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function of the solution and return its value, or raise what it raised."""
        self.calls += 1
        try:
            forms = [encode(value, self._refuse) for value in args]
            named = {name: encode(value, self._refuse) for name, value in kwargs.items()}
        except RecursionError:
            self._refuse(args)
        reply = self._ask({"call": target, "args": forms, "kwargs": named})
        if "raised" in reply:
            raise _exception(reply)
        if "too_long" in reply:
            self.doubt = f"a value of {reply['too_long']} bytes cannot leave the solution's process"
            raise _Doubt(self.doubt)
        if "value" not in reply:
            raise Malformed("no value")
        if "args" in reply:
            _update(args, [decode(form, self._resolve) for form in reply["args"]])
        return decode(reply["value"], self._resolve)

    def look_into(self, value: Opaque) -> None:
        """Note that the verdict would need what cannot be had, and stop the tests."""
        self.doubt = f"the tests look into a {value.kind[:60]}, which cannot leave the solution's process"
        raise _Doubt(self.doubt)

    def _refuse(self, value: Any) -> dict[str, Any]:
        self.doubt = f"the tests pass a {type(value).__name__}, which cannot be sent to the solution's process"
        raise _Doubt(self.doubt)

    def _resolve(self, form: dict[str, Any]) -> Any:
        if type(form["h"]) is not int:
            raise Malformed("a handle that is no number")
        return _Remote(self, form["h"], form)

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            send(self._channel, json.dumps(message).encode("ascii"))
        except OSError:
            self.gone = True
            raise _Gone from None
        return self._read()

    def _read(self) -> dict[str, Any]:
        try:
            answer = receive(self._channel)
        except TimeoutError:
            self.doubt = f"the solution gave no answer within {self._channel.gettimeout():g} s"
            raise _Doubt(self.doubt) from None
        if answer is None:
            self.gone = True
            raise _Gone
        try:
            reply = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise Malformed(str(error)) from None
        if not isinstance(reply, dict):
            raise Malformed("a reply that is no object")
        return reply


class _Remote(Opaque):
    """A value of the solution that stayed there: equal to itself and, where it is long, to what has its digest."""

    def __init__(self, partner: Partner, handle: int, form: dict[str, Any]) -> None:
        super().__init__(handle, form)
        self._partner = partner

    def __eq__(self, other: object) -> bool:
        if isinstance(other, _Remote):
            return other.handle == self.handle
        if self.digest is None or not isinstance(other, list | tuple) or type(other).__name__ != self.kind:
            return False
        return len(other) == self.length and (digest(other) == self.digest or bool(self._look_into()))

    def __hash__(self) -> int:
        return self.handle

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.callable:
            raise TypeError(f"{self.kind!r} object is not callable")
        return self._partner.call(self.handle, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._partner.look_into(self)

    def _look_into(self, *_: Any) -> Any:
        return self._partner.look_into(self)

    def __bool__(self) -> bool:
        return self.true if isinstance(self.true, bool) else bool(self._look_into())

    def __len__(self) -> int:
        return self.length if isinstance(self.length, int) else int(self._look_into())

    __iter__ = __next__ = __getitem__ = __contains__ = __str__ = __repr__ = _look_into
    __lt__ = __le__ = __gt__ = __ge__ = __float__ = __int__ = __index__ = _look_into


def decide(
    tests: list[str], given: str, entry_point: str, channel: int, report: int, *, patience: float, mark: str = ""
) -> None:
    """Run the tests one after the other until one fails, and write what came of it to `report`.

    Args:
        tests: Python sources.
        given: Definitions that stand beside them.
        entry_point: The function that is tested, or "".
        channel: Descriptor of the socket to the solution.
        report: Descriptor to write to.
        patience: Seconds to wait for an answer of the solution.
        mark: Written with the outcome.
    """
    calls = number = 0
    try:
        partner = Partner(channel, patience)
        verdict = _prepared(partner, tests, given, entry_point)
        if isinstance(verdict, Bench):
            bench, verdict = verdict, {"outcome": "passed", "reason": ""}
            while number < len(tests) and verdict["outcome"] == "passed":
                verdict = bench.outcome(tests[number])
                number += 1
        calls = partner.calls
        if verdict["outcome"] == "passed" and not calls:
            verdict = _unknown("the tests never call the solution")
    except _Gone:
        verdict = _failed("the solution's process ended before its code was loaded")
    except _Doubt as doubt:
        verdict = _unknown(str(doubt))
    except Malformed as error:
        verdict = _failed(f"the solution's process sent no value: {error}")
    line = json.dumps({**verdict, "tests_run": number, "calls": calls, "mark": mark})
    os.write(report, line.encode("ascii", "replace"))
    os._exit(0)


def _prepared(partner: Partner, tests: list[str], given: str, entry_point: str) -> Bench | dict[str, Any]:
    """What the tests stand on, or the verdict that needs none of them."""
    if partner.load_failure is not None:
        return _load_failure(partner.load_failure)
    try:
        trees = [ast.parse(test) for test in tests]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return _unknown(f"the reference is no Python: {type(error).__name__}: {_text(error)}")
    base = module_named("tests").__dict__
    try:
        run_in(base, given, "given.py")
    except Exception as error:
        return _unknown(f"what the question defines raised {type(error).__name__}: {_text(error)}")
    free = set().union(*map(_free_names, trees)) - base.keys() | ({entry_point} if entry_point else set())
    modules = free & sys.stdlib_module_names - {entry_point}
    found = partner.names(sorted(free - modules))
    if entry_point and entry_point not in found:
        return _failed(f"the solution does not define {entry_point}")
    if not entry_point and not found and free - modules:
        return _failed(f"the solution defines none of {', '.join(sorted(free - modules))}"[:_LONGEST_REASON])
    base |= found | {name: importlib.import_module(name) for name in modules}
    return Bench(partner, base, entry_point)


def _free_names(tree: ast.Module) -> set[str]:
    """Names that the tests read and do not bind."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    bound |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return {node.id for node in names} - bound - set(dir(builtins))


class Bench:
    """Where the tests run: the question's own definitions, with stand-ins for what the solution defines."""

    def __init__(self, partner: Partner, base: dict[str, Any], entry_point: str) -> None:
        self._partner, self._base, self._entry_point = partner, base, entry_point

    def outcome(self, test: str) -> dict[str, Any]:
        """Run one test; say whether it passed, failed, or cannot be told."""
        before = self._partner.calls
        error = self._raised_by(test)
        if self._partner.gone:
            return _failed("the solution's process ended during the tests")
        if self._partner.doubt:
            return _unknown(self._partner.doubt)
        if error is None:
            return {"outcome": "passed", "reason": ""}
        said = f"{type(error).__name__}: {_text(error)}"
        if missing := getattr(error, "missing_module", ""):
            return _unknown(f"the solution imports {missing}, which the sandbox does not have")
        if isinstance(error, AssertionError) or hasattr(error, "of_solution"):
            return _failed(said)
        if isinstance(error, ImportError | MemoryError | RecursionError | SystemExit) or self._partner.calls == before:
            return _unknown(f"the tests themselves raised {said}")
        return _failed(said)

    def _raised_by(self, test: str) -> BaseException | None:
        namespace = dict(self._base)
        before = self._partner.calls
        try:
            run_in(namespace, test, "tests.py")
            if self._partner.calls == before:
                self._call_what_is_defined(namespace, test)
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


def _load_failure(failure: dict[str, Any]) -> dict[str, Any]:
    names, message = failure.get("raised"), str(failure.get("message"))[:_LONGEST_REASON]
    kind = str(names[0]) if isinstance(names, list) and names else "error"
    if missing := _missing_module(failure):
        return _unknown(f"the solution imports {missing}, which the sandbox does not have")
    return _failed(f"loading the solution raised {kind}: {message}")


def _missing_module(failure: dict[str, Any]) -> str:
    """The module that is not installed, where that is what the solution ran into; "" else."""
    module = str(failure.get("module")).partition(".")[0][:60]
    absent = isinstance(failure["raised"], list) and failure["raised"][:1] == ["ModuleNotFoundError"]
    return module if absent and module not in sys.stdlib_module_names else ""


def _exception(reply: dict[str, Any]) -> Exception:
    """The exception of Python's own that comes nearest to what the solution raised."""
    names = reply["raised"] if isinstance(reply["raised"], list) else []
    message = str(reply.get("message"))[:_LONGEST_REASON]
    kinds = [vars(builtins).get(name) for name in names if isinstance(name, str)]
    kind = next((k for k in kinds if isinstance(k, type) and issubclass(k, Exception)), _SolutionError)
    try:
        error = kind(message)
    except TypeError:
        error = _SolutionError(message)
    error.of_solution = True  # type: ignore[attr-defined]
    error.missing_module = _missing_module(reply)  # type: ignore[attr-defined]
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


def _named(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = name
    return function


def _text(error: BaseException) -> str:
    try:
        return str(error)[:_LONGEST_REASON]
    except BaseException:
        return ""


def _failed(reason: str) -> dict[str, Any]:
    return {"outcome": "failed", "reason": reason}


def _unknown(reason: str) -> dict[str, Any]:
    return {"outcome": "unknown", "reason": reason}
