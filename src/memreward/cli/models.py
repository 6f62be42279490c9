"""Readers, and what runs code, as commands use them: made from a name, showing how far they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from memreward.cli.output import Steps, printable
from memreward.temporary import write_whole
from memreward.types import Rollout, SandboxError, StoreError

if TYPE_CHECKING:
    from memreward.features.behaviour import Behaviour, CodeRunner
    from memreward.policy.reader import Reader
    from memreward.policy.readings import Reading

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
ReaderName = Annotated[
    str | None,
    typer.Option(
        "--reader",
        help="Name or folder of a causal language model that reads the rollouts: slower, and it knows more.",
        show_default="none, or that of warmup",
        metavar="NAME",
    ),
]

Execute = Literal["on", "auto", "off"]
ExecuteCode = Annotated[
    Execute | None,
    typer.Option(
        "--execute",
        help="Run the solutions of code rollouts in a sandbox and use what they do as evidence; auto runs none where "
        "the system cannot contain them.",
        show_default="auto, or that of warmup",
    ),
]


@dataclass(frozen=True)
class Models:
    """What adds to the numbers that rollouts are turned into: a reader unless None, and the sandbox unless off."""

    reader: str | None = None
    execute: Execute = "auto"

    def load_reader(self, steps: Steps) -> _ShownReader | None:
        """Load the reader, if there is one; rollouts it reads are shown."""
        if self.reader is None:
            return None
        from memreward.policy.reader import Reader, ReaderConfig

        return _ShownReader(Reader(ReaderConfig(self.reader)), steps)

    def load_runner(self, steps: Steps) -> _ShownRunner | None:
        """Make what runs code, unless it is off; programs it runs are shown. No sandbox starts before there is code.

        Raises:
            SandboxError: it is on, and the system cannot contain what is run.
        """
        if self.execute == "off":
            return None
        runner = _ShownRunner(steps, must=self.execute == "on")
        if self.execute == "on":
            runner.start()
        return runner


def chosen_models(reader: str | None, recorded: Models | None = None, *, execute: Execute | None = None) -> Models:
    """Return what was named on the command line, else what was recorded, else the defaults."""
    base = recorded or Models()
    return Models(reader or base.reader, execute or base.execute)


def write_record(folder: Path, models: Models, settings: dict[str, Any]) -> None:
    """Write what a warmup was asked to do into the folder of its predictor, before the predictor itself.

    In this order a process that is killed between the two leaves no predictor whose reader is not known.
    """
    record = {"reader": models.reader, "execute": models.execute, **settings}
    write_whole(folder / _RECORD, json.dumps(record, indent=1) + "\n")


def recorded_models(folder: Path) -> Models | None:
    """Return the models of the warmup that wrote `folder`, or None where it was not done by the command line.

    Raises:
        StoreError: the record is damaged.
    """
    path = folder / _RECORD
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return Models(record["reader"], record.get("execute", "off"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} cannot be read ({error!r}): delete it and name --reader, or warm up again") from error


class _ShownReader:
    """A reader that tells how many rollouts it has read."""

    def __init__(self, reader: Reader, steps: Steps) -> None:
        self._reader, self._steps = reader, steps

    def read(self, rollouts: Sequence[Rollout]) -> Reading:
        done = 0

        def advance(more: int) -> None:
            nonlocal done
            done += more
            self._steps("reading rollouts", done, len(rollouts))

        return self._reader.read(rollouts, advance)


class _ShownRunner:
    """A runner of code that starts where there is code, and tells how many programs it has run.

    Attributes:
        contained: Whether code can be run here; None as long as there was none.
    """

    def __init__(self, steps: Steps, *, must: bool) -> None:
        self._steps, self._must = steps, must
        self._runner: CodeRunner | None = None
        self.contained: bool | None = None

    def start(self) -> None:
        """Make the sandbox; where it cannot contain code, say so once and run none, or raise if code must be run."""
        from memreward.features.behaviour import NAMESPACE, CodeRunner
        from memreward.features.cache import DiskVectorStore
        from memreward.sandbox import Sandbox

        sandbox = Sandbox()
        try:
            _ = sandbox.containment
        except SandboxError as error:
            if self._must:
                raise
            self.contained = False
            typer.echo(printable(f"no code is run: {error}"), err=True)
            return
        self.contained = True
        self._runner = CodeRunner(sandbox, DiskVectorStore(NAMESPACE))

    def observe(self, rollouts: Sequence[Rollout]) -> list[Behaviour | None]:
        if self.contained is None and any(rollout.query.domain == "code" for rollout in rollouts):
            self.start()
        if self._runner is None:
            return [None] * len(rollouts)
        return self._runner.observe(rollouts, lambda done, of: self._steps("running code", done, of))
