"""Rewards for training a policy: ground truth where a query is labelled, calibrated predictions elsewhere."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memreward.reward.debias import DebiasConfig as DebiasConfig
    from memreward.reward.growth import GrowthConfig as GrowthConfig
    from memreward.reward.hybrid import HybridConfig as HybridConfig
    from memreward.reward.hybrid import HybridReward as HybridReward
    from memreward.reward.monitor import MonitorConfig as MonitorConfig
    from memreward.reward.monitor import RewardMonitor as RewardMonitor
    from memreward.reward.shaping import ShapingConfig as ShapingConfig

_HOMES = {
    "DebiasConfig": "debias",
    "GrowthConfig": "growth",
    "HybridConfig": "hybrid",
    "HybridReward": "hybrid",
    "MonitorConfig": "monitor",
    "RewardMonitor": "monitor",
    "ShapingConfig": "shaping",
}

__all__ = [
    "DebiasConfig",
    "GrowthConfig",
    "HybridConfig",
    "HybridReward",
    "MonitorConfig",
    "RewardMonitor",
    "ShapingConfig",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
