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


@dataclass(frozen=True)
class NetworkConfig:
    """Settings of the paper's network; the defaults are the paper's, its edges turned.

    Attributes:
        neighbours: Labelled memory queries that each query gets messages from (k).
        hidden: Width of node states.
        layers: Rounds of message passing.
        heads: Attention heads of GATv2.
        dropout: Share of hidden units dropped in training.
        head_dim: Width of the projections whose product is the score (d).
        folds: Cross-fitting folds, by query.
        epochs: Training steps at most (full batch).
        patience: Steps without a better held-out fold before training stops.
        learning_rate: Learning rate of AdamW.
        weight_decay: Weight decay of AdamW.
        thinking: Keep thinking nodes; False joins queries and answers directly.
        homogeneous: One set of weights for all relations.
        graph: Pass messages; False scores each rollout from its own texts by the same layers.

    Raises:
        ConfigurationError: if a value is out of its range.
    """

    neighbours: int = 7
    hidden: int = 512
    layers: int = 2
    heads: int = 4
    dropout: float = 0.1
    head_dim: int = 256
    folds: int = 5
    epochs: int = 200
    patience: int = 40
    learning_rate: float = 1e-3
    weight_decay: float = 5e-2
    thinking: bool = True
    homogeneous: bool = False
    graph: bool = True

    def __post_init__(self) -> None:
        for name in ("neighbours", "hidden", "layers", "heads", "head_dim", "epochs", "patience"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name}={getattr(self, name)} must be at least 1")
        if self.folds < 2:
            raise ConfigurationError(f"folds={self.folds}: cross-fitting needs at least 2")
        if self.hidden % self.heads:
            raise ConfigurationError(f"hidden={self.hidden} must be a multiple of heads={self.heads}")
        if not 0 <= self.dropout < 1:
            raise ConfigurationError(f"dropout={self.dropout} must lie in [0, 1)")

    def ablated(self, name: str) -> Self:
        """Return this configuration without one of its parts; `name` is one of `ABLATIONS`."""
        if name not in ABLATIONS:
            raise ConfigurationError(f"ablation {name!r} is unknown; use one of {', '.join(ABLATIONS)}")
        return replace(self, **ABLATIONS[name])
