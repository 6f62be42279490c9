"""What somebody may say of how a predictor learns, wherever one does."""

from dataclasses import dataclass

from memreward.memory.budget import Budget
from memreward.types import Execute


@dataclass(frozen=True)
class LearningConfig:
    """How many labels are used, and what is known without them.

    Attributes:
        labels: Label budget in queries: a share (20%), a whole number (200), 0 for none, or all.
        prior: What other sources taught: "default" is the shipped prior, "none" majority vote alone, else a file of
            `memreward prior fit`. Sources that share a question with those at hand are left out.
        execute: Run the solutions of code rollouts in a sandbox and use what they do as evidence: "auto" does so where
            the system can contain them, "on" must, "off" runs none.
    """

    labels: str = "20%"
    prior: str = "default"
    execute: Execute = "auto"

    def __post_init__(self) -> None:
        Budget.of(self.labels)
