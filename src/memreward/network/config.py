"""Settings of the paper's network."""

from __future__ import annotations

from dataclasses import dataclass

from memreward.types import ConfigurationError

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
        epochs: Training steps at most (full batch).
    """

    hidden: int = 512
    epochs: int = 200

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ConfigurationError(f"epochs={self.epochs} must be at least 1")
        if self.hidden < 1 or self.hidden % HEADS:
            raise ConfigurationError(f"hidden={self.hidden} must be a multiple of the {HEADS} attention heads")
