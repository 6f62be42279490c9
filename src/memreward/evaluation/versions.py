"""What a result was made with."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib import metadata


def installed_versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of Python and of packages; "not installed" for those that are not."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
