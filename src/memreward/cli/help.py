"""Help that shows the options people use, and all of them behind `--help-all`; square brackets stand as written."""

import functools
import inspect
import re
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperCommand

from memreward.cli.options import with_parameters

USED = {
    "warmup": "--memory --labels --prior --execute --answer-pattern --skip-bad --json",
    "score": "--memory --out --engine --keep --answer-pattern --skip-bad --json",
    "inspect": "--memory --json",
    "review": "--against --worst --page --json",
    "label": "--memory --labels --annotator --batch --out --import --judge --model",
    "evaluate": "--labels --seeds --predictors --execute --out --page --full --json",
    "collect": "--model --questions --out --rollouts --max-new-tokens --temperature --url --seed",
    "verify": "--memory --out --labels --answer-pattern --skip-bad --json",
    "train": "--config --model --questions --experience --out --labels --arm --steps",
}
"""The options that `--help` shows of a command with many; a command that is not here shows all of its own."""
ALL_IS_SHOWN = {"help_option_names": ["--help", "-h", "--help-all"]}
"""The context of a command whose help has all of its options."""
_ALL = "memreward.help-all"


class Command(TyperCommand):
    """A command whose help is short, and as its docstring has it."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        # Typer reads help as markup, in which [grpo] or memreward[train] would vanish.
        # Lines of a paragraph are one: their ends are those of the source.
        self.help = escape(re.sub(r"(?<=\S)\n(?=\S)", " ", self.help or ""))
        for option in self.params:
            option.help = escape(getattr(option, "help", None) or "")  # type: ignore[attr-defined]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help. The other options are hidden while it is written, so that shells complete them all."""
        shown = {*USED.get(self.name or "", "").split(), "--help-all"}
        short = self.name in USED and not ctx.meta.get(_ALL)
        hidden: list[Any] = [p for p in self.params if short and p.param_type_name == "option"]
        hidden = [option for option in hidden if shown.isdisjoint(option.opts)]
        # `--no-x` beside `--x` takes a column, in which, as in the first one, 80 columns leave no room for long names.
        paired = [(option, option.secondary_opts) for option in self.params if option.secondary_opts]
        for option in hidden:
            option.hidden = True
        for option, _ in paired:
            option.secondary_opts = []
        try:
            super().format_help(ctx, formatter)
        finally:
            for option in hidden:
                option.hidden = False
            for option, opposite in paired:
                option.secondary_opts = opposite


def add_to(app: typer.Typer, command: Callable[..., Any], panel: str) -> None:
    """Add a command to a panel of the app's help. `--help-all` shows more only where its own help is short."""
    if command.__name__ in USED:
        app.command(cls=Command, rich_help_panel=panel)(_with_help_all(command))
        return
    app.command(cls=Command, rich_help_panel=panel, context_settings=ALL_IS_SHOWN)(command)


def _with_help_all(command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def without(**given: Any) -> Any:
        given.pop("help_all")
        return command(**given)

    option = typer.Option("--help-all", is_eager=True, callback=_show_all, help="Show all options and exit.")
    kind = inspect.Parameter.KEYWORD_ONLY
    return with_parameters(
        without, command, [inspect.Parameter("help_all", kind, default=False, annotation=Annotated[bool, option])]
    )


def _show_all(ctx: typer.Context, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        ctx.meta[_ALL] = True
        typer.echo(ctx.get_help(), color=ctx.color)
        raise typer.Exit
