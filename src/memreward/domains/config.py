"""How answers are verified: settings of the verifiers, without what they need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class VerifyConfig:
    """How answers are verified.

    Attributes:
        containment: How model-written code is contained; auto takes the best that the system allows and refuses to
            work where it allows none. "none" contains nothing: only for machines that may be lost.
    """

    containment: Literal["auto", "namespaces", "landlock", "none"] = "auto"
