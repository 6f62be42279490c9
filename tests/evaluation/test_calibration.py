import numpy as np
import pytest

from memreward.evaluation.baselines.crossfit import best_threshold, fit_calibration, logit, sigmoid
from memreward.evaluation.metrics import evaluate_predictions
from memreward.types import DataError, LabelError


def drawn(count=4000, slope=2.0, intercept=-0.7, seed=0):
    generator = np.random.default_rng(seed)
    scores = generator.normal(3.0, 2.0, count)
    chance = sigmoid(slope * (scores - 3.0) / 2.0 + intercept)
    return scores, (generator.random(count) < chance).astype(int), chance


def test_the_fit_is_the_maximum_of_the_likelihood():
    scores, labels, _ = drawn()
    found = fit_calibration(scores, labels)
    standardised = ((scores - scores.mean()) / scores.std())[:, None]
    from sklearn.linear_model import LogisticRegression  # loads scipy

    expected = LogisticRegression(C=1e9, tol=1e-10, max_iter=1000).fit(standardised, labels)
    assert found.apply(scores) == pytest.approx(expected.predict_proba(standardised)[:, 1], abs=2e-3)


def test_it_recovers_the_probabilities_that_drew_the_labels():
    scores, labels, chance = drawn(20_000)
    found = fit_calibration(scores, labels).apply(scores)
    assert np.abs(found - chance).max() < 0.03
    assert evaluate_predictions(found, labels, np.arange(len(labels))).ece < 0.015


def test_the_order_is_kept_even_where_scores_are_upside_down():
    scores, labels, _ = drawn(300)
    found = fit_calibration(-scores, labels).apply(np.array([-1.0, 0.0, 1.0]))
    assert (np.diff(found) > 0).all()


def test_separable_labels_give_finite_smoothed_probabilities():
    found = fit_calibration([0.0, 0.1, 0.9, 1.0], [0, 0, 1, 1])
    assert np.isfinite([found.slope, found.intercept]).all()
    assert 0.5 < found.apply([1.0])[0] < 0.95


def test_few_queries_are_trusted_less_than_many():
    scores, labels = np.tile([0.0, 1.0], 50), np.tile([0, 1], 50)
    few = fit_calibration(scores, labels, np.repeat(np.arange(4), 25)).apply(1.0)
    many = fit_calibration(scores, labels).apply(1.0)
    assert few < many


def test_constant_scores_give_the_base_rate():
    found = fit_calibration(np.ones(1000), np.repeat([0, 1, 1, 1], 250))
    assert found.apply(1.0) == pytest.approx(0.75, abs=0.01)


def test_unknown_labels_and_abstentions_are_left_out():
    scores, labels, _ = drawn(500)
    extended = fit_calibration(np.append(scores, [np.nan, 9.0]), np.append(labels, [1, -1]))
    assert extended == fit_calibration(scores, labels)
    assert np.isnan(extended.apply([np.nan])).all()


@pytest.mark.parametrize("labels", [[1, 1, 1], [0, 0, 0], [-1, -1, -1]])
def test_one_class_is_refused_with_a_remedy(labels):
    with pytest.raises(LabelError, match="label more"):
        fit_calibration([0.1, 0.2, 0.3], labels)


def test_lengths_must_agree():
    with pytest.raises(DataError):
        fit_calibration([0.1, 0.2], [1])


def test_the_threshold_is_the_best_of_all():
    generator = np.random.default_rng(5)
    labels = generator.integers(0, 2, 80)
    values = np.round(np.clip(0.2 * labels + generator.normal(0.4, 0.2, 80), 0, 1), 1)

    def merit(threshold):
        return ((values >= threshold) == (labels == 1)).mean()

    best = best_threshold(values, labels)
    assert merit(best) == pytest.approx(max(merit(threshold) for threshold in np.linspace(-0.05, 1.05, 221)))


def test_of_equal_thresholds_the_one_nearest_one_half_is_taken():
    assert best_threshold([0.1, 0.2, 0.6, 0.9], [0, 0, 1, 1]) == pytest.approx(0.4)
    assert best_threshold([0.6, 0.9], [1, 1]) == 0.0


def test_logit_inverts_sigmoid_and_neither_overflows():
    assert logit(sigmoid([-3.0, 0.0, 3.0])) == pytest.approx([-3.0, 0.0, 3.0])
    assert sigmoid([-1e6, 1e6]).tolist() == [0.0, 1.0]
    assert np.isfinite(logit([0.0, 1.0])).all()
