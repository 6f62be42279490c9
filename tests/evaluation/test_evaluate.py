import json
import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from alike import assert_alike
from memreward.evaluation.baselines import BASELINES
from memreward.evaluation.cells import Outcome, describe, load_features, save_features
from memreward.evaluation.metrics import METRICS, advantages_of_values, evaluate_predictions
from memreward.evaluation.protocol import EvaluationConfig, evaluate
from memreward.evaluation.results import HEADINGS, EvaluationResult, Row
from memreward.evaluation.tables import Figure
from memreward.features.subset import rows_of_queries, vote_share
from memreward.memory import Budget, LabelLedger
from memreward.types import ConfigurationError, DataError, LabelError, Prediction
from rows import each_row

SMALL = EvaluationConfig(labels=("0.4",), seeds=2)
MAJORITY = {"majority": BASELINES["majority"]}
LEARNED = {**MAJORITY, "logistic_evidence": BASELINES["logistic_evidence"]}


class Hint:
    """Believes one signal, and so costs nothing to fit."""

    name = "hint"

    def predict(self, features):
        return 1 / (1 + np.exp(1 - 3 * features.signal("hint")))


TWO = {**MAJORITY, "hint": Hint}


class Recorder:
    """Predicts one half and remembers all it was given."""

    name = "recorder"

    def __init__(self, seed, seen):
        self.seen = seen

    def fit(self, features, labels):
        self.seen.append(dict(zip(features.rollout_ids, labels.tolist(), strict=True)))
        return self

    def predict(self, features):
        half = np.full(len(features), 0.5, np.float32)
        return Prediction(half, half, ("",) * len(features))


class Failing(Recorder):
    def fit(self, features, labels):
        raise self.seen


def labelled_ids(groups, share, seed):
    return set(LabelLedger.detached(groups).choose(Budget(share=share), seed))


def with_truth(groups, change):
    return [replace(g, truth=replace(g.truth, correct=change(g))) for g in groups]


def test_majority_on_the_held_out_queries_computed_by_hand(groups, featurizer):
    world = groups(unknown=0.1)
    result = evaluate({"toy": world}, MAJORITY, featurizer, SMALL)
    features = featurizer.features([rollout for group in world for rollout in group.rollouts])
    truth = np.array([-1 if v is None else int(v) for g in world for v in g.truth.correct])
    share, row = vote_share(features), result.row("toy", "majority")
    for seed in range(2):
        held_out = ~rows_of_queries(features, labelled_ids(world, 0.4, seed))
        expected = evaluate_predictions(
            share[held_out],
            truth[held_out],
            features.group[held_out],
            expected=advantages_of_values(features, share, held_out & (truth >= 0))[held_out],
        )
        for metric in ("auc", "group_auc", "best_of_n", "oracle_of_n", "ece", "advantage_cosine"):
            assert row.seeds[seed][metric] == pytest.approx(expected.to_dict()[metric])
    assert row.figures["group_auc"].value == pytest.approx(np.mean([seed["group_auc"] for seed in row.seeds]))
    assert row.figures["group_auc"].low < row.figures["group_auc"].value < row.figures["group_auc"].high


@pytest.mark.parametrize(
    "names",
    [tuple(name for name in BASELINES if name != "mlp"), pytest.param(tuple(BASELINES), marks=pytest.mark.slow)],
    ids=["all but the network", "all"],
)
def test_truth_that_is_held_out_reaches_no_prediction(names, groups, featurizer, tmp_path):
    baselines = {name: BASELINES[name] for name in names}
    world = groups()
    labelled = labelled_ids(world, 0.4, 0)

    def turned(group):
        correct = group.truth.correct
        return correct if group.query.id in labelled else tuple(not verdict for verdict in correct)

    settings = replace(SMALL, seeds=1)
    results = [
        evaluate({"toy": world}, baselines, featurizer, settings, out=tmp_path / "as it is"),
        evaluate({"toy": with_truth(world, turned)}, baselines, featurizer, settings, out=tmp_path / "turned"),
    ]
    first, second = (sorted((tmp_path / name).glob("*.json")) for name in ("as it is", "turned"))
    assert [path.name for path in first] == [path.name for path in second]
    assert len(first) == len(baselines)
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(Outcome.load(one).values, Outcome.load(other).values, equal_nan=True)
    before, after = (result.row("toy", "logistic_evidence").figures["auc"].value for result in results)
    assert after == pytest.approx(1 - before)


def test_a_predictor_gets_released_labels_only_and_the_ledger_counts_them(groups, featurizer):
    world, seen = groups(unknown=0.2), []
    result = evaluate({"toy": world}, {"recorder": partial(Recorder, seen=seen), **MAJORITY}, featurizer, SMALL)
    for entry, given in zip(result.ledger, seen, strict=True):
        chosen = [g for g in world if g.query.id in labelled_ids(world, 0.4, entry["seed"])]
        others = [g for g in world if g not in chosen]
        assert set(given) == {rollout.id for group in world for rollout in group.rollouts}
        assert {i for i, v in given.items() if v >= 0} <= {r.id for group in chosen for r in group.rollouts}
        judged = [v for group in chosen for v in group.truth.correct if v is not None]
        assert entry["warmup"] == {"queries": 12, "judgements": len(judged)}
        assert sum(label >= 0 for label in given.values()) == len(judged)
        assert entry["evaluation"]["judgements"] == sum(v is not None for g in others for v in g.truth.correct)


def test_a_second_run_computes_nothing_and_a_wider_one_only_what_is_new(groups, featurizer, tmp_path):
    world, seen = groups(), []
    predictors = {"recorder": partial(Recorder, seen=seen), **MAJORITY}
    # The partial is described by its settings, and `seen` must not change them.
    predictors["recorder"] = type(
        "Factory", (), {"__call__": lambda self, seed: Recorder(seed, seen), "__repr__": lambda self: "recorder"}
    )()
    first = evaluate({"toy": world}, predictors, featurizer, SMALL, out=tmp_path)
    assert len(seen) == 2
    again = evaluate({"toy": world}, predictors, featurizer, SMALL, out=tmp_path)
    assert len(seen) == 2
    assert_alike(again.to_dict(), first.to_dict())
    evaluate({"toy": world}, predictors, featurizer, replace(SMALL, seeds=3), out=tmp_path)
    assert len(seen) == 3
    evaluate({"toy": world}, predictors, featurizer, replace(SMALL, labels=("0.4", "0.6")), out=tmp_path)
    assert len(seen) == 5
    evaluate({"toy": groups(seed=9)}, predictors, featurizer, SMALL, out=tmp_path)
    assert len(seen) == 7


def test_differences_are_paired_and_the_mean_is_over_files(groups, featurizer):
    files = {"a": groups(prefix="a"), "b": groups(seed=1, prefix="b")}
    result = evaluate(files, TWO, featurizer, SMALL)
    for file in ("a", "b", "mean"):
        hint, majority = (result.row(file, name) for name in ("hint", "majority"))
        difference = hint.differences["majority"]["auc"]
        assert difference.value == pytest.approx(hint.figures["auc"].value - majority.figures["auc"].value)
        assert difference.low < difference.value < difference.high
        own = majority.differences["majority"]["auc"]
        assert (own.value, own.low, own.high) == (0, 0, 0)
    both = [result.row(file, "majority").figures["auc"].value for file in ("a", "b")]
    assert result.row("mean", "majority").figures["auc"].value == pytest.approx(np.mean(both))


def test_there_is_a_mean_of_each_domain_where_files_are_of_several(groups, featurizer):
    maths = [replace(group, query=replace(group.query, domain="math")) for group in groups(prefix="c")]
    maths = [replace(g, rollouts=tuple(replace(r, query=g.query) for r in g.rollouts)) for g in maths]
    files = {"a": groups(prefix="a"), "b": groups(seed=1, prefix="b"), "c": maths}
    result = evaluate(files, MAJORITY, featurizer, SMALL)
    assert [row.file for row in result.rows] == ["a", "b", "c", "mean", "mean of other", "mean of math"]
    assert_alike(result.row("mean of math", "majority").figures, result.row("c", "majority").figures)


def test_groups_of_one_rollout_have_no_group_auc_but_all_else(groups, featurizer):
    row = evaluate({"toy": groups(sizes=(1,))}, TWO, featurizer, SMALL).row("toy", "hint")
    assert math.isnan(row.figures["group_auc"].value)
    assert 0 <= row.figures["auc"].value <= 1
    assert row.figures["coverage"].value == 1.0


def test_one_class_is_a_named_failure_of_what_learns_and_nan_for_the_rest(groups, featurizer):
    world = with_truth(groups(), lambda group: (True,) * len(group.rollouts))
    result = evaluate({"toy": world}, LEARNED, featurizer, SMALL)
    assert math.isnan(result.row("toy", "majority").figures["auc"].value)
    failed = result.row("toy", "logistic_evidence")
    assert failed.figures["coverage"].value == 0.0
    assert set(failed.failures) == {"0", "1"}
    assert all("both classes" in line for line in result.failures())


def test_too_few_labels_are_an_outcome_and_any_other_error_is_raised(groups, featurizer):
    short = evaluate({"toy": groups()}, {"x": partial(Failing, seen=LabelError("few"))}, featurizer, SMALL)
    assert short.row("toy", "x").failures == {"0": "few", "1": "few"}
    with pytest.raises(ConfigurationError, match=r"failed in fit in .*ZeroDivisionError"):
        evaluate({"toy": groups()}, {"x": partial(Failing, seen=ZeroDivisionError())}, featurizer, SMALL)


@pytest.mark.slow
def test_worker_processes_find_the_same(groups, featurizer):
    world = {"toy": groups()}
    alone = evaluate(world, LEARNED, featurizer, SMALL)
    together = evaluate(world, LEARNED, featurizer, SMALL, processes=2)
    for one, other in zip(alone.rows, together.rows, strict=True):
        assert one.predictor == other.predictor
        assert one.figures["auc"].value == pytest.approx(other.figures["auc"].value, abs=1e-6)


def test_the_result_survives_json_and_refuses_anything_else(groups, featurizer, tmp_path):
    result = evaluate({"toy": groups(sizes=(1, 2))}, TWO, featurizer, replace(SMALL, labels=("0.3", "0.5")))
    result.save(tmp_path / "result.json")
    assert EvaluationResult.load(tmp_path / "result.json").to_dict() == result.to_dict()
    assert json.loads((tmp_path / "result.json").read_text())["config"]["labels"] == ["0.3", "0.5"]
    older = result.to_dict()
    for row in older["rows"]:
        row |= {"seconds": [1.0], "roc": [0.0, 1.0]}
    (tmp_path / "older.json").write_text(json.dumps(older))
    assert EvaluationResult.load(tmp_path / "older.json").to_dict() == result.to_dict()
    (tmp_path / "other.json").write_text('{"rows": 3}')
    with pytest.raises(DataError, match="memreward evaluate again"):
        EvaluationResult.load(tmp_path / "other.json")


def test_better_is_where_the_whole_interval_lies_on_the_good_side():
    def row(metric, low, high):
        return Row("f", 0.0, "p", {}, {"majority": {metric: Figure((low + high) / 2, low, high)}})

    assert row("auc", 0.01, 0.03).stands("auc", "majority") == 1
    assert row("auc", -0.01, 0.03).stands("auc", "majority") == 0
    assert row("auc", -0.03, -0.01).stands("auc", "majority") == -1
    assert row("ece", -0.03, -0.01).stands("ece", "majority") == 1, "a smaller error is better"


def test_tables_hold_every_predictor_and_mark_what_is_surely_better(groups, featurizer):
    result = evaluate({"toy": groups()}, TWO, featurizer, SMALL)
    (table,), (difference,) = result.tables(), result.differences()
    assert [row[0] for row in table.rows] == list(TWO)
    assert table.title.startswith("toy, 40% labelled; the same for all: oracle ")
    assert table.title.endswith("coverage 1.000")
    assert not {"oracle", "coverage"} & set(table.columns)
    assert difference.rows[0][0] == "hint"
    better = result.row("toy", "hint")
    sure = {metric for metric in METRICS if better.stands(metric, "majority") > 0}
    assert sure
    assert {table.columns[column] for line, column in table.best} == {HEADINGS[metric] for metric in sure}
    assert {line for line, _ in table.best} == {1}, "the reference is not better than itself"
    assert f"**{better.figures[sure.pop()].value:.3f}" in result.markdown()
    ledger = result.ledger_table()
    assert len(ledger.rows) == 2
    assert len(ledger.rows[0]) == len(ledger.columns)


def test_progress_reaches_its_end(groups, featurizer):
    told = []
    evaluate({"toy": groups()}, TWO, featurizer, SMALL, progress=lambda *step: told.append(step))
    assert told[0] == ("computing signals", 1, 1)
    assert ("predicting", 4, 4) in told
    assert told[-1] == ("measuring", 1, 1)


def test_features_are_computed_once_a_file_and_survive_the_disk(groups, featurizer, tmp_path):
    evaluate({"toy": groups()}, TWO, featurizer, replace(SMALL, labels=("0.2", "0.5")))
    assert featurizer.calls == 1
    features = featurizer.features([rollout for group in groups() for rollout in group.rollouts])
    features = replace(features, rollout_ids=("\ud800 lone", *features.rollout_ids[1:]))
    save_features(features, tmp_path / "f.npz")
    read = load_features(tmp_path / "f.npz")
    assert read.rollout_ids == features.rollout_ids
    assert np.array_equal(read.evidence, features.evidence)
    assert read.cluster.dtype == np.int64


def test_outcomes_are_exact_on_disk(tmp_path):
    values = np.array([0.1, np.float32(1) / 3, np.nan, 1e-9, 0.1], np.float32)
    Outcome(values, 0.25, 1.5, "why").save(tmp_path / "cell.json")
    read = Outcome.load(tmp_path / "cell.json")
    assert np.array_equal(read.values, values, equal_nan=True)
    assert (read.threshold, read.seconds, read.failure) == (0.25, 1.5, "why")
    assert [path.name for path in tmp_path.iterdir()] == ["cell.json"]


def test_factories_are_described_by_their_settings():
    assert describe(partial(Recorder, seen=3)) == describe(partial(Recorder, seen=3))
    assert describe(partial(Recorder, seen=3)) != describe(partial(Recorder, seen=4))
    assert " at 0x" not in describe(BASELINES["logistic"])


@each_row(
    "bad",
    [
        {"labels": ()},
        {"labels": (-1.0,)},
        {"seeds": 0},
        {"seeds": "9-5"},
        {"seeds": "1,x"},
        {"seeds": "-2"},
    ],
)
def test_settings_that_cannot_be_used_are_refused(bad):
    with pytest.raises(ConfigurationError):
        EvaluationConfig(**bad)


def test_labelling_every_query_leaves_nothing_to_measure_and_is_refused(groups, featurizer):
    with pytest.raises(ConfigurationError, match="leaves none to predict"):
        evaluate({"toy": groups()}, MAJORITY, featurizer, replace(SMALL, labels=("0.4", "500")))


@each_row(
    ("given", "seeds"),
    [(3, (0, 1, 2)), ("3", (0, 1, 2)), ("5-9", (5, 6, 7, 8, 9)), ("1, 4,7-8,4", (1, 4, 7, 8)), ("4-4", (4,))],
)
def test_seeds_are_a_number_a_range_or_a_list(given, seeds):
    assert EvaluationConfig(seeds=given).splits() == seeds


def test_a_seed_finds_the_same_whichever_others_are_asked_for(groups, featurizer):
    both, one = (evaluate({"toy": groups()}, LEARNED, featurizer, replace(SMALL, seeds=s)) for s in ("0-1", "1-1"))
    assert_alike(both.row("toy", "logistic_evidence").seeds[1], one.row("toy", "logistic_evidence").seeds[0])
    assert one.config["seeds"] == [1]


@pytest.mark.slow
def test_equal_runs_write_equal_files_whatever_the_file_is_called_and_however_many_work(groups, featurizer, tmp_path):
    first = evaluate({"toy": groups()}, LEARNED, featurizer, SMALL)
    second = evaluate({"toy": groups()}, LEARNED, featurizer, SMALL)
    for name, result in (("a", first), ("b", second)):
        result.save(tmp_path / name)
    assert_alike(*(json.loads((tmp_path / name).read_bytes()) for name in ("a", "b")))
    assert all(len(row.seconds) == 2 for row in first.rows)
    renamed = evaluate({"other": groups()}, LEARNED, featurizer, SMALL)
    for one, other in zip(first.rows, renamed.rows, strict=True):
        assert_alike(one.figures, other.figures)
        assert_alike(one.differences, other.differences)


def test_nothing_to_evaluate_is_an_error(groups, featurizer):
    unjudged = with_truth(groups(), lambda group: (None,) * len(group.rollouts))
    with pytest.raises(DataError, match="memreward verify"):
        evaluate({"toy": unjudged}, MAJORITY, featurizer, SMALL)
    few = [*groups(12), *with_truth(groups(5, prefix="z"), lambda group: (None,) * len(group.rollouts))]
    with pytest.raises(ConfigurationError, match="cannot be measured"):
        evaluate({"toy": few}, MAJORITY, featurizer, replace(SMALL, labels=("12",)))
    for files, predictors in (({}, MAJORITY), ({"toy": groups()}, {})):
        with pytest.raises(ConfigurationError, match="nothing to evaluate"):
            evaluate(files, predictors, featurizer, SMALL)


def test_files_without_rollouts_and_double_ids_are_refused(groups, featurizer):
    empty = [replace(group, rollouts=(), truth=replace(group.truth, correct=())) for group in groups()]
    with pytest.raises(DataError, match="no rollouts"):
        evaluate({"toy": empty}, MAJORITY, featurizer, SMALL)
    with pytest.raises(DataError, match="twice"):
        evaluate({"toy": [*groups(), *groups()]}, MAJORITY, featurizer, SMALL)
