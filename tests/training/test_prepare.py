"""What training starts from: which questions are labelled, and that only their labels are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from additions import sums

from memreward.answers.choose import proposals
from memreward.answers.model import AnswerModel
from memreward.answers.prior import RewardPrior
from memreward.data import read_groups, write_groups
from memreward.features.featurizer import Featurizer
from memreward.memory import ExperienceMemory
from memreward.policy.collect import CollectConfig
from memreward.policy.settings import SamplingConfig
from memreward.reward.valuers import Answers, Graph
from memreward.training.config import ARMS, ChoiceRule, TrainConfig
from memreward.training.prepare import Prepared, prepare
from memreward.training.session import train
from memreward.training.settings import GrpoSettings
from memreward.types import ConfigurationError, Group, LabelError, MemRewardError, Truth

SAMPLING = SamplingConfig("", rollouts=4, temperature=1.0, top_p=1.0, max_new_tokens=2)
GRPO = GrpoSettings(groups_per_step=1)


@pytest.fixture(autouse=True)
def _cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMREWARD_CACHE", str(tmp_path / "cache"))


def prepared(config: TrainConfig, choose: ChoiceRule | None = None) -> Prepared:
    return prepare(config, "ngrams", lambda *_: None, choose=choose)


def by_doubt(groups: Sequence[Group], prior: str = "none") -> list[str]:
    """Ids of questions, those first whose advantages the answer model is least sure of before any label."""
    features = Featurizer().features([rollout for group in groups for rollout in group.rollouts])
    usable = RewardPrior.load(prior).without(group.query for group in groups)
    model = AnswerModel(usable).fit(features, np.full(len(features), -1, np.int8))
    doubt = {found.query_id: round(found.variance, 9) for found in proposals(model, features)}
    return sorted(doubt, key=lambda query_id: (-doubt[query_id], query_id))


@pytest.mark.parametrize("arm", ["labelled", "memreward", "majority+labels"])
def test_labels_go_to_the_questions_whose_advantages_are_most_uncertain(
    arm: str, experience: Path, tmp_path: Path
) -> None:
    config = TrainConfig(str(tmp_path), experience=(str(experience),), labels="0.5", sampling=SAMPLING, grpo=GRPO)
    made = prepare(replace(config, arm=arm, prior="none"), "ngrams", lambda *_: None)
    assert made.labelled == set(by_doubt(sums())[:6])
    assert made.memory.ledger.totals()["queries"] <= 6
    if arm == "memreward":
        assert made.memory.ledger.totals()["queries"] == 6


@pytest.mark.parametrize(
    "arm",
    [pytest.param(arm, id=name, marks=() if name == "memreward" else pytest.mark.slow) for name, arm in ARMS.items()],
)
def test_every_arm_is_one_reward_and_its_trainer_fits_what_it_pays(
    arm: Any, experience: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if arm.valuer == "paper":  # how long its network learns is nothing to what is asked here
        from memreward.network import scorer

        monkeypatch.setattr(scorer, "paper", partial(scorer.paper, hidden=16, epochs=2))
    config = TrainConfig(
        str(tmp_path), experience=(str(experience),), labels="0.5", sampling=SAMPLING, grpo=GRPO, arm=arm.name
    )
    made = prepared(replace(config, prior="none"))
    assert made.reward.pays_advantages == (arm.rewards == "advantage")
    assert made.reward.rewards == arm.rewards
    labelled = {"all": 12, "share": 6, "none": 0}[arm.labels]
    assert len(made.reward.labelled) == labelled
    assert len(made.groups) == (6 if arm.only_labelled else 12)
    assert made.memory.ledger.totals()["queries"] in (0, labelled)
    assert isinstance(made.reward.valuer, Graph) == (arm.valuer == "paper")


def test_no_label_is_a_legal_budget(experience: Path, tmp_path: Path) -> None:
    asked = questions_only(tmp_path)
    for name, given in (("file", {"experience": (str(experience),)}), ("none", {"questions": asked})):
        config = TrainConfig(str(tmp_path / name), labels="0", sampling=SAMPLING, grpo=GRPO, prior="none", **given)  # type: ignore[arg-type]
        made = prepared(config)
        assert isinstance(made.reward.valuer, Answers)
        assert made.labelled == made.reward.labelled == frozenset()
        assert made.memory.ledger.spent() == (0, 0)


def questions_only(folder: Path) -> tuple[str, ...]:
    asked = [replace(group, rollouts=(), truth=Truth(group.truth.reference)) for group in sums()]
    write_groups(folder / "questions.jsonl", asked)
    return (str(folder / "questions.jsonl"),)


def half_labelled(model: Path, templates: Path, folder: Path, **settings: Any) -> TrainConfig:
    """Train `model` in a folder of its own."""
    return TrainConfig(
        str(folder / "run"),
        templates=str(templates),
        labels="0.5",
        grpo=GRPO,
        **{"sampling": replace(SAMPLING, model=str(model)), **settings},
    )


@pytest.mark.parametrize("choose", ["random", "advantage"])
@pytest.mark.slow
def test_a_predictor_warms_up_on_rollouts_of_the_starting_policy(
    choose: ChoiceRule, model: Path, templates: Path, tmp_path: Path
) -> None:
    asked, more = questions_only(tmp_path), replace(SAMPLING, model=str(model), rollouts=32)
    config = half_labelled(model, templates, tmp_path, questions=asked, sampling=more)
    made = prepared(config, choose)
    judged = {label.query_id for label in made.memory.ledger.labels("warmup")}
    assert judged == made.labelled
    assert len(judged) == 6
    for group in made.memory.groups():
        assert len(group.rollouts) == (32 if choose == "advantage" or group.query.id in judged else 0)


def file_without_verdicts(folder: Path, unjudged: str) -> str:
    """The sums, with a question whose rollouts nobody has judged."""
    groups = [replace(g, truth=Truth(g.truth.reference, (None,) * 4)) if g.query.id == unjudged else g for g in sums()]
    write_groups(folder / "sums.jsonl", groups)
    return str(folder / "sums.jsonl")


@pytest.mark.parametrize("choose", ["random", "advantage"])
@pytest.mark.slow
def test_warmup_labels_the_questions_that_training_may_judge(
    choose: ChoiceRule, experience: Path, tmp_path: Path
) -> None:
    whole = TrainConfig(
        str(tmp_path / "whole"), experience=(str(experience),), labels="0.5", sampling=SAMPLING, grpo=GRPO
    )
    drawn = prepared(whole, choose).labelled
    other = file_without_verdicts(tmp_path, min({group.query.id for group in sums()} - drawn))
    made = prepared(replace(whole, output=str(tmp_path / "run"), experience=(other,)), choose)
    assert made.labelled == drawn
    assert {label.query_id for label in made.memory.ledger.labels("warmup")} == drawn


@pytest.mark.parametrize("choose", [pytest.param("random", marks=pytest.mark.slow), "advantage"])
def test_a_question_without_a_judged_rollout_is_refused_before_a_label_is_read(
    choose: ChoiceRule, experience: Path, tmp_path: Path
) -> None:
    whole = TrainConfig(
        str(tmp_path / "whole"), experience=(str(experience),), labels="0.5", sampling=SAMPLING, grpo=GRPO
    )
    unjudged = min(prepared(whole, choose).labelled)
    broken = replace(whole, output=str(tmp_path / "run"), experience=(file_without_verdicts(tmp_path, unjudged),))
    for _ in range(2):
        with pytest.raises(LabelError, match=f"1 of the 6 questions .*'{unjudged}'.*memreward verify"):
            prepared(broken, choose)
    assert ExperienceMemory.open(tmp_path / "run" / "memory").ledger.spent() == (0, 0)
    assert not (tmp_path / "run" / "predictor").exists()
    mended = prepared(replace(broken, experience=(str(experience),)), choose)
    assert {label.query_id for label in mended.memory.ledger.labels("warmup")} == mended.labelled


@pytest.mark.parametrize("choose", ["random", "advantage"])
def test_without_experience_rollouts_are_sampled_and_only_labelled_ones_judged(
    choose: ChoiceRule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model itself samples in tests/training/test_examples.py; here it answers at once."""

    def collected(config: CollectConfig, **_: Any) -> None:
        asked = [group for path in config.questions for group in read_groups(path)]
        assert [group.truth for group in asked] == [Truth()] * 12, "whoever samples sees no reference"
        write_groups(config.output, [group.unlabelled() for group in sums()])

    monkeypatch.setattr("memreward.training.prepare.collect", collected)
    asked = questions_only(tmp_path)
    config = half_labelled(tmp_path, tmp_path, tmp_path, questions=asked, arm="majority+labels")
    made = prepared(config, choose)
    monkeypatch.delattr("memreward.training.prepare.collect")
    assert len(made.labelled) == 6
    sampled = tmp_path / "run" / "experience.jsonl.gz"
    if choose == "random":
        assert not sampled.exists()  # this arm has no predictor to warm up
        return
    groups = list(read_groups(sampled))
    assert len(groups) == 12
    assert all(group.truth.reference is None and set(group.truth.correct) <= {None} for group in groups)
    assert made.labelled == set(by_doubt(groups, config.prior)[:6])
    assert prepared(config, choose).labelled == made.labelled  # resumed, nothing is sampled or chosen anew


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"grpo": replace(GRPO, groups_per_step=64)}, "fewer than the 64 of a step"),
        ({"grpo": replace(GRPO, groups_per_step=8), "arm": "labelled"}, "labelled questions are fewer than the 8"),
        ({"prior": "nowhere.safetensors"}, "nowhere.safetensors"),
    ],
)
def test_what_would_end_the_training_is_refused_before_a_label_is_spent(
    changed: dict[str, Any], said: str, experience: Path, tmp_path: Path
) -> None:
    config = TrainConfig(str(tmp_path), experience=(str(experience),), labels="0.5", sampling=SAMPLING, grpo=GRPO)
    with pytest.raises(MemRewardError, match=said):
        prepared(replace(config, **changed))
    assert ExperienceMemory.open(tmp_path / "memory").ledger.totals()["queries"] == 0


def test_a_model_that_is_none_costs_no_label(experience: Path, tmp_path: Path) -> None:
    model = tmp_path / "no-model"
    model.mkdir()
    config = TrainConfig(
        str(tmp_path),
        experience=(str(experience),),
        labels="0.5",
        sampling=replace(SAMPLING, model=str(model)),
        grpo=GRPO,
    )
    with pytest.raises(ConfigurationError, match="cannot be read"):
        train(config)
    assert not (tmp_path / "memory").exists()
