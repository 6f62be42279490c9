"""Settings of the paper's network, and its three ablations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from memreward.types import ConfigurationError

ABLATIONS: dict[str, dict[str, Any]] = {
    "no_thinking": {"thinking": False},
    "homogeneous": {"homogeneous": True},
    "no_graph": {"graph": False},
}
"""What each of the paper's ablations changes."""

NEIGHBOURS = 7
"""Labelled memory queries that each query gets messages from (k)."""
LAYERS = 2
"""Rounds of message passing."""
HEADS = 4
"""Attention heads of GATv2."""
DROPOUT = 0.1
"""Share of hidden units dropped in training."""
HEAD_DIM = 256
"""Width of the projections whose product is the score (d)."""


@dataclass(frozen=True)
class NetworkConfig:
    """Settings of the paper's network; they and the constants above are the paper's, its edges turned.

    Attributes:
        hidden: Width of node states.
        folds: Cross-fitting folds, by query.
        epochs: Training steps at most (full batch).
        thinking: Keep thinking nodes; False joins queries and answers directly.
        homogeneous: One set of weights for all relations.
        graph: Pass messages; False scores each rollout from its own texts by the same layers.

    Raises:
        ConfigurationError: if a value is out of its range.
    """

    hidden: int = 512
    folds: int = 5
    epochs: int = 200
    thinking: bool = True
    homogeneous: bool = False
    graph: bool = True

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ConfigurationError(f"epochs={self.epochs} must be at least 1")
        if self.folds < 2:
            raise ConfigurationError(f"folds={self.folds}: cross-fitting needs at least 2")
        if self.hidden < 1 or self.hidden % HEADS:
            raise ConfigurationError(f"hidden={self.hidden} must be a multiple of the {HEADS} attention heads")

    def ablated(self, name: str) -> Self:
        """Return this configuration without one of its parts; `name` is one of `ABLATIONS`."""
        if name not in ABLATIONS:
            raise ConfigurationError(f"ablation {name!r} is unknown; use one of {', '.join(ABLATIONS)}")
        return replace(self, **ABLATIONS[name])
