"""A solution's side: holds the model's code and answers calls by plain data. It knows no test, no expected value."""

import json
import math
import operator
import os
import resource
import socket
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

from .foreign import module_named, run_in
from .plain import LONGEST_MESSAGE, Handles, Malformed, decode, encode, receive, said_by, send

_ENCODING_SECONDS = 60
_MUTABLE = frozenset({"d", "s", "q", "B"})


_ASKED: dict[str, Callable[..., Any]] = {
    "attribute": getattr,
    "set": setattr,
    "item": operator.getitem,
    "slice": lambda value, start, stop, step: value[start:stop:step],
    "items": lambda value, start, stop: list(value[start:stop]),
    "iterator": iter,
    "next": lambda value: list(islice(value, 1)),
    "length": len,
    "text": str,
    "repr": repr,
    "float": float,
    "int": int,
    "index": operator.index,
}
"""What the tests may ask of a value that stayed here."""


class Solution:
    """The model's module and the objects of it that the other side knows by handle."""

    def __init__(self, source: str, call_seconds: int) -> None:
        self._handles, self._call_seconds = Handles(), call_seconds
        self._module = module_named("solution")
        _allow_processor_time(call_seconds)
        run_in(self._module.__dict__, source, "solution.py")

    def forms(self, names: list[str]) -> dict[str, Any]:
        found = {name: self._module.__dict__[name] for name in names if name in self._module.__dict__}
        return {name: self._form(value) for name, value in found.items()}

    def call(self, target: Any, args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Call what `target` names or holds; return its value, and the arguments where the call changed them."""
        function = self._module.__dict__[target] if isinstance(target, str) else self._handles.get(target)
        given = [decode(form, self._resolve) for form in args]
        named = {name: decode(form, self._resolve) for name, form in kwargs.items()}
        _allow_processor_time(self._call_seconds)
        try:
            value = function(*given, **named)
        except BaseException as error:
            return raised(error)
        _allow_processor_time(_ENCODING_SECONDS)
        reply = {"value": self._form(value)}
        if any(type(form) is list or (type(form) is dict and _MUTABLE & form.keys()) for form in args):
            after = [self._form(value) for value in given]
            if after != args:
                reply["args"] = after
        return reply

    def of(self, handle: int, what: str, args: list[Any]) -> dict[str, Any]:
        """Return something of a value that stayed here: an attribute, an item, its length, its text."""
        value, given = self._handles.get(handle), [decode(form, self._resolve) for form in args]
        _allow_processor_time(self._call_seconds)
        try:
            found = _ASKED[what](value, *given)
        except BaseException as error:
            return raised(error)
        _allow_processor_time(_ENCODING_SECONDS)
        if what == "iterator":
            return {"value": self._handles.keep(found)}
        return {"value": [self._form(item) for item in found] if what == "items" else self._form(found)}

    def _form(self, value: Any) -> Any:
        try:
            return encode(value, self._handles.keep)
        except Exception:
            return self._handles.keep(value)

    def _resolve(self, form: dict[str, Any]) -> Any:
        return self._handles.get(form["h"])


def _allow_processor_time(seconds: int) -> None:
    """End this process when it has used so much more. The hard limit stands whatever the model's code does to this."""
    most = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = math.ceil(time.process_time()) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft if most == resource.RLIM_INFINITY else min(soft, most), most))


def raised(error: BaseException) -> dict[str, Any]:
    """Return the names of an exception's classes, and what it says."""
    return {"raised": [kind.__name__ for kind in type(error).__mro__], "message": said_by(error)}


def serve(source: str, call_seconds: int, descriptor: int) -> None:
    """Load a solution and answer the messages of the trial until it hangs up."""
    channel = socket.socket(fileno=descriptor)
    solution = _loaded(source, call_seconds, lambda said: send(channel, said))
    while (message := receive(channel)) is not None:
        asked = json.loads(message)
        if "names" in asked:
            reply = {"have": solution.forms(asked["names"])}
        elif "of" in asked:
            reply = solution.of(asked["of"], asked["what"], asked["args"])
        else:
            reply = solution.call(asked["call"], asked["args"], asked["kwargs"])
        send(channel, _packed(reply))
    os._exit(0)


def call_all(source: str, call_seconds: int, name: str, inputs: list[list[Any]], descriptor: int) -> None:
    """Load a solution, call `name` with each of `inputs`, and write one line of JSON for each."""
    with os.fdopen(descriptor, "wb") as report:

        def say(line: bytes) -> None:
            report.write(line + b"\n")
            report.flush()

        solution = _loaded(source, call_seconds, say)
        for args in inputs:
            try:
                reply = solution.call(name, args, {})
            except (KeyError, Malformed) as error:
                reply = raised(error)
            say(_packed(reply))
    os._exit(0)


def _loaded(source: str, call_seconds: int, say: Callable[[bytes], None]) -> Solution:
    """Load a solution, and say that it was; where it was not, say why and end this process."""
    try:
        solution = Solution(source, call_seconds)
    except BaseException as error:
        say(_packed(raised(error)))
        os._exit(1)
    say(b'{"loaded": true}')
    return solution


def _packed(reply: dict[str, Any]) -> bytes:
    try:
        message = json.dumps(reply).encode("ascii")
        return message if len(message) <= LONGEST_MESSAGE else json.dumps({"too_long": len(message)}).encode("ascii")
    except (ValueError, RecursionError, TypeError) as error:
        return json.dumps(raised(error)).encode("ascii")
