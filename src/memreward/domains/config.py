"""How answers are verified: settings of the verifiers, without what they need."""

from dataclasses import dataclass, field
from typing import Literal

from memreward.types import ConfigurationError

MOST = 1_000_000
"""Of seconds and of megabytes; clocks of the system overflow on more."""


@dataclass(frozen=True)
class MathConfig:
    """How mathematical answers are judged.

    Attributes:
        time_limit_s: Seconds that one answer may take at most; one that takes longer is undecided.
    """

    time_limit_s: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.time_limit_s <= 1e6:
            raise ConfigurationError(f"time_limit_s={self.time_limit_s}: give some seconds, e.g. 5, a million at most")


@dataclass(frozen=True)
class CodeConfig:
    """How code is verified.

    Attributes:
        containment: How model-written code is contained; auto takes the best that the system allows and refuses to work
            where it allows none. "none" contains nothing: only for machines that may be lost.
        cpu_seconds: Processor time of one solution in all its tests.
        call_seconds: Processor time of one call of it, or of a program on one input; by the clock a call may take
            twelve times as long.
        memory_mb: Memory of one solution.
    """

    containment: Literal["auto", "namespaces", "landlock", "none"] = "auto"
    cpu_seconds: int = 150
    call_seconds: int = 10
    memory_mb: int = 2048

    def __post_init__(self) -> None:
        for name in ("cpu_seconds", "call_seconds", "memory_mb"):
            if not 0 < getattr(self, name) <= MOST:
                raise ConfigurationError(f"{name}={getattr(self, name)}: give more than 0, and at most {MOST:,}")


@dataclass(frozen=True)
class VerifyConfig:
    """How answers are verified.

    Attributes:
        math: How mathematical answers are verified.
        code: How solutions in Python are run.
    """

    math: MathConfig = field(default_factory=MathConfig)
    code: CodeConfig = field(default_factory=CodeConfig)
