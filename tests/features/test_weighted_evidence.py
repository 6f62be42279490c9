"""Rollouts that count by weight: one is the plain evidence, zero is not there, and a half is half a vote."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from memreward.domains import parse_rollout
from memreward.features.behaviour import RETURNED, Behaviour
from memreward.features.evidence import compute_evidence
from memreward.features.featurizer import Featurizer
from memreward.network.encoder import HashingEncoder
from memreward.types import ConfigurationError, Query, Rollout

TEXTS = {
    Query("sum", "What is 12 * 7 + 5?", "math"): [
        "12 * 7 = 84, and 84 + 5 = 89.\n#### 89",
        "84 + 5 = 89\n#### 89",
        "12 * 12 = 144\n#### 144",
        "who knows",
        "7 is the number\n#### 7.5",
    ],
    Query("colour", "What colour is snow?\n(A) white\n(B) red\n(C) green", "qa"): [
        "Snow is white. (A)",
        "I have seen the snow, it is (A)",
        "It is red, I have seen it. (B)",
        "(C) as spring",
        "none of them",
    ],
    Query("double", 'def double(x):\n    """Double x."""\n', "code"): [
        "    return 2 * x\n",
        "    return x + x\n",
        "    return x ** 2\n",
        "    return (",
        "    return 2 * x + 0\n",
    ],
}
RETURNS = {"double0": (2, 4), "double1": (2, 4), "double2": (1, 4), "double4": (2, 4)}


def rollouts() -> list[Rollout]:
    return [
        parse_rollout(query, text, id=f"{query.id}{i}", token_logprobs=[-0.1 * i, -1.0])
        for query, texts in TEXTS.items()
        for i, text in enumerate(texts)
    ]


class Runner:
    """Says what `RETURNS` says, and nothing of what is no code."""

    def observe(self, rollouts: Sequence[Rollout]) -> list[Behaviour | None]:
        return [self.behaviour(r) if r.query.domain == "code" else None for r in rollouts]

    def behaviour(self, rollout: Rollout) -> Behaviour:
        returned = RETURNS.get(rollout.id, ())
        outcomes = np.array([[RETURNED, value] for value in returned] or [[0, -1]] * 2)
        return Behaviour(bool(returned), outcomes, np.array([2, -1]), 1)


def features(given: Sequence[Rollout], weights: Any = None) -> Any:
    return Featurizer(HashingEncoder(), runner=Runner()).features(given, weights)


def test_weights_of_one_change_nothing() -> None:
    given = rollouts()
    np.testing.assert_array_equal(features(given).evidence, features(given, np.ones(len(given))).evidence)


@pytest.mark.parametrize("gone", ["03", "2", "14"])
def test_weight_zero_is_as_if_the_rollout_were_not_there(gone: str) -> None:
    given = rollouts()
    out = np.array([r.id[-1] in gone for r in given])
    weighted = features(given, np.where(out, 0.0, 1.0)).evidence[~out]
    alone = features([r for r, absent in zip(given, out, strict=True) if not absent]).evidence
    np.testing.assert_allclose(weighted, alone, rtol=1e-5, atol=1e-6)
    assert not np.allclose(weighted, features(given).evidence[~out], rtol=1e-3, equal_nan=True)


def test_a_weight_of_two_counts_as_a_rollout_that_came_twice() -> None:
    """In agreement, that is: in overlap a rollout is not compared with itself, but is with its double."""
    given = rollouts()
    first = np.array([r.id[-1] == "0" for r in given])
    names = [
        "agreement_share",
        "agreement_relative",
        "agreement_plurality",
        "cluster_count",
        "cluster_entropy",
        "pool_size_log",
        "length_to_pool",
        "logprob_cluster",
        "arithmetic_votes",
        "run_agreement",
        "run_agreement_inputs",
        "run_votes",
    ]
    weighted = features(given, np.where(first, 2.0, 1.0))
    twice = features([*given, *(r for r, double in zip(given, first, strict=True) if double)])
    columns = [weighted.evidence_names.index(name) for name in names]
    expected = twice.evidence[: len(given), columns]
    np.testing.assert_allclose(weighted.evidence[:, columns], expected, rtol=1e-5, atol=1e-6)


def test_half_a_vote() -> None:
    query = Query("q", "?", "math")
    given = [Rollout(query, "so", "so", answer, str(i)) for i, answer in enumerate(["1", "2", "2", None])]
    evidence = compute_evidence(given, weights=[1.0, 0.5, 0.25, 0.25])
    column = {name: evidence.values[:, i] for i, name in enumerate(evidence.names)}
    np.testing.assert_allclose(column["agreement_share"], [0.5, 0.375, 0.375, 0.0])
    np.testing.assert_allclose(column["agreement_relative"], [1, 0.75, 0.75, 0])
    np.testing.assert_allclose(column["agreement_plurality"], [1, 0, 0, 0])
    np.testing.assert_allclose(column["pool_size_log"], [math.log(2)] * 4, rtol=1e-6)
    share = 1 / 1.75
    entropy = -share * math.log(share) - (1 - share) * math.log(1 - share)
    np.testing.assert_allclose(column["cluster_entropy"], [entropy] * 4, rtol=1e-6)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [1.0, math.nan]])
def test_odd_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(ConfigurationError, match="weights must be 2 finite numbers"):
        compute_evidence(rollouts()[:2], weights=weights)


def test_a_query_without_weight_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="all 0"):
        compute_evidence(rollouts(), weights=[0.0] * 5 + [1.0] * 10)
