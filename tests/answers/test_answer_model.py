"""The model as predictor: invariances, what no label means, what labels move, domains without a prior."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import threadpoolctl
from answer_toys import (
    COLUMNS,
    EVIDENCE,
    drawn_verdicts,
    features_of,
    known_weights,
    sampled_answers,
    source_of,
    table_of,
)

from memreward.answers import AnswerModel, RewardPrior, fit_prior, posterior
from memreward.answers.advantage import expected_advantages
from memreward.answers.beliefs import AnswerBeliefs
from memreward.answers.choose import TEACHES, proposals, told_by_judging, told_by_sampling
from memreward.answers.domain import SHARPNESS, sharpened
from memreward.answers.likeness import SHARP, with_likeness
from memreward.evaluation.metrics import group_auc
from memreward.features.columns import evidence_columns
from memreward.features.subset import subset, vote_share
from memreward.types import ConfigurationError, StoreError

UNKNOWN = -1


@pytest.fixture(scope="module")
def prior() -> RewardPrior:
    rng = np.random.default_rng(7)
    sources = [source_of(f"s{i}", known_weights(rng, 0.2), 200 + i, 150) for i in range(5)]
    coded = [source_of(f"c{i}", known_weights(rng, 0.2), 300 + i, 100, "code") for i in range(3)]
    return fit_prior([*sources, *coded], "toy")


def target(domain: str = "math", questions: int = 80, seed: int = 500, **special: float):
    """Features and labels (n,) of a source the prior has not seen."""
    rng = np.random.default_rng(seed)
    features = features_of(
        sampled_answers(rng, questions), rng.normal(size=(questions * 8, 4)), domain=domain, prefix="t"
    )
    weights = known_weights(rng, 0.0)
    for name, value in special.items():
        weights[COLUMNS.index(name)] = value
    table = table_of(features, domain)
    return features, drawn_verdicts(rng, table, weights)[table.answer]


def nothing(features) -> np.ndarray:
    return np.full(len(features), UNKNOWN, np.int8)


def test_equivalent_answers_have_one_value_to_the_last_bit(prior: RewardPrior) -> None:
    features, labels = target()
    right = AnswerModel(prior).fit(features, labels).beliefs(features).right
    for cluster in np.unique(features.cluster):
        assert len(set(right[features.cluster == cluster])) == 1


def test_code_that_behaves_alike_shares_its_votes_and_is_told_apart_by_its_signals(prior: RewardPrior) -> None:
    evidence = np.zeros((8, 4))
    recall = EVIDENCE.index("word_recall")
    evidence[:, recall] = [1, 1, -1, 0, 1, 0, 0, 0]  # word recall speaks for a solution, in the toy's sources
    features = features_of([[0, 0, 0, 0, 1, 2, 2, 2]], evidence, domain="code")
    beliefs = AnswerModel(prior).fit(features, nothing(features)).beliefs(features)
    assert beliefs.right[0] == beliefs.right[1] > beliefs.right[3] > beliefs.right[2]
    assert beliefs.right[0] > beliefs.right[4]  # the same signals, fewer votes
    assert len(set(beliefs.answer[:4].tolist())) == 1
    alike = AnswerModel(prior).fit(features, nothing(features)).observe(features, np.int8([-1, -1, 0, 1] + [-1] * 4))
    assert alike.beliefs(features).right[3] > alike.beliefs(features).right[2] + 0.1  # a verdict on one is no other's


@pytest.mark.parametrize("domain", ["math", "code"])
def test_order_of_rollouts_and_groups_does_not_matter(prior: RewardPrior, domain: str) -> None:
    features, labels = target(domain)
    told = np.where(features.group < 10, labels, UNKNOWN).astype(np.int8)
    order = np.random.default_rng(0).permutation(len(features))
    shuffled = subset(features, order)
    one = AnswerModel(prior).fit(features, told).beliefs(features)
    other = AnswerModel(prior).fit(shuffled, told[order]).beliefs(shuffled)
    assert other.right == pytest.approx(one.right[order], abs=1e-9)
    assert other.vote == pytest.approx(one.vote[order])


def test_a_question_is_judged_by_itself(prior: RewardPrior) -> None:
    features, labels = target()
    model = AnswerModel(prior).fit(features, np.where(features.group < 10, labels, UNKNOWN).astype(np.int8))
    rows = np.flatnonzero((features.group == 30) | (features.group == 31))
    alone = model.beliefs(subset(features, rows))
    assert alone.right == pytest.approx(model.beliefs(features).right[rows], abs=1e-12)


def test_without_a_prior_it_is_majority_vote_exactly() -> None:
    features, labels = target()
    for told in (nothing(features), labels):
        found = AnswerModel(RewardPrior()).fit(features, told).predict(features)
        assert found.value == pytest.approx(vote_share(features))
    other = features_of(sampled_answers(np.random.default_rng(1), 5), domain="other")
    assert AnswerModel(RewardPrior()).fit(other, nothing(other)).predict(other).value == pytest.approx(
        vote_share(other)
    )


def test_without_a_label_it_is_the_weighted_mean_of_prior_and_vote(prior: RewardPrior) -> None:
    features, _ = target()
    model = AnswerModel(prior).fit(features, nothing(features))
    beliefs, trust = model.beliefs(features), model.trust()["math"]
    table = model.domains["math"].table(features)
    alone = with_likeness(prior.domains["math"].weights).probabilities(table)[table.answer]
    mean = trust * alone + (1 - trust) * beliefs.vote
    first = np.unique(beliefs.answer, return_index=True)[1]
    power = SHARPNESS["math"]
    none = (1 - np.bincount(beliefs.group[first], mean[first])) ** power
    total = none + np.bincount(beliefs.group[first], mean[first] ** power)
    assert beliefs.right == pytest.approx((mean**power) / total[beliefs.group])
    assert np.bincount(beliefs.group[first], beliefs.right[first]).max() < 1


def test_what_the_prior_knows_beats_majority_vote_before_any_label(prior: RewardPrior) -> None:
    features, labels = target(questions=300)
    value = AnswerModel(prior).fit(features, nothing(features)).predict(features).value
    assert group_auc(value, labels, features.group) > group_auc(vote_share(features), labels, features.group) + 0.02


def test_labels_correct_a_prior_that_is_wrong_here(prior: RewardPrior) -> None:
    features, labels = target(questions=300, word_recall=-1.5)
    held = features.group >= 100
    told = np.where(held, UNKNOWN, labels).astype(np.int8)

    def quality(given: np.ndarray) -> float:
        value = AnswerModel(prior).fit(features, given).predict(features).value
        return group_auc(value[held], labels[held], features.group[held])

    assert quality(told) > quality(nothing(features)) + 0.05


def test_the_expert_that_foretells_the_labels_gains_weight(prior: RewardPrior) -> None:
    features, labels = target(questions=20)
    votes = np.where(vote_share(features) >= 0.5, 1, 0).astype(np.int8)
    before, told, voted = (
        AnswerModel(prior).fit(features, given).trust()["math"] for given in (nothing(features), labels, votes)
    )
    assert told > before > voted


def test_weights_do_not_depend_on_the_order_of_labels_and_fade_with_them(prior: RewardPrior) -> None:
    features, labels = target(questions=20)
    start = AnswerModel(prior).fit(features, nothing(features))
    whole = AnswerModel(prior).fit(features, labels)
    halves = [np.where(features.group % 2 == part, labels, UNKNOWN).astype(np.int8) for part in (1, 0)]
    parts = AnswerModel(prior).fit(features, halves[0]).observe(features, halves[1], half_life=1.0)
    assert parts.trust()["math"] == pytest.approx(whole.trust()["math"], abs=1e-6)
    assert whole.observe(features, nothing(features), step=100, half_life=1.0).trust() == start.trust()


def test_sharpening_moves_probabilities_away_from_doubt_and_keeps_their_order(prior: RewardPrior) -> None:
    features, _ = target()
    model = AnswerModel(prior).fit(features, nothing(features))
    table = model.domains["math"].table(features)
    right = table.share * 0.9
    right[table.mute] = 0
    sharp = sharpened(right, table, 1.5)
    first, second = np.flatnonzero(table.question == 0)[:2]
    none = [1 - np.bincount(table.question, of)[0] for of in (right, sharp)]
    assert sharp[first] / sharp[second] == pytest.approx((right[first] / right[second]) ** 1.5)
    assert sharp[first] / none[1] == pytest.approx((right[first] / none[0]) ** 1.5)
    assert (sharpened(right, table, 1.0) == right).all()
    several = replace(table, domain="code")
    odds = sharpened(right, several, 2.0) / (1 - sharpened(right, several, 2.0))
    assert odds == pytest.approx((right / (1 - right)) ** 2)


def test_labels_turn_round_a_domain_whose_most_frequent_answer_is_wrong(prior: RewardPrior, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    features = features_of([[0] * 5 + [1] * 3 for _ in range(60)], rng.normal(size=(480, 4)), prefix="t")
    against = (features.cluster % 1000 == 1).astype(np.int8)
    model = AnswerModel(prior).fit(features, np.where(features.group < 12, against, UNKNOWN).astype(np.int8))
    held = features.group >= 12
    assert model.doubt()["math"] > 0.9
    assert model.predict(features).value[held & (against == 1)].mean() > 0.6
    model.save(tmp_path / "model.safetensors")
    again = AnswerModel.load(tmp_path / "model.safetensors")[0]
    assert again.doubt() == pytest.approx(model.doubt())
    assert again.beliefs(features).right == pytest.approx(model.beliefs(features).right)
    usual = AnswerModel(prior).fit(features, np.where(features.group < 12, 1 - against, UNKNOWN).astype(np.int8))
    assert usual.doubt()["math"] < 0.25
    assert AnswerModel(prior).fit(features, nothing(features)).doubt()["math"] == 0


def test_old_observations_fade(prior: RewardPrior) -> None:
    old, old_labels = target(questions=100, word_recall=-2.0)
    new, new_labels = target(questions=100, seed=501, word_recall=2.0)

    def weight(half_life: float) -> float:
        model = AnswerModel(prior).fit(old, old_labels)
        model.observe(new, new_labels, 40, half_life)
        return float(model.domains["math"].posterior.mean[COLUMNS.index("word_recall")])

    assert weight(4.0) > weight(0.0) + 0.2


def test_proposals_prefer_what_is_open_and_leave_out_what_is_labelled(prior: RewardPrior) -> None:
    features = features_of([[0] * 8, [0, 0, 0, 0, 1, 1, 1, 2], [0] * 7 + [1], [-1] * 8], np.zeros((32, 4)))
    model = AnswerModel(prior).fit(features, nothing(features))
    found = proposals(model, features)
    assert found[0].query_id == "q1"
    assert found[0].answers == 3
    assert {each.query_id for each in found[-2:]} == {"q0", "q3"}
    assert [each.variance for each in found[-2:]] == [0.0, 0.0]
    assert [each.query_id for each in proposals(model, features, 1, labelled=["q1"])] == ["q2"]


def test_proposals_go_on_to_other_templates_once_one_is_told_of(prior: RewardPrior) -> None:
    """q0 to q3 are of one template and a little less certain than q4 to q7, of another; q8 is alone."""
    less, more = [0, 0, 0, 0, 1, 1, 1, 2], [0, 0, 0, 0, 0, 1, 1, 2]
    bare = features_of([less] * 4 + [more] * 4 + [more], np.zeros((72, 4)))
    templates = np.eye(3, dtype=np.float32)[[0] * 4 + [1] * 4 + [2]]
    model = AnswerModel(prior).fit(bare, nothing(bare))
    ids = [each.query_id for each in proposals(model, bare)]
    assert set(ids[:4]) == {"q0", "q1", "q2", "q3"}
    kin = replace(bare, template_vectors=templates)
    found = proposals(model, kin)
    assert [each.query_id for each in found[:2]] == ["q0", "q4"]
    assert sorted(each.query_id for each in found) == sorted(ids)
    assert [each.query_id for each in proposals(model, kin, 1, labelled=["q0"])] == ["q4"]
    assert [each.query_id for each in proposals(model, kin, 3)] == [each.query_id for each in found[:3]]


@pytest.mark.parametrize("domain", ["qa", *(pytest.param(name, marks=pytest.mark.slow) for name in ("math", "code"))])
def test_what_more_samples_are_expected_to_change_is_what_they_do_change(prior: RewardPrior, domain: str) -> None:
    """Eight more rollouts of each question are drawn as the first eight are distributed. qa has no prior here."""
    rng = np.random.default_rng(8)
    both = [[*group, *rng.choice(group, 8).tolist()] for group in sampled_answers(rng, 400)]
    first, whole = (
        features_of([g[:n] for g in both], np.zeros((400 * n, 4)), domain=domain, prefix="t") for n in (8, 16)
    )
    model = AnswerModel(prior)
    now = model.beliefs(first).advantages()
    place = np.arange(400 * 16) % 16 < 8
    then = model.beliefs(whole).advantages(among=2 * whole.group + ~place)[place]
    changed = np.bincount(first.group, (then - now) ** 2)
    told = told_by_sampling(model, first, first.query_ids)
    assert told.mean() == pytest.approx(changed.mean(), rel=0.25)
    order = np.argsort(told)
    assert changed[order[-100:]].mean() > 1.5 * changed[order[:100]].mean()
    sure = np.array([len(set(g[:8])) == 1 for g in both])
    assert told[sure] == pytest.approx(0.0, abs=1e-12)
    some = ["t7", "t3"]
    assert told_by_sampling(model, first, some) == pytest.approx(told[[7, 3]], rel=1.5)
    assert len(told_by_sampling(model, first, [])) == 0


def test_each_question_is_chosen_by_its_own_doubt_and_that_of_like_ones_without_a_label(prior: RewardPrior) -> None:
    """The rule, taken literally, question after question."""
    rng = np.random.default_rng(3)
    bare = features_of(sampled_answers(rng, 12), np.zeros((96, 4)))
    templates = np.abs(rng.normal(size=(12, 3))).astype(np.float32)
    templates /= np.linalg.norm(templates, axis=1, keepdims=True)
    model = AnswerModel(prior).fit(bare, nothing(bare))
    given = proposals(model, replace(bare, template_vectors=templates))
    doubt = {each.query_id: each.variance for each in given}
    like = np.maximum(templates @ templates.T, 0).astype(float) ** SHARP
    labelled: list[int] = []
    while len(labelled) < 12:
        open_ = [q for q in range(12) if q not in labelled]
        worth = {
            q: doubt[f"q{q}"]
            + TEACHES * sum(like[q, g] * doubt[f"q{g}"] / (1 + like[g, labelled].sum()) ** 2 for g in open_ if g != q)
            for q in open_
        }
        labelled.append(max(worth, key=worth.__getitem__))
    assert [each.query_id for each in given] == [f"q{q}" for q in labelled]


def test_what_one_verdict_is_expected_to_tell_in_closed_form() -> None:
    group, right = np.zeros(3, np.int64), np.array([0.5, 0.3, 0.1])
    beliefs = AnswerBeliefs(right, np.full(3, 1 / 3), np.arange(3), group, np.zeros(3, np.bool_))

    def paid(given: list[float]) -> np.ndarray:
        return expected_advantages(group, np.arange(3), np.array(given), several=False)

    told = 0.5 * paid([1, 0, 0]) ** 2 + 0.5 * paid([0, 0.6, 0.2]) ** 2 - paid([0.5, 0.3, 0.1]) ** 2
    found = told_by_judging(beliefs, np.array([True, False, False]), 1)
    assert found == pytest.approx([told.sum()])


@pytest.mark.parametrize("domain", ["math", "code"])
def test_judging_one_answer_tells_no_more_than_judging_all_and_the_same_where_there_are_no_others(
    prior: RewardPrior, domain: str
) -> None:
    features = features_of([[0, 0, 0, 1, 1, 2, 2, 3], [0] * 5 + [-1] * 3], np.zeros((16, 4)), domain=domain)
    found = {each.query_id: each for each in proposals(AnswerModel(prior).fit(features, nothing(features)), features)}
    assert 0 < found["q0"].cheap < found["q0"].variance
    assert found["q1"].cheap == pytest.approx(found["q1"].variance)


def test_saved_and_read_it_believes_and_learns_the_same(prior: RewardPrior, tmp_path) -> None:
    features, labels = target()
    told = np.where(features.group < 20, labels, UNKNOWN).astype(np.int8)
    model = AnswerModel(prior).fit(features, told)
    model.save(tmp_path / "predictor.safetensors", {"seed": 3})
    read, about = AnswerModel.load(tmp_path / "predictor.safetensors")
    assert about == {"seed": 3}
    assert read.beliefs(features).right == pytest.approx(model.beliefs(features).right, abs=1e-9)
    later = np.where(features.group >= 60, labels, UNKNOWN).astype(np.int8)
    assert (
        read.observe(features, later, 5, 10.0).beliefs(features).right
        == model.observe(features, later, 5, 10.0).beliefs(features).right
    ).all()


def test_a_damaged_or_foreign_file_is_named(prior: RewardPrior, tmp_path) -> None:
    path = tmp_path / "predictor.safetensors"
    prior.save(path)
    with pytest.raises(StoreError, match="is a prior, not a predictor"):
        AnswerModel.load(path)
    features, labels = target(questions=5)
    AnswerModel(prior).fit(features, labels).save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StoreError, match=r"predictor\.safetensors"):
        AnswerModel.load(path)


def test_signals_of_running_may_be_absent_and_others_may_not() -> None:
    features, _ = target("code", 6)
    assert np.isnan(evidence_columns(features, ("run_returns", "length_log"))[:, 0]).all()
    with pytest.raises(ConfigurationError, match="word_rivals_cluster"):
        evidence_columns(features, ("length_log", "word_rivals_cluster"))


def test_fits_and_draws_hold_blas_to_one_thread_and_give_it_back(
    prior: RewardPrior, monkeypatch: pytest.MonkeyPatch
) -> None:
    def threads() -> set[int]:
        return {each["num_threads"] for each in threadpoolctl.threadpool_info() if each["user_api"] == "blas"}

    def watched(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            seen.append(threads())
            return function(*given)

        return call

    seen: list[set[int]] = []
    for name in ("slope", "right_probabilities"):
        monkeypatch.setattr(posterior, name, watched(getattr(posterior, name)))
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        features, labels = target(questions=5)
        AnswerModel(prior).fit(features, labels).predict(features)
        assert threads() == {2}
    assert len(seen) >= 3
    assert all(each == {1} for each in seen)
