"""Puts the commands together; the module of each is loaded when it is asked for."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from memreward import __version__
from memreward.cli.errors import ends_well
from memreward.cli.help import add_to

COMMANDS = {
    "Start": "demo read check",
    "Predict rewards": "warmup score inspect review",
    "Label": "propose label verify ledger",
    "Measure": "evaluate prior",
    "Sample and train": "collect train watch serve",
}
"""As the help groups them; each is the function of its name in the module of its name, or that module's `app`."""
_PANELS = {name: panel for panel, names in COMMANDS.items() for name in names.split()}


class _Commands(Mapping[str, Any]):
    def __getitem__(self, name: str) -> Any:
        if name not in _PANELS:
            raise KeyError(name)
        return _made(name)

    def __iter__(self) -> Iterator[str]:
        return iter(_PANELS)

    def __len__(self) -> int:
        return len(_PANELS)


@cache
def _made(name: str) -> Any:
    module = import_module(f"memreward.cli.{name}")
    alone = typer.Typer(rich_markup_mode="rich")
    if hasattr(module, "app"):
        alone.add_typer(module.app, name=name, rich_help_panel=_PANELS[name])
    else:
        add_to(alone, getattr(module, name), _PANELS[name])
    return typer.main.get_group(alone).commands[name]


class _Group(TyperGroup):
    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.commands = _Commands()  # type: ignore[assignment]


app = typer.Typer(
    name="memreward",
    cls=_Group,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"memreward {__version__}")
        raise typer.Exit


def _adds(flag: str, module: str, function: str, metavar: str, text: str) -> Any:
    """An option that hands what it names to a function of a module that is loaded only then."""

    @ends_well("Nothing was changed: run the same command again.")
    def add(named: list[str] | None) -> list[str] | None:
        if named:
            getattr(import_module(module), function)(named)
        return named

    return typer.Option(flag, callback=add, is_eager=True, metavar=metavar, help=text)


@app.callback(
    epilog="Exit codes: 0 done, 1 bad input, 2 wrong usage, 3 nothing could be scored, 4 the scores order nothing, "
    "130 interrupted."
)
def memreward(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version.")
    ] = False,
    domain: Annotated[
        list[str] | None,
        _adds(
            *("--domain", "memreward.domains.registry", "use_domains", "FILE.py:CLASS"),
            "Add a domain of your own, from a file or an installed module; repeatable (docs/own_domain.md).",
        ),
    ] = None,
    signals: Annotated[
        list[str] | None,
        _adds(
            *("--signals", "memreward.features.own", "use_signals", "FILE.py:NAME"),
            "Add a signal of your own, from a file or an installed module; repeatable (docs/own_method.md).",
        ),
    ] = None,
) -> None:
    """Predict the rewards of rollouts nobody labelled, from an experience memory and a few labels.

    Examples:
      memreward demo
      memreward check rollouts.jsonl
      memreward warmup rollouts.jsonl --memory runs/memory --labels 20%
      memreward score new.jsonl --memory runs/memory --out scored.jsonl
      memreward evaluate rollouts.jsonl --labels 0,5,20,50 --seeds 5
    """


def main() -> None:
    """Run the command line; exits with one of the codes in `memreward.cli.errors.Exit`."""
    app()
