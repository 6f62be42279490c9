"""One name for each part of a long run: a part whose name is there already is not worked on again.

It comes from what the part heeds: data by a hash, settings, and where it is cheap to do again, the code.
"""

import ast
import functools
import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import memreward
from memreward.types import content_hash


def part_key(heeds: Mapping[str, Any]) -> str:
    """Name a part by JSON values; what is false, zero or empty is left out, so that a new setting changes none."""
    return content_hash(json.dumps(_said(heeds)))


def _said(settings: Mapping[str, Any]) -> dict[str, Any]:
    each = {name: _said(value) if isinstance(value, Mapping) else value for name, value in settings.items()}
    return {name: value for name, value in each.items() if value}


@functools.cache
def code_hash(*places: str) -> str:
    """Hash what the code in some places of the package does: its syntax, without comments, docstrings or layout."""
    package, digest = Path(memreward.__file__).parent, hashlib.sha256()
    for place in places:
        for source in sorted((package / place).glob("*.py")) or [package / place]:
            digest.update(syntax(source.read_text(encoding="utf-8")).encode())
    return digest.hexdigest()


def syntax(source: str) -> str:
    """Return the syntax tree of a source as text, without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _is_text(part)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(part: ast.AST) -> bool:
    return isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant) and isinstance(part.value.value, str)


def installed_versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of Python and of packages; "not installed" for those that are not."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
