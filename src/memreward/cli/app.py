"""Puts the commands together."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Annotated

import typer

from memreward import __version__
from memreward.cli.check import check
from memreward.cli.collect import collect
from memreward.cli.demo import demo
from memreward.cli.errors import ends_well
from memreward.cli.evaluate import evaluate
from memreward.cli.help import add_to
from memreward.cli.inspect import inspect
from memreward.cli.label import label
from memreward.cli.ledger import ledger
from memreward.cli.prior import app as prior
from memreward.cli.propose import propose
from memreward.cli.questions import questions
from memreward.cli.read import read
from memreward.cli.review import review
from memreward.cli.score import score
from memreward.cli.serve import serve
from memreward.cli.train import train
from memreward.cli.verify import verify
from memreward.cli.warmup import warmup
from memreward.cli.watch import watch

app = typer.Typer(
    name="memreward",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    demo,
    read,
    check,
    warmup,
    score,
    inspect,
    review,
    propose,
    label,
    ledger,
    evaluate,
    collect,
    questions,
    verify,
    serve,
    train,
    watch,
):
    add_to(app, command)
app.add_typer(prior, name="prior")


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
            help="Add a domain of your own, from a file or an installed module; give it once for each. See "
            "docs/own_domain.md.",
        ),
    ] = None,
    signals: Annotated[
        list[str] | None,
        typer.Option(
            "--signals",
            callback=_added_by("memreward.features.own", "use_signals"),
            is_eager=True,
            metavar="FILE.py:NAME",
            help="Add a signal of your own, from a file or an installed module; give it once for each. See "
            "docs/own_method.md.",
        ),
    ] = None,
) -> None:
    """Predict the rewards of rollouts nobody labelled, from an experience memory and a few labels.

    Examples:
      memreward demo
      memreward warmup rollouts.jsonl --memory runs/memory --labels 20%
      memreward score new.jsonl --memory runs/memory --out scored.jsonl
      memreward evaluate rollouts.jsonl --labels 0,5,20,50 --seeds 5
    """


def main() -> None:
    """Run the command line; exits with one of the codes in `memreward.cli.errors.Exit`."""
    app()
