"""Cutting labelled queries into folds, the same way for every predictor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from memreward.types import LabelError


def assign_folds(query_ids: Sequence[str], count: int, seed: int) -> NDArray[np.int64]:
    """Cut queries into folds of equal size at random; independent of the order in which they are given.

    Returns:
        (q,) fold of each query, 0 .. `count` - 1.
    """
    ranked = sorted(range(len(query_ids)), key=lambda index: query_ids[index])
    shuffled = np.random.default_rng(seed).permutation(len(ranked))
    folds = np.empty(len(ranked), dtype=np.int64)
    folds[np.array(ranked, dtype=np.int64)[shuffled]] = np.arange(len(ranked)) % count
    return folds


def check_classes(labels: NDArray[np.int8]) -> None:
    right, wrong = int((labels == 1).sum()), int((labels == 0).sum())
    if not right + wrong:
        raise LabelError(
            "no rollout is labelled, so there is nothing to learn from: release labels, or raise the budget"
        )
    if not right or not wrong:
        verdict = "right" if right else "wrong"
        raise LabelError(
            f"all {right + wrong} labelled rollouts are {verdict}, and both classes are needed: label more queries, or "
            "ones whose answers disagree"
        )
