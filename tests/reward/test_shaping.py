"""Rewards from probabilities: closed forms, the gate, abstentions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memreward.predict.metrics import advantages
from memreward.reward.shaping import ShapingConfig, flatten, precise_threshold, shape, threshold_for
from memreward.types import ConfigurationError, LabelError

NAN = float("nan")
VALUES = np.array([0.9, 0.2, 0.5, NAN, 0.81, 0.80, 0.79, 0.80])
GROUP = np.array([0, 0, 0, 0, 1, 1, 1, 1])


def test_soft_pays_the_probability_and_flattens_what_is_nearly_flat() -> None:
    rewards = shape(VALUES, GROUP, ShapingConfig(), threshold=0.5)
    np.testing.assert_allclose(rewards, [0.9, 0.2, 0.5, NAN, 0.8, 0.8, 0.8, 0.8])
    assert (advantages(rewards, GROUP, 0.0)[4:] == 0).all()
    ungated = shape(VALUES, GROUP, ShapingConfig(gate=0.0), threshold=0.5)
    assert np.abs(advantages(ungated, GROUP, 0.0)[4:]).max() > 1  # what the gate is there for


def test_threshold_pays_one_or_nothing() -> None:
    rewards = shape(VALUES, GROUP, ShapingConfig.paper(), threshold=0.5)
    np.testing.assert_array_equal(rewards, [1, 0, 1, NAN, 1, 1, 1, 1])
    split = shape(VALUES, GROUP, ShapingConfig(rule="threshold", gate=0.0), threshold=0.8)
    np.testing.assert_array_equal(split[4:], [1, 1, 0, 1])
    gated = shape(VALUES, GROUP, ShapingConfig(rule="threshold", gate=0.05), threshold=0.805)
    np.testing.assert_array_equal(gated[4:], [0, 0, 0, 0])


def test_a_group_is_gated_by_the_spread_that_the_trainer_divides_by() -> None:
    spread = float(np.std([0.1, 0.2, 0.6], ddof=1))
    assert len(set(flatten([0.1, 0.2, 0.6], [7, 7, 7], spread + 1e-9))) == 1
    np.testing.assert_array_equal(flatten([0.1, 0.2, 0.6], [7, 7, 7], spread - 1e-9), [0.1, 0.2, 0.6])


def test_a_lone_value_and_a_group_of_abstentions_stay_as_they_are() -> None:
    np.testing.assert_array_equal(flatten([0.7, NAN, NAN], ["a", "a", "b"], 0.05), [0.7, NAN, NAN])
    assert len(flatten([], [], 0.05)) == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1) | st.just(NAN)), max_size=20), st.randoms())
def test_the_order_of_rollouts_changes_nothing(rows: list[tuple[int, float]], draw: object) -> None:
    group, values = np.array([g for g, _ in rows], int), np.array([v for _, v in rows], float)
    order = np.arange(len(rows))
    draw.shuffle(order)  # type: ignore[attr-defined]
    for config in (ShapingConfig(), ShapingConfig(rule="threshold")):
        there = shape(values, group, config, 0.5)
        np.testing.assert_allclose(shape(values[order], group[order], config, 0.5), there[order], atol=1e-12)
        np.testing.assert_array_equal(np.isnan(there), np.isnan(values))


def test_the_precise_threshold_is_the_best_of_all_that_there_are() -> None:
    generator = np.random.default_rng(0)
    correct = (generator.random(200) < 0.5).astype(int)
    values = np.round(np.clip(0.5 + 0.2 * (correct - 0.5) + 0.2 * generator.normal(size=200), 0, 1), 2)

    def f_beta(threshold: float, beta: float) -> float:
        paid = values >= threshold
        hits = (paid & (correct == 1)).sum()
        return float((1 + beta**2) * hits / (paid.sum() + beta**2 * correct.sum()))

    for beta in (0.25, 0.5, 1.0, 2.0):
        best = max(f_beta(t, beta) for t in np.linspace(0, 1, 1001))
        assert f_beta(precise_threshold(values, correct, beta), beta) == pytest.approx(best)

    def precision(beta: float) -> float:
        return float(correct[values >= precise_threshold(values, correct, beta)].mean())

    assert precision(0.25) > precision(1.0) + 0.02


def test_each_rule_has_its_threshold() -> None:
    values, correct = [0.9, 0.7, 0.6, NAN], [1, 0, 1, 1]
    assert threshold_for(ShapingConfig(rule="threshold"), values, correct, 0.4) == 0.4
    assert threshold_for(ShapingConfig.paper(), values, correct, 0.4) == 0.5
    assert threshold_for(ShapingConfig(rule="precision", beta=0.1), values, correct, 0.4) == pytest.approx(0.8)
    assert threshold_for(ShapingConfig(rule="precision"), [0.9], [1], 0.4) == 0.4
    with pytest.raises(LabelError, match="all 1 are of one class"):
        precise_threshold([0.9], [1], 0.5)


@pytest.mark.parametrize("wrong", [{"rule": "hard"}, {"threshold": 1.5}, {"beta": 0}, {"gate": -1}])
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        ShapingConfig(**wrong)  # type: ignore[arg-type]
