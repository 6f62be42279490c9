"""The network, cross-fitting and the frozen scorer: every fault of the published implementation has its test here."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from memreward.evaluation.metrics import roc_auc
from memreward.evaluation.scaler import EvidenceScaler
from memreward.features.subset import settled_together, subset
from memreward.network.config import ABLATIONS, PredictorConfig
from memreward.network.crossfit import CrossFit, Part, choose_correction, crossfit
from memreward.network.graph_predictor import GraphPredictor
from memreward.network.inputs import UNKNOWN
from memreward.network.linear import ranking_pairs, reward_loss
from memreward.network.propagate import LabelledRollouts, mean_over_equivalent
from memreward.network.scorer import Scorer
from memreward.types import DOMAINS, ConfigurationError, Features, LabelError, SchemaVersionError, StoreError

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
    own_label = fitted.label[torch.from_numpy(kept)]
    label = torch.cat([own_label, torch.full((len(new),), UNKNOWN)])
    labelled = LabelledRollouts.of(memory, own_label)
    part = Part.of(both, label, (nearest.indices, nearest.values), labelled, fitted.fit.scaler, fitted.config)
    with torch.no_grad():
        logits, _ = part.forward(member.network, label, part.neighbours, None)
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


def test_what_memory_has_no_part_in_is_built_once_for_all_members(
    synthetic: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """States are scaled, evidence is standardised and edges are drawn once a batch, to the bit as for each member."""
    known, new = synthetic(queries=20, seed=0), synthetic(queries=9, seed=1).features
    generator = np.random.default_rng(0)

    def with_states(features: Features) -> Features:
        return replace(features, hidden=generator.normal(size=(len(features), 6)).astype(np.float32))

    config = replace(QUICK, read_states=True)
    model = GraphPredictor(config).fit(with_states(known.features), known.correct)
    scorer, batch = model.scorer, with_states(new)
    found = scorer.neighbours(batch)
    linear, network = [], []
    for member, states in zip(scorer.members, scorer.memory.states, strict=True):
        part = scorer.part(batch, member, found)
        linear.append(member.linear(part.inputs.evidence))
        with torch.no_grad():
            network.append(part.forward(member.network, part.label, part.neighbours, list(states))[0])
    calls = Counter[str]()
    for name in ("memreward.network.inputs.unit_rows", "memreward.network.crossfit.structural_edges"):
        monkeypatch.setattr(name, counted(calls, name))
    standardise = EvidenceScaler.apply
    monkeypatch.setattr(EvidenceScaler, "apply", lambda *given: calls.update(["evidence"]) or standardise(*given))
    together = scorer.logits(batch, found)
    assert set(calls.values()) == {1}
    assert len(calls) == 3
    assert torch.equal(together[0], torch.stack(linear))
    assert torch.equal(together[1], torch.stack(network))
    assert torch.equal(scorer.logits(batch, found, run_networks=False)[0], together[0])


def counted(calls: Counter[str], name: str) -> Callable[..., Any]:
    """The function of this name; `calls` says how often it was called."""
    module, _, function = name.rpartition(".")
    inner = getattr(import_module(module), function)

    def counting(*given: Any) -> Any:
        calls.update([name])
        return inner(*given)

    return counting


def test_a_labelled_query_is_scored_by_the_one_member_that_is_blind_to_it(synthetic: Callable[..., Any]) -> None:
    """The others learned from its labels: a mean over all members would leak them."""
    known, new = synthetic(queries=30, seed=0), synthetic(queries=9, seed=1).features
    model = GraphPredictor(QUICK).fit(known.features, known.correct)
    model.correction = 1.0
    scorer, group = model.scorer, torch.from_numpy(known.features.group)
    linear, network = scorer.logits(known.features)
    logits = mean_over_equivalent(linear + network, torch.from_numpy(settled_together(known.features)))
    blind = torch.stack([logits[int(scorer.memory.folds[query]), row] for row, query in enumerate(group.tolist())])
    assert [member.fold for member in scorer.members] == [0, 1, 2]
    assert scorer.memory.query_ids == known.features.query_ids
    value = model.predict(known.features).value
    np.testing.assert_array_equal(value, model.calibration.apply(blind.numpy()).astype(np.float32))
    assert np.abs(value - model.calibration.apply(logits.mean(0).numpy())).max() > 0.01
    unlabelled = replace(new, query_ids=tuple(f"new-{name}" for name in new.query_ids))
    assert scorer.blind_members(unlabelled).all()


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


def planted(queries: int, seed: int, world: int) -> tuple[Features, np.ndarray]:
    """Two ways of thinking; the query's kind says which of them is right, and each world has kinds of its own."""
    generator, laws = np.random.default_rng(seed), np.random.default_rng(world)
    kind, centres = generator.integers(0, 6, queries), laws.normal(size=(6, 16))
    right_way = laws.permutation([0, 0, 0, 1, 1, 1])
    query = centres[kind] + 0.05 * generator.normal(size=(queries, 16))
    group = np.repeat(np.arange(queries), 6)
    way = np.tile([0, 1, 0, 1, 0, 1], queries)
    outline = np.eye(2, dtype=np.float32)[way]
    features = Features(
        rollout_ids=tuple(f"{seed}-{i}" for i in range(len(group))),
        query_ids=tuple(f"{seed}-{i}" for i in range(queries)),
        group=group,
        domain=np.zeros(queries, np.int64),
        query_vectors=(query / np.linalg.norm(query, axis=1, keepdims=True)).astype(np.float32),
        thinking_vectors=outline,
        answer_vectors=outline,
        cluster=group * 2 + way,
        evidence=generator.normal(size=(len(group), 1)).astype(np.float32),
        evidence_names=("noise",),
        outline_vectors=outline,
    )
    return features, (way == right_way[kind[group]]).astype(np.int64)


def test_labels_of_another_world_s_memory_are_understood_and_shuffling_them_hurts() -> None:
    """What was learned in one world cannot help in another; only the labels in that other's memory can."""
    known, truth = planted(60, seed=0, world=0)
    config = PredictorConfig(hidden=16, epochs=8, folds=3)
    fit = crossfit(known, torch.from_numpy(truth), config, seed=0)
    other, other_truth = planted(60, seed=1, world=5)
    new, new_truth = planted(40, seed=2, world=5)

    def auc(memory_label: np.ndarray) -> float:
        scorer = Scorer.freeze(fit, other, torch.from_numpy(memory_label), config)
        linear, network = scorer.logits(new)
        return roc_auc((linear + fit.correction * network).mean(0).numpy(), new_truth)

    shuffled = other_truth.reshape(-1, 6)[np.random.default_rng(0).permutation(60)].ravel()
    assert auc(other_truth) > 0.9
    assert auc(shuffled) < auc(other_truth) - 0.2
    assert auc(1 - other_truth) < 0.1


@pytest.mark.slow
def test_a_reader_s_states_are_read_where_the_configuration_says_so(
    synthetic: Callable[..., Any], tmp_path: Path
) -> None:
    """Nothing but the states tells right from wrong, at whatever length they come."""
    known = synthetic(queries=40, seed=0)
    noise = np.random.default_rng(0).normal(size=(len(known.correct), 4)).astype(np.float32)

    def with_states(correct: np.ndarray) -> Features:
        sign = np.where(correct, 1.0, -1.0).astype(np.float32)[:, None]
        return replace(
            known.features,
            hidden=1e3 * np.concatenate([sign, 0.3 * noise], 1),
            evidence=noise,
            evidence_names=tuple("abcd"),
            thinking_vectors=np.ones((len(sign), 2), np.float32),
            answer_vectors=np.ones((len(sign), 2), np.float32),
            outline_vectors=None,
            cluster=np.full(len(sign), -1),
        )

    truth = known.correct.astype(np.int8)
    features, config = with_states(truth == 1), PredictorConfig(hidden=16, epochs=60, folds=3, dropout=0.0)
    found = {
        reads: GraphPredictor(replace(config, read_states=reads), seed=0).fit(features, truth)
        for reads in (True, False)
    }
    new = replace(features, query_ids=tuple(f"new-{name}" for name in features.query_ids))
    assert roc_auc(found[True].predict(new).value, truth) > 0.95
    assert roc_auc(found[False].predict(new).value, truth) < 0.8
    with pytest.raises(ConfigurationError, match="do not fit"):
        found[True].predict(replace(new, hidden=None))
    np.testing.assert_array_equal(
        found[False].predict(replace(new, hidden=None)).value, found[False].predict(new).value
    )
    found[True].save(tmp_path / "kept")
    again = GraphPredictor.load(tmp_path / "kept")
    np.testing.assert_array_equal(again.predict(new).value, found[True].predict(new).value)


@pytest.mark.slow
def test_training_restores_the_best_step(synthetic: Callable[..., Any]) -> None:
    wild = replace(QUICK, learning_rate=0.5, epochs=20, patience=40, dropout=0.5)
    known = synthetic(queries=24, seed=3)
    label = torch.from_numpy(known.correct.astype(np.int64))
    fit = crossfit(known.features, label, wild, seed=0)
    scorer = Scorer.freeze(fit, known.features, label, wild)
    linear, network = scorer.logits(known.features)
    blind = scorer.blind_members(known.features)
    losses = np.zeros(2)
    for member in fit.members:
        rows = blind[member.fold]
        pairs = ranking_pairs(torch.from_numpy(known.features.group[rows.numpy()]), label[rows])
        everything = torch.ones(int(rows.sum()), dtype=torch.bool)
        for i, logits in enumerate((linear[member.fold, rows], (linear + network)[member.fold, rows])):
            losses[i] += float(reward_loss(logits, label[rows], everything, pairs, wild.rank_weight))
    assert losses[1] <= losses[0] + 1e-6


@pytest.mark.slow
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


@pytest.mark.slow
def test_unlabelled_rollouts_of_memory_do_not_change_what_is_learned(synthetic: Callable[..., Any]) -> None:
    known = synthetic(queries=30, seed=0)
    labels = known.correct.copy()
    labels[known.features.group >= 20] = -1
    rows = known.features.group < 20
    full = GraphPredictor(QUICK).fit(known.features, labels)
    part = GraphPredictor(QUICK).fit(subset(known.features, rows), known.correct[rows])
    new = synthetic(queries=5, seed=2).features
    assert np.array_equal(full.predict(new).value, part.predict(new).value)


@pytest.mark.slow
def test_one_seed_gives_one_result(synthetic: Callable[..., Any]) -> None:
    known = synthetic(queries=20, seed=0)
    values = [
        GraphPredictor(QUICK, seed=s).fit(known.features, known.correct).predict(known.features).value
        for s in (0, 0, 1)
    ]
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


def test_other_formats_and_damaged_files_are_refused(tmp_path: Path, synthetic: Callable[..., Any]) -> None:
    known = synthetic(queries=20, seed=0)
    GraphPredictor(replace(QUICK, epochs=1)).fit(known.features, known.correct).save(tmp_path)
    described = tmp_path / "predictor.json"
    text = described.read_text()
    for other, message in ((99, "update memreward"), (1, "run warmup again")):
        described.write_text(json.dumps(json.loads(text) | {"format": other}))
        with pytest.raises(StoreError, match=message) as caught:
            GraphPredictor.load(tmp_path)
        assert isinstance(caught.value, SchemaVersionError) == (other == 99)
    for damaged in (text[:50], "[]", '"format"'):
        described.write_text(damaged)
        with pytest.raises(StoreError, match="run warmup"):
            GraphPredictor.load(tmp_path)
    described.write_text(text)
    (tensors,) = tmp_path.glob("*.safetensors")
    tensors.write_bytes(tensors.read_bytes()[:100])
    with pytest.raises(StoreError, match="run warmup"):
        GraphPredictor.load(tmp_path)


def test_a_save_that_is_cut_off_leaves_the_predictor_before_it(
    tmp_path: Path, synthetic: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    known, new = synthetic(queries=20, seed=0), synthetic(queries=6, seed=1).features
    first, second = (GraphPredictor(QUICK, seed=seed).fit(known.features, known.correct) for seed in (0, 1))
    first.save(tmp_path)

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", cut)
        with pytest.raises(KeyboardInterrupt):
            second.save(tmp_path)
    assert np.array_equal(GraphPredictor.load(tmp_path).predict(new).value, first.predict(new).value)
    second.save(tmp_path)
    assert np.array_equal(GraphPredictor.load(tmp_path).predict(new).value, second.predict(new).value)
    assert len(list(tmp_path.iterdir())) == 2


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


def test_a_query_that_is_like_no_labelled_one_is_an_abstention(synthetic: Callable[..., Any]) -> None:
    known, new = synthetic(queries=20, seed=0), synthetic(queries=6, seed=1).features
    new = replace(new, query_ids=tuple(f"new-{q}" for q in new.query_ids))
    cosine = (new.query_vectors @ known.features.query_vectors.T).max(1)[new.group]
    least = float(np.unique(cosine)[2:4].mean())  # between two of them: rounding decides nothing
    plain = GraphPredictor(QUICK).fit(known.features, known.correct)
    careful = GraphPredictor(replace(QUICK, least_similarity=least)).fit(known.features, known.correct)
    found, expected = careful.predict(new), plain.predict(new)
    absent = np.isnan(found.value)
    assert 0 < absent.sum() < len(new)
    assert np.array_equal(absent, cosine < least)
    np.testing.assert_array_equal(found.value[~absent], expected.value[~absent])
    assert all(("nearest labelled query" in r) == missing for r, missing in zip(found.reasons, absent, strict=True))
    # A labelled query is not its own neighbour, and its member does not look at its fold.
    own = careful.predict(known.features)
    alone = known.features.query_vectors @ known.features.query_vectors.T - 2 * np.eye(20, dtype=np.float32)
    assert np.isnan(own.value[(alone.max(1) < least)[known.features.group]]).all()


def test_progress_reaches_its_total(synthetic: Callable[..., Any]) -> None:
    told: list[tuple[int, int]] = []
    known = synthetic(queries=20, seed=0)
    GraphPredictor(QUICK, progress=lambda done, total: told.append((done, total))).fit(known.features, known.correct)
    assert told[-1] == (QUICK.epochs, QUICK.epochs)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.slow
def test_equivalent_answers_get_one_value_and_the_ablation_lets_them_differ(synthetic: Callable[..., Any]) -> None:
    known, new = synthetic(queries=30, seed=0), synthetic(queries=9, seed=1, sizes=(8,)).features
    new = replace(new, query_ids=tuple(f"new-{q}" for q in new.query_ids))
    first = np.array([np.flatnonzero(new.cluster == c)[0] if c >= 0 else row for row, c in enumerate(new.cluster)])
    tied = GraphPredictor(QUICK).fit(known.features, known.correct).predict(new).value
    free = GraphPredictor(QUICK.ablated("no_agreement")).fit(known.features, known.correct).predict(new).value
    np.testing.assert_allclose(tied, tied[first], atol=1e-6)
    assert np.abs(free - free[first]).max() > 0.01
    assert len(np.unique(tied.round(6))) > len(new.query_ids)
    code = replace(new, domain=np.full(len(new.query_ids), DOMAINS.index("code")))
    apart = GraphPredictor(QUICK).fit(known.features, known.correct).predict(code).value
    assert np.abs(apart - apart[first]).max() > 0.01


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("network", "transformer"),
        ("head", "cosine"),
        ("hidden", 0),
        ("heads", 3),
        ("dropout", 1.0),
        ("least_similarity", 1.5),
        ("folds", 1),
        ("l2", ()),
        ("l2", (0.0,)),
        ("mask_share", 0.0),
        ("trust", -1.0),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        PredictorConfig(**{setting: value})


def test_the_network_is_heard_only_where_held_out_labels_speak_for_it() -> None:
    generator = torch.Generator().manual_seed(0)
    group = torch.arange(80).repeat_interleave(6)
    label = torch.randint(2, (480,), generator=generator)
    base, noise = torch.zeros(480), 0.05 * torch.randn(480, generator=generator)
    sees = 2.0 * (label - 0.5)
    assert choose_correction(base, noise, label, group) == 0.0
    assert choose_correction(base, sees, label, group) == 1.0
    assert choose_correction(base, -sees, label, group) == 0.0
    unknown = torch.where(group < 60, UNKNOWN, label)
    assert choose_correction(base, torch.where(group < 60, -sees, sees), unknown, group) == 1.0


def kinds(each: int, first: int, misleading: tuple[int, ...], count: int = 12) -> tuple[Features, np.ndarray]:
    """Questions of kinds; those of one kind are alike, and one of two ways to reason is right in each.

    Most rollouts reason the first way. It is the right one but in the `misleading` kinds.
    """
    queries, size = count * each, 6
    kind = np.repeat(np.arange(count), each)[np.repeat(np.arange(queries), size)]
    group = np.repeat(np.arange(queries), size)
    second = np.tile([0, 0, 0, 0, 1, 1], queries)
    ones = np.ones((len(group), 1), np.float32)
    return Features(
        rollout_ids=tuple(f"r{first + i}" for i in range(len(group))),
        query_ids=tuple(f"q{first + i}" for i in range(queries)),
        group=group,
        domain=np.zeros(queries, np.int64),
        query_vectors=np.eye(count, dtype=np.float32)[np.repeat(np.arange(count), each)],
        thinking_vectors=ones,
        answer_vectors=ones,
        cluster=group * 2 + second,
        evidence=np.where(second, 1 / 3, 2 / 3).astype(np.float32)[:, None],
        evidence_names=("agreement_share",),
        outline_vectors=np.eye(2, dtype=np.float32)[second],
    ), (second == np.isin(kind, misleading)).astype(np.int8)


def test_one_label_of_a_kind_that_misleads_is_taken_at_its_word_with_trust() -> None:
    """No held-out fold holds a question's like; a weight that is fitted from nothing then learns from unlike ones."""
    misleading = (2, 5, 8)
    features, correct = kinds(1, 0, misleading)
    new, truth = kinds(2, 1000, misleading)
    wrong_way = np.isin(np.repeat(np.arange(12), 2)[new.group], misleading)
    apart = {}
    for trust in (0.0, 3.0):
        made = GraphPredictor(PredictorConfig(network="none", folds=3, l2=(3.0,), trust=trust))
        made.fit(features, correct)
        value = made.predict(new).value
        apart[trust] = [
            value[kind & (truth == 1)].mean() - value[kind & (truth == 0)].mean() for kind in (wrong_way, ~wrong_way)
        ]
    assert min(apart[3.0]) > 0.3
    assert min(apart[0.0]) < 0
