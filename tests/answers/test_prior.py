"""The prior over sources: what EM recovers, leaving sources out, files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from answer_toys import COLUMNS, features_of, known_weights, sampled_answers, source_of

from memreward.answers import AnswerModel, prior
from memreward.answers.prior import RewardPrior, fit_prior
from memreward.types import ConfigurationError, Query, SchemaVersionError, StoreError


@pytest.fixture(scope="module")
def fitted() -> RewardPrior:
    rng = np.random.default_rng(0)
    return fit_prior([source_of(f"s{i}", known_weights(rng, 0.3), i) for i in range(12)], "toy")


def test_em_finds_what_the_sources_have_in_common(fitted: RewardPrior) -> None:
    found = fitted.domains["math"].weights
    at = COLUMNS.index("word_recall")
    assert found.mean[at] == pytest.approx(2.0, abs=0.3)
    assert abs(found.mean[COLUMNS.index("length_log")]) < 0.25
    assert np.sqrt(found.covariance[at, at]) == pytest.approx(0.3, abs=0.2)


def test_sources_that_agree_leave_less_spread_than_sources_that_do_not() -> None:
    def spread(size: float) -> float:
        rng = np.random.default_rng(1)
        sources = [source_of(f"s{i}", known_weights(rng, size), 20 + i, 100) for i in range(8)]
        return float(np.trace(fit_prior(sources, "x").domains["math"].weights.covariance))

    assert spread(0.05) < spread(0.8)


def test_labels_tell_first_how_strong_a_policy_is() -> None:
    """The sources differ as much in every weight; five questions none of which is right then move the level most."""
    rng = np.random.default_rng(7)
    sources = [source_of(f"s{i}", known_weights(rng, 0.3), 80 + i, 100) for i in range(6)]
    model = AnswerModel(fit_prior(sources, "x"))
    features = features_of(sampled_answers(rng, 5), rng.normal(size=(40, 4)), prefix="weak")
    moved = model.fit(features, np.zeros(40, np.int8)).domains["math"]
    away = np.abs(moved.posterior.mean - moved.start.mean)
    assert int(np.argmax(away)) == COLUMNS.index("intercept")
    assert away.max() > 2.5 * np.sort(away)[-2]


def test_the_order_of_the_sources_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    sources = [source_of(f"s{i}", known_weights(rng, 0.3), 40 + i, 60) for i in range(3)]
    one, other = fit_prior(sources, "x").domains["math"], fit_prior(sources[::-1], "x").domains["math"]
    assert other.weights.mean == pytest.approx(one.weights.mean, abs=1e-9)
    assert other.scaling.mean == pytest.approx(one.scaling.mean)


def test_a_source_never_enters_its_own_prior() -> None:
    rng = np.random.default_rng(3)
    sources = [source_of(f"s{i}", known_weights(rng, 0.3), 60 + i, 60) for i in range(3)]
    by_id = fit_prior(sources, "x").without([Query("s05", "something else", "math")])
    by_text = fit_prior(sources, "x").without([Query("unknown", "what is S05", "math")])
    alone = fit_prior(sources[1:], "x")
    for left in (by_id, by_text):
        assert left.domains["math"].sources == ("s1", "s2")
        assert left.domains["math"].weights.mean == pytest.approx(alone.domains["math"].weights.mean, abs=1e-12)
    assert "math" not in alone.without([Query("s11", "", "math"), Query("s22", "", "math")]).domains


def test_saved_and_read_it_is_the_same(fitted: RewardPrior, tmp_path) -> None:
    fitted.save(tmp_path / "p.safetensors")
    read = RewardPrior.load(tmp_path / "p.safetensors")
    assert [each.card for each in read.factors] == [each.card for each in fitted.factors]
    assert (read.domains["math"].weights.mean == fitted.domains["math"].weights.mean).all()
    assert (read.domains["math"].scaling.deviation == fitted.domains["math"].scaling.deviation).all()
    more = fit_prior([source_of("new", known_weights(np.random.default_rng(5), 0.3), 99), *read.factors], "more")
    assert more.domains["math"].sources == ("new", *fitted.domains["math"].sources)


def test_errors_name_what_is_wrong(fitted: RewardPrior, tmp_path) -> None:
    (tmp_path / "bad").write_bytes(b"\x80\x04pickle?")
    for path in (tmp_path / "bad", tmp_path / "absent"):
        with pytest.raises(StoreError, match="prior fit"):
            RewardPrior.load(path)
    with pytest.raises(ConfigurationError, match="at least one source"):
        fit_prior([], "x")
    source = source_of("s0", known_weights(np.random.default_rng(0), 0.3), 0, 20)
    with pytest.raises(ConfigurationError, match="one name"):
        fit_prior([source, source], "x")
    assert RewardPrior.load("none").domains == {}


@pytest.mark.parametrize(("version", "remedy"), [(prior.VERSION - 1, "prior fit"), (prior.VERSION + 1, "update")])
def test_a_file_of_another_release_is_refused(
    version: int, remedy: str, fitted: RewardPrior, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as other:
        other.setattr(prior, "VERSION", version)
        fitted.save(tmp_path / "p.safetensors")
    with pytest.raises(SchemaVersionError, match=f"version {version}.*{remedy}"):
        RewardPrior.load(tmp_path / "p.safetensors")


def test_parts_that_do_not_fit_and_headers_without_an_end_are_damage(tmp_path: Path) -> None:
    from safetensors.numpy import save

    factor = RewardPrior.load("default").factors[0]
    with pytest.raises(ValueError, match="do not fit"):
        replace(factor, pull=factor.pull[:-1])
    with pytest.raises(ValueError, match="do not fit"):
        replace(factor, domain="alchemy")
    path = tmp_path / "deep"
    path.write_bytes(save({"a": np.zeros(1)}, {"memreward": "[" * 100_000}))
    with pytest.raises(StoreError, match="deep is not a prior"):
        RewardPrior.load(path)
