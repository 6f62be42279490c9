"""From an arm to its reward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from memreward.domains import Verifiers
from memreward.features.featurizer import Featurizer
from memreward.memory import Budget, ExperienceMemory
from memreward.reward.config import RewardConfig
from memreward.reward.policy import PolicyReward
from memreward.reward.valuers import Format, HardMajority, Majority, Nothing, Random, Valuer
from memreward.training.arms import Arm

Made = tuple[Valuer, Featurizer]
"""A valuer and what turns rollouts into its numbers."""


def make_reward(
    arm: Arm,
    memory: ExperienceMemory,
    labelled: frozenset[str],
    *,
    warmed: Mapping[str, Callable[[], Made]],
    featurizer: Featurizer,
    config: RewardConfig | None = None,
    budget: Budget | None = None,
    verifiers: Verifiers | None = None,
    seed: int = 0,
    others: Mapping[str, Callable[[], Valuer]] | None = None,
) -> PolicyReward:
    """Make the reward of an arm.

    Args:
        arm: Which; what it pays overrules `config.rewards`.
        memory: Holds the questions and, sealed, their references.
        warmed: Makes the valuers that are warmed up, by name.
        others: Makes the valuers of arms that are none of `memreward train`'s, by name.
    """
    plain: dict[str, Callable[[], Valuer]] = {
        "shares": Majority,
        "majority": HardMajority,
        "format": Format,
        "random": lambda: Random(seed),
        "nothing": Nothing,
        **(others or {}),
    }
    valuer, read = warmed[arm.valuer]() if arm.valuer in warmed else (plain[arm.valuer](), featurizer)
    return PolicyReward(
        memory,
        valuer,
        featurizer=read,
        labelled=labelled,
        config=replace(config or RewardConfig(), rewards=arm.rewards),
        budget=budget,
        verifiers=verifiers,
    )
