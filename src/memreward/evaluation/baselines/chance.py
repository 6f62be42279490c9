"""Chance: what knows nothing, calibrated like all else that learns."""

import hashlib

import numpy as np

from memreward.evaluation.baselines.crossfit import Floats, Labels
from memreward.types import Features


class RandomScorer:
    """A uniform number from seed and rollout id: chance level, and the same whatever else is in the batch."""

    def __init__(self, seed: int) -> None:
        self._key = seed.to_bytes(8, "little", signed=True)

    def fit(self, features: Features, labels: Labels) -> None:
        pass

    def scores(self, features: Features) -> Floats:
        """Return (n,) numbers in [0, 1)."""
        return np.array([self._draw(rollout) for rollout in features.rollout_ids], np.float64)

    def _draw(self, rollout_id: str) -> float:
        text = rollout_id.encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(text, digest_size=6, key=self._key).digest(), "little") / 2**48
