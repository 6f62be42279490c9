from dataclasses import replace

import numpy as np
import pytest

from memreward.evaluation.baselines import BASELINES, CrossFitted, JudgeColumn
from memreward.evaluation.baselines.crossfit import logit
from memreward.evaluation.baselines.majority import VoteScorer
from memreward.evaluation.metrics import evaluate_predictions, group_auc, roc_auc
from memreward.features.subset import rows_of_queries, subset, vote_share
from memreward.types import DataError, Group, LabelError, Predictor, Query, Rollout
from rows import each_row

NEEDING_NO_MORE = [name for name in BASELINES if name != "confidence"]  # which needs log-probabilities
NEEDS_LABELS = [name for name, make in BASELINES.items() if isinstance(make(0), CrossFitted)]
LEARNED = [name for name in NEEDS_LABELS if name not in ("majority_calibrated", "random")]


def refitted(names):
    """Names of baselines to fit: a network takes a hundred times as long as any other."""
    return [pytest.param(name, marks=pytest.mark.slow) if name == "mlp" else name for name in names]


@pytest.fixture(scope="module")
def world(synthetic):
    return synthetic(60), synthetic(40, seed=1)


class Fitted(dict):
    """Each baseline, fitted when a test first asks for it."""

    def __missing__(self, name):
        self[name] = BASELINES[name](0).fit(self.train.features, self.train.correct)
        return self[name]


@pytest.fixture(scope="module")
def fitted(world):
    made = Fitted()
    made.train, _ = world
    return made


def half_labelled(data):
    """Labels of every other query; the features of all."""
    labelled = data.features.group % 2 == 0
    return np.where(labelled, data.correct, -1).astype(np.int8), labelled


@pytest.mark.parametrize("name", refitted(NEEDING_NO_MORE))
def test_each_is_a_predictor_that_gives_probabilities(name, world, fitted):
    _, test = world
    prediction = fitted[name].predict(test.features)
    assert isinstance(fitted[name], Predictor)
    assert fitted[name].name == name
    assert prediction.value.shape == prediction.confidence.shape == (len(test.features),)
    assert ((prediction.value >= 0) & (prediction.value <= 1)).all()
    assert ((prediction.confidence >= 0) & (prediction.confidence <= 1)).all()
    assert prediction.reasons == ("",) * len(test.features)


@pytest.mark.parametrize("name", refitted(LEARNED))
def test_what_learns_finds_the_signal_in_new_queries(name, world, fitted):
    _, test = world
    value = fitted[name].predict(test.features).value
    assert group_auc(value, test.correct, test.features.group) > 0.7
    found = evaluate_predictions(value, test.correct, test.features.group, fitted[name].threshold)
    assert found.accuracy > 0.65
    assert found.ece < 0.15


def test_random_knows_nothing(world, fitted):
    _, test = world
    assert 0.4 < roc_auc(fitted["random"].predict(test.features).value, test.correct) < 0.6


@pytest.mark.parametrize("name", refitted(sorted(NEEDING_NO_MORE)))
def test_a_query_is_scored_the_same_alone_and_shuffled_among_others(name, world, fitted):
    _, test = world
    value = fitted[name].predict(test.features).value
    order = np.random.default_rng(0).permutation(len(test.features))
    assert fitted[name].predict(subset(test.features, order)).value == pytest.approx(value[order], abs=1e-5)
    alone = rows_of_queries(test.features, {"q7"})
    assert fitted[name].predict(subset(test.features, alone)).value == pytest.approx(value[alone], abs=1e-5)


def raw_scores(predictor, features):
    """Scores before calibration, which may move with any label."""
    calibration = predictor.calibration
    logits = logit(predictor.predict(features).value, margin=1e-12)
    return (logits - calibration.intercept) / calibration.slope * calibration.scale + calibration.mean


@pytest.mark.parametrize("name", refitted(NEEDS_LABELS))
def test_a_labelled_query_is_scored_blind_to_its_own_labels(name, world, fitted):
    train, _ = world
    rows = rows_of_queries(train.features, {"q0"})
    turned = np.where(rows, 1 - train.correct, train.correct).astype(np.int8)
    again = BASELINES[name](0).fit(train.features, turned)
    own, others = subset(train.features, rows), subset(train.features, ~rows)
    assert raw_scores(again, own) == pytest.approx(raw_scores(fitted[name], own), rel=1e-3, abs=1e-3)
    if name in LEARNED:
        assert raw_scores(again, others) != pytest.approx(raw_scores(fitted[name], others), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("name", refitted(name for name in NEEDING_NO_MORE if name != "label_model"))
def test_rollouts_without_a_label_teach_nothing(name, world):
    train, test = world
    labels, labelled = half_labelled(train)
    with_others = BASELINES[name](0).fit(train.features, labels).predict(test.features).value
    alone = BASELINES[name](0).fit(subset(train.features, labelled), labels[labelled]).predict(test.features).value
    assert with_others == pytest.approx(alone, abs=1e-6)


@each_row("name", NEEDS_LABELS)
@each_row("label", [-1, 0, 1])
def test_no_label_or_one_class_is_refused_with_a_remedy(name, label, synthetic):
    features = synthetic(8).features
    with pytest.raises(LabelError, match="label"):
        BASELINES[name](0).fit(features, np.full(len(features), label, np.int8))


@each_row("name", NEEDS_LABELS)
def test_prediction_without_fit_is_refused(name, synthetic):
    with pytest.raises(LabelError, match="call fit"):
        BASELINES[name](0).predict(synthetic(3).features)


def test_majority_vote_needs_no_label(synthetic):
    data = synthetic(20)
    prediction = BASELINES["majority"](0).predict(data.features)
    assert np.array_equal(prediction.value, vote_share(data.features))
    unlabelled = np.full(len(data.features), -1, np.int8)
    assert BASELINES["majority"](0).fit(data.features, unlabelled).threshold == 0.5


def test_calibration_keeps_the_order_of_the_votes(world, fitted):
    _, test = world
    calibrated = fitted["majority_calibrated"].predict(test.features).value
    share = fitted["majority"].predict(test.features).value
    group = test.features.group
    assert group_auc(calibrated, test.correct, group) == group_auc(share, test.correct, group)


def test_one_query_alone_cannot_be_cross_fitted(synthetic):
    data = synthetic(1, sizes=(8,))
    correct = np.array([0, 1] * 4, np.int8)
    with pytest.raises(LabelError, match="label more queries"):
        BASELINES["logistic"](0).fit(data.features, correct)


@pytest.mark.parametrize("name", refitted(LEARNED))
def test_a_handful_of_rollouts_one_a_query_is_enough_to_run(name, synthetic):
    data = synthetic(12, sizes=(1,))
    correct = np.array([0, 1] * 6, np.int8)
    value = BASELINES[name](0).fit(data.features, correct).predict(data.features).value
    assert np.isfinite(value).all()


def test_a_fold_that_holds_all_of_one_class_is_reported_and_abstains(synthetic):
    data = synthetic(6, sizes=(3,))
    correct = np.ones(18, np.int8)
    correct[data.features.group == 2] = [0, 1, 0]
    correct[data.features.group == 4] = [0, 1, 1]
    both = CrossFitted("test", VoteScorer).fit(data.features, correct)
    assert both.blind_folds == ()
    correct[data.features.group == 4] = 1
    with pytest.raises(LabelError, match="both sides"):
        CrossFitted("test", VoteScorer).fit(data.features, correct)


def test_evidence_that_is_never_there_is_no_obstacle(world):
    train, test = world
    gone = [replace(d.features, evidence=np.full_like(d.features.evidence, np.nan)) for d in (train, test)]
    for name in ("logistic_evidence", "logistic"):
        value = BASELINES[name](0).fit(gone[0], train.correct).predict(gone[1]).value
        assert np.isfinite(value).all()


def test_votes_are_weighed_by_the_probability_of_their_tokens(synthetic):
    data = synthetic(30)
    features = data.features
    names = (*features.evidence_names, "logprob_mean")

    def weighed(logprobs):
        evidence = np.hstack([features.evidence, np.asarray(logprobs, np.float32)[:, None]])
        return replace(features, evidence=evidence, evidence_names=names)

    vote = BASELINES["majority"](0).predict(features).value
    even = BASELINES["confidence"](0).predict(weighed(np.full(len(features), -0.3))).value
    assert even == pytest.approx(vote, abs=1e-6)
    sure = BASELINES["confidence"](0).predict(weighed(np.where(data.correct == 1, -0.1, -2.0))).value
    assert group_auc(sure, data.correct, features.group) > group_auc(vote, data.correct, features.group)
    row = 5
    alike = features.cluster == features.cluster[row]
    weight = np.exp(np.where(data.correct == 1, -0.1, -2.0))
    own = features.group == features.group[row]
    assert sure[row] == pytest.approx(weight[alike].sum() / weight[own].sum() if features.cluster[row] >= 0 else 0)
    with pytest.raises(LabelError, match="log-probabilities"):
        BASELINES["confidence"](0).fit(weighed(np.full(len(features), np.nan)), data.correct)


def test_entropy_draws_scattered_votes_together_and_leaves_unanimous_ones(synthetic):
    features = synthetic(3, sizes=(4,)).features
    cluster = np.array([0, 0, 0, 0, 1, 2, 3, 4, 5, 5, 6, -1])
    value = BASELINES["entropy"](0).predict(replace(features, cluster=cluster)).value
    assert value[:4].tolist() == [1.0] * 4
    assert value[4:8] == pytest.approx(0.25)
    entropy = (2 * np.log(2) + np.log(4) + np.log(4)) / 4 / np.log(4)
    assert value[8] == pytest.approx((1 - entropy) * 0.5 + entropy / 2)
    assert value[10] == pytest.approx((1 - entropy) * 0.25 + entropy / 2)
    assert value[11] == 0.0


def test_a_judge_is_a_column_of_the_file(synthetic):
    features = synthetic(2, sizes=(2,)).features
    query = Query("q", "?", "other")
    ids = features.rollout_ids
    rollouts = tuple(Rollout(query, "a", "", "a", one) for one in ids)

    def column(*said):
        return JudgeColumn("ok").reading(
            [Group(query, rollouts, rollout_provenance=tuple({"ok": each} for each in said))]
        )

    value = column(True, False, 0.25, None)(0).fit(features, np.zeros(4, np.int8)).predict(features).value
    assert value[:3].tolist() == [1.0, 0.0, 0.25]
    assert np.isnan(value[3])
    assert column(True, False, 0.25, None).describe() != column(True, False, 0.5, None).describe()
    with pytest.raises(DataError, match="'ok'"):
        column(None, None, None, None)
    with pytest.raises(DataError, match="true, false or a number"):
        column("yes", 1, 1, 1)


def test_a_label_model_reads_no_label_and_finds_what_a_signal_shares_with_the_votes(synthetic):
    data = synthetic(200)
    share = vote_share(data.features)[:, None]
    # Two signals that agree with the votes, and one that is noise: what they have in common is taken for right.
    evidence = np.hstack([data.features.evidence[:, :1] + share, share, data.features.evidence[:, 2:3]])
    features = replace(data.features, evidence=evidence, evidence_names=("useful", "votes", "noise"))
    data = replace(data, features=features)
    model = BASELINES["label_model"](0)
    turned = model.fit(data.features, 1 - data.correct).predict(data.features).value
    value = model.fit(data.features, data.correct).predict(data.features).value
    assert np.array_equal(value, turned)
    assert ((value > 0) & (value < 1)).all()
    assert group_auc(value, data.correct, data.features.group) > 0.55
