"""How answers are verified: settings of the verifiers, without what they need."""

from dataclasses import dataclass, field
from typing import Literal

from memreward.sandbox.limits import Limits
from memreward.types import ConfigurationError


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


_OF_VERDICT = Limits(cpu_seconds=150, call_seconds=10, wall_seconds=600.0, memory_mb=2048)


@dataclass(frozen=True)
class CodeConfig:
    """How code is verified.

    Attributes:
        containment: How model-written code is contained; auto takes the best that the system allows and refuses to work
            where it allows none. "none" contains nothing: only for machines that may be lost.
        limits: What the solution and its tests may use.
    """

    containment: Literal["auto", "namespaces", "landlock", "none"] = "auto"
    limits: Limits = _OF_VERDICT


@dataclass(frozen=True)
class VerifyConfig:
    """How answers are verified.

    Attributes:
        math: How mathematical answers are verified.
        code: How solutions in Python are run.
    """

    math: MathConfig = field(default_factory=MathConfig)
    code: CodeConfig = field(default_factory=CodeConfig)
