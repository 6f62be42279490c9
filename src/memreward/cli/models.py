"""What commands that learn or predict share: the prior's name, and what runs code, which shows how far it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memreward.cli.output import Steps, printable
from memreward.temporary import write_whole
from memreward.types import Execute, StoreError

if TYPE_CHECKING:
    from memreward.features.behaviour import ContainedRunner

_RECORD = "warmup.json"

PriorName = Annotated[
    str,
    typer.Option(help="What other sources taught: default, none (the vote alone), or a file of memreward prior fit."),
]
ExecuteCode = Annotated[
    Execute | None,
    typer.Option(
        help="Run code rollouts in a sandbox and use what they do as evidence; auto: where it can be contained.",
        show_default="auto",
    ),
]


def load_runner(execute: Execute | None, steps: Steps) -> ContainedRunner | None:
    """Make what runs code, unless it is off; programs it runs are shown, and why none is run.

    Raises SandboxError where it is on, and the system cannot contain what is run.
    """
    if execute == "off":
        return None
    from memreward.features.behaviour import ContainedRunner

    return ContainedRunner(must=execute == "on", progress=steps, warn=lambda why: typer.echo(printable(why), err=True))


def what_was_done(execute: Execute | None, runner: ContainedRunner | None) -> Execute:
    """Return whether code is to be run when scoring: as it was in this warmup, where there was any."""
    if runner is None or runner.contained is None:
        return execute or "auto"
    return "on" if runner.contained else "off"


def write_record(folder: Path, execute: Execute, settings: dict[str, Any]) -> None:
    """Write what a warmup was asked to do into the folder of its predictor, before the predictor itself.

    In this order a process that is killed between the two leaves no predictor of which it is not known whether code
    was run.
    """
    write_whole(folder / _RECORD, json.dumps({"execute": execute, **settings}, indent=1) + "\n")


def recorded_execute(folder: Path) -> Execute:
    """Return whether the warmup that wrote `folder` ran code; "auto" where it was not done by the command line.

    Raises StoreError where the record is damaged.
    """
    path = folder / _RECORD
    if not path.exists():
        return "auto"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        execute: Execute = record.get("execute", "off")
    except (OSError, ValueError, AttributeError) as error:
        raise StoreError(f"{path} cannot be read ({error!r}): delete it, or warm up again") from error
    return execute
