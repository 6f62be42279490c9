"""Options, and tables of a TOML file, made from configuration dataclasses: name, type, default and help stand once."""

import difflib
import functools
import inspect
import json
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import typer

from memreward.types import ConfigurationError

Config = TypeVar("Config")
Command = Callable[..., Any]


@dataclass(frozen=True)
class Changes(Generic[Config]):
    """What the command line says about one configuration: value by path of field names, of options that were given."""

    config: type[Config]
    values: Mapping[tuple[str, ...], Any]
    base: Config | None = None

    def made(self) -> Config:
        """Return `base` (the class's defaults, if None) with the given options changed."""
        made: Config = _built(self.config, self.base, self.values)
        return made


def options_from(
    parameter: str,
    config: type[Any],
    *,
    panel: str,
    only: tuple[str, ...] = (),
    leave_out: tuple[str, ...] = (),
    names: Mapping[str, str] | None = None,
    base: Any = None,
) -> Callable[[Command], Command]:
    """Give a command one option for each field of a frozen dataclass, which it receives as `parameter`.

    A command that declares the parameter as `Changes` receives what was given, and makes the dataclass itself.
    A nested dataclass becomes options with the field's name in front (`graph.near` is `--graph-near`), a tuple a
    comma-separated list, a mapping NAME=VALUE, once for each, a bool `--x / --no-x`. Help is the field's line under
    "Attributes:". A field whose type no option can hold is a TypeError when the command is made.

    Args:
        only: Fields that get an option; () is all.
        leave_out: Fields without an option; one of a nested dataclass by its path, "sampling.seed".
        names: Option by field; for a nested dataclass, what stands in front of its options; "" for nothing.
        base: What holds the command's defaults; None takes those of the class.
    """
    made = _settings(config, names or {}, made=MISSING if base is None else base)
    wanted = [s for s in made if not only or s.path[0] in only]
    settings = [s for s in wanted if not {s.path[0], ".".join(s.path)} & set(leave_out)]

    def wrap(command: Command) -> Command:
        as_changes = get_origin(get_type_hints(command).get(parameter)) is Changes

        @functools.wraps(command)
        def with_options(**given: Any) -> Any:
            values = {s.path: given.pop(s.parameter) for s in settings}
            values = {path: dict(value) if isinstance(value, list) else value for path, value in values.items()}
            changes = Changes(config, {path: value for path, value in values.items() if value is not None}, base)
            return command(**given, **{parameter: changes if as_changes else changes.made()})

        made = [setting.as_parameter(panel) for setting in settings]
        return with_parameters(with_options, command, made, leave_out=parameter)

    return wrap


def with_parameters(
    wrapper: Command, command: Command, added: Sequence[inspect.Parameter], *, leave_out: str = ""
) -> Command:
    """Give `wrapper` the signature that typer reads: the command's, without one parameter, and the added ones."""
    hints = get_type_hints(command, include_extras=True)
    parameters = inspect.signature(command).parameters.values()
    own = [p.replace(annotation=hints.get(p.name, p.annotation)) for p in parameters if p.name != leave_out]
    signature = inspect.Signature([*own, *added])
    wrapper.__signature__ = signature  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return wrapper


_LONGEST_METAVAR = 18


@dataclass(frozen=True)
class _Setting:
    parameter: str
    path: tuple[str, ...]
    kind: Any
    default: Any
    help: str
    flag: str

    def as_parameter(self, panel: str) -> inspect.Parameter:
        required = self.default is MISSING
        kind, extra = _option_kind(self.kind, ".".join(self.path))
        flag = f"--{self.flag}/--no-{self.flag}" if kind is bool else f"--{self.flag}"
        shown = "" if required else _shown(self.default)
        # Typer's own way to show a default that is not the parameter's puts it in parentheses.
        text = f"{self.help} [default: {shown}]" if shown else self.help
        panel = ": ".join((panel, *self.path[:-1]))
        option = typer.Option(flag, help=text, show_default=False, rich_help_panel=panel, **extra)
        return inspect.Parameter(
            self.parameter,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if required else None,
            annotation=Annotated[kind if required else kind | None, option],
        )


def _settings(
    config: type[Any], names: Mapping[str, str], above: tuple[str, ...] = (), prefix: str = "", made: Any = MISSING
) -> Iterator[_Setting]:
    """Options of a dataclass; `made` holds their defaults where it is a field of another, which may have its own."""
    hints = get_type_hints(config)
    texts = attribute_texts(config)
    for item in fields(config):
        path = (*above, item.name)
        default = _default(item) if made is MISSING else getattr(made, item.name)
        flag = names.get(".".join(path), "-".join(filter(None, (prefix, item.name)))).replace("_", "-")
        if is_dataclass(hints[item.name]):
            yield from _settings(hints[item.name], names, path, flag, default)
            continue
        parameter = "_".join((config.__name__, *path))
        yield _Setting(parameter, path, hints[item.name], default, texts.get(item.name, ""), flag)


def attribute_texts(config: type[Any]) -> dict[str, str]:
    """Return the text of each field under "Attributes:" in a class's docstring, or in that of a class it is made of."""
    found: dict[str, str] = {}
    for each in reversed(config.__mro__[:-1]):
        section = inspect.cleandoc(each.__doc__ or "").partition("Attributes:\n")[2]
        section = re.split(r"\n(?=\S)", section)[0]
        entries = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", section, re.MULTILINE)
        found |= {name: " ".join(text.split()) for name, text in entries}
    return found


def _default(item: Field[Any]) -> Any:
    return item.default_factory() if item.default_factory is not MISSING else item.default


def _option_kind(hint: Any, name: str) -> tuple[Any, dict[str, Any]]:
    if get_origin(hint) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not type(None)]
        hint = str if str in kinds else kinds[0]  # what a configuration reads from text, it may also take as it is
    if get_origin(hint) is Literal and len("|".join(get_args(hint))) > _LONGEST_METAVAR:
        return hint, {"metavar": "NAME"}  # help says which; more would leave no room for names of options
    if hint in (bool, int, float, str, Path) or get_origin(hint) is Literal:
        return hint, {"metavar": "FILE"} if hint is Path else {}
    if get_origin(hint) is tuple and get_args(hint)[1:] == (...,):
        item = get_args(hint)[0]
        # typer takes a tuple for a fixed number of words; str with a parser stays one word.
        # With the name that click asks a parser for.
        parser = functools.update_wrapper(functools.partial(comma_separated, item), comma_separated)
        return str, {"parser": parser, "metavar": f"{item.__name__.upper()},..."}
    if get_origin(hint) is Mapping:
        return list[str], {"parser": named_value, "metavar": "NAME=VALUE"}
    raise TypeError(f"{name}: no option can hold {hint}; leave the field out or give it another type")


def comma_separated(kind: Callable[[str], Any], text: str) -> tuple[Any, ...]:
    """Read "0.1,0.2" as (0.1, 0.2)."""
    try:
        return tuple(kind(piece) for piece in text.split(",") if piece)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: {error}; give values with commas between them") from error


def named_value(text: str) -> tuple[str, Any]:
    """Read NAME=VALUE, a value as JSON where it is some (true, 0.3), else as text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not of the form NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _shown(default: Any) -> str:
    if default is None or default in ("", (), {}):
        return ""
    if isinstance(default, bool):
        return "on" if default else "off"
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _built(config: Any, base: Any, values: Mapping[tuple[str, ...], Any]) -> Any:
    changes = {path[0]: value for path, value in values.items() if len(path) == 1}
    kinds = get_type_hints(config)
    defaults = {item.name: _default(item) for item in fields(config)}
    for name in {path[0] for path in values if len(path) > 1}:
        part = defaults[name] if base is None else getattr(base, name)
        below = {path[1:]: value for path, value in values.items() if path[0] == name}
        changes[name] = _built(kinds[name], None if part is MISSING else part, below)
    return config(**changes) if base is None else replace(base, **changes)


Values = dict[tuple[str, ...], Any]


def read_tables(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: not a configuration file ({error}); give a TOML file") from error


def values_of(tables: Mapping[str, Any], config: type[Any], source: str, above: tuple[str, ...] = ()) -> Values:
    """Return the values of `Changes`; ConfigurationError for an unknown key, or a value of another kind."""
    hints, found = get_type_hints(config), Values()
    known = [item.name for item in fields(config)]
    for key, value in tables.items():
        path = (*above, key)
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(known)}"
            raise ConfigurationError(f"{source}: {'.'.join(path)!r} is unknown; {hint}")
        table_of_any = get_origin(hints[key]) is Mapping
        if is_dataclass(hints[key]) or table_of_any:
            if not isinstance(value, Mapping):
                raise ConfigurationError(f"{source}: {'.'.join(path)} is {value!r}; give a table [{'.'.join(path)}]")
            found |= {path: value} if table_of_any else values_of(value, hints[key], source, path)
        else:
            found[path] = _converted(value, hints[key], f"{source}: {'.'.join(path)}")
    return found


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
