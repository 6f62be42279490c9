"""Predictors of reward: the graph network, the baselines, and the measures that compare them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memreward.predict.config import PredictorConfig as PredictorConfig
    from memreward.predict.graph_predictor import GraphPredictor as GraphPredictor
    from memreward.predict.reward_predictor import RewardPredictor as RewardPredictor

_HOMES = {"PredictorConfig": "config", "GraphPredictor": "graph_predictor", "RewardPredictor": "reward_predictor"}

__all__ = ["GraphPredictor", "PredictorConfig", "RewardPredictor"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
