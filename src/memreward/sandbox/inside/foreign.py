"""The one place that runs foreign code; only ever imported by the keeper's forked children, behind walls."""

import ast
import sys
import types
from typing import Any


def module_named(name: str) -> types.ModuleType:
    """Return a new module, known to `sys.modules` as classes made in it expect."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    return module


def run_in(namespace: dict[str, Any], source: str | ast.Module, file: str) -> None:
    """Compile and run a source text or tree; whatever it raises goes to the caller."""
    exec(compile(source, file, "exec", dont_inherit=True), namespace)
