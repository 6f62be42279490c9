"""What a trainer is told of the rollouts of a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

Kind = Literal["advantage", "probability", "threshold"]
"""What is paid. "advantage": the expected advantage, of a labelled group the true standardised one; the trainer must
only centre it. For trainers that standardise, "probability": that of being right, ground truth where a query is
labelled; "threshold": 1 where it is at least one half and 0 elsewhere (the paper's)."""

TRUTH, PREDICTED, ABSTAINED = "truth", "predicted", "abstained"
"""Where a reward is from."""


@dataclass(frozen=True)
class Judged:
    """Rewards of n rollouts, in their order.

    Attributes:
        reward: (n,) always finite. An abstention is paid what adds nothing to its group: see `filled`.
        probability: (n,) that the rollout is right, predicted before any label of the step was read; NaN abstains.
        advantage: (n,) expected advantage; of a labelled group the true one; 0 where there is neither.
        source: n of `TRUTH`, `PREDICTED`, `ABSTAINED`.
        correct: (n,) ground truth: 1 right, 0 wrong, -1 unlabelled or not to be told.
        reason: n texts: why a rollout has no reward, or no prediction; "" where nothing is wrong.
        failed: (n,) whether it abstains because something failed, and not by intention.
    """

    reward: Floats
    probability: Floats
    advantage: Floats
    source: tuple[str, ...]
    correct: NDArray[np.int8]
    reason: tuple[str, ...]
    failed: NDArray[np.bool_]
    metrics: Mapping[str, float]

    def among(self, broken: Sequence[str], group: ArrayLike) -> Judged:
        """Return the same with rows that no rollout could be made of put in their places, as abstentions.

        `broken` has a text a row, what is wrong with it, "" for the rows of these rollouts; `group` the group of each
        row.
        """
        place = np.flatnonzero([not reason for reason in broken])
        count = len(broken)

        def put(values: NDArray[Any], otherwise: float) -> NDArray[Any]:
            whole = np.full(count, otherwise, values.dtype)
            whole[place] = values
            return whole

        source, reason = [ABSTAINED] * count, list(broken)
        for own, i in enumerate(place):
            source[i], reason[i] = self.source[own], self.reason[own]
        failures = self.metrics.get("failures", 0.0) + count - len(place)
        return Judged(
            filled(put(self.reward, np.nan), group),
            put(self.probability, np.nan),
            put(self.advantage, 0.0),
            tuple(source),
            put(self.correct, -1),
            tuple(reason),
            put(self.failed, True),
            shares_of(source, {**self.metrics, "failures": failures}),
        )


def filled(reward: ArrayLike, group: ArrayLike) -> Floats:
    """Return (n,) rewards in which NaN, an abstention, is replaced by what adds no advantage.

    That is the mean of the group's other rewards. Where a group has none, it is one constant: the mean of all, or 0.
    """
    values = np.asarray(reward, np.float64)
    member = np.unique(np.asarray(group), return_inverse=True)[1].reshape(-1)
    known = ~np.isnan(values)
    count = np.bincount(member, known)
    total = np.bincount(member, np.where(known, values, 0.0))
    constant = float(values[known].mean()) if known.any() else 0.0
    mean = np.where(count > 0, total / np.maximum(count, 1), constant)
    return np.where(known, values, mean[member]) if len(values) else values


def shares_of(source: Sequence[str], metrics: Mapping[str, float]) -> dict[str, float]:
    shares = {name: source.count(name) / max(len(source), 1) for name in (TRUTH, PREDICTED, ABSTAINED)}
    return {**metrics, **shares}
