"""What a run may use, and what came of it."""

from dataclasses import dataclass, fields
from typing import Literal

from memreward.types import ConfigurationError

Containment = Literal["namespaces", "landlock", "none"]

MOST = 1_000_000
"""Of seconds and of megabytes; clocks of the system overflow on more."""

Ending = Literal["", "cpu", "wall", "output", "asked", "lost"]


@dataclass(frozen=True)
class Allowance:
    """What one run may use: an argument of the sandbox, no setting.

    Processor time is that of the run, and of the loading of a solution or one call of it; memory comes on top of what
    the interpreter has at its start. No run may start processes, each has some threads, and none fills an output or
    another file.

    Attributes:
        cpu_seconds: Processor time of one run, of a solution in all its tests.
        call_seconds: Processor time of one call, or of a program on one input; by the clock a call may take twelve
            times as long.
        wall_seconds: Time by the clock of one run, of a verdict on code in all.
        memory_mb: Memory of one run.
    """

    cpu_seconds: int = 30
    call_seconds: int = 5
    wall_seconds: float = 60.0
    memory_mb: int = 1024

    def __post_init__(self) -> None:
        for item in fields(self):
            if not 0 < getattr(self, item.name) <= MOST:
                raise ConfigurationError(f"{item.name}={getattr(self, item.name)}: give more than 0, at most {MOST:,}")


@dataclass(frozen=True)
class Execution:
    """How a run ended.

    Attributes:
        returncode: Exit status of the interpreter; minus the signal's number where a signal ended it.
        ended_by: The limit that ended it; "asked" where the caller did, "lost" where the sandbox itself broke down; ""
            where the program ended by itself.
        stdout, stderr: What it wrote; undecodable bytes are replaced.
        report: What the runner inside the sandbox wrote; not to be trusted where foreign code ran beside it.
        cpu_seconds: Processor time of the run with all its children.
    """

    returncode: int
    ended_by: Ending = ""
    stdout: str = ""
    stderr: str = ""
    report: str = ""
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.returncode == 0 and not self.ended_by
