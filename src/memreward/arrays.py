"""Dataclasses of arrays and plain values in one safetensors file, which appears whole or not at all.

Arrays are tensors named by the fields that lead to them, all else is JSON in the header. Nothing is unpickled.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from memreward.temporary import replacing
from memreward.types import SchemaVersionError, StoreError

Arrays = dict[str, NDArray[Any]]
_kinds = cache(get_type_hints)
"""Of a dataclass's fields; found anew for each of a file's hundreds of parts they took most of its reading."""
_ARRAY = (np.ndarray, NDArray)
"""What `NDArray[float]` is made of: up to numpy 2.4 an array, from 2.5 on a name for one."""
T = TypeVar("T")


def save(path: Path, kind: str, version: int, value: Any) -> None:
    """Write a dataclass as a file of this kind, in the place of one that may be there.

    Its fields are arrays, JSON values, dataclasses, and tuples, lists and dictionaries of these. Raises StoreError if
    the file cannot be written.
    """
    from safetensors.numpy import save as saved

    arrays: Arrays = {}
    about = json.dumps({"kind": kind, "version": version, "value": _apart(value, "", arrays)})
    try:
        with replacing(path) as unfinished:
            unfinished.write_bytes(saved(arrays, {"memreward": about}))
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error}; free space or choose another place") from error


def load(path: Path, kind: str, version: int, of: type[T], remedy: str) -> T:
    """Read a dataclass `of` a file that `save` wrote.

    Raises StoreError if it is absent, damaged, or of another kind, SchemaVersionError if another release wrote it.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            header = json.loads((file.metadata() or {})["memreward"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
        found, written = header["kind"], int(header["version"])
        if found != kind:
            raise StoreError(f"{path} is a {found}, not a {kind}: {remedy}")
        if written != version:
            better = "update memreward" if written > version else remedy
            raise SchemaVersionError(f"{path} is a {kind} of version {written}, this release reads {version}: {better}")
        made: T = rebuilt(of, header["value"], arrays)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(
            f"{path} is not a {kind} that can be read ({type(error).__name__}: {error}): {remedy}"
        ) from error
    return made


def _apart(value: Any, place: str, arrays: Arrays) -> Any:
    """What JSON holds of a value at a place; its arrays are added to `arrays`."""
    if isinstance(value, np.ndarray):
        arrays[place] = np.ascontiguousarray(value)
        return None
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: _apart(each, f"{place}.{name}", arrays) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [_apart(each, f"{place}.{i}", arrays) for i, each in enumerate(value)]
    return value


def rebuilt(kind: Any, value: Any, arrays: Arrays | None = None, place: str = "") -> Any:
    """Return a value of this kind, a dataclass for one, from what JSON holds of it, and its arrays by place.

    What a file does not say has its default, what the kind does not know is left out; a number that is null is NaN.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if origin in _ARRAY:
        return (arrays or {})[place]
    if any(get_origin(one) in _ARRAY for one in inner):  # or None
        return (arrays or {}).get(place)
    if kind is float:
        return math.nan if value is None else float(value)
    if isinstance(kind, type) and is_dataclass(kind):
        kinds, given = _kinds(kind), [field.name for field in fields(kind) if field.name in value]
        return kind(**{name: rebuilt(kinds[name], value[name], arrays, f"{place}.{name}") for name in given})
    if origin in (dict, Mapping):
        return {name: rebuilt(inner[1], each, arrays, f"{place}.{name}") for name, each in value.items()}
    if origin in (tuple, list):
        several = [inner[0]] * len(value) if origin is list or inner[-1] is Ellipsis else inner
        parts = enumerate(zip(several, value, strict=True))
        return origin(rebuilt(k, each, arrays, f"{place}.{i}") for i, (k, each) in parts)
    return value
