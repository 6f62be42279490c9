"""How good a warmed-up predictor is on its own labelled rollouts, and how good majority vote is on the same ones.

Every labelled rollout is predicted by a model that is blind to its query, so the figures cost no label. Calibration and
thresholds were fitted on these rollouts: expect accuracy and calibration error a little worse on new queries.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreward.evaluation.metrics import Metrics, advantages_of_values, evaluate_predictions
from memreward.evaluation.tables import plain
from memreward.features.subset import vote_share
from memreward.types import DOMAINS, Features, FloatArray

ALL_DOMAINS = "all"


@dataclass(frozen=True)
class HeldOut:
    """Held-out figures of a domain, or "all": of the predictor, and of the share of the query's pool that agrees."""

    domain: str
    queries: int
    rollouts: int
    metrics: Metrics
    majority: Metrics

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = plain(self)
        return found


def held_out_figures(
    features: Features, labels: NDArray[np.int8], values: FloatArray, threshold: float
) -> tuple[HeldOut, ...]:
    """Measure (n,) values by blind models, against labels 1, 0 or -1 unknown, over all domains, then over each."""
    share = vote_share(features)
    expected, voted = (advantages_of_values(features, v, labels >= 0) for v in (values, share))

    def measured(name: str, rows: NDArray[np.bool_]) -> HeldOut:
        truth, group = labels[rows], features.group[rows]
        return HeldOut(
            name,
            len(np.unique(group[truth >= 0])),
            int((truth >= 0).sum()),
            evaluate_predictions(values[rows], truth, group, threshold, expected=expected[rows]),
            evaluate_predictions(share[rows], truth, group, expected=voted[rows]),
        )

    return tuple(measured(name, rows) for name, rows in _domains(features))


def _domains(features: Features) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    domain = features.domain[features.group]
    yield ALL_DOMAINS, np.ones(len(features), np.bool_)
    for index in np.unique(domain).tolist():
        yield DOMAINS[index], domain == index


def assign_folds(query_ids: Sequence[str], count: int, seed: int) -> NDArray[np.int64]:
    """(q,) fold of each query, 0 .. `count` - 1, of equal size, at random; whatever the order they are given in."""
    ranked = sorted(range(len(query_ids)), key=lambda index: query_ids[index])
    shuffled = np.random.default_rng(seed).permutation(len(ranked))
    folds = np.empty(len(ranked), dtype=np.int64)
    folds[np.array(ranked, dtype=np.int64)[shuffled]] = np.arange(len(ranked)) % count
    return folds
