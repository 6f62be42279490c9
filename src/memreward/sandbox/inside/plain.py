"""Plain data between processes that do not trust each other: values as JSON, decoded into Python's own types only.

What has no plain form stays where it is and is named by a handle (`Opaque`): it equals nothing but itself, and all that
is known of it is whether it can be called and whether it counts as true.

=================================  ==============================================
value                              form
=================================  ==============================================
None, bool, str, float, int, list  itself (a long int: {"i": hexadecimal digits})
tuple, set, frozenset, deque       {"t": [...]}, {"s": ...}, {"f": ...}, {"q": ...}
dict                               {"d": [[key, value], ...]}
bytes, bytearray                   {"b": latin-1 text}, {"B": ...}
complex, range                     {"c": [real, imaginary]}, {"r": [start, stop, step]}
Decimal, Fraction                  {"D": text}, {"F": text}
numpy array                        {"a": nested list}
iterator, generator, dict view     {"n": [items]}, at most `MOST_ITEMS`
a list or tuple of more than       {"h": ..., as below, "digest": of its text, "length": its length}
`MOST_SENT` items
anything else                      {"h": handle, "type": name, "callable": bool, "true": bool or None}
=================================  ==============================================
"""

import hashlib
import socket
import struct
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import chain, islice
from typing import Any, cast

MOST_ITEMS = 10_000
MOST_SENT = 1_000_000
LONGEST_MESSAGE = 32_000_000
FILE_MB = 16
"""What may stand in a run's temporary folder in all (one file, where there are no namespaces), and in each output."""

PATIENCE = 12
"""How many times its processor time a call may take by the clock: the machine may be busy."""
BUSY = PATIENCE / 2
"""From this slowdown on the machine may be to blame for what took too long."""

_SCALARS = frozenset({type(None), bool, str, float})
_LONG = 10_000
_ALIKE = 64
"""Different values with one hash that a set or dict may have; honest ones have two, -1 and -2, or a few powers of 2."""
_DIGESTED_AT_ONCE = 1000
_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))


LONGEST_REASON = 300
"""Characters of what an exception says, and of why a verdict is as it is."""


class Malformed(ValueError):
    """A message that no honest partner sends."""


class Opaque:
    """A value that stayed in the other process; what we know of it keeps clear of the attributes that it has there."""

    _handle: int
    _kind: str
    _callable: bool
    _true: Any
    _digest: Any
    _length: Any

    def __init__(self, handle: int, form: dict[str, Any]) -> None:
        known = {"_handle": handle, "_kind": str(form.get("type"))[:60], "_callable": form.get("callable") is True}
        known |= {f"_{name}": form.get(name) for name in ("true", "digest", "length")}
        for name, value in known.items():
            object.__setattr__(self, name, value)


class Handles:
    """Objects that the other process knows by number only."""

    def __init__(self) -> None:
        self._objects: list[Any] = []

    def keep(self, value: Any) -> dict[str, Any]:
        self._objects.append(value)
        form = {"h": len(self._objects) - 1, "type": type(value).__name__, "callable": callable(value)}
        if is_large(value):
            form |= {"digest": digest(value), "length": len(value)}
        try:
            return {**form, "true": bool(value)}
        except Exception:
            return {**form, "true": None}

    def get(self, handle: Any) -> Any:
        return self._objects[handle]


def is_large(value: Any) -> bool:
    """Say whether a list or tuple holds more than `MOST_SENT` items, those of its own items counted."""
    if type(value) not in (list, tuple):
        return False
    most = max(map(_width, value[:_DIGESTED_AT_ONCE]), default=0)
    return len(value) * most > MOST_SENT and sum(map(_width, value)) > MOST_SENT


def _width(item: Any) -> int:
    return len(item) if type(item) in (list, tuple, dict, set, frozenset) else 1


def digest(value: Any) -> str:
    """Return a hash of a long list's or tuple's text: equal ones of equal types have equal ones."""
    total = hashlib.sha256()
    for start in range(0, len(value), _DIGESTED_AT_ONCE):
        total.update(repr(value[start : start + _DIGESTED_AT_ONCE]).encode("utf-8", "surrogatepass"))
    return total.hexdigest()


def encode(value: Any, keep: Callable[[Any], dict[str, Any]]) -> Any:
    """Return the JSON form of a value; `keep` gives the form of what has none."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is int:
        return value if value.bit_length() < _LONG else {"i": hex(value)}
    if isinstance(value, Opaque):
        return {"h": value._handle}
    known = _ENCODERS.get(kind)
    if known is None:
        known = next((encoder for base, encoder in _ENCODERS.items() if isinstance(value, base)), _encode_other)
    return known(value, keep)


def _items(values: Any, keep: Callable[[Any], dict[str, Any]]) -> list[Any]:
    return [item if type(item) in _SCALARS else encode(item, keep) for item in values]


def _encode_dict(value: Any, keep: Callable[[Any], dict[str, Any]]) -> Any:
    return {"d": [[encode(key, keep), encode(held, keep)] for key, held in dict.items(value)]}


def _encode_other(value: Any, keep: Callable[[Any], dict[str, Any]]) -> Any:
    if isinstance(value, (Iterator, *_VIEWS)):
        items: list[Any] = list(islice(cast("Iterable[Any]", value), MOST_ITEMS + 1))
        return {"n": _items(items, keep)} if len(items) <= MOST_ITEMS else keep(chain(items, cast("Any", value)))
    if type(value).__module__.partition(".")[0] == "numpy":
        if hasattr(value, "ndim") and value.ndim:
            return {"a": encode(value.tolist(), keep)}
        if hasattr(value, "item"):
            return encode(value.item(), keep)
    return keep(value)


_ENCODERS: dict[type, Callable[[Any, Any], Any]] = {
    bool: lambda value, _: bool(value),
    int: lambda value, keep: encode(int.__index__(value), keep),
    float: lambda value, _: float.__float__(value),
    str: lambda value, _: str.__str__(value),
    list: lambda value, keep: keep(value) if is_large(value) else _items(list.__iter__(value), keep),
    tuple: lambda value, keep: keep(value) if is_large(value) else {"t": _items(tuple.__iter__(value), keep)},
    dict: _encode_dict,
    set: lambda value, keep: {"s": _items(set.__iter__(value), keep)},
    frozenset: lambda value, keep: {"f": _items(frozenset.__iter__(value), keep)},
    deque: lambda value, keep: {"q": _items(deque.__iter__(value), keep)},
    bytes: lambda value, _: {"b": bytes(value).decode("latin-1")},
    bytearray: lambda value, _: {"B": bytes(value).decode("latin-1")},
    complex: lambda value, _: {"c": [value.real, value.imag]},
    range: lambda value, keep: {"r": [encode(n, keep) for n in (value.start, value.stop, value.step)]},
    Decimal: lambda value, _: {"D": str(value)},
    Fraction: lambda value, _: {"F": str(value)},
}


def decode(form: Any, resolve: Callable[[dict[str, Any]], Any]) -> Any:
    """Return the value of a JSON form; `resolve` gives the value of a handle. `Malformed` if no `encode` made it."""
    try:
        return _decode(form, resolve)
    except Malformed:
        raise
    except Exception as error:
        raise Malformed(f"{type(error).__name__}: {error}") from None


def _decode(form: Any, resolve: Callable[[dict[str, Any]], Any]) -> Any:
    kind = type(form)
    if kind in _SCALARS or kind is int:
        return form
    if kind is list:
        return [item if type(item) in _SCALARS else _decode(item, resolve) for item in form]
    if kind is not dict or not form:
        raise Malformed(f"a {kind.__name__} where a value was expected")
    if "h" in form:
        return resolve(form)
    ((tag, content),) = form.items()
    return _DECODERS[tag](content, resolve)


def _array(content: Any, resolve: Callable[[dict[str, Any]], Any]) -> Any:
    items = _decode(content, resolve)
    numpy = sys.modules.get("numpy")
    return items if numpy is None else numpy.array(items)


def _keys(values: list[Any]) -> list[Any]:
    """The values, to be put into a table, unless so many have one hash that this would take hours: then `Malformed`."""
    if len(values) > _ALIKE and max(Counter(map(hash, values)).values()) > _ALIKE:
        raise Malformed(f"more than {_ALIKE} keys with one hash")
    return values


_DECODERS: dict[str, Callable[[Any, Any], Any]] = {
    "i": lambda content, _: int(content, 16),
    "t": lambda content, resolve: tuple(_decode(list(content), resolve)),
    "s": lambda content, resolve: set(_keys(_decode(list(content), resolve))),
    "f": lambda content, resolve: frozenset(_keys(_decode(list(content), resolve))),
    "q": lambda content, resolve: deque(_decode(list(content), resolve)),
    "d": lambda content, resolve: dict(
        zip(
            _keys([_decode(key, resolve) for key, _ in content]),
            [_decode(held, resolve) for _, held in content],
            strict=True,
        )
    ),
    "b": lambda content, _: content.encode("latin-1"),
    "B": lambda content, _: bytearray(content.encode("latin-1")),
    "c": lambda content, _: complex(*map(float, content)),
    "r": lambda content, resolve: range(*_decode(list(content), resolve)),
    "D": lambda content, _: Decimal(str(content)),
    "F": lambda content, _: Fraction(*map(int, content.split("/"))),
    "n": lambda content, resolve: iter(_decode(list(content), resolve)),
    "a": _array,
}


def send(channel: socket.socket, message: bytes) -> None:
    """Send one message: its length in four bytes, then itself."""
    channel.sendall(struct.pack(">I", len(message)) + message)


def receive(channel: socket.socket, until: float | None = None) -> bytes | None:
    """Return one message, or None where the partner is gone; `Malformed` where it is said to be too long.

    TimeoutError if it is not here as a whole by `until` of the monotonic clock; None waits as the channel does.
    """
    head = exactly(channel, 4, until)
    if head is None:
        return None
    (length,) = struct.unpack(">I", head)
    if length > LONGEST_MESSAGE:
        raise Malformed(f"a message of {length} bytes")
    return exactly(channel, length, until)


def exactly(channel: socket.socket, length: int, until: float | None = None) -> bytes | None:
    """Return so many bytes, or None where the partner is gone; see `receive`."""
    pieces = []
    while length:
        if until is not None:
            channel.settimeout(max(until - time.monotonic(), 1e-6))
        try:
            piece = channel.recv(min(length, 1 << 20))
        except ConnectionError:
            return None
        if not piece:
            return None
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)


def said_by(error: BaseException) -> str:
    """Return what an exception says, "" where foreign code keeps it from saying it."""
    try:
        return str(error)[:LONGEST_REASON]
    except BaseException:
        return ""
