"""What `memreward train` is asked to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from memreward.domains import VerifyConfig
from memreward.policy.settings import RunConfig, SamplingConfig
from memreward.reward.settings import LearningConfig
from memreward.training.arms import arm_named
from memreward.training.settings import GrpoSettings
from memreward.types import ConfigurationError

ChoiceRule = Literal["random", "advantage"]
"""How questions are chosen for labels."""

_SAMPLING = SamplingConfig("", rollouts=8, temperature=1.0, top_p=1.0, max_new_tokens=1024)
"""The paper's (method.md, section 2)."""


@dataclass(frozen=True)
class TrainConfig(LearningConfig, RunConfig):
    """Which policy is trained on which questions, and what it is rewarded by.

    Attributes:
        output: Folder for memory, predictor, checkpoints, history and the trained policy.
        questions: Files of what to train on, each with ":COUNT" for a sample of that size; none takes the questions of
            `experience`.
        experience: Rollout files of the starting policy, with "correct"; none samples rollouts of the labelled
            questions first, and verifies them (of all questions, where labels are not drawn at random).
        labels: Label budget in queries: a share (20%), a whole number (200), 0 for none, or all. The arm "oracle"
            labels all, those that need no label none.
        arm: What rewards: "memreward", "no-prior", "paper", "oracle" (ground truth for all questions), "labelled"
            (ground truth on the labelled questions alone), "majority+labels", "majority".
        ask: Serve the page of `memreward label` as soon as questions wait whose labels would help most; what people say
            there counts from the next step on, beside the budget.
        sampling: The model that is trained, and what is sampled from it; its seed also draws labels and orders the
            questions.
        grpo: The training itself.
        trl: Further settings of TRL's `GRPOConfig`, by its own names.
        verify: The verifiers.
    """

    experience: tuple[str, ...] = ()
    arm: str = "memreward"
    ask: bool = False
    sampling: SamplingConfig = _SAMPLING
    grpo: GrpoSettings = field(default_factory=GrpoSettings)
    trl: Mapping[str, Any] = field(default_factory=dict)
    verify: VerifyConfig = field(default_factory=VerifyConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        arm_named(self.arm)
        if self.sampling.rollouts < 2 or not self.sampling.temperature > 0:
            raise ConfigurationError(
                f"rollouts={self.sampling.rollouts}, temperature={self.sampling.temperature}: a group needs 2 rollouts "
                "at least, sampled at a temperature above 0"
            )

    def check_complete(self) -> None:
        for name, given in {"model": self.sampling.model, "output": self.output}.items():
            if not given:
                raise ConfigurationError(f"{name} is missing: give --{name}, or name it in the configuration file")
        if not (self.questions or self.experience):
            raise ConfigurationError(
                "there is nothing to train on: name --questions, or rollout files of the policy by --experience"
            )
