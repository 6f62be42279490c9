"""Experience memory that predicts the rewards of rollouts nobody labelled.

    memory = ExperienceMemory.open("runs/memory")
    predictor = RewardPredictor.warmup(memory, budget=Budget(share=0.2), seed=0)
    scores = predictor.score(rollouts)

Names are loaded at first use, so that `import memreward` costs nothing and needs no optional dependency.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memreward.data import read_groups
    from memreward.domains import parse_rollout
    from memreward.evaluation.protocol import evaluate
    from memreward.memory import Budget, ExperienceMemory
    from memreward.reward.predictor import RewardPredictor
    from memreward.types import Group, MemRewardError, Query, Rollout, Score

__all__ = [
    "Budget",
    "ExperienceMemory",
    "Group",
    "MemRewardError",
    "Query",
    "RewardPredictor",
    "Rollout",
    "Score",
    "evaluate",
    "parse_rollout",
    "read_groups",
]

__version__ = "0.2.0.dev0"

_HOMES = {
    "Budget": "memreward.memory",
    "ExperienceMemory": "memreward.memory",
    "Group": "memreward.types",
    "MemRewardError": "memreward.types",
    "Query": "memreward.types",
    "RewardPredictor": "memreward.reward.predictor",
    "Rollout": "memreward.types",
    "Score": "memreward.types",
    "evaluate": "memreward.evaluation.protocol",
    "parse_rollout": "memreward.domains",
    "read_groups": "memreward.data",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'memreward' has no attribute {name!r}; it offers {', '.join(__all__)}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
