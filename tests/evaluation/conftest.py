"""Small worlds of groups with known truth, and a featurizer that needs no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from memreward.types import Features, Group, Query, Rollout, Truth


def make_groups(
    queries: int = 30, *, seed: int = 0, sizes: Sequence[int] = (3, 4, 6), prefix: str = "q", unknown: float = 0.0
) -> list[Group]:
    """Questions whose right answer is "0"; some are hard, and a share of the verdicts can be missing."""
    generator = np.random.default_rng(seed)
    groups = []
    for number in range(queries):
        query = Query(id=f"{prefix}{number}", text=f"question {number}", domain="other", dataset="made up")
        count, ability = int(generator.choice(sizes)), generator.uniform(0.2, 0.8)
        answers = ["0" if generator.random() < ability else str(generator.integers(1, 4)) for _ in range(count)]
        rollouts = tuple(
            Rollout(query, f"I say {a}", f"thinking {generator.random():.6f}", a, f"{query.id}-{i}")
            for i, a in enumerate(answers)
        )
        verdicts = tuple(None if generator.random() < unknown else answer == "0" for answer in answers)
        groups.append(Group(query, rollouts, Truth("0", verdicts)))
    return groups


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memreward.evaluation.protocol.RESAMPLES", 50)


class HandFeaturizer:
    """Evidence that knows a little of the truth, and vectors that know nothing; counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def features(self, rollouts: Sequence[Rollout]) -> Features:
        self.calls += 1
        queries = list(dict.fromkeys(rollout.query.id for rollout in rollouts))
        group = np.array([queries.index(rollout.query.id) for rollout in rollouts], np.int64)
        noise = np.array([float(rollout.thinking.split()[-1]) for rollout in rollouts])
        right = np.array([rollout.answer == "0" for rollout in rollouts])
        classes = [(rollout.query.id, rollout.answer) for rollout in rollouts]
        known = list(dict.fromkeys(classes))
        vectors = np.stack([np.cos(9 * noise), np.sin(9 * noise)], axis=1).astype(np.float32)
        return Features(
            rollout_ids=tuple(rollout.id for rollout in rollouts),
            query_ids=tuple(queries),
            group=group,
            domain=np.full(len(queries), 3, np.int64),
            query_vectors=np.tile(np.array([[1.0, 0.0]], np.float32), (len(queries), 1)),
            thinking_vectors=vectors,
            answer_vectors=vectors[:, ::-1].copy(),
            cluster=np.array([known.index(one) for one in classes], np.int64),
            evidence=np.stack([noise + 0.7 * right, noise], axis=1).astype(np.float32),
            evidence_names=("hint", "noise"),
        )


@pytest.fixture(scope="session")
def groups() -> Callable[..., list[Group]]:
    return make_groups


@pytest.fixture(scope="session")
def new_featurizer() -> Callable[[], HandFeaturizer]:
    return HandFeaturizer


@pytest.fixture
def featurizer() -> HandFeaturizer:
    return HandFeaturizer()
