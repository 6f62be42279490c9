"""Evidence filled in and standardised, for the network and the baselines alike; numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from memreward.types import FloatArray

CLIP = 5.0
"""Standardised evidence is clipped here: one odd rollout must not carry a prediction."""


@dataclass(frozen=True)
class EvidenceScaler:
    """Fills missing evidence with the median and standardises it; fitted without labels.

    Attributes:
        median, mean, scale: (e,) each; a column that never varies has scale 0 and gives 0.
        missing: (j,) columns that get a second, "is missing" column, since they are missing for some only.
    """

    median: FloatArray
    mean: FloatArray
    scale: FloatArray
    missing: NDArray[np.int64]

    @classmethod
    def fit(cls, evidence: FloatArray) -> Self:
        """Fit on (n, e) evidence with NaN where undefined."""
        absent = np.isnan(evidence)
        never = absent.all(axis=0)
        median = np.zeros(evidence.shape[1], dtype=np.float32)
        median[~never] = np.nanmedian(evidence[:, ~never], axis=0)
        filled = np.where(absent, median, evidence)
        spread = filled.std(axis=0)
        scale = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0).astype(np.float32)
        return cls(median, filled.mean(axis=0), scale, np.flatnonzero(absent.any(axis=0) & ~never))

    @property
    def width(self) -> int:
        return len(self.median) + len(self.missing)

    def apply(self, evidence: FloatArray) -> FloatArray:
        """Return (n, `width`) float32: standardised columns, then indicators of missing ones."""
        absent = np.isnan(evidence)
        filled = (np.where(absent, self.median, evidence) - self.mean) * self.scale
        columns = [np.clip(filled, -CLIP, CLIP), absent[:, self.missing]]
        return np.concatenate(columns, axis=1).astype(np.float32)
