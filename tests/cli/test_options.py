from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
import typer
from typer.testing import CliRunner

from memreward.cli.help import Command
from memreward.cli.options import Changes, attribute_texts, options_from
from memreward.types import ConfigurationError
from rows import each_row


@dataclass(frozen=True)
class Inner:
    """Inner part.

    Attributes:
        width: How wide, in
            two lines.
    """

    width: int = 3


@dataclass(frozen=True)
class Outer:
    """Outer part.

    Attributes:
        name: A name.
        inner: Nested.
        rate: A rate.
        on: A switch.
        limit: A limit.
        shares: Some shares.
        kind: One of two.

    Raises:
        ConfigurationError: never said: nothing.
    """

    name: str
    inner: Inner = field(default_factory=Inner)
    rate: float = 0.5
    on: bool = True
    limit: int | None = None
    shares: tuple[float, ...] = (0.1, 0.2)
    kind: Literal["a", "b"] = "a"

    def __post_init__(self) -> None:
        if self.rate > 1:
            raise ConfigurationError(f"rate={self.rate} is above 1")


@dataclass(frozen=True)
class Whole:
    """A whole.

    Attributes:
        outer: A part without a default.
    """

    outer: Outer


def application(base: Outer | None = None, **arguments: Any) -> typer.Typer:
    app = typer.Typer()

    @app.command(cls=Command)
    @options_from("settings", Outer, panel="Outer", base=base, **arguments)
    def show(file: str = "none", *, settings: Changes[Outer]) -> None:
        made = settings.made()
        typer.echo(
            json.dumps([file, made.name, made.inner.width, made.rate, made.on, made.limit, made.shares, made.kind])
        )

    return app


def values(*arguments: str, app: typer.Typer | None = None) -> Any:
    result = CliRunner().invoke(app or application(), arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_defaults_are_those_of_the_dataclass() -> None:
    assert values("--name", "n") == ["none", "n", 3, 0.5, True, None, [0.1, 0.2], "a"]


def test_every_kind_of_field_is_read() -> None:
    given = ["--file", "f", "--name", "n", "--inner-width", "9", "--rate", "0.25", "--no-on"]
    given += ["--limit", "4", "--shares", "1,0.5", "--kind", "b"]
    assert values(*given) == ["f", "n", 9, 0.25, False, 4, [1.0, 0.5], "b"]


def test_only_given_options_change_a_preset() -> None:
    preset = Outer("preset", Inner(7), rate=0.9, on=False, shares=(0.7,))
    app = application(preset, leave_out=("name",))
    assert values(app=app) == ["none", "preset", 7, 0.9, False, None, [0.7], "a"]
    assert values("--on", "--inner-width", "1", app=app) == ["none", "preset", 1, 0.9, True, None, [0.7], "a"]


def test_a_command_may_take_some_fields_and_have_defaults_of_its_own() -> None:
    app = application(Outer("base", rate=0.9), only=("rate", "on"))
    assert values("--no-on", app=app)[1:5] == ["base", Inner().width, 0.9, False]
    assert "[default: 0.9]" in CliRunner().invoke(app, ["--help"]).output
    assert CliRunner().invoke(app, ["--name", "n"]).exit_code == 2


def test_a_field_can_have_another_option() -> None:
    app = application(names={"rate": "speed", "inner.width": "w"})
    assert values("--name", "n", "--speed", "0.1", "--w", "2", app=app)[2:4] == [2, 0.1]


@pytest.mark.parametrize(("prefix", "option"), [("", "--width"), ("my_part", "--my-part-width")])
def test_a_nested_part_can_have_another_prefix_or_none(prefix: str, option: str) -> None:
    assert values("--name", "n", option, "2", app=application(names={"inner": prefix}))[2] == 2


def test_a_part_without_a_default_is_made_of_its_options() -> None:
    app = typer.Typer()

    @app.command(cls=Command)
    @options_from("settings", Whole, panel="Whole")
    def show(settings: Changes[Whole]) -> None:
        outer = settings.made().outer
        typer.echo(json.dumps([outer.name, outer.rate, outer.inner.width]))

    assert values("--outer-name", "n", "--outer-rate", "0.2", app=app) == ["n", 0.2, 3]
    assert values("--outer-name", "n", "--outer-inner-width", "5", app=app) == ["n", 0.5, 5]
    assert "--outer-name" in CliRunner().invoke(app, [], env={"COLUMNS": "200"}).output


@dataclass(frozen=True)
class Wide:
    """A part that begins otherwise than its class does.

    Attributes:
        inner: A part with a default of its own.
        outer: Another.
    """

    inner: Inner = Inner(8)
    outer: Outer = Outer("of its own", rate=0.75)


def test_a_part_shows_and_takes_the_defaults_it_has_by_its_place() -> None:
    app = typer.Typer()

    @app.command(cls=Command)
    @options_from("settings", Wide, panel="Wide")
    def show(settings: Changes[Wide]) -> None:
        made = settings.made()
        typer.echo(json.dumps([made.inner.width, made.outer.name, made.outer.rate, made.outer.on]))

    assert values("--outer-name", "n", app=app) == [8, "n", 0.75, True]
    said = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
    assert "default: 8" in said
    assert "default: 0.75" in said


@each_row(
    ("arguments", "message"),
    [
        ((), "--name"),
        (("--name", "n", "--kind", "c"), "--kind"),
        (("--name", "n", "--limit", "many"), "--limit"),
        (("--name", "n", "--shares", "0.1;0.2"), "commas"),
    ],
)
def test_a_value_of_the_wrong_kind_is_wrong_usage(arguments: tuple[str, ...], message: str) -> None:
    result = CliRunner().invoke(application(), arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert message in result.output


def test_a_refused_value_keeps_its_error() -> None:
    result = CliRunner().invoke(application(), ["--name", "n", "--rate", "2"])
    assert isinstance(result.exception, ConfigurationError)


def test_help_and_defaults_come_from_the_dataclass() -> None:
    text = " ".join(CliRunner().invoke(application(), ["--help"], env={"COLUMNS": "200"}).output.split())
    assert "How wide, in two lines. [default: 3]" in text
    assert "Some shares. [default: 0.1,0.2]" in text
    assert "A switch. [default: on]" in text


def test_texts_end_with_their_section() -> None:
    texts = attribute_texts(Outer)
    assert list(texts) == ["name", "inner", "rate", "on", "limit", "shares", "kind"]
    assert attribute_texts(Inner) == {"width": "How wide, in two lines."}


def test_a_type_without_an_option_is_refused_when_the_command_is_made() -> None:
    @dataclass(frozen=True)
    class Odd:
        table: dict[str, int] = field(default_factory=dict)

    with pytest.raises(TypeError, match="table: no option can hold"):
        options_from("settings", Odd, panel="Odd")(lambda settings: settings)


@dataclass(frozen=True)
class Named:
    more: Mapping[str, Any] = field(default_factory=dict)


def test_a_mapping_is_an_option_that_is_given_once_for_each_name() -> None:
    made: list[Any] = []

    @options_from("settings", Named, panel="Named")
    def command(settings: Changes[Named]) -> None:
        made.append(settings.made())

    app = typer.Typer()
    app.command()(command)
    given = ["--more", "rate=3e-3", "--more", "on=true", "--more", "name=a=b"]
    assert CliRunner().invoke(app, given).exit_code == CliRunner().invoke(app, []).exit_code == 0
    assert made == [Named({"rate": 0.003, "on": True, "name": "a=b"}), Named()]
    assert "not of the form NAME=VALUE" in CliRunner().invoke(app, ["--more", "rate"]).output
