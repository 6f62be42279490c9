"""The paper's network, cross-fitted over frozen memory: each fault of the published implementation has its test."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from alike import FLOAT32
from memreward.answers.files import read_arrays, write_arrays
from memreward.features.subset import subset
from memreward.network import predictor as module
from memreward.network.config import DROPOUT, HEAD_DIM, HEADS, LAYERS, NEIGHBOURS, NetworkConfig
from memreward.network.crossfit import CrossFit, Part, crossfit
from memreward.network.predictor import FILE, FrozenMemory, GraphPredictor
from memreward.types import ConfigurationError, Features, LabelError, SchemaVersionError, StoreError

pytestmark = pytest.mark.slow  # torch takes seconds to load

QUICK = NetworkConfig(hidden=16, epochs=12, folds=3)


class Fitted:
    """A fitted ensemble with the memory it was fitted on and new rollouts to score."""

    def __init__(self, make: Callable[..., Any], config: NetworkConfig = QUICK) -> None:
        known, new = make(queries=30, seed=0), make(queries=9, seed=1, sizes=(1, 5, 12))
        self.config, self.features = config, known.features
        self.new = replace(new.features, query_ids=tuple(f"new-{q}" for q in new.features.query_ids))
        self.fit: CrossFit = crossfit(self.features, torch.from_numpy(known.correct.astype(np.int64)), config, seed=0)
        self.predictor = self.remembering(self.features)

    def remembering(self, features: Features) -> GraphPredictor:
        made = GraphPredictor(self.config)
        made._remember(self.fit.members, FrozenMemory.freeze(self.fit, features, self.config))
        return made


@pytest.fixture(scope="module")
def fitted(synthetic: Callable[..., Any]) -> Fitted:
    return Fitted(synthetic)


def whole_graph_logits(fitted: Fitted, fold: int) -> torch.Tensor:
    """Memory outside a fold and the new rollouts as one graph, without any frozen state."""
    kept = (fitted.fit.folds != fold).numpy()[fitted.features.group]
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
    nearest = cosine.topk(NEIGHBOURS, dim=1)
    part = Part.of(both, (nearest.indices, nearest.values))
    with torch.no_grad():
        logits, _ = part.forward(fitted.fit.members[fold], None)
    return logits[rollouts:]


def test_incremental_scoring_equals_the_whole_graph(fitted: Fitted) -> None:
    incremental = fitted.predictor.logits(fitted.new)
    for fold in range(QUICK.folds):
        assert torch.allclose(incremental[fold], whole_graph_logits(fitted, fold), atol=1e-5)


def test_changing_memory_changes_predictions(fitted: Fitted, synthetic: Callable[..., Any]) -> None:
    other = synthetic(queries=30, seed=7).features
    elsewhere = fitted.remembering(replace(fitted.features, query_vectors=other.query_vectors))
    before, after = (made.logits(fitted.new) for made in (fitted.predictor, elsewhere))
    assert (before - after).abs().max() > 1e-3


def test_new_rollouts_never_reach_memory_or_each_other_s_queries(fitted: Fitted) -> None:
    together = fitted.predictor.logits(fitted.new)
    for query in range(len(fitted.new.query_ids)):
        rows = np.flatnonzero(fitted.new.group == query)
        alone = fitted.predictor.logits(subset(fitted.new, rows))
        assert torch.allclose(together[:, rows], alone, atol=1e-5)


def test_a_labelled_query_is_scored_by_the_one_member_that_is_blind_to_it(synthetic: Callable[..., Any]) -> None:
    """The others learned from its labels: a mean over all members would leak them."""
    known, new = synthetic(queries=30, seed=0), synthetic(queries=9, seed=1).features
    model = GraphPredictor(QUICK).fit(known.features, known.correct)
    logits, folds = model.logits(known.features), model.memory.folds.tolist()
    blind = torch.stack([logits[folds[query], row] for row, query in enumerate(known.features.group.tolist())])
    assert model.memory.query_ids == known.features.query_ids
    value = model.predict(known.features).value
    np.testing.assert_allclose(value, model.calibration.apply(blind.numpy()), atol=FLOAT32)
    assert np.abs(value - model.calibration.apply(logits.mean(0).numpy())).max() > 0.01
    unlabelled = replace(new, query_ids=tuple(f"new-{name}" for name in new.query_ids))
    assert model.blind_members(unlabelled).all()


def test_order_of_rollouts_does_not_matter(fitted: Fitted) -> None:
    order = np.random.default_rng(0).permutation(len(fitted.new))
    shuffled = fitted.predictor.logits(subset(fitted.new, order))
    assert torch.allclose(fitted.predictor.logits(fitted.new)[:, order], shuffled, atol=1e-5)


def test_states_kept_per_memory_query_do_not_depend_on_how_many_rollouts_it_has(fitted: Fitted) -> None:
    memory = fitted.predictor.memory
    assert {s.shape for states in memory.states for s in states} == {(len(memory.query_ids), QUICK.hidden)}
    assert len(memory.states) == QUICK.folds
    assert {len(states) for states in memory.states} == {LAYERS}


def test_training_restores_the_best_step(synthetic: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The held-out loss is no worse than that of the step before training, however wild the steps were."""
    known = synthetic(queries=24, seed=3)
    label = torch.from_numpy(known.correct.astype(np.int64))
    config, losses = replace(QUICK, epochs=20), []
    for rate in (0.0, 0.5):
        monkeypatch.setattr("memreward.network.crossfit.LEARNING_RATE", rate)
        found = crossfit(known.features, label, config, 0).held_out
        losses.append(float(binary_cross_entropy_with_logits(found, label.float())))
    assert losses[1] <= losses[0] + 1e-6


def test_unlabelled_rollouts_of_memory_do_not_change_what_is_learned(synthetic: Callable[..., Any]) -> None:
    known = synthetic(queries=30, seed=0)
    labels = known.correct.copy()
    labels[known.features.group >= 20] = -1
    rows = known.features.group < 20
    full = GraphPredictor(QUICK).fit(known.features, labels)
    part = GraphPredictor(QUICK).fit(subset(known.features, rows), known.correct[rows])
    new = synthetic(queries=5, seed=2).features
    np.testing.assert_allclose(full.predict(new).value, part.predict(new).value, atol=FLOAT32)


def test_one_seed_gives_one_result(synthetic: Callable[..., Any]) -> None:
    known = synthetic(queries=20, seed=0)
    values = [
        GraphPredictor(QUICK, seed=s).fit(known.features, known.correct).predict(known.features).value
        for s in (0, 0, 1)
    ]
    np.testing.assert_allclose(values[0], values[1], atol=FLOAT32)
    assert np.abs(values[0] - values[2]).max() > 100 * FLOAT32


@pytest.fixture(scope="module")
def learned(synthetic: Callable[..., Any]) -> GraphPredictor:
    known = synthetic(queries=20, seed=0)
    return GraphPredictor(QUICK, seed=3).fit(known.features, known.correct)


def test_saved_and_loaded_it_predicts_the_same(
    learned: GraphPredictor, tmp_path: Path, synthetic: Callable[..., Any]
) -> None:
    known, new = synthetic(queries=20, seed=0).features, synthetic(queries=6, seed=1).features
    learned.save(tmp_path)
    loaded = GraphPredictor.load(tmp_path)
    np.testing.assert_allclose(learned.predict(new).value, loaded.predict(new).value, atol=FLOAT32)
    np.testing.assert_allclose(learned.predict(known).confidence, loaded.predict(known).confidence, atol=FLOAT32)
    assert (loaded.config, loaded.seed, loaded.name) == (QUICK, 3, "paper")
    assert loaded.threshold == learned.threshold


def test_other_formats_and_damaged_files_are_refused(learned: GraphPredictor, tmp_path: Path) -> None:
    (tmp_path / "predictor.json").write_text(json.dumps({"format": 2}))
    with pytest.raises(StoreError, match=r"release 0\.1"):
        GraphPredictor.load(tmp_path)
    learned.save(tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    about, arrays = read_arrays(tmp_path / FILE, module._KIND, module._VERSION, "")
    write_arrays(tmp_path / FILE, module._KIND, 99, about | {"version": 99}, arrays)
    with pytest.raises(SchemaVersionError, match="update memreward"):
        GraphPredictor.load(tmp_path)
    write_arrays(tmp_path / FILE, module._KIND, module._VERSION, about, {"memory.vectors": arrays["memory.vectors"]})
    for damaged in ((tmp_path / FILE).read_bytes(), whole[:100]):
        (tmp_path / FILE).write_bytes(damaged)
        with pytest.raises(StoreError, match="run warmup"):
            GraphPredictor.load(tmp_path)


def test_text_vectors_of_another_width_are_refused(learned: GraphPredictor, synthetic: Callable[..., Any]) -> None:
    other = synthetic(queries=2, seed=1).features
    with pytest.raises(ConfigurationError, match="width 3 do not fit"):
        learned.predict(replace(other, query_vectors=other.query_vectors[:, :3]))


@pytest.mark.parametrize("constant", [0, 1, -1])
def test_labels_that_do_not_suffice_are_named(constant: int, synthetic: Callable[..., Any]) -> None:
    known = synthetic(queries=20, seed=0)
    with pytest.raises(LabelError, match="label"):
        GraphPredictor(QUICK).fit(known.features, np.full_like(known.correct, constant))


def test_fewer_queries_than_folds_are_named(synthetic: Callable[..., Any]) -> None:
    known = synthetic(queries=2, seed=0, sizes=(8,))
    with pytest.raises(LabelError, match="2 labelled queries cannot fill 3 folds"):
        GraphPredictor(QUICK).fit(known.features, known.correct)


def test_progress_reaches_its_total(synthetic: Callable[..., Any]) -> None:
    told: list[tuple[int, int]] = []
    known = synthetic(queries=20, seed=0)
    GraphPredictor(QUICK, progress=lambda _, done, total: told.append((done, total))).fit(known.features, known.correct)
    assert told[-1] == (QUICK.epochs, QUICK.epochs)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.parametrize(("setting", "value"), [("hidden", 0), ("hidden", 18), ("epochs", 0), ("folds", 1)])
def test_a_setting_that_cannot_be_used_is_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        NetworkConfig(**{setting: value})  # type: ignore[arg-type]


def test_the_defaults_are_the_paper_s() -> None:
    settings = NetworkConfig()
    assert (NEIGHBOURS, settings.hidden, LAYERS, HEADS) == (7, 512, 2, 4)
    assert (DROPOUT, HEAD_DIM) == (0.1, 256)
