"""The network, cross-fitting and the frozen scorer: every fault of the published implementation has its test here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from memreward.graph import schema
from memreward.graph.build import similarity_edges, structural_edges
from memreward.predict import crossfit as warmup
from memreward.predict.config import ABLATIONS, PredictorConfig
from memreward.predict.crossfit import CrossFit, assign_folds, crossfit
from memreward.predict.graph_predictor import GraphPredictor
from memreward.predict.inputs import UNKNOWN, Inputs
from memreward.predict.linear import ranking_pairs, reward_loss
from memreward.predict.metrics import roc_auc
from memreward.predict.scorer import Scorer
from memreward.predict.subset import subset
from memreward.types import ConfigurationError, Features, LabelError, SchemaVersionError, StoreError

QUICK = PredictorConfig(hidden=16, epochs=12, folds=3, patience=12)


class Fitted:
    """A fitted ensemble with the memory it was fitted on and new rollouts to score."""

    def __init__(self, make: Callable[..., Any], config: PredictorConfig = QUICK) -> None:
        known, new = make(queries=30, seed=0), make(queries=9, seed=1, sizes=(1, 5, 12))
        self.config, self.features = config, known.features
        self.label = torch.from_numpy(known.correct.astype(np.int64))
        self.new = replace(new.features, query_ids=tuple(f"new-{q}" for q in new.features.query_ids))
        self.fit: CrossFit = crossfit(self.features, self.label, config, seed=0)
        self._shake()
        self.scorer = self.frozen(self.label)

    def _shake(self) -> None:
        # Few steps leave the zero-initialised head near zero; these tests are about what flows, so it is given weights.
        torch.manual_seed(0)
        for member in self.fit.members:
            for parameter in member.network.head.parameters():
                torch.nn.init.normal_(parameter, std=0.3)

    def frozen(self, label: torch.Tensor, features: Features | None = None) -> Scorer:
        return Scorer.freeze(self.fit, features or self.features, label, self.config)

    def network_logits(self, scorer: Scorer, features: Features | None = None) -> torch.Tensor:
        return scorer.logits(features or self.new)[1]


@pytest.fixture(scope="module")
def fitted(synthetic: Callable[..., Any]) -> Fitted:
    return Fitted(synthetic)


def whole_graph_logits(fitted: Fitted, member: Any) -> torch.Tensor:
    """Memory outside the member's fold and the new rollouts as one graph, without any frozen state."""
    kept = (fitted.fit.folds != member.fold).numpy()[fitted.features.group]
    memory, new = subset(fitted.features, kept), fitted.new
    queries, rollouts = len(memory.query_ids), len(memory)
    both = Features(
        rollout_ids=memory.rollout_ids + new.rollout_ids,
        query_ids=memory.query_ids + new.query_ids,
        group=np.concatenate([memory.group, new.group + queries]),
        domain=np.concatenate([memory.domain, new.domain]),
        query_vectors=np.concatenate([memory.query_vectors, new.query_vectors]),
        thinking_vectors=np.concatenate([memory.thinking_vectors, new.thinking_vectors]),
        answer_vectors=np.concatenate([memory.answer_vectors, new.answer_vectors]),
        cluster=np.concatenate([memory.cluster, np.where(new.cluster < 0, -1, new.cluster + 10_000)]),
        evidence=np.concatenate([memory.evidence, new.evidence]),
        evidence_names=memory.evidence_names,
    )
    cosine = torch.from_numpy(both.query_vectors @ memory.query_vectors.T)
    cosine[torch.arange(queries), torch.arange(queries)] = -torch.inf
    nearest = cosine.topk(fitted.config.graph.neighbours, dim=1)
    similar, attribute = similarity_edges(nearest.indices, nearest.values, fitted.config.graph.neighbours)
    edges = {**structural_edges(both, fitted.config.graph), schema.SIMILAR_TO: similar}
    label = torch.cat([fitted.label[torch.from_numpy(kept)], torch.full((len(new),), UNKNOWN)])
    with torch.no_grad():
        logits, _ = member.network(Inputs.of(both, fitted.fit.scaler), label, edges, attribute)
    return logits[rollouts:]


def test_incremental_scoring_equals_the_whole_graph(fitted: Fitted) -> None:
    incremental = fitted.network_logits(fitted.scorer)
    for number, member in enumerate(fitted.fit.members):
        assert torch.allclose(incremental[number], whole_graph_logits(fitted, member), atol=1e-5)


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_changing_memory_changes_predictions(preset: str, synthetic: Callable[..., Any]) -> None:
    config = replace(PredictorConfig.preset(preset), hidden=16, epochs=2, folds=2, heads=2)
    fitted = Fitted(synthetic, config)
    other = synthetic(queries=30, seed=7).features
    vectors = replace(fitted.features, query_vectors=other.query_vectors)
    before = fitted.network_logits(fitted.scorer)
    assert (before - fitted.network_logits(fitted.frozen(fitted.label, vectors))).abs().max() > 1e-3


def test_labels_of_memory_are_inputs(fitted: Fitted) -> None:
    before, after = (fitted.network_logits(fitted.frozen(label)) for label in (fitted.label, 1 - fitted.label))
    assert (before - after).abs().max() > 1e-3


def test_a_query_s_own_label_never_enters_its_own_score(fitted: Fitted) -> None:
    for query in range(0, 30, 7):
        own = torch.from_numpy(fitted.features.group == query)
        flipped = fitted.frozen(torch.where(own, 1 - fitted.label, fitted.label))
        blind = fitted.scorer.blind_members(fitted.features)
        before, after = (fitted.network_logits(s, fitted.features) for s in (fitted.scorer, flipped))
        assert blind[:, own].sum(0).tolist() == [1] * int(own.sum())
        assert torch.equal(before[blind & own], after[blind & own])
        assert not torch.equal(before[blind & ~own], after[blind & ~own])


def test_new_rollouts_never_reach_memory_or_each_other_s_queries(fitted: Fitted) -> None:
    together = fitted.network_logits(fitted.scorer)
    for query in range(len(fitted.new.query_ids)):
        rows = np.flatnonzero(fitted.new.group == query)
        alone = fitted.network_logits(fitted.scorer, subset(fitted.new, rows))
        assert torch.allclose(together[:, rows], alone, atol=1e-5)


def test_order_of_rollouts_does_not_matter(fitted: Fitted) -> None:
    order = np.random.default_rng(0).permutation(len(fitted.new))
    shuffled = fitted.network_logits(fitted.scorer, subset(fitted.new, order))
    assert torch.allclose(fitted.network_logits(fitted.scorer)[:, order], shuffled, atol=1e-5)


def test_states_kept_per_memory_query_do_not_depend_on_how_many_there_are(fitted: Fitted) -> None:
    memory = fitted.scorer.memory
    rows = len(memory.query_ids)
    assert {s.shape for states in memory.states for s in states} == {(rows, QUICK.hidden)}
    assert len(memory.states) == QUICK.folds
    assert {len(states) for states in memory.states} == {QUICK.layers}


def planted(queries: int, seed: int) -> tuple[Features, np.ndarray]:
    """Two ways of thinking; the query's kind says which of them is right, and nothing but labelled neighbours tells."""
    generator = np.random.default_rng(seed)
    kind = generator.integers(0, 6, queries)
    centres = np.random.default_rng(99).normal(size=(6, 16))
    right_way = np.random.default_rng(98).permutation([0, 0, 0, 1, 1, 1])
    query = centres[kind] + 0.05 * generator.normal(size=(queries, 16))
    group = np.repeat(np.arange(queries), 6)
    way = np.tile([0, 1, 0, 1, 0, 1], queries)
    thinking = np.stack([way * 2.0 - 1, np.ones(len(way))], 1)
    features = Features(
        rollout_ids=tuple(f"{seed}-{i}" for i in range(len(group))),
        query_ids=tuple(f"{seed}-{i}" for i in range(queries)),
        group=group,
        domain=np.zeros(queries, np.int64),
        query_vectors=(query / np.linalg.norm(query, axis=1, keepdims=True)).astype(np.float32),
        thinking_vectors=(thinking / np.sqrt(2)).astype(np.float32),
        answer_vectors=(thinking / np.sqrt(2)).astype(np.float32),
        cluster=group * 2 + way,
        evidence=generator.normal(size=(len(group), 1)).astype(np.float32),
        evidence_names=("noise",),
    )
    return features, (way == right_way[kind[group]]).astype(np.int8)


def test_shuffling_the_labels_of_memory_lowers_predictions() -> None:
    known, truth = planted(60, 0)
    new, new_truth = planted(40, 1)
    config = PredictorConfig(hidden=16, epochs=150, folds=3, patience=60, learning_rate=1e-2, dropout=0.0)
    fit = crossfit(known, torch.from_numpy(truth.astype(np.int64)), config, seed=0)

    def auc(memory_label: np.ndarray) -> float:
        scorer = Scorer.freeze(fit, known, torch.from_numpy(memory_label.astype(np.int64)), config)
        return roc_auc(scorer.logits(new)[1].mean(0).numpy(), new_truth)

    honest = auc(truth)
    shuffled = auc(truth.reshape(-1, 6)[np.random.default_rng(0).permutation(60)].ravel())
    assert honest > 0.9
    assert shuffled < honest - 0.2


def test_training_restores_the_best_step(synthetic: Callable[..., Any]) -> None:
    wild = replace(QUICK, learning_rate=0.5, epochs=20, patience=40, dropout=0.5)
    known = synthetic(queries=24, seed=3)
    label = torch.from_numpy(known.correct.astype(np.int64))
    fit = crossfit(known.features, label, wild, seed=0)
    base = torch.zeros(len(label))
    for member in fit.members:
        rows = fit.folds[torch.from_numpy(known.features.group)] == member.fold
        base[rows] = member.linear(fit.scaler.apply(known.features.evidence[rows.numpy()]))
    full = replace(fit, correction=1.0)
    scorer = Scorer.freeze(full, known.features, label, wild)
    linear, network = scorer.logits(known.features)
    blind = scorer.blind_members(known.features)
    for member in fit.members:
        rows = blind[member.fold]
        pairs = ranking_pairs(torch.from_numpy(known.features.group[rows.numpy()]), label[rows])
        losses = [
            float(reward_loss(logits, label[rows], torch.ones(int(rows.sum()), dtype=torch.bool), pairs, wild.rank_weight))
            for logits in (linear[member.fold, rows], (linear + network)[member.fold, rows])
        ]
        assert losses[1] <= losses[0] + 1e-6


def test_folds_are_even_by_query_and_ignore_order() -> None:
    ids = tuple(f"q{i}" for i in range(23))
    folds = assign_folds(ids, 5, seed=3)
    assert sorted(torch.bincount(folds).tolist()) == [4, 4, 5, 5, 5]
    backwards = assign_folds(ids[::-1], 5, seed=3)
    assert torch.equal(backwards.flip(0), folds)
    assert not torch.equal(assign_folds(ids, 5, seed=4), folds)


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_every_ablation_fits_and_predicts(ablation: str, synthetic: Callable[..., Any]) -> None:
    known = synthetic(queries=20, seed=0)
    config = replace(QUICK, epochs=3, folds=2).ablated(ablation)
    prediction = GraphPredictor(config).fit(known.features, known.correct).predict(known.features)
    assert np.isfinite(prediction.value).all()
    assert ((prediction.confidence >= 0) & (prediction.confidence <= 1)).all()


def test_without_similarity_memory_cannot_matter(synthetic: Callable[..., Any]) -> None:
    fitted = Fitted(synthetic, QUICK.ablated("no_similarity"))
    flipped = fitted.network_logits(fitted.frozen(1 - fitted.label))
    assert torch.equal(fitted.network_logits(fitted.scorer), flipped)


def test_unlabelled_rollouts_of_memory_do_not_change_what_is_learned(synthetic: Callable[..., Any]) -> None:
    known = synthetic(queries=30, seed=0)
    labels = known.correct.copy()
    labels[known.features.group >= 20] = -1
    rows = known.features.group < 20
    full = GraphPredictor(QUICK).fit(known.features, labels)
    part = GraphPredictor(QUICK).fit(subset(known.features, rows), known.correct[rows])
    new = synthetic(queries=5, seed=2).features
    assert np.array_equal(full.predict(new).value, part.predict(new).value)


def test_one_seed_gives_one_result(synthetic: Callable[..., Any]) -> None:
    known = synthetic(queries=20, seed=0)
    values = [GraphPredictor(QUICK, seed=s).fit(known.features, known.correct).predict(known.features).value for s in (0, 0, 1)]
    assert np.array_equal(values[0], values[1])
    assert not np.array_equal(values[0], values[2])


def test_saved_and_loaded_it_predicts_the_same(tmp_path: Path, synthetic: Callable[..., Any]) -> None:
    known, new = synthetic(queries=20, seed=0), synthetic(queries=6, seed=1).features
    predictor = GraphPredictor(QUICK).fit(known.features, known.correct)
    predictor.save(tmp_path)
    loaded = GraphPredictor.load(tmp_path)
    assert np.array_equal(predictor.predict(new).value, loaded.predict(new).value)
    assert np.array_equal(predictor.predict(known.features).confidence, loaded.predict(known.features).confidence)
    assert loaded.config == predictor.config
    assert loaded.threshold == predictor.threshold


def test_a_newer_format_and_damaged_files_are_refused(tmp_path: Path, synthetic: Callable[..., Any]) -> None:
    known = synthetic(queries=20, seed=0)
    GraphPredictor(replace(QUICK, epochs=1)).fit(known.features, known.correct).save(tmp_path)
    described = tmp_path / "predictor.json"
    text = described.read_text()
    described.write_text(text.replace('"format": 1', '"format": 9'))
    with pytest.raises(SchemaVersionError, match="update memreward"):
        GraphPredictor.load(tmp_path)
    described.write_text(text[:50])
    with pytest.raises(StoreError, match="run warmup"):
        GraphPredictor.load(tmp_path)


def test_features_of_another_shape_are_refused(synthetic: Callable[..., Any]) -> None:
    known = synthetic(queries=20, seed=0)
    predictor = GraphPredictor(replace(QUICK, epochs=1)).fit(known.features, known.correct)
    other = replace(known.features, evidence=known.features.evidence[:, :2], evidence_names=("useful", "noise"))
    with pytest.raises(ConfigurationError, match="more_noise"):
        predictor.predict(other)


@pytest.mark.parametrize("constant", [0, 1, -1])
def test_labels_that_do_not_suffice_are_named(constant: int, synthetic: Callable[..., Any]) -> None:
    known = synthetic(queries=20, seed=0)
    with pytest.raises(LabelError, match="label"):
        GraphPredictor(QUICK).fit(known.features, np.full_like(known.correct, constant))


def test_fewer_queries_than_folds_are_named(synthetic: Callable[..., Any]) -> None:
    known = synthetic(queries=2, seed=0, sizes=(8,))
    with pytest.raises(LabelError, match="2 labelled queries cannot fill 3 folds"):
        GraphPredictor(QUICK).fit(known.features, known.correct)


def test_low_confidence_is_an_abstention_with_its_reason(synthetic: Callable[..., Any]) -> None:
    known, new = synthetic(queries=20, seed=0), synthetic(queries=6, seed=1).features
    predictor = GraphPredictor(replace(QUICK, abstain_below=0.7)).fit(known.features, known.correct)
    prediction = predictor.predict(new)
    absent = np.isnan(prediction.value)
    assert 0 < absent.sum() < len(new)
    assert np.array_equal(absent, prediction.confidence < 0.7)
    assert all(("below 0.7" in reason) == missing for reason, missing in zip(prediction.reasons, absent, strict=True))


def test_progress_reaches_its_total(synthetic: Callable[..., Any]) -> None:
    told: list[tuple[int, int]] = []
    known = synthetic(queries=20, seed=0)
    GraphPredictor(QUICK, progress=lambda done, total: told.append((done, total))).fit(known.features, known.correct)
    assert told[-1] == (QUICK.folds * QUICK.epochs, QUICK.folds * QUICK.epochs)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_candidates_leave_enough_visible_neighbours() -> None:
    assert warmup.CANDIDATES * PredictorConfig().mask_share >= 1
