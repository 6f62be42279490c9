"""What the tests of TRL share: where the sums are, and a reward function as a trainer has it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from memreward.integrations.trl import RewardFunction
from memreward.reward import HybridReward
from memreward.reward.predictor import RewardPredictor

REWARD = Path(__file__).resolve().parents[1] / "reward"
sys.path.append(str(REWARD))
sys.path.append(str(REWARD.parent / "policy"))


def reward_of(predictor: RewardPredictor, **settings: Any) -> RewardFunction:
    """As a trainer has it."""
    return RewardFunction(HybridReward(predictor, **settings))
