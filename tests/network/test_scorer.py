"""The paper's network over frozen memory: each fault of the published implementation has its test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from alike import FLOAT32
from memreward.evaluation.baselines.crossfit import logit
from memreward.features.subset import joined, subset
from memreward.network.graph import SIMILAR_TO, similarity_edges, structural_edges
from memreward.network.model import DROPOUT, HEAD_DIM, HEADS, HIDDEN, LAYERS
from memreward.network.scorer import MESSAGES, NEIGHBOURS, GraphScorer, paper
from memreward.types import ConfigurationError, Features, LabelError

pytestmark = pytest.mark.slow  # torch takes seconds to load

QUICK = {"hidden": 16, "epochs": 12}


class Fitted:
    """A fitted network with the memory it was fitted on and new rollouts to score."""

    def __init__(self, make: Callable[..., Any]) -> None:
        known, new = make(queries=30, seed=0), make(queries=9, seed=1, sizes=(1, 5, 12))
        self.memory = known.features
        self.new = replace(new.features, query_ids=tuple(f"new-{q}" for q in new.features.query_ids))
        self.scorer = GraphScorer(**QUICK)
        self.scorer.fit(self.memory, known.correct)


@pytest.fixture(scope="module")
def fitted(synthetic: Callable[..., Any]) -> Fitted:
    return Fitted(synthetic)


def standard(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Values whose offset and scale are the scorer's or the calibration's own affair."""
    return (values - values.mean()) / values.std()


def whole_graph_logits(memory: Features, new: Features, scorer: GraphScorer) -> torch.Tensor:
    """Memory and the new rollouts as one graph, without any frozen state."""
    both = joined([memory, new])
    cosine = torch.from_numpy(both.query_vectors @ memory.query_vectors.T)
    own = torch.arange(len(memory.query_ids))
    cosine[own, own] = -torch.inf
    top = cosine.topk(NEIGHBOURS, dim=1)
    similar, weight = similarity_edges(top.indices, top.values)
    with torch.no_grad():
        logits, _ = scorer.network(both, {**structural_edges(both), SIMILAR_TO: similar}, weight, None)
    found: torch.Tensor = logits[len(memory) :]
    return found


def test_incremental_scoring_equals_the_whole_graph(fitted: Fitted) -> None:
    whole = whole_graph_logits(fitted.memory, fitted.new, fitted.scorer)
    np.testing.assert_allclose(standard(fitted.scorer.scores(fitted.new)), standard(whole.numpy()), atol=1e-4)


def test_new_rollouts_never_reach_memory_or_each_other_s_queries(fitted: Fitted) -> None:
    together = fitted.scorer.scores(fitted.new)
    for query in range(len(fitted.new.query_ids)):
        rows = np.flatnonzero(fitted.new.group == query)
        np.testing.assert_allclose(together[rows], fitted.scorer.scores(subset(fitted.new, rows)), atol=1e-5)


def test_a_query_of_memory_is_not_its_own_neighbour(fitted: Fitted) -> None:
    """Whoever is labelled must not be told by itself: under another id the same query is nearest to itself."""
    renamed = replace(fitted.memory, query_ids=tuple(f"copy-{name}" for name in fitted.memory.query_ids))
    assert np.abs(fitted.scorer.scores(fitted.memory) - fitted.scorer.scores(renamed)).max() > 1e-3


def test_a_labelled_query_is_scored_by_a_network_that_is_blind_to_it(synthetic: Callable[..., Any]) -> None:
    """What learned from its labels would leak them."""
    known = synthetic(queries=30, seed=0)
    other = known.correct.copy()
    mine = known.features.group == 3
    other[mine] = 1 - other[mine]
    own = subset(known.features, mine)
    told = [paper(0, **QUICK).fit(known.features, labels).predict(own).value for labels in (known.correct, other)]
    np.testing.assert_allclose(*(standard(logit(value)) for value in told), atol=1e-3)


def test_each_ablation_sees_what_its_name_leaves(synthetic: Callable[..., Any]) -> None:
    """Memory's vectors reach the network alone; what else a query's rollouts say reaches all but the bare head."""
    known, new = synthetic(queries=24, seed=0), synthetic(queries=6, seed=1).features
    moved = replace(known.features, query_vectors=np.roll(known.features.query_vectors, 1, axis=0))
    other = replace(new, thinking_vectors=np.where(np.arange(len(new))[:, None] == 0, 0, new.thinking_vectors))
    of_first = np.flatnonzero(new.group == new.group[0])[1:]
    seen = {}
    for name, messages in MESSAGES.items():
        scorer = GraphScorer(0, messages, **QUICK)
        scorer.fit(known.features, known.correct)
        before, beside = scorer.scores(new), scorer.scores(other)
        scorer._look_at(moved)
        reached = (scorer.scores(new), before), (beside[of_first], before[of_first])
        seen[name] = tuple(bool(np.abs(a - b).max() > 100 * FLOAT32) for a, b in reached)
    assert seen == {"paper": (True, True), "no_propagation": (False, True), "no_network": (False, False)}


def test_order_of_rollouts_does_not_matter(fitted: Fitted) -> None:
    order = np.random.default_rng(0).permutation(len(fitted.new))
    shuffled = fitted.scorer.scores(subset(fitted.new, order))
    np.testing.assert_allclose(fitted.scorer.scores(fitted.new)[order], shuffled, atol=1e-5)


def test_training_restores_the_best_step(synthetic: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every step makes it worse, the network is the one that training began with."""
    known, found = synthetic(queries=24, seed=3), []
    for rate in (0.0, 1e3):
        monkeypatch.setattr("memreward.network.scorer.LEARNING_RATE", rate)
        scorer = GraphScorer(**QUICK)
        scorer.fit(known.features, known.correct)
        found.append(scorer.scores(known.features))
    np.testing.assert_allclose(*found, atol=FLOAT32)


def test_unlabelled_rollouts_of_memory_do_not_change_what_is_learned(synthetic: Callable[..., Any]) -> None:
    known = synthetic(queries=30, seed=0)
    labels = known.correct.copy()
    labels[known.features.group >= 20] = -1
    rows = known.features.group < 20
    full = paper(0, **QUICK).fit(known.features, labels)
    part = paper(0, **QUICK).fit(subset(known.features, rows), known.correct[rows])
    new = synthetic(queries=5, seed=2).features
    np.testing.assert_allclose(full.predict(new).value, part.predict(new).value, atol=FLOAT32)


def test_one_seed_gives_one_result(synthetic: Callable[..., Any]) -> None:
    known, found = synthetic(queries=20, seed=0), []
    for seed in (0, 0, 1):
        scorer = GraphScorer(seed, **QUICK)
        scorer.fit(known.features, known.correct)
        found.append(scorer.scores(known.features))
    np.testing.assert_allclose(found[0], found[1], atol=FLOAT32)
    assert np.abs(found[0] - found[2]).max() > 100 * FLOAT32


def test_text_vectors_of_another_width_are_refused(fitted: Fitted) -> None:
    with pytest.raises(ConfigurationError, match="width 3 do not fit"):
        fitted.scorer.scores(replace(fitted.new, query_vectors=fitted.new.query_vectors[:, :3]))


@pytest.mark.parametrize("constant", [0, 1, -1])
def test_labels_that_do_not_suffice_are_named(constant: int, synthetic: Callable[..., Any]) -> None:
    known = synthetic(queries=20, seed=0)
    with pytest.raises(LabelError, match="label"):
        paper(0, **QUICK).fit(known.features, np.full_like(known.correct, constant))


def test_one_query_is_too_few(synthetic: Callable[..., Any]) -> None:
    known = synthetic(queries=1, seed=0, sizes=(8,))
    with pytest.raises(LabelError, match="1 labelled queries are too few"):
        GraphScorer(**QUICK).fit(known.features, known.correct)


def test_the_defaults_are_the_paper_s() -> None:
    assert (NEIGHBOURS, HIDDEN, LAYERS, HEADS) == (7, 512, 2, 4)
    assert (DROPOUT, HEAD_DIM) == (0.1, 256)
