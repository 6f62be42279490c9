"""Synthetic features: what the real ones look like, in numbers drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memreward.types import Features


@dataclass(frozen=True)
class Synthetic:
    """Features and the truth they were drawn with: votes, evidence and text all know something of it."""

    features: Features
    correct: NDArray[np.int8]


def make_synthetic(queries: int = 60, seed: int = 0, sizes: tuple[int, ...] = (4, 6, 8)) -> Synthetic:
    generator = np.random.default_rng(seed)
    group = np.repeat(np.arange(queries), generator.choice(sizes, queries))
    count = len(group)
    ability = generator.uniform(0.15, 0.85, queries)
    correct = (generator.random(count) < ability[group]).astype(np.int8)
    answer = np.where(correct == 1, 0, generator.integers(1, 4, count))
    cluster = np.unique(group * 10 + answer, return_inverse=True)[1]
    cluster[generator.random(count) < 0.05] = -1
    evidence = generator.normal(size=(count, 4)).astype(np.float32)
    evidence[:, 0] += 1.5 * correct
    evidence[generator.random(count) < 0.1, 1] = np.nan

    def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    answers = unit(generator.normal(size=(count, 8)) + correct[:, None])
    features = Features(
        rollout_ids=tuple(f"q{query}-{row}" for row, query in enumerate(group)),
        query_ids=tuple(f"q{query}" for query in range(queries)),
        group=group.astype(np.int64),
        domain=np.zeros(queries, np.int64),
        query_vectors=unit(generator.normal(size=(queries, 8))),
        thinking_vectors=unit(generator.normal(size=(count, 8))),
        answer_vectors=answers * (cluster >= 0)[:, None].astype(np.float32),
        cluster=cluster.astype(np.int64),
        evidence=evidence,
        evidence_names=("useful", "sometimes_missing", "noise", "more_noise"),
    )
    return Synthetic(features, correct)
