"""The arms of a training: what a policy is rewarded by, and how many of its questions are labelled."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from memreward.memory import Budget
from memreward.reward.judged import Kind
from memreward.types import ConfigurationError

SENTENCE_MODEL = "all-MiniLM-L6-v2"
"""What the paper reads texts with (method.md, section 2)."""
ANSWERS, PAPER = "answers", "paper"
"""Valuers that are warmed up: the answer model, and the paper's network."""


@dataclass(frozen=True)
class Arm:
    """One way to reward a policy.

    Attributes:
        valuer: Name of what values unlabelled rollouts (`memreward.training.prepare`).
        labels: Whose ground truth is read: that of all questions, of the labelled share, or of none.
        encoder: Name of the encoder that the paper's network reads with in an experiment; "" is the experiment's.
    """

    name: str
    says: str
    valuer: str
    labels: Literal["all", "share", "none"] = "share"
    only_labelled: bool = False
    rewards: Kind = "advantage"
    encoder: str = ""

    def budget(self, labels: str) -> Budget:
        """Return what the arm may label, given the training's budget as `Budget.of` reads it."""
        return Budget.of("all" if self.labels == "all" else labels)


ARMS = {
    arm.name: arm
    for arm in (
        Arm("oracle", "ground truth for all questions", "nothing", labels="all"),
        Arm("labelled", "training on the labelled share alone (R1-p)", "nothing", only_labelled=True),
        Arm("memreward", "ground truth where labelled, the expected advantage elsewhere", ANSWERS),
        Arm("no-prior", "ground truth where labelled, the expected advantage under bare shares elsewhere", "shares"),
        Arm("majority+labels", "ground truth where labelled, the group's majority elsewhere", "majority"),
        Arm(
            "paper",
            "the paper's network, sentence model and threshold",
            PAPER,
            rewards="threshold",
            encoder=SENTENCE_MODEL,
        ),
        Arm("majority", "the group's majority", "majority", labels="none"),
    )
}
"""By name."""


def arm_named(name: str, among: Mapping[str, Arm] = ARMS) -> Arm:
    if name not in among:
        raise ConfigurationError(f"arm {name!r} is unknown; use one of {', '.join(among)}")
    return among[name]
