"""The name under which transformers takes and returns the keys and values of what a model has read."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any


@cache
def cache_argument() -> str:
    """Return the name: "cache" from release 5.24 on, "past_key_values" before."""
    from transformers.modeling_outputs import BaseModelOutputWithPast

    names = {field.name for field in fields(BaseModelOutputWithPast)}
    return "cache" if "cache" in names else "past_key_values"


def cache_of(output: Any) -> Any:
    """Return a model output's keys and values; None without any."""
    return getattr(output, cache_argument(), None)
