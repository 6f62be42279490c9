"""Rewards for training a policy: ground truth where a query is labelled, the expected advantage elsewhere."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memreward.reward.config import RewardConfig as RewardConfig
    from memreward.reward.judged import Judged as Judged
    from memreward.reward.judged import Reward as Reward
    from memreward.reward.monitor import MonitorConfig as MonitorConfig
    from memreward.reward.monitor import RewardMonitor as RewardMonitor
    from memreward.reward.policy import HybridReward as HybridReward
    from memreward.reward.policy import PolicyReward as PolicyReward

_HOMES = {
    "HybridReward": "policy",
    "Judged": "judged",
    "MonitorConfig": "monitor",
    "PolicyReward": "policy",
    "Reward": "judged",
    "RewardConfig": "config",
    "RewardMonitor": "monitor",
}

__all__ = ["HybridReward", "Judged", "MonitorConfig", "PolicyReward", "Reward", "RewardConfig", "RewardMonitor"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
