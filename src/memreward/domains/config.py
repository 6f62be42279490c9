"""How answers are verified: what somebody may set, without what the verifiers need."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class VerifyConfig:
    """How code is run; the other domains have nothing to set.

    Attributes:
        containment: How model-written code is contained; auto takes the best that the system allows and refuses to work
            where it allows none. "none" contains nothing: only for machines that may be lost.
    """

    containment: Literal["auto", "namespaces", "landlock", "none"] = "auto"
