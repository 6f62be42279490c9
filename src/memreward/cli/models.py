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
    typer.Option(
        "--prior",
        help='What other sources taught the model: "default", "none" (majority vote alone), or a file of '
        "memreward prior fit.",
        metavar="NAME",
    ),
]
ExecuteCode = Annotated[
    Execute | None,
    typer.Option(
        "--execute",
        help="Run the solutions of code rollouts in a sandbox and use what they do as evidence; auto runs none where "
        "the system cannot contain them.",
        show_default="auto, or that of warmup",
    ),
]


def load_runner(execute: Execute | None, steps: Steps) -> ContainedRunner | None:
    """Make what runs code, unless it is off; programs it runs are shown, and why none is run.

    Raises:
        SandboxError: it is on, and the system cannot contain what is run.
    """
    if execute == "off":
        return None
    from memreward.features.behaviour import ContainedRunner

    def warn(why: str) -> None:
        typer.echo(printable(why), err=True)

    return ContainedRunner(must=execute == "on", progress=steps, warn=warn)


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

    Raises:
        StoreError: the record is damaged, or of a release in which a language model read the rollouts.
    """
    path = folder / _RECORD
    if not path.exists():
        return "auto"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        execute: Execute = record.get("execute", "off")
        read_by = record.get("reader")
    except (OSError, ValueError, AttributeError) as error:
        raise StoreError(f"{path} cannot be read ({error!r}): delete it, or warm up again") from error
    if read_by is not None:
        raise StoreError(
            f"{folder} was made with --reader {read_by}, and no language model reads rollouts any more: warm up again; "
            "the labels that the ledger holds cost nothing again"
        )
    return execute
