import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memreward.evaluation import metrics
from memreward.evaluation.metrics import (
    QueryTable,
    bootstrap,
    evaluate_predictions,
    interval,
    resample_named,
    resample_queries,
)
from memreward.types import ConfigurationError, DataError
from rows import each_row


def drawn(seed=0, queries=40, levels=12):
    """Unequal groups, tied values, and labels that the values know something of."""
    generator = np.random.default_rng(seed)
    group = np.repeat(np.arange(queries), generator.integers(1, 9, queries))
    generator.shuffle(group)
    correct = generator.integers(0, 2, len(group))
    noisy = 0.3 * correct + 0.7 * generator.random(len(group))
    return np.round(noisy * levels) / levels, correct, group


def groups_of(values, correct, group):
    return [(values[group == name], correct[group == name]) for name in np.unique(group)]


def pair_auc(values, correct):
    right, wrong = values[correct == 1], values[correct == 0]
    wins = sum(float(a > b) + 0.5 * float(a == b) for a in right for b in wrong)
    return wins / (len(right) * len(wrong))


def naive_cosine(expected, correct, group):
    def standard(x):
        spread = x.std(ddof=1) if len(x) > 1 else 0.0
        return (x - x.mean()) / spread if spread > 1e-9 else np.zeros_like(x)

    predicted = np.concatenate([v - v.mean() for v, _ in groups_of(expected, correct, group)])
    true = np.concatenate([standard(c.astype(float)) for _, c in groups_of(expected, correct, group)])
    return predicted @ true / np.linalg.norm(predicted) / np.linalg.norm(true)


def figures(values, correct, threshold=0.5):
    """The figures where each rollout is of a query of its own."""
    return metrics.evaluate_predictions(values, correct, np.arange(len(correct)), threshold)


def naive_best(scores, correct, group):
    return np.mean([c[s == s.max()].mean() for s, c in groups_of(scores, correct, group)])


@each_row("seed", range(5))
def test_pooled_metrics_equal_scikit_learn(seed):
    from sklearn import metrics as reference  # loads scipy

    values, correct, _ = drawn(seed)
    assert metrics.roc_auc(values, correct) == pytest.approx(reference.roc_auc_score(correct, values), abs=1e-12)
    for threshold in (0.2, 0.5, 0.7):
        claimed = values >= threshold
        assert figures(values, correct, threshold).accuracy == pytest.approx(reference.accuracy_score(correct, claimed))


@each_row("seed", range(5))
def test_group_metrics_equal_naive_loops(seed):
    values, correct, group = drawn(seed)
    mixed = [(v, c) for v, c in groups_of(values, correct, group) if 0 < c.sum() < len(c)]
    assert metrics.group_auc(values, correct, group) == pytest.approx(np.mean([pair_auc(v, c) for v, c in mixed]))
    assert metrics.evaluate_predictions(values, correct, group).best_of_n == pytest.approx(
        naive_best(values, correct, group)
    )
    assert metrics.advantage_cosine(values, correct, group) == pytest.approx(naive_cosine(values, correct, group))


def test_the_oracle_stands_beside_best_of_n():
    values, correct, group = [0.9, 0.1, 0.2, 0.5, 0.4], [0, 1, 1, 0, 0], [0, 0, 0, 1, 1]
    found = evaluate_predictions(values, correct, group)
    assert (found.best_of_n, found.oracle_of_n) == (0.0, 0.5)


def test_best_of_n_averages_ties():
    assert metrics.evaluate_predictions([0.7, 0.7, 0.7, 0.1], [1, 0, 0, 1], [0, 0, 0, 0]).best_of_n == pytest.approx(
        1 / 3
    )


def test_the_calibration_error_without_bias_in_closed_form():
    values = np.array([0.1, 0.1, 0.1, 0.1, 0.95, 0.95])
    correct = np.array([0, 0, 0, 1, 0, 1])
    # Mean gap of a bin squared, less the variance of that mean: of four errors, and of two.
    low = (0.1 - 0.25) ** 2 - np.var([0.1, 0.1, 0.1, -0.9], ddof=1) / 4
    high = (0.95 - 0.5) ** 2 - np.var([0.95, -0.05], ddof=1) / 2
    assert figures(values, correct).ece == pytest.approx(np.sqrt(max((4 * low + 2 * high) / 6, 0)))
    assert figures([0.9] * 50, [0] * 50).ece == pytest.approx(0.9)
    # All four are of one query, which says nothing of how its bin would do on others.
    assert metrics.evaluate_predictions([0.9] * 4, [0] * 4, [0] * 4).ece == 0.0


@pytest.mark.parametrize("gap", [0.0, 0.2])
def test_the_squared_calibration_error_is_right_on_average_and_the_plain_one_is_not(gap, monkeypatch):
    monkeypatch.setattr(metrics, "BINS", 4)
    generator, found, plain = np.random.default_rng(0), [], []
    for drawn in range(400):
        chance = np.repeat(generator.uniform(0.3, 0.7, 30), 4)
        # Rollouts of a query share their verdict: thirty observations, not a hundred and twenty.
        right = np.repeat(generator.random(30), 4) < chance
        group = np.repeat(np.arange(30), 4)
        table = QueryTable.of(chance + gap, right.astype(int), group, queries=30)
        total = {name: column.sum(0) for name, column in table.sums.items()}
        count, mean = total["bin_count"], total["bin_gap"] / np.maximum(total["bin_count"], 1)
        noise = ((table.sums["bin_gap"] - mean * table.sums["bin_count"]) ** 2).sum(0)
        noise *= total["bin_queries"] / np.maximum(total["bin_queries"] - 1, 1) / np.maximum(count, 1) ** 2
        found.append(float((count * np.where(total["bin_queries"] > 1, mean**2 - noise, 0)).sum() / 120))
        plain.append(float((count * mean**2).sum() / 120))
        if drawn < 20:
            assert table.metrics().ece == pytest.approx(np.sqrt(max(found[-1], 0.0)))
    assert np.mean(found) == pytest.approx(gap**2, abs=0.004)
    assert np.mean(plain) > gap**2 + 0.01


def test_an_interval_of_the_calibration_error_holds_its_estimate():
    for seed in range(10):
        generator = np.random.default_rng(seed)
        group = np.repeat(np.arange(40), 4)
        values = generator.random(160)
        tables = [QueryTable.of(values, generator.random(160) < values, group, queries=40)]
        ends = interval(bootstrap(tables, resample_queries(40, 300))["ece"])
        assert ends.low <= tables[0].metrics().ece <= ends.high


def test_resamples_depend_on_the_ids_of_queries_and_on_nothing_else():
    ids = [f"q{number}" for number in range(12)]
    weights, turned = resample_named(ids, 20), resample_named(ids[::-1], 20)
    assert np.array_equal(weights, turned[:, ::-1])
    assert not np.array_equal(weights, resample_named([*ids[:-1], "other"], 20))
    assert (weights.sum(1) == 12).all()


def test_reliability_bins_hold_every_rollout():
    curve = metrics.reliability([0.0, 0.05, 0.5, 1.0], [0, 1, 1, 1])
    assert curve.count.tolist() == [2, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    assert curve.predicted[0] == pytest.approx(0.025)
    assert curve.observed[[0, 5, 9]].tolist() == [0.5, 1.0, 1.0]
    assert np.isnan(curve.observed[1])


def test_advantages_are_centred_gated_and_standardised():
    values, group = np.array([0.0, 1.0, 0.50, 0.52, 0.3]), np.array([0, 0, 1, 1, 2])
    assert metrics.advantages(values, group) == pytest.approx([-0.5, 0.5, -0.01, 0.01, 0])
    assert metrics.advantages(values, group, scaled=True) == pytest.approx(
        [-(0.5**0.5), 0.5**0.5, -(0.5**0.5), 0.5**0.5, 0]
    )


def test_equal_values_have_no_advantage_at_all():
    assert metrics.advantages(np.full(3, 0.1), np.zeros(3, int), scaled=True).tolist() == [0, 0, 0]


def test_perfect_and_silent_predictors_have_cosine_one_and_zero():
    _, correct, group = drawn(1)
    true = metrics.advantages(correct, group, scaled=True)
    assert metrics.advantage_cosine(true, correct, group) == pytest.approx(1.0)
    assert metrics.advantage_cosine(np.full(len(group), 0.0), correct, group) == 0.0
    assert metrics.advantage_cosine(-true, correct, group) == pytest.approx(-1.0)


def test_claims_in_unanimous_groups_cost_cosine():
    correct, group = np.array([1, 0, 1, 1]), np.array([0, 0, 1, 1])
    silent = metrics.advantage_cosine([0.5, -0.5, 0.0, 0.0], correct, group)
    assert silent == pytest.approx(1.0)
    assert metrics.advantage_cosine([0.5, -0.5, 0.5, -0.5], correct, group) == pytest.approx(0.5**0.5)


def test_abstained_rollouts_leave_the_metrics_but_not_the_coverage():
    values, correct = np.array([0.9, 0.2, np.nan, np.nan]), np.array([1, 0, 1, 0])
    found = evaluate_predictions(values, correct, [0, 0, 0, 1])
    assert (found.coverage, found.accuracy, found.auc, found.group_auc) == (0.5, 1.0, 1.0, 1.0)
    assert found.best_of_n == 0.5  # query 1 is all abstained: a random rollout of it, which is wrong
    assert metrics.advantages(values, [0, 0, 0, 1]) == pytest.approx([0.35, -0.35, 0, 0])


def test_rollouts_without_a_label_change_nothing():
    values, correct, group = drawn(2)
    generator = np.random.default_rng(0)
    more = generator.integers(0, 40, 25)
    with_unknown = evaluate_predictions(
        np.append(values, generator.random(25)), np.append(correct, np.full(25, -1)), np.append(group, more)
    )
    without = evaluate_predictions(values, correct, group)
    assert with_unknown.to_dict() == pytest.approx(without.to_dict(), nan_ok=True)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_order_of_rollouts_and_names_of_queries_do_not_matter(seed):
    values, correct, group = drawn(seed % 7)
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(values))
    renamed = generator.permutation(1000)[group]
    first = evaluate_predictions(values, correct, group)
    second = evaluate_predictions(values[order], correct[order], renamed[order])
    assert second.to_dict() == pytest.approx(first.to_dict(), nan_ok=True)


def test_aucs_and_choice_need_the_order_only():
    values, correct, group = drawn(4)
    first, second = (evaluate_predictions(v, correct, group) for v in (values, np.exp(3 * values) / 100))
    assert (second.auc, second.group_auc, second.best_of_n) == (first.auc, first.group_auc, first.best_of_n)


def test_values_that_are_no_probabilities_have_no_calibration():
    found = evaluate_predictions([3.0, -2.0], [1, 0], [0, 0])
    assert math.isnan(found.ece)
    assert found.auc == 1.0


@pytest.mark.parametrize("correct", [[1, 1, 1], [0, 0, 0], [-1, -1, -1]])
def test_one_class_or_no_label_is_nan_and_no_crash(correct):
    found = evaluate_predictions([0.2, 0.6, 0.7], correct, [0, 0, 1])
    assert math.isnan(found.auc)
    assert math.isnan(found.group_auc)
    assert math.isnan(found.advantage_cosine)


def test_nothing_at_all_is_nan():
    found = evaluate_predictions([], [], [])
    assert all(math.isnan(figure) for figure in found.to_dict().values())


def test_wrong_lengths_and_labels_are_refused():
    with pytest.raises(DataError, match="lengths"):
        evaluate_predictions([0.1, 0.2], [1], [0, 0])
    with pytest.raises(DataError, match="labels are"):
        evaluate_predictions([0.1], [2], [0])
    with pytest.raises(ConfigurationError):
        resample_queries(0)


def test_a_resample_equals_repeating_its_queries():
    values, correct, group = drawn(5, queries=15)
    table = QueryTable.of(values, correct, group, 0.4, queries=15)
    weights = resample_queries(15, 4, seed=1)
    resampled = table.resampled(weights)
    for row, counts in enumerate(weights.astype(int)):
        copies = [np.flatnonzero(group == query) for query in range(15) for _ in range(counts[query])]
        names = np.concatenate([np.full(len(rows), name) for name, rows in enumerate(copies)])
        rows = np.concatenate(copies)
        expected = evaluate_predictions(values[rows], correct[rows], names, 0.4).to_dict()
        assert {name: figures[row] for name, figures in resampled.items()} == pytest.approx(expected, nan_ok=True)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    weights = resample_queries(60, 300, seed=0)
    covered = []
    for seed in range(60):
        generator = np.random.default_rng(seed)
        group = np.repeat(np.arange(60), 4)
        hits = generator.random(60) < 0.7
        values = np.where(hits[group], 0.9, 0.1)
        table = QueryTable.of(values, np.ones(240, int), group, queries=60)
        ends = interval(bootstrap([table], weights)["accuracy"])
        covered.append(ends.low <= 0.7 <= ends.high)
    assert 0.85 <= np.mean(covered) <= 1.0


def test_paired_differences_are_tighter_than_the_intervals():
    values, correct, group = drawn(6, queries=80)
    weights = resample_queries(80, 400, seed=2)
    better = np.clip(values + 0.05 * (2 * correct - 1), 0, 1)
    first, second = (bootstrap([QueryTable.of(v, correct, group, queries=80)], weights) for v in (values, better))
    paired = interval(second["auc"] - first["auc"])
    alone = interval(first["auc"])
    assert paired.low > 0
    assert paired.high - paired.low < (alone.high - alone.low) / 2


def test_seeds_are_averaged_and_those_without_a_figure_left_out():
    correct, group = np.array([1, 0, 1, 1]), np.array([0, 0, 1, 1])
    good = QueryTable.of([0.9, 0.1, 0.5, 0.5], correct, group, queries=2)
    bad = QueryTable.of([0.1, 0.9, 0.5, 0.5], correct, group, queries=2)
    silent = QueryTable.of([np.nan] * 4, correct, group, queries=2)
    figures = bootstrap([good, bad, silent], np.ones((1, 2)))
    assert figures["group_auc"].tolist() == [0.5]
    assert figures["coverage"][0] == pytest.approx(2 / 3)


def test_chunks_change_nothing():
    values, correct, group = drawn(8)
    table = QueryTable.of(values, correct, group, queries=40)
    weights = resample_queries(40, 50, seed=3)
    whole, pieces = bootstrap([table], weights, chunk=1000), bootstrap([table], weights, chunk=7)
    for name in metrics.METRICS:
        assert whole[name] == pytest.approx(pieces[name], nan_ok=True)
