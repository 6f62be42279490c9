"""Whether two results are the same up to rounding, which depends on the processor and on where memory lies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest

ROUNDING = 1e-9
"""Of results in float64. What a leak or another seed changes is larger by many orders."""
FLOAT32 = 1e-4
"""Of what a network in float32 ends at after some steps; another seed, graph or label moves it by hundredths."""


def assert_alike(one: Any, other: Any, *, within: float = ROUNDING) -> None:
    """Floats inside are equal up to `within`; all else is equal."""
    rest, floats = _apart(one)
    other_rest, other_floats = _apart(other)
    assert rest == other_rest
    assert floats == pytest.approx(other_floats, abs=within, rel=within, nan_ok=True)


def _apart(value: Any) -> tuple[Any, list[float]]:
    """The value with a mark for each float, and the floats in order."""
    floats: list[float] = []

    def without(part: Any) -> Any:
        if isinstance(part, float):
            floats.append(part)
            return "a float"
        if is_dataclass(part) and not isinstance(part, type):
            return type(part).__name__, [(field.name, without(getattr(part, field.name))) for field in fields(part)]
        if isinstance(part, Mapping):
            return {key: without(each) for key, each in part.items()}
        if isinstance(part, np.ndarray):
            return without(part.tolist())
        if isinstance(part, Iterable) and not isinstance(part, str | bytes):
            return [without(each) for each in part]
        return part

    return without(value), floats
