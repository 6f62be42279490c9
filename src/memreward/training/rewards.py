"""From an arm to its reward function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from memreward.features.featurizer import RolloutRunner
from memreward.memory import Budget, ExperienceMemory
from memreward.predict.reward_predictor import RewardPredictor
from memreward.reward.baselines import BaselineReward
from memreward.reward.growth import GrowthConfig
from memreward.reward.hybrid import HybridConfig, HybridReward
from memreward.training.arms import PAPER, Arm
from memreward.verify import Verifiers

Reward = HybridReward | BaselineReward


def hybrid_config(arm: Arm) -> HybridConfig:
    """Return an arm's settings of the hybrid reward, but for debiasing, which needs to know the labelled share."""
    if arm.preset == PAPER:
        return HybridConfig.paper()
    config = HybridConfig()
    if arm.frozen:
        config = replace(config, growth=GrowthConfig.frozen())
    return config if arm.gated else replace(config, shaping=replace(config.shaping, gate=0.0))


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
    config = hybrid or hybrid_config(arm)
    if arm.debiased and config.debias.share is None:
        share = len(labelled) / max(len(memory), 1)
        config = replace(config, debias=replace(config.debias, share=share))
    return HybridReward(predictor(), labelled=labelled, config=config, budget=budget, verifiers=verifiers)
