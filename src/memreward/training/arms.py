"""The arms of an experiment: what a policy is rewarded by, and how many of its questions are labelled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from memreward.features.choosing import ChoiceRule
from memreward.memory.ledger import Budget
from memreward.predict.config import PredictorConfig
from memreward.training.settings import GrpoSettings
from memreward.types import ConfigurationError

PAPER = "paper"
"""Preset of the paper."""
NO_DEBIASING = "no-debiasing"
SENTENCE_MODEL = "all-MiniLM-L6-v2"
"""What the paper reads texts with (method.md, section 2)."""
Rule = Literal["nothing", "majority", "format", "random"]


@dataclass(frozen=True)
class Arm:
    """One way to reward a policy.

    Attributes:
        name: Of the arm.
        says: What it is, in a line.
        labels: Whose ground truth is read: that of all questions, of the labelled share, or of none.
        only_labelled: Train on the labelled questions alone.
        rule: What rewards unlabelled questions in place of a predictor; "" is the predictor.
        preset: Preset of the predictor.
        encoder: Name of the encoder that its predictor reads with in an experiment; "" is the experiment's.
        without: Its ablation; "" is none.
        trusting: Take labels of like reasoning at the weight of `PredictorConfig.trust`; False fits it from nothing.
        frozen: Leave memory and predictor as warmup made them.
        gated: Give flat groups no advantage.
        debiased: Debias advantages with the labelled share, where labels are drawn at random.
    """

    name: str
    says: str
    labels: Literal["all", "share", "none"] = "share"
    only_labelled: bool = False
    rule: Rule | Literal[""] = ""
    preset: str = "default"
    encoder: str = ""
    without: str = ""
    trusting: bool = True
    frozen: bool = False
    gated: bool = True
    debiased: bool = False

    def budget(self, labels: float) -> Budget:
        """Return what the arm may label, given the experiment's budget; see `Budget.of`."""
        return Budget.of("all" if self.labels == "all" else labels)

    def predictor_config(self, default: PredictorConfig) -> PredictorConfig:
        """Return the predictor's settings; `default` is that of the preset "default"."""
        config = default if self.preset == "default" else PredictorConfig.preset(self.preset)
        config = config.ablated(self.without) if self.without else config
        return config if self.trusting else replace(config, trust=0.0)

    @property
    def has_settings(self) -> bool:
        """Whether its predictor is one of the configured settings, not of a preset of its own."""
        return not self.rule and self.preset == "default"

    def trained_with(self, grpo: GrpoSettings) -> GrpoSettings:
        """Return the settings of the training: debiased advantages are standardised by the reward itself."""
        return replace(grpo, scale_rewards="none") if self.debiased else grpo


_OURS = Arm("memreward", "ground truth where labelled, our prediction elsewhere", debiased=True)
_PAPER = Arm(
    "paper",
    "the paper's network, sentence model, threshold and frozen memory",
    preset=PAPER,
    encoder=SENTENCE_MODEL,
    frozen=True,
    gated=False,
)

ARMS = {
    arm.name: arm
    for arm in (
        Arm("oracle", "ground truth for all questions", labels="all", rule="nothing"),
        Arm("labelled", "training on the labelled share alone (R1-p)", only_labelled=True, rule="nothing"),
        _OURS,
        _PAPER,
        replace(_PAPER, name="paper-ngrams", says="the paper's, reading with the encoder of ours", encoder=""),
        Arm("majority+labels", "ground truth where labelled, the group's majority elsewhere", rule="majority"),
        Arm("majority", "the group's majority", labels="none", rule="majority"),
        Arm("random", "chance", labels="none", rule="random"),
        Arm("format", "whether an answer can be read", labels="none", rule="format"),
        replace(_OURS, name="no-graph", says="ours without the graph", without="no_graph"),
        replace(_OURS, name="no-trust", says="ours, the weight of like reasoning's labels fitted", trusting=False),
        replace(_OURS, name="no-growth", says="ours with memory, calibration and network of warmup", frozen=True),
        replace(_OURS, name="no-gate", says="ours without the gate for flat groups", gated=False),
        replace(_OURS, name=NO_DEBIASING, says="ours with rewards as they are predicted", debiased=False),
    )
}
"""By name."""


def arm_named(name: str, choose: ChoiceRule = "random") -> Arm:
    """Return an arm, without debiasing where labels are not drawn at random: its expectation holds for these alone.

    Raises:
        ConfigurationError: there is none of that name.
    """
    if name not in ARMS:
        raise ConfigurationError(f"arm {name!r} is unknown; use one of {', '.join(ARMS)}")
    return ARMS[name] if choose == "random" else replace(ARMS[name], debiased=False)
