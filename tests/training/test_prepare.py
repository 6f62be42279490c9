"""What training starts from: which questions are labelled, and that only their labels are read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from additions import sums

from memreward.data import read_groups, write_groups
from memreward.features.cache import DiskVectorStore
from memreward.features.choosing import contested_order, spread_order
from memreward.features.encoder import NgramEncoder
from memreward.features.policy_reader import PolicyReader
from memreward.features.reader import Reader, ReaderConfig
from memreward.memory import ExperienceMemory
from memreward.predict.config import PredictorConfig
from memreward.reward.hybrid import HybridReward
from memreward.training.arms import arm_named
from memreward.training.config import TrainConfig
from memreward.training.prepare import Prepared, prepare
from memreward.training.session import train
from memreward.training.settings import GrpoSettings
from memreward.types import ConfigurationError, LabelError, Truth

QUICK = PredictorConfig(epochs=3, folds=3)
GRPO = GrpoSettings(rollouts=4, max_new_tokens=2, sampler="groups")


@pytest.fixture(autouse=True)
def _cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMREWARD_CACHE", str(tmp_path / "cache"))


def prepared(config: TrainConfig) -> Prepared:
    return prepare(config, None, "hashing", lambda *_: None)


@pytest.mark.parametrize("arm", ["labelled", "memreward", "majority+labels"])
@pytest.mark.parametrize("choose", ["contested", "spread"])
def test_labels_go_to_the_questions_that_the_rule_names(
    arm: str, choose: str, experience: Path, tmp_path: Path
) -> None:
    config = TrainConfig("", str(tmp_path), experience=(str(experience),), labels=0.5, predictor=QUICK, grpo=GRPO)
    made = prepare(replace(config, arm=arm, choose=choose), None, "ngrams", lambda *_: None)  # type: ignore[arg-type]
    groups = sums()
    by_rule = contested_order(groups, 0) if choose == "contested" else spread_order(groups, NgramEncoder(), 0)
    assert made.labelled == set(by_rule[:6])
    assert made.memory.ledger.totals()["queries"] <= 6
    if isinstance(made.reward, HybridReward):
        assert made.reward.config.debias.share is None
        assert made.memory.ledger.totals()["queries"] == 6


def test_debiasing_is_for_labels_drawn_at_random() -> None:
    assert arm_named("memreward").debiased
    assert not arm_named("memreward", "spread").debiased
    assert arm_named("memreward", "spread").trained_with(GRPO) == GRPO


def questions_only(folder: Path) -> tuple[str, ...]:
    asked = [replace(group, rollouts=(), truth=Truth(group.truth.reference)) for group in sums()]
    write_groups(folder / "questions.jsonl", asked)
    return (str(folder / "questions.jsonl"),)


def half_labelled(model: Path, templates: Path, folder: Path, **settings: Any) -> TrainConfig:
    """Train `model` in a folder of its own."""
    return TrainConfig(
        str(model), str(folder / "run"), templates=str(templates), labels=0.5, **{"grpo": GRPO, **settings}
    )


@pytest.mark.parametrize("choose", ["random", "spread"])
def test_a_predictor_warms_up_on_rollouts_of_the_starting_policy(
    choose: str, model: Path, templates: Path, tmp_path: Path
) -> None:
    asked, more = questions_only(tmp_path), replace(GRPO, rollouts=32)
    config = half_labelled(model, templates, tmp_path, questions=asked, choose=choose, predictor=QUICK, grpo=more)
    made = prepared(config)
    assert isinstance(made.reward, HybridReward)
    judged = {label.query_id for label in made.memory.ledger.labels("warmup")}
    assert judged == made.labelled
    assert len(judged) == 6
    for group in made.memory.groups():
        assert len(group.rollouts) == (32 if choose == "spread" or group.query.id in judged else 0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_policy_s_states_reach_the_predictor_from_its_own_sampling(
    model: Path, templates: Path, experience: Path, tmp_path: Path
) -> None:
    config = half_labelled(
        model,
        templates,
        tmp_path,
        experience=(str(experience),),
        encoder="hashing",
        reader="policy",
        predictor=replace(QUICK, read_states=True),
        grpo=replace(GRPO, steps=2, groups_per_step=3, max_new_tokens=6, kl=0.0, learning_rate=1e-3),
    )
    rows: list[dict[str, float]] = []
    train(config, on_row=rows.append)
    kept = DiskVectorStore("states", tmp_path / "run" / "states")
    assert len(kept) == 2 * 3 * 4  # of every rollout, at its own step
    assert all("memreward/reader_seconds" in row for row in rows)
    made = prepared(config).reward
    assert isinstance(made, HybridReward)
    read = made.live.predictor.featurizer.features(made.memory.groups()[0].rollouts)
    assert read.hidden is not None
    assert read.hidden.any(axis=1).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_rollouts_of_a_file_are_read_under_the_prompt_that_training_samples_with(
    model: Path, experience: Path, tmp_path: Path
) -> None:
    """A policy that hardly learns is the starting policy: read from a file, its rollouts are what it saw in them."""
    shots = {"system": "0 # 0", "shots": [{"question": "1+1=?", "answer": "#### 2"}]}
    (tmp_path / "math.json").write_text(json.dumps(shots), encoding="utf-8")
    config = half_labelled(
        model,
        tmp_path,
        tmp_path,
        experience=(str(experience),),
        encoder="hashing",
        reader="policy",
        predictor=replace(QUICK, read_states=True),
        grpo=replace(GRPO, steps=1, groups_per_step=3, rollouts=8, max_new_tokens=24, kl=0.0, learning_rate=1e-12),
    )
    train(config)
    made = prepared(config)
    assert isinstance(made.reward, HybridReward)
    reader = made.reward.live.predictor.featurizer.reader
    assert isinstance(reader, PolicyReader)
    # Each character is a token, and neither reads the stop token.
    ended = [
        rollout
        for group in made.memory.groups()
        for rollout in group.rollouts
        if rollout.token_logprobs and len(rollout.token_logprobs) == len(rollout.text) + 1 > 1
    ]
    assert len(ended) > 3
    own = reader.read(ended)
    from_file = reader.read([replace(rollout, id=f"file-{rollout.id}", token_logprobs=None) for rollout in ended])
    np.testing.assert_allclose(from_file.values, own.values, atol=1e-4)
    np.testing.assert_allclose(from_file.hidden, own.hidden, atol=1e-4)
    bare = Reader(ReaderConfig(str(model), pooling="both")).read(ended)
    assert np.nanmax(np.abs(bare.values - own.values)) > 0.01


def file_without_verdicts(folder: Path, unjudged: str) -> str:
    """The sums, with a question whose rollouts nobody has judged."""
    groups = [replace(g, truth=Truth(g.truth.reference, (None,) * 4)) if g.query.id == unjudged else g for g in sums()]
    write_groups(folder / "sums.jsonl", groups)
    return str(folder / "sums.jsonl")


@pytest.mark.parametrize("choose", ["random", "contested"])
def test_warmup_labels_the_questions_that_training_may_judge(choose: str, experience: Path, tmp_path: Path) -> None:
    whole = TrainConfig(
        "", str(tmp_path / "whole"), experience=(str(experience),), labels=0.5, predictor=QUICK, grpo=GRPO
    )
    whole = replace(whole, choose=choose)  # type: ignore[arg-type]
    drawn = prepared(whole).labelled
    other = file_without_verdicts(tmp_path, min({group.query.id for group in sums()} - drawn))
    made = prepared(replace(whole, output=str(tmp_path / "run"), experience=(other,)))
    assert made.labelled == drawn
    assert {label.query_id for label in made.memory.ledger.labels("warmup")} == drawn


@pytest.mark.slow
@pytest.mark.parametrize("choose", ["random", "contested"])
def test_a_question_without_a_judged_rollout_is_refused_before_a_label_is_read(
    choose: str, experience: Path, tmp_path: Path
) -> None:
    whole = TrainConfig(
        "", str(tmp_path / "whole"), experience=(str(experience),), labels=0.5, predictor=QUICK, grpo=GRPO
    )
    whole = replace(whole, choose=choose)  # type: ignore[arg-type]
    unjudged = min(prepared(whole).labelled)
    broken = replace(whole, output=str(tmp_path / "run"), experience=(file_without_verdicts(tmp_path, unjudged),))
    for _ in range(2):
        with pytest.raises(LabelError, match=f"1 of the 6 questions .*'{unjudged}'.*memreward verify"):
            prepared(broken)
    assert ExperienceMemory.open(tmp_path / "run" / "memory").ledger.spent() == (0, 0)
    assert not (tmp_path / "run" / "predictor").exists()
    mended = prepared(replace(broken, experience=(str(experience),)))
    assert {label.query_id for label in mended.memory.ledger.labels("warmup")} == mended.labelled


@pytest.mark.parametrize(
    ("arm", "keeps"),
    [("memreward", True), ("no-graph", True), ("paper", False), ("oracle", False), ("majority+labels", False)],
)
def test_states_are_kept_for_a_predictor_that_reads_them_alone(arm: str, keeps: bool) -> None:
    config = TrainConfig(arm=arm, reader="policy", predictor=replace(QUICK, read_states=True), grpo=GRPO)
    assert config.keeps_states == keeps
    assert not replace(config, predictor=QUICK).keeps_states
    assert not replace(config, reader="").keeps_states


@pytest.mark.parametrize("sampler", ["trl", "vllm"])
def test_the_policy_cannot_read_what_another_sampler_sampled(sampler: str) -> None:
    grpo = replace(GRPO, sampler=sampler)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=f"reader='policy' with sampler='{sampler}'.*groups"):
        TrainConfig(reader="policy", grpo=grpo)
    assert TrainConfig(reader="some/model", grpo=grpo).reader == "some/model"


@pytest.mark.parametrize("choose", ["random", "contested"])
def test_without_experience_rollouts_are_sampled_and_only_labelled_ones_judged(
    choose: str, model: Path, templates: Path, tmp_path: Path
) -> None:
    asked = questions_only(tmp_path)
    config = half_labelled(model, templates, tmp_path, questions=asked, arm="majority+labels", choose=choose)
    made = prepared(config)
    assert len(made.labelled) == 6
    sampled = tmp_path / "run" / "experience.jsonl.gz"
    if choose == "random":
        assert not sampled.exists()  # this arm has no predictor to warm up
        return
    groups = list(read_groups(sampled))
    assert len(groups) == 12
    assert all(group.truth.reference is None and set(group.truth.correct) <= {None} for group in groups)
    assert made.labelled == set(contested_order(groups, 0)[:6])
    assert prepared(config).labelled == made.labelled  # resumed, nothing is sampled or chosen anew
