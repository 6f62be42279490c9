"""What people and installed packages add in one file: domains, signals, predictors, verifiers.

Each is named as "mine.py:Name", by a file, or as "package.module:Name"; a package names its own by an entry point.
"""

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.metadata import entry_points
from pathlib import Path
from types import CodeType, MappingProxyType, ModuleType
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from memreward.types import ConfigurationError, DataError, MemRewardError, content_hash

DOMAINS, SIGNALS = "MEMREWARD_DOMAINS", "MEMREWARD_SIGNALS"
"""Variables of the environment that name what is added, with commas between, also to processes started later."""
_OWN = "memreward_own_"
"""What the names of modules made of people's files begin with."""


def load_named(named: str, kind: str) -> Any:
    """Return what "mine.py:Name" or "package.module:Name" names, a `kind` of thing, or ConfigurationError."""
    place, colon, attribute = named.rpartition(":")
    try:
        if not colon:
            raise ValueError("a name has to stand after a colon")
        module = _module(place)
        if not hasattr(module, attribute):
            own = [name for name, value in vars(module).items() if name[0] != "_" and not isinstance(value, ModuleType)]
            raise ValueError(f"it has no {attribute!r}, but {', '.join(own)}")
        return getattr(module, attribute)
    except Exception as error:
        raise ConfigurationError(
            f"{kind} {named!r} cannot be loaded ({type(error).__name__}: {error}); write FILE.py:NAME or MODULE:NAME"
        ) from error


def absolute(named: str) -> str:
    """Return the same name for every process, whatever folder it works in."""
    place, _, attribute = named.rpartition(":")
    return f"{Path(place).resolve()}:{attribute}" if place.endswith(".py") else named


@cache
def installed(group: str) -> Mapping[str, str]:
    """Return what installed packages add under an entry point's group: name -> "package.module:Name".

    Read once in a process: it opens a file of each installed package, and every judge of rollouts asks.
    """
    return MappingProxyType({found.name: found.value for found in entry_points(group=group)})


def of_environment(variable: str) -> list[str]:
    return [named for named in os.environ.get(variable, "").split(",") if named]


def keep_in_environment(variable: str, named: Sequence[str]) -> None:
    """Let processes that this one starts load these too."""
    before = of_environment(variable)
    os.environ[variable] = ",".join(dict.fromkeys([*before, *map(absolute, named)]))


def fingerprint(made: Any) -> str:
    """Return a hash of the source of a function or class, "" where there is none: other code gives other results."""
    module = sys.modules.get(getattr(made, "__module__", None) or type(made).__module__)
    source = getattr(module, "__file__", None)
    try:
        return content_hash(Path(source).read_text(encoding="utf-8"))[:16] if source else ""
    except (OSError, ValueError):
        return ""


def called(function: Callable[..., Any], *given: Any, name: str, doing: str) -> Any:
    """Call what somebody wrote; an error, ConfigurationError if not ours, names it, its file and its line."""
    try:
        return function(*given)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    except MemRewardError:
        raise
    except Exception as error:
        _blame(error, name, doing)


def numbers(given: Any, count: int, *, name: str) -> NDArray[np.float64]:
    """Return (count,) float64 of what somebody's function returned for so many rollouts; else DataError names it."""
    try:
        values = np.array(given, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} returned {given!r:.60}: return one number a rollout") from error
    if values.shape != (count,):
        raise DataError(
            f"{name} returned numbers of shape {values.shape} for {count} rollouts: return one for each, in their order"
        )
    return values


def own_line(error: BaseException) -> str | None:
    """Return "mine.py, line 3" of an error that was raised in a file named as FILE.py:NAME, or beneath it."""
    frames = traceback.walk_tb(error.__traceback__)
    own = [(frame, line) for frame, line in frames if str(frame.f_globals.get("__name__")).startswith(_OWN)]
    return f"{own[-1][0].f_code.co_filename}, line {own[-1][1]}" if own else None


def _blame(error: Exception, name: str, doing: str) -> NoReturn:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    file = frame.tb_frame.f_code.co_filename if frame is not None else __file__
    where = f" in {file}, line {frame.tb_lineno}" if frame is not None and file != __file__ else ""
    raise ConfigurationError(f"{name} failed {doing}{where}: {type(error).__name__}: {error}") from error


def _module(place: str) -> ModuleType:
    if not place.endswith(".py"):
        return importlib.import_module(place)
    path = Path(place).resolve()
    if not path.is_file():
        raise FileNotFoundError(place)
    return _of_file(path, path.stat().st_mtime_ns)


@cache
def _of_file(path: Path, changed: int) -> ModuleType:  # noqa: ARG001  a changed file is another module
    name = f"{_OWN}{path.stem}_{content_hash(str(path))[:8]}"
    loader = _FromText(name, str(path))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last, so that it may import what lies beside it and hides nothing
    loader.exec_module(module)
    return module


class _FromText(SourceFileLoader):
    """Compiles what the file says now: bytecode beside it goes by whole seconds, and a file may change twice in one."""

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002
        return self.source_to_code(self.get_data(self.path), self.path)
