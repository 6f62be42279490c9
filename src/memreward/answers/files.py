"""Arrays and a JSON header in one safetensors file, which appears whole or not at all. Nothing is unpickled."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreward.temporary import replacing
from memreward.types import SchemaVersionError, StoreError

Arrays = Mapping[str, NDArray[Any]]


def write_arrays(path: Path, kind: str, version: int, header: Mapping[str, Any], arrays: Arrays) -> None:
    """Write a file of this kind in the place of one that may be there; StoreError if it cannot be written."""
    from safetensors.numpy import save

    about = json.dumps({"kind": kind, "version": version, **header})
    whole = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    try:
        with replacing(path) as unfinished:
            unfinished.write_bytes(save(whole, {"memreward": about}))
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error}; free space or choose another place") from error


def read_arrays(path: Path, kind: str, version: int, remedy: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return header and arrays of a file of this kind.

    Raises StoreError if it is absent, damaged, or of another kind, SchemaVersionError if a newer release wrote it.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            header = json.loads((file.metadata() or {})["memreward"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
        found, written = header["kind"], int(header["version"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise unreadable(path, kind, remedy, error) from error
    if found != kind:
        raise StoreError(f"{path} is a {found}, not a {kind}: {remedy}")
    if written > version:
        raise SchemaVersionError(
            f"{path} is a {kind} of version {written}, this release reads {version}: update memreward"
        )
    return header, arrays


def unreadable(path: Path, kind: str, remedy: str, error: Exception) -> StoreError:
    return StoreError(f"{path} is not a {kind} that can be read ({type(error).__name__}: {error}): {remedy}")
