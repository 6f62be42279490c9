"""The arms of an experiment: what a policy is rewarded by, and how many of its questions are labelled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from memreward.features.featurizer import RolloutRunner
from memreward.memory import Budget, ExperienceMemory
from memreward.predict.config import PredictorConfig
from memreward.predict.reward_predictor import RewardPredictor
from memreward.reward.baselines import BaselineReward, Rule
from memreward.reward.debias import DebiasConfig
from memreward.reward.growth import GrowthConfig
from memreward.reward.hybrid import HybridConfig, HybridReward
from memreward.types import ConfigurationError
from memreward.verify import Verifiers

Reward = HybridReward | BaselineReward


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
        without: Its ablation; "" is none.
        hybrid: Settings of the hybrid reward.
        debias: Debias advantages with the labelled share.
    """

    name: str
    says: str
    labels: Literal["all", "share", "none"] = "share"
    only_labelled: bool = False
    rule: Rule | Literal[""] = ""
    preset: str = "default"
    without: str = ""
    hybrid: HybridConfig = field(default_factory=HybridConfig)
    debias: bool = False

    def budget(self, labels: float) -> Budget:
        """Return what the arm may label, given the experiment's budget: a share up to 1, or a number of queries."""
        if self.labels == "all":
            return Budget(queries=1.0)
        return Budget(queries=labels if labels <= 1 else int(labels))

    def predictor_config(self, default: PredictorConfig) -> PredictorConfig:
        """Return the predictor's settings; `default` is that of the preset "default"."""
        config = default if self.preset == "default" else PredictorConfig.preset(self.preset)
        return config.ablated(self.without) if self.without else config

    def hybrid_config(self, share: float) -> HybridConfig:
        """Return the reward's settings; `share` of the questions are labelled."""
        return replace(self.hybrid, debias=DebiasConfig(share=share)) if self.debias else self.hybrid


_NO_GATE = replace(HybridConfig().shaping, gate=0.0)

ARMS = {
    arm.name: arm
    for arm in (
        Arm("oracle", "ground truth for all questions", labels="all", rule="nothing"),
        Arm("labelled", "training on the labelled share alone (R1-p)", only_labelled=True, rule="nothing"),
        Arm("memreward", "ground truth where labelled, our prediction elsewhere"),
        Arm("paper", "the paper's network, threshold and frozen memory", preset="paper", hybrid=HybridConfig.paper()),
        Arm("majority+labels", "ground truth where labelled, the group's majority elsewhere", rule="majority"),
        Arm("majority", "the group's majority", labels="none", rule="majority"),
        Arm("random", "chance", labels="none", rule="random"),
        Arm("format", "whether an answer can be read", labels="none", rule="format"),
        Arm("no-graph", "ours without the graph", without="no_graph"),
        Arm("no-growth", "ours with the memory of warmup", hybrid=HybridConfig(growth=GrowthConfig.frozen())),
        Arm("no-gate", "ours without the gate for flat groups", hybrid=HybridConfig(shaping=_NO_GATE)),
        Arm("debiased", "ours with debiased advantages", debias=True),
    )
}
"""By name. Debiasing is an option and not part of "memreward": benchmarks/results/training.md says why."""


def arm_named(name: str) -> Arm:
    """Return an arm.

    Raises:
        ConfigurationError: there is none of that name.
    """
    if name not in ARMS:
        raise ConfigurationError(f"arm {name!r} is unknown; use one of {', '.join(ARMS)}")
    return ARMS[name]


def make_reward(
    arm: Arm,
    memory: ExperienceMemory,
    labelled: frozenset[str],
    *,
    budget: Budget,
    verifiers: Verifiers,
    predictor: Callable[[], RewardPredictor],
    hybrid: HybridConfig | None = None,
    runner: RolloutRunner | None = None,
    seed: int = 0,
) -> Reward:
    """Make the reward of an arm.

    Args:
        arm: Which.
        memory: Holds the questions and, sealed, their references.
        labelled: Ids of the labelled queries.
        budget: Of labels.
        verifiers: Judge labelled queries.
        predictor: Makes the warmed-up predictor; called for the arms that have one.
        hybrid: Settings of the hybrid reward in place of the arm's.
        runner: Runs solutions for the majority of code; None compares their text.
        seed: Of chance.
    """
    if arm.rule:
        judged = frozenset[str]() if arm.labels == "none" else labelled
        return BaselineReward(
            memory, arm.rule, labelled=judged, budget=budget, verifiers=verifiers, runner=runner, seed=seed
        )
    config = hybrid or arm.hybrid_config(len(labelled) / max(len(memory), 1))
    return HybridReward(predictor(), labelled=labelled, config=config, budget=budget, verifiers=verifiers)
