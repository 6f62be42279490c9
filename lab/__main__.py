"""`python -m lab`: the laboratory's commands."""

from __future__ import annotations

import typer

from lab.command import experiment, replay

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(experiment)
app.command()(replay)


@app.callback()
def lab() -> None:
    """Train a small policy with every kind of reward, and tell what each is worth."""


if __name__ == "__main__":
    app(prog_name="python -m lab")
