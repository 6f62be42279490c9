"""The figures warmup prints: what they are computed from, by domain, and where they are not defined."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from memreward.arrays import rebuilt
from memreward.evaluation.held_out import HeldOut, held_out_figures
from memreward.evaluation.metrics import evaluate_predictions
from memreward.features.subset import subset, vote_share


@pytest.fixture(scope="module")
def known(synthetic: Callable[..., Any]) -> Any:
    """Labelled rollouts of 30 queries; the last ten are of domain qa."""
    made = synthetic(queries=30, seed=0)
    domain = made.features.domain.copy()
    domain[20:] = 1
    return replace(made, features=replace(made.features, domain=domain))


def test_each_domain_is_measured_alone_and_beside_majority_vote(known: Any) -> None:
    values = np.random.default_rng(0).random(len(known.correct)).astype(np.float32)
    figures = held_out_figures(known.features, known.correct, values, 0.4)
    domain = known.features.domain[known.features.group]
    assert [part.domain for part in figures] == ["all", "math", "qa"]
    for part, rows in zip(figures, (domain >= 0, domain == 0, domain == 1), strict=True):
        truth, group, votes = known.correct[rows], known.features.group[rows], vote_share(known.features)[rows]
        assert (part.queries, part.rollouts) == (len(np.unique(group)), rows.sum())
        expected = evaluate_predictions(values[rows], truth, group, 0.4)
        for name in ("auc", "group_auc", "accuracy", "ece"):
            assert getattr(part.metrics, name) == pytest.approx(getattr(expected, name)), name
        assert part.majority.auc == pytest.approx(evaluate_predictions(votes, truth, group).auc)


def test_rollouts_without_a_label_vote_but_are_not_measured(known: Any, synthetic: Callable[..., Any]) -> None:
    labels = known.correct.copy()
    labels[1::2] = -1
    (together, *_) = held_out_figures(known.features, labels, np.full(len(labels), 0.5, np.float32), 0.5)
    assert together.rollouts == (labels >= 0).sum()
    expected = evaluate_predictions(vote_share(known.features), labels, known.features.group)
    assert together.majority.auc == pytest.approx(expected.auc)
    alone = subset(known.features, labels >= 0)
    assert together.majority.auc != pytest.approx(
        evaluate_predictions(vote_share(alone), labels[labels >= 0], alone.group).auc
    )


def test_what_is_not_defined_survives_json(synthetic: Callable[..., Any]) -> None:
    made = synthetic(queries=8, seed=0, sizes=(1,))
    figures = held_out_figures(made.features, made.correct, np.full(8, 0.5, np.float32), 0.5)
    assert math.isnan(figures[0].metrics.group_auc)
    text = json.dumps([part.to_dict() for part in figures], allow_nan=False)
    read = rebuilt(tuple[HeldOut, ...], json.loads(text))
    assert repr(read) == repr(figures)
