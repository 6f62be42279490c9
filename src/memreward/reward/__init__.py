"""Rewards for training a policy: ground truth where a query is labelled, the expected advantage elsewhere."""

from memreward.reward.judged import Judged
from memreward.reward.monitor import RewardMonitor
from memreward.reward.policy import HybridReward, PolicyReward

__all__ = ["HybridReward", "Judged", "PolicyReward", "RewardMonitor"]
