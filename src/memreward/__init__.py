"""Predicts the rewards of rollouts that nobody labelled, from their agreement, their reasoning and a few labels.

With lists of strings, all in one call:

    scores = memreward.score(questions, completions, labels=references, domain="math")
    scores.values, scores.advantages, scores.to_pandas()

With files, of any format that docs/reading.md names, and a memory that keeps rollouts and counts labels:

    memory = ExperienceMemory.open("runs/memory")
    memory.add(read_groups("rollouts.jsonl"))
    predictor = RewardPredictor.warmup(memory, budget=Budget(queries=20))
    scores = predictor.score(read_groups("new.jsonl"))

In training with GRPO (`memreward.integrations.trl` has the rest):

    reward = HybridReward(predictor)

Ground truth is sealed when it is read; `memreward.memory.label` releases it, and the memory's ledger counts it. Which
question to label next: `memreward propose`. How good it is on labelled rollouts: `evaluate`. The commands do the same:
`memreward --help`.

Names are loaded at first use, so that `import memreward` costs nothing and needs no optional dependency.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memreward.lazy import lazily

if TYPE_CHECKING:
    from memreward.data import read_groups, write_groups
    from memreward.domains import parse_rollout
    from memreward.evaluation.protocol import evaluate
    from memreward.memory import Budget, ExperienceMemory
    from memreward.reward import HybridReward
    from memreward.reward.predictor import RewardPredictor, score
    from memreward.reward.scores import Scores
    from memreward.types import Group, MemRewardError, Query, Rollout, Score

__all__ = [
    "Budget",
    "ExperienceMemory",
    "Group",
    "HybridReward",
    "MemRewardError",
    "Query",
    "RewardPredictor",
    "Rollout",
    "Score",
    "Scores",
    "evaluate",
    "parse_rollout",
    "read_groups",
    "score",
    "write_groups",
]

__version__ = "0.2.0"

_HOMES = {
    "Budget": "memory",
    "ExperienceMemory": "memory",
    "Group": "types",
    "HybridReward": "reward",
    "MemRewardError": "types",
    "Query": "types",
    "RewardPredictor": "reward.predictor",
    "Rollout": "types",
    "Score": "types",
    "Scores": "reward.scores",
    "evaluate": "evaluation.protocol",
    "parse_rollout": "domains",
    "read_groups": "data",
    "score": "reward.predictor",
    "write_groups": "data",
}

__getattr__ = lazily(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
