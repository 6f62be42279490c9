"""What `memreward train` is asked to do: the settings, and the arms, by which a policy is rewarded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from memreward.domains import VerifyConfig
from memreward.memory import Budget
from memreward.policy.settings import RunConfig, SamplingConfig
from memreward.reward.judged import Kind
from memreward.reward.settings import LearningConfig
from memreward.training.settings import GrpoSettings
from memreward.types import ConfigurationError

ChoiceRule = Literal["random", "advantage"]
"""How questions are chosen for labels."""

_SAMPLING = SamplingConfig("", rollouts=8, temperature=1.0, top_p=1.0, max_new_tokens=1024)
"""The paper's (method.md, section 2)."""
SENTENCE_MODEL = "all-MiniLM-L6-v2"
"""What the paper reads texts with (method.md, section 2)."""
ANSWERS, PAPER = "answers", "paper"
"""Valuers that are warmed up: the answer model, and the paper's network."""


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
