"""Settings of an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.arms import ARMS
from lab.testbed.config import LONGEST, StartConfig
from memreward.data.draw import Count, count_from
from memreward.policy.settings import SamplingConfig
from memreward.training.config import ChoiceRule, arm_named
from memreward.training.settings import GrpoSettings
from memreward.types import ConfigurationError

TESTBED = GrpoSettings(steps=80, groups_per_step=8)
SAMPLING = SamplingConfig("", rollouts=8, temperature=1.0, top_p=1.0, max_new_tokens=LONGEST)
OF_TRL: Mapping[str, Any] = {"learning_rate": 2e-4, "beta": 0.0, "save_strategy": "no"}
"""Settings that train the embedded policy within minutes; tuned before arms were compared."""


@dataclass(frozen=True)
class ExperimentConfig:
    """What is compared.

    Attributes:
        arms: Names of arms (`lab.arms`).
        labels: Label budgets in questions: shares of the training questions (20%) or whole numbers (20).
        choose: How these are chosen: drawn at random, or those whose advantages are most uncertain.
        seeds: Trainings of each arm and share; a seed draws labels, samples, and the order of the questions.
        workers: Processes; 0 takes one a core, 1 runs in this process.
        prior: Where the answer model begins: "default", "none", or a file of `memreward prior fit`.
        encoder: What the paper's network reads texts with: name or folder of a sentence-transformers model, or
            "ngrams" for templates.
        answers: Answers sampled for each held-out question, at temperature 1.
        measure_every: Steps between two measurements of the policy on held-out questions, with one answer a question; 0
            measures in the end alone.
        start: Questions and starting policy.
        grpo: The training.
        sampling: What is sampled in it, but for model and seed.
        trl: Further settings of TRL's `GRPOConfig`.

    Raises:
        ConfigurationError: if a value is out of its range.
    """

    arms: tuple[str, ...] = tuple(ARMS)
    labels: tuple[str, ...] = ("20%",)
    choose: ChoiceRule = "random"
    seeds: int = 5
    workers: int = 0
    prior: str = "default"
    encoder: str = "ngrams"
    answers: int = 4
    measure_every: int = 10
    start: StartConfig = field(default_factory=StartConfig)
    grpo: GrpoSettings = TESTBED
    sampling: SamplingConfig = SAMPLING
    trl: Mapping[str, Any] = field(default_factory=lambda: dict(OF_TRL))

    def counts(self) -> tuple[Count, ...]:
        """Return the label budgets: whole numbers, and shares below 1."""
        return tuple(count_from(each) for each in self.labels)

    def __post_init__(self) -> None:
        for name in self.arms:
            arm_named(name, ARMS)
        if not self.arms or not self.labels or {0, "all"} & set(self.counts()):
            raise ConfigurationError(f"arms={self.arms}, labels={self.labels}: name arms, and shares or numbers")
        if self.seeds < 1 or self.answers < 1 or self.workers < 0 or self.measure_every < 0:
            raise ConfigurationError("seeds and answers must be at least 1, workers and measure_every at least 0")
