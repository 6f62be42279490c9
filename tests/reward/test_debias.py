"""The expectation over all draws of the labelled queries, computed by going through every draw."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from numpy.typing import NDArray

from memreward.predict.metrics import advantages
from memreward.reward.debias import DebiasConfig, debiased_advantages, fit_coefficient
from memreward.types import ConfigurationError, DataError

QUERIES, SIZE = 6, 4
GROUP = np.repeat(np.arange(QUERIES), SIZE)
LAMBDAS = np.linspace(0, 1, 21)
Array = NDArray[np.float64]


def toy(seed: int = 0) -> tuple[Array, Array]:
    """True and predicted advantages; the predictor errs at random, and on one query it has it the wrong way round."""
    draw = np.random.default_rng(seed)
    correct = (draw.random(len(GROUP)) < 0.5).astype(float)
    predicted = np.clip(0.5 + 0.35 * (correct - 0.5) + 0.25 * draw.normal(size=len(GROUP)), 0, 1)
    predicted[GROUP == 0] = 1 - predicted[GROUP == 0]
    return advantages(correct, GROUP, 0.0), advantages(predicted, GROUP, 0.05)


def fixed_number(count: int) -> tuple[list[tuple[float, Array]], float]:
    """All ways to label `count` queries, equally likely."""
    draws = [np.isin(GROUP, chosen) for chosen in combinations(range(QUERIES), count)]
    return [(1 / len(draws), draw) for draw in draws], count / QUERIES


def independent(share: float) -> tuple[list[tuple[float, Array]], float]:
    """Each query labelled with probability `share`, on its own."""
    draws = [np.array(bits, bool) for bits in product((0, 1), repeat=QUERIES)]
    return [(share ** d.sum() * (1 - share) ** (~d).sum(), d[GROUP]) for d in draws], share


DRAWS = [fixed_number(1), fixed_number(2), fixed_number(5), independent(0.2), independent(0.7)]


def moments(draws: list[tuple[float, Array]], share: float, coefficient: float) -> tuple[Array, float]:
    """Expected advantages, and the trace of their covariance."""
    true, predicted = toy()
    hidden = [np.where(d, true, np.nan) for _, d in draws]  # what is not labelled cannot be read
    each = [
        debiased_advantages(h, predicted, d, share=share, coefficient=coefficient)
        for h, (_, d) in zip(hidden, draws, strict=True)
    ]
    weights = np.array([weight for weight, _ in draws])
    mean = np.einsum("d,dn->n", weights, np.array(each))
    return mean, float(np.einsum("d,dn->", weights, (np.array(each) - mean) ** 2))


@pytest.mark.parametrize(("draws", "share"), DRAWS)
def test_unbiased_for_every_lambda(draws: list[tuple[float, Array]], share: float) -> None:
    true, _ = toy()
    scores = np.random.default_rng(1).normal(size=(len(GROUP), 7))  # gradient of each rollout's log-probability
    for coefficient in LAMBDAS:
        mean, _ = moments(draws, share, coefficient)
        np.testing.assert_allclose(mean @ scores, true @ scores, atol=1e-12)


@pytest.mark.parametrize(("draws", "share"), DRAWS)
def test_the_fitted_lambda_has_the_least_variance(draws: list[tuple[float, Array]], share: float) -> None:
    true, predicted = toy()
    fitted = fit_coefficient(true, predicted)
    assert 0.1 < fitted < 0.9  # else the toy shows nothing
    least = moments(draws, share, fitted)[1]
    others = [moments(draws, share, coefficient)[1] for coefficient in LAMBDAS]
    assert least <= min(others) + 1e-12
    assert least < 0.9 * moments(draws, share, 0.0)[1]
    expected = (1 / share - 1) * ((true - fitted * predicted) ** 2).sum()
    assert least == pytest.approx(expected)


def test_all_labelled_is_full_supervision() -> None:
    true, predicted = toy()
    full = debiased_advantages(true, predicted, np.ones(len(GROUP), bool), share=1.0, coefficient=0.6)
    np.testing.assert_allclose(full, true)


def test_standardising_the_mixture_again_is_biased() -> None:
    """Why the trainer's `scale_rewards` must be "none"."""
    true, predicted = toy()
    draws, share = fixed_number(2)
    mean = np.zeros(len(GROUP))
    for weight, labelled in draws:
        mixed = debiased_advantages(true, predicted, labelled, share=share, coefficient=0.5)
        assert np.abs(np.bincount(GROUP, mixed)).max() < 1e-9  # centring again would change nothing
        mean += weight * advantages(mixed, GROUP, 0.0)
    assert np.abs(mean - true).max() > 0.3


def test_lambda_stays_within_its_bounds() -> None:
    true, predicted = toy()
    assert fit_coefficient(true, -predicted) == 0.0
    assert fit_coefficient(true, 0.1 * true) == 1.0
    assert fit_coefficient(true, np.zeros(len(true))) == 0.0
    assert fit_coefficient(true, 2 * true) == pytest.approx(0.5)


def test_what_cannot_be_combined_is_refused() -> None:
    with pytest.raises(DataError, match="1 of 2 advantages"):
        debiased_advantages([1.0, np.nan], [0.0, np.nan], [True, False], share=0.5, coefficient=1.0)
    with pytest.raises(ConfigurationError, match="share"):
        DebiasConfig(share=0.0)
    with pytest.raises(ConfigurationError, match="coefficient"):
        DebiasConfig(coefficient=1.2)
