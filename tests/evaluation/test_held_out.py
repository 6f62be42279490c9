"""The figures warmup prints: what they are computed from, by domain, and where they are not defined."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memreward.evaluation.held_out import HeldOut, held_out_figures
from memreward.evaluation.metrics import evaluate_predictions
from memreward.features.subset import subset, vote_share
from memreward.network.config import PredictorConfig
from memreward.network.graph_predictor import GraphPredictor

QUICK = PredictorConfig(hidden=16, epochs=8, folds=3, patience=8)


@pytest.fixture(scope="module")
def known(synthetic: Callable[..., Any]) -> Any:
    """Labelled rollouts of 30 queries; the last ten are of domain qa."""
    made = synthetic(queries=30, seed=0)
    domain = made.features.domain.copy()
    domain[20:] = 1
    return replace(made, features=replace(made.features, domain=domain))


@pytest.fixture(scope="module")
def predictor(known: Any) -> GraphPredictor:
    return GraphPredictor(QUICK).fit(known.features, known.correct)


def test_they_are_those_of_the_blind_members(predictor: GraphPredictor, known: Any) -> None:
    blind = predictor.predict(known.features).value
    expected = evaluate_predictions(blind, known.correct, known.features.group, predictor.threshold)
    together = predictor.held_out[0]
    assert (together.domain, together.queries, together.rollouts) == ("all", 30, len(known.features))
    for name in ("auc", "group_auc", "accuracy", "ece", "brier"):
        assert getattr(together.metrics, name) == pytest.approx(getattr(expected, name), abs=1e-4), name


def test_each_domain_is_measured_alone(predictor: GraphPredictor, known: Any) -> None:
    assert [part.domain for part in predictor.held_out] == ["all", "math", "qa"]
    blind, domain = predictor.predict(known.features).value, known.features.domain[known.features.group]
    for part, index in zip(predictor.held_out[1:], (0, 1), strict=True):
        rows = domain == index
        truth, group = known.correct[rows], known.features.group[rows]
        assert (part.queries, part.rollouts) == (len(np.unique(group)), rows.sum())
        assert part.metrics.group_auc == pytest.approx(
            evaluate_predictions(blind[rows], truth, group).group_auc, abs=1e-4
        )
        shares = vote_share(known.features)[rows]
        assert part.majority.auc == pytest.approx(evaluate_predictions(shares, truth, group).auc)


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
    read = tuple(HeldOut.from_dict(part) for part in json.loads(text))
    assert repr(read) == repr(figures)


def test_they_are_saved_with_the_predictor(predictor: GraphPredictor, tmp_path: Path) -> None:
    predictor.save(tmp_path)
    assert repr(GraphPredictor.load(tmp_path).held_out) == repr(predictor.held_out)
