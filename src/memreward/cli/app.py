"""Puts the commands together."""

from collections.abc import Callable
from importlib import import_module
from typing import Annotated

import typer

from memreward import __version__
from memreward.cli.errors import ends_well
from memreward.cli.help import add_to
from memreward.cli.prior import app as prior

COMMANDS = {
    "Start": "demo read check",
    "Predict rewards": "warmup score inspect review",
    "Label": "propose label verify ledger",
    "Measure": "evaluate",
    "Sample and train": "collect train watch serve",
}
"""As the help groups them; each is the function of its name in the module of its name."""

app = typer.Typer(
    name="memreward",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for panel, names in COMMANDS.items():
    for name in names.split():
        add_to(app, getattr(import_module(f"memreward.cli.{name}"), name), panel)
app.add_typer(prior, name="prior", rich_help_panel="Measure")


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"memreward {__version__}")
        raise typer.Exit


def _added_by(module: str, function: str) -> Callable[[list[str] | None], list[str] | None]:
    """A callback that hands what an option names to a function of a module that is loaded only then."""

    @ends_well("Nothing was changed: run the same command again.")
    def add(named: list[str] | None) -> list[str] | None:
        if named:
            getattr(import_module(module), function)(named)
        return named

    return add


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
        typer.Option(
            "--domain",
            callback=_added_by("memreward.domains", "use_domains"),
            is_eager=True,
            metavar="FILE.py:CLASS",
            help="Add a domain of your own, from a file or an installed module; repeatable (docs/own_domain.md).",
        ),
    ] = None,
    signals: Annotated[
        list[str] | None,
        typer.Option(
            "--signals",
            callback=_added_by("memreward.features.own", "use_signals"),
            is_eager=True,
            metavar="FILE.py:NAME",
            help="Add a signal of your own, from a file or an installed module; repeatable (docs/own_method.md).",
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
