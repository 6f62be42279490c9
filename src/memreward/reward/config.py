"""Settings of the reward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from memreward.types import ConfigurationError

Kind = Literal["advantage", "probability", "threshold"]


@dataclass(frozen=True)
class RewardConfig:
    """Settings of the reward.

    Attributes:
        rewards: What is paid. "advantage": the expected advantage, of a labelled group the true standardised one; the
            trainer must only centre it. For trainers that standardise, "probability": that of being right, ground truth
            where a query is labelled; "threshold": 1 where it is at least one half and 0 elsewhere (the paper's).
        half_life: Steps after which a label counts half in the answer model, since the policy moves; 0 is never.
        stop: End the training when predicted and true reward have parted (`memreward.reward.monitor`).
    """

    rewards: Kind = "advantage"
    half_life: float = 50.0
    stop: bool = False

    def __post_init__(self) -> None:
        if self.rewards not in get_args(Kind):
            raise ConfigurationError(f"rewards={self.rewards!r} is unknown; use one of {', '.join(get_args(Kind))}")
        if not 0 <= self.half_life < np.inf:
            raise ConfigurationError(f"half_life={self.half_life} must be a number of at least 0")
