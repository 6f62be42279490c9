"""Configuration files: TOML tables that say the same as command-line options, checked against the same dataclasses."""

import difflib
import tomllib
import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from memreward.types import ConfigurationError

Values = dict[tuple[str, ...], Any]


def read_tables(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: not a configuration file ({error}); give a TOML file") from error


def values_of(tables: Mapping[str, Any], config: type[Any], source: str) -> Values:
    """Return the values of `memreward.cli.options.Changes`; ConfigurationError for an unknown key, or another kind."""
    return dict(_walk(tables, config, source, ()))


def _walk(
    table: Mapping[str, Any], config: type[Any], source: str, above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    hints = get_type_hints(config)
    known = [item.name for item in fields(config)]
    for key, value in table.items():
        path = (*above, key)
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(known)}"
            raise ConfigurationError(f"{source}: {'.'.join(path)!r} is unknown; {hint}")
        table_of_any = get_origin(hints[key]) is Mapping
        if is_dataclass(hints[key]) or table_of_any:
            if not isinstance(value, Mapping):
                raise ConfigurationError(f"{source}: {'.'.join(path)} is {value!r}; give a table [{'.'.join(path)}]")
            yield from [(path, value)] if table_of_any else _walk(value, hints[key], source, path)
        else:
            yield path, _converted(value, hints[key], f"{source}: {'.'.join(path)}")


def _converted(value: Any, hint: Any, where: str) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (kind for kind in get_args(hint) if kind is not type(None))
    if get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
        raise ConfigurationError(f"{where} is {value!r}; use one of {', '.join(map(str, get_args(hint)))}")
    if get_origin(hint) is tuple:
        if isinstance(value, list):
            return tuple(_converted(item, get_args(hint)[0], where) for item in value)
        raise ConfigurationError(f"{where} is {value!r}; give a list, as [{value!r}]")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # labels = 0.2 and labels = 200 need no quotes
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigurationError(f"{where} is {value!r}; give a value of type {hint.__name__}")
    return value
