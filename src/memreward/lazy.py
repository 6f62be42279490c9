"""Names of a package that are loaded at first use."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a package's `__getattr__`, which loads each name from its home, a module of the project."""

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}; it offers {', '.join(homes)}")
        value = getattr(import_module(f"memreward.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return load
