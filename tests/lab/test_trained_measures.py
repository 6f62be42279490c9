import json
import math
import random
from dataclasses import replace

import pytest

from lab.trainings.measure import measure
from lab.trainings.outcome import FOREIGN, TEST, TrainingOutcome
from lab.trainings.results import LABELLED, MEAN, ORACLE, OURS, START, spread
from memreward.types import DataError


def outcome(arm, seed=0, labels=0.2, foreign=None, **by_domain):
    """Accuracies by domain, one a question."""
    parts = {TEST: by_domain, FOREIGN: foreign or by_domain}
    ids = {
        part: {f"{part}-{domain}-{i}": value for domain, values in own.items() for i, value in enumerate(values)}
        for part, own in parts.items()
    }
    domains = {query: query.split("-")[1] for own in ids.values() for query in own}
    return TrainingOutcome(arm, labels, seed, ids, domains)


def experiment(arms, seeds=3, labels=0.2):
    """Arms whose questions differ by a constant: name -> accuracy above questions that vary."""
    draw = random.Random(0).random
    base = {seed: {"math": [draw() for _ in range(8)], "qa": [draw() for _ in range(5)]} for seed in range(seeds)}
    return [
        outcome(arm, seed, labels, **{domain: [v / 2 + above for v in values] for domain, values in own.items()})
        for arm, above in arms.items()
        for seed, own in base.items()
    ]


def test_means_are_over_questions_then_domains_then_seeds():
    row = measure([outcome(OURS, 0, math=[0, 1, 1, 1], qa=[0.5]), outcome(OURS, 1, math=[0, 0, 0, 0], qa=[1])]).rows[0]
    assert row.accuracy[TEST]["math"].value == pytest.approx(0.375)
    assert row.accuracy[TEST]["qa"].value == pytest.approx(0.75)
    assert row.accuracy[TEST][MEAN].value == pytest.approx((0.375 + 0.75) / 2)
    assert row.seeds[0][TEST] == pytest.approx(0.625)
    assert row.seeds[1][TEST] == pytest.approx(0.5)


def test_the_gap_closed_is_a_ratio_of_means():
    values = {LABELLED: (0.2, 0.4), ORACLE: (0.6, 0.8), "paper": (0.4, 0.7)}
    result = measure(outcome(arm, seed, math=[value]) for arm, own in values.items() for seed, value in enumerate(own))
    row = result.row("paper", 0.2)
    assert row.gap_closed[TEST][MEAN].value == pytest.approx((0.55 - 0.3) / (0.7 - 0.3))
    assert [own["gap_closed"] for own in row.seeds.values()] == pytest.approx([0.5, 0.75])
    assert row.of_oracle[TEST].value == pytest.approx(0.55 / 0.7)
    assert result.gaps[0.2][TEST][MEAN].value == pytest.approx(0.4)


def test_what_is_the_same_for_every_question_and_seed_has_no_interval_where_arms_are_paired():
    row = measure(experiment({LABELLED: 0, ORACLE: 0.4, OURS: 0.3, "paper": 0.2})).row("paper", 0.2)
    closed, ahead, own = row.gap_closed[TEST][MEAN], row.ours_ahead[TEST][MEAN], row.accuracy[TEST][MEAN]
    assert (closed.value, closed.low, closed.high) == pytest.approx((0.5, 0.5, 0.5))
    assert (ahead.value, ahead.low, ahead.high) == pytest.approx((0.1, 0.1, 0.1))
    assert own.low < own.value - 0.02 < own.value + 0.02 < own.high


def test_questions_are_resampled():
    figure = measure([outcome(OURS, 0, math=[0.0, 1.0])]).rows[0].accuracy[TEST][MEAN]
    assert (figure.value, figure.low, figure.high) == (0.5, 0.0, 1.0)


@pytest.mark.slow
def test_the_interval_of_few_seeds_is_as_wide_as_students():
    """A plain percentile bootstrap of five covers 83 %, which the same trials tell from 95 %."""
    draw, trials, covered, widths = random.Random(0), 400, 0, []
    for _ in range(trials):
        values = [draw.gauss(0, 1) for _ in range(5)]
        figure = measure([outcome(OURS, s, math=[v]) for s, v in enumerate(values)], resamples=400).rows[0].accuracy
        interval = figure[TEST][MEAN]
        covered += interval.low <= 0 <= interval.high
        widths.append((interval.high - interval.low) / (2 * 2.776 * spread(values).deviation / math.sqrt(5)))
    assert 0.92 < covered / trials < 0.98
    assert sum(widths) / trials == pytest.approx(1, abs=0.06)


def test_where_seeds_are_many_their_interval_is_the_plain_one():
    values = [float(i % 2) for i in range(200)]
    figure = measure([outcome(OURS, seed, math=[value]) for seed, value in enumerate(values)]).rows[0].accuracy
    assert figure[TEST][MEAN].high == pytest.approx(0.5 + 1.96 * 0.5 / math.sqrt(200), abs=0.012)


def test_the_interval_of_many_questions_is_that_of_a_mean():
    values = [float(i % 2) for i in range(400)]
    figure = measure([outcome(OURS, math=values)]).rows[0].accuracy[TEST]["math"]
    half = 1.96 * 0.5 / math.sqrt(400)
    assert figure.low == pytest.approx(0.5 - half, abs=0.006)
    assert figure.high == pytest.approx(0.5 + half, abs=0.006)


def test_questions_are_drawn_within_their_domain():
    figure = measure([outcome(OURS, math=[0.0] * 3, qa=[1.0] * 30)]).rows[0].accuracy[TEST][MEAN]
    assert (figure.value, figure.low, figure.high) == (0.5, 0.5, 0.5)


def test_the_order_of_the_outcomes_changes_nothing():
    outcomes = experiment({LABELLED: 0, ORACLE: 0.4, OURS: 0.3, "majority": 0.1})
    shuffled = list(outcomes)
    random.Random(1).shuffle(shuffled)
    assert measure(shuffled).to_dict() == measure(outcomes).to_dict()


def test_an_arm_more_changes_no_other_figure():
    outcomes = experiment({LABELLED: 0, ORACLE: 0.4, OURS: 0.3, "paper": 0.2})
    fewer = measure([o for o in outcomes if o.arm != "paper"]).row(OURS, 0.2)
    assert measure(outcomes).row(OURS, 0.2) == fewer


def test_without_oracle_there_is_no_gap_and_it_is_said():
    result = measure(experiment({LABELLED: 0, OURS: 0.3}))
    assert math.isnan(result.row(OURS, 0.2).gap_closed[TEST][MEAN].value)
    assert math.isnan(result.row(OURS, 0.2).of_oracle[TEST].value)
    assert any("oracle was not trained" in note for note in result.notes(0.2))
    assert "–" in result.headline(0.2).rows[1]


def test_a_gap_that_may_be_none_gives_no_interval():
    values = {LABELLED: [0.0, 1.0, 0.5], ORACLE: [1.0, 0.0, 0.8], OURS: [0.9, 0.2, 0.7]}
    result = measure(outcome(arm, math=own) for arm, own in values.items())
    gap, closed = result.gaps[0.2][TEST][MEAN], result.row(OURS, 0.2).gap_closed[TEST][MEAN]
    assert gap.low < 0 < gap.value
    assert closed.value == pytest.approx(1.0)
    assert math.isnan(closed.low)
    assert result.headline(0.2).rows[2][3] == "1.00"


def test_oracle_below_the_labelled_share_is_no_gap():
    result = measure(outcome(arm, math=[value]) for arm, value in {LABELLED: 0.5, ORACLE: 0.4, OURS: 0.6}.items())
    assert math.isnan(result.row(OURS, 0.2).gap_closed[TEST][MEAN].value)


def test_arms_without_a_share_stand_in_each_table():
    outcomes = experiment({LABELLED: 0, OURS: 0.2}) + experiment({LABELLED: 0, OURS: 0.2}, labels=0.7)
    outcomes += experiment({ORACLE: 0.4}, labels=1.0) + experiment({"majority": 0.1, START: 0.0}, labels=0.0)
    result = measure(outcomes)
    assert result.shares == [0.2, 0.7]
    for share in result.shares:
        assert [row.arm for row in result.at(share)] == [ORACLE, LABELLED, OURS, "majority", START]
    columns = result.label_curve().columns
    assert [name for name in columns if name.startswith("70%")] == ["70%: accuracy", "70%: gap closed"]


def test_seeds_that_one_arm_lacks_count_for_no_comparison():
    outcomes = [outcome(OURS, seed, math=[value]) for seed, value in enumerate((0.5, 0.6, 1.0))]
    outcomes += [outcome("paper", seed, math=[value]) for seed, value in enumerate((0.4, 0.6))]
    result = measure(outcomes)
    assert result.row("paper", 0.2).ours_ahead[TEST][MEAN].value == pytest.approx(0.05)
    assert any(note.startswith("paper has 2 of 3 seeds") for note in result.notes(0.2))
    assert result.by_seed(0.2).rows[1][1:4] == ("0.400", "0.600", "–")


def test_kinds_of_question_are_told_by_their_ids():
    kinds = {"sum-0-test-0": 1.0, "sum-0-test-12": 0.0, "less-than-product-1-test-3": 0.5}
    domains = dict.fromkeys(kinds, "math")
    outcomes = [
        TrainingOutcome(arm, 0.2, seed, {TEST: kinds, FOREIGN: {}}, domains)
        for arm in (OURS, "paper")
        for seed in (0, 1)
    ]
    table = measure(outcomes).by_kind(0.2)
    assert table.columns == ("kind", OURS, "paper")
    assert table.rows == (("sum", "0.500", "0.500"), ("less-than-product", "0.500", "0.500"))


def test_rewards_are_averaged_over_the_steps_that_have_them():
    steps = [
        {"step": 1, "live_cosine": 0.2, "group_auc": None},
        {"step": 2, "live_cosine": 0.4},
        {"step": 3, "group_auc": 0.9, "live_cosine": None},
    ]
    other = [{"step": 1, "live_cosine": 0.7}]
    runs = [replace(outcome(OURS, seed, math=[1]), steps=own) for seed, own in enumerate((steps, other))]
    row = measure(runs).rows[0]
    assert row.reward["live_cosine"].mean == pytest.approx((0.3 + 0.7) / 2)
    assert row.reward["live_cosine"].deviation == pytest.approx(0.4 / math.sqrt(2))
    assert row.reward["group_auc"].mean == pytest.approx(0.9)
    assert math.isnan(row.reward["live_cosine_vote"].mean)
    curve = row.rewarding["live_cosine"]
    assert (curve.steps, curve.mean, curve.least, curve.greatest) == ((1, 2), (0.45, 0.4), (0.2, 0.4), (0.7, 0.4))


def test_curves_average_domains_and_show_the_range_of_the_seeds():
    def run(seed, math_, qa):
        return replace(outcome(OURS, seed, math=[1], qa=[1]), curve=[{"step": 5, TEST: {"math": math_, "qa": qa}}])

    row = measure([run(0, 0.2, 0.6), run(1, 0.4, 1.0)]).rows[0]
    curve = row.learning[TEST][MEAN]
    assert (curve.mean, curve.least, curve.greatest) == ((0.55,), (0.4,), (0.7,))
    assert row.learning[FOREIGN] == {}


def test_the_ledger_is_averaged_by_use():
    def run(seed, queries):
        uses = {"warmup": {"queries": queries, "judgements": 8 * queries, "references": 0}}
        return replace(outcome(OURS, seed, math=[1]), ledger={"queries": queries, "uses": uses})

    result = measure([run(0, 20), run(1, 24)])
    assert result.rows[0].ledger == {"warmup": {"queries": 22, "judgements": 176}}
    assert result.labels_used(0.2).rows == ((OURS, "22", "176"),)


def test_what_ours_does_not_beat_is_named():
    arms = {
        LABELLED: 0,
        ORACLE: 0.4,
        OURS: 0.3,
        "paper": 0.1,
        "majority+labels": 0.35,
        "memreward-threshold": 0.3,
        "memreward-probability": 0.2,
    }
    first, ablations, oracle, *_, domains = measure(experiment(arms)).standing(0.2)
    assert "loses to majority+labels (-0.050 [-0.050, -0.050])" in first
    assert "ahead of labelled, paper" in first
    assert "level with memreward-threshold" in ablations
    assert "ahead of memreward-probability" in ablations
    assert "+0.100 [+0.100, +0.100]" in oracle
    assert domains == "In single domains it does not beat majority+labels in math; majority+labels in qa."


def test_winning_everywhere_is_said_too():
    first, *_, domains = measure(experiment({LABELLED: 0, OURS: 0.3, "paper": 0.1})).standing(0.2)
    assert "ahead of every other arm" in first
    assert "in each domain" in domains


def test_every_table_is_whole_and_the_record_is_json(tmp_path):
    outcomes = experiment({LABELLED: 0, OURS: 0.3, "unheard-of": 0.2}) + experiment({ORACLE: 0.4}, labels=1.0)
    result = measure(outcomes, config={"labels": (0.2,)}, versions={"python": "3"})
    tables = [*result.tables(0.2), result.label_curve()]
    assert all(len(row) == len(table.columns) for table in tables for row in table.rows)
    page = result.markdown({0.2: "![a picture](a.png)"})
    assert all(table.markdown().strip() in page for table in result.tables(0.2))
    assert "![a picture](a.png)" in page
    result.save(tmp_path / "experiment.json")
    read = json.loads((tmp_path / "experiment.json").read_text(encoding="utf-8"))
    assert read["rows"][0]["arm"] == ORACLE
    assert read["rows"][0]["reward"]["live_cosine"]["mean"] is None


def test_the_best_is_marked_and_oracle_is_no_contender():
    table = measure(experiment({LABELLED: 0, ORACLE: 0.4, OURS: 0.3, "paper": 0.1})).headline(0.2)
    assert {table.rows[y][0] for y, x in table.best if x == 2} == {OURS}


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(DataError, match="no outcomes"):
        measure([])
    with pytest.raises(DataError, match="twice"):
        measure([outcome(OURS, math=[1]), outcome(OURS, math=[0])])
    moved = replace(outcome(OURS, 1, math=[1]), domains={"test-math-0": "qa", "foreign-math-0": "math"})
    with pytest.raises(DataError, match="test-math-0"):
        measure([outcome(OURS, math=[1]), moved])
    with pytest.raises(DataError, match="was not trained"):
        measure([outcome(OURS, math=[1])]).row("paper", 0.2)


def test_the_spread_of_one_seed_is_unknown():
    assert spread([1.0, 3.0, math.nan]).deviation == pytest.approx(math.sqrt(2))
    assert math.isnan(spread([1.0]).deviation)
    assert math.isnan(spread([]).mean)
