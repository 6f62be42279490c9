"""What enters memory, what is learned from it, and what is no longer read."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from sums import SIZE, Call, Sums, sample_call

from memreward.memory import ExperienceMemory
from memreward.parsing import parse_rollout
from memreward.predict import RewardPredictor
from memreward.reward import GrowthConfig, HybridConfig, HybridReward
from memreward.reward.growth import FollowingPredictor
from memreward.reward.live import BEFORE_TRAINING, BlindRow, LabelledWindow, rates
from memreward.types import ConfigurationError, LabelError

STILL = GrowthConfig(recalibrate=False, refresh_every=0, refresh_drop=0.0)


def sly_call(sums: Sums, numbers: list[int]) -> Call:
    """Groups that agree on one wrong answer, but for a single right one."""
    texts = [text for n in numbers for text in [sums.text(n, off=5)] * (SIZE - 1) + [sums.text(n)]]
    return Call([n for n in numbers for _ in range(SIZE)], texts)


def test_rollouts_enter_memory_with_their_policy_version(
    sums: Sums, memory: ExperienceMemory, predictor: RewardPredictor, unlabelled: list[int]
) -> None:
    reward = HybridReward(predictor, config=HybridConfig(growth=STILL))
    before = memory.counts()["rollouts"]
    for step in (0, 7):
        sample_call(sums, unlabelled[:2], seed=1).of(reward, sums, step=step)  # the same texts twice: other rollouts
    assert memory.counts()["rollouts"] == before + 4 * SIZE
    (group,) = memory.groups([f"q{unlabelled[0]}"], recent=2 * SIZE)
    assert [r.policy_version for r in group.rollouts] == ["step-0"] * SIZE + ["step-7"] * SIZE


def test_the_querys_own_past_moves_its_rewards_until_it_is_too_old(
    sums: Sums, predictor: RewardPredictor, unlabelled: list[int]
) -> None:
    number = unlabelled[0]
    tied = Call(
        [number] * 4, [sums.text(number), sums.text(number), sums.text(number, off=3), sums.text(number, off=3)]
    )
    past = Call([number] * SIZE, [sums.text(number, off=3)] * SIZE)

    def lead(growth: GrowthConfig, later: int) -> float:
        """By how much the answer of the past is ahead after so many steps."""
        reward = HybridReward(predictor, config=HybridConfig(growth=growth))
        past.of(reward, sums, step=100)
        values = Call(tied.numbers, tied.texts).of(reward, sums, step=100 + later).extra["memreward/value"]
        return float(np.mean(values[2:]) - np.mean(values[:2]))

    aged = replace(STILL, max_age=10)
    young, old = lead(aged, 5), lead(aged, 500)
    assert young > old + 0.02
    frozen = lead(GrowthConfig.frozen(), 5)
    assert young > frozen + 0.02


def test_a_frozen_predictor_keeps_unlabelled_rollouts_out_of_memory(
    sums: Sums, memory: ExperienceMemory, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int]
) -> None:
    reward = HybridReward(predictor, config=HybridConfig.paper())
    before = memory.counts()["rollouts"]
    sample_call(sums, [labelled[0], *unlabelled[:3]], seed=1).of(reward, sums)
    assert memory.counts()["rollouts"] == before + SIZE


def test_labelled_rollouts_recalibrate_at_every_step(
    sums: Sums, predictor: RewardPredictor, labelled: list[int]
) -> None:
    """A policy whose rollouts agree on what is wrong: the same values mean less, and their order stays."""
    reward = HybridReward(predictor, config=HybridConfig(growth=replace(STILL, recalibrate=True, window=240)))
    grid = np.linspace(0.05, 0.95, 19)
    reward.live.begin()
    before = reward.live.calibrated(grid)
    for step in range(3):
        sly_call(sums, labelled).of(reward, sums, step=step)
    after = reward.live.calibrated(grid)
    assert (np.diff(after) > 0).all()
    assert after.mean() < before.mean() - 0.1
    assert len(reward.live.window) == 240
    assert min(row.step for row in reward.live.window.rows) > BEFORE_TRAINING


def test_the_network_is_trained_again_when_steps_have_passed(
    sums: Sums, memory: ExperienceMemory, predictor: RewardPredictor, labelled: list[int]
) -> None:
    reward = HybridReward(predictor, config=HybridConfig(growth=replace(STILL, refresh_every=3)))
    models = []
    for step in range(5):
        sample_call(sums, labelled[:4], seed=step).of(reward, sums, step=step)
        models.append(reward.live.predictor.model)
    assert models[0] is models[2] is predictor.model
    assert models[3] is models[4] is not predictor.model
    provenance = reward.live.predictor.provenance
    assert provenance.labelled_queries == len(labelled)
    assert provenance.labels == len(labelled) * SIZE + 4 * 4 * SIZE  # four steps of four queries
    assert len(reward.live.window) == provenance.labels + 4 * SIZE
    assert reward.failures.total() == 0


@pytest.mark.slow
def test_a_live_j_that_falls_asks_for_training(sums: Sums, predictor: RewardPredictor, labelled: list[int]) -> None:
    growth = replace(STILL, refresh_drop=0.2, refresh_after=100)
    reward = HybridReward(predictor, config=HybridConfig(growth=growth))
    draw = random.Random(0)

    def step(number: int, sly: bool) -> bool:
        call = sly_call(sums, labelled) if sly else sample_call(sums, labelled, seed=draw.randint(0, 99))
        call.of(reward, sums, step=number)
        return reward.live.predictor.model is not predictor.model

    assert not step(0, sly=False)
    assert not step(1, sly=False)
    assert any(step(number, sly=True) for number in range(2, 6))


def test_too_few_labels_leave_the_old_network(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reward = HybridReward(predictor, config=HybridConfig(growth=replace(STILL, refresh_every=1)))

    def refuse(_: object) -> None:
        raise LabelError("one class only")

    monkeypatch.setattr(type(reward.live.predictor), "refreshed", refuse)
    call = sample_call(sums, labelled[:2], seed=1).of(reward, sums, step=1)
    assert None not in call.rewards
    assert reward.live.predictor.model is predictor.model
    assert reward.failures["LabelError: one class only"] == 1


def test_rates_and_the_window_in_closed_form() -> None:
    seen = rates([1, 1, 0, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0, 0])
    assert (seen.tpr, seen.fpr, seen.j) == (2 / 3, 1 / 4, 2 / 3 - 1 / 4)
    assert np.isnan(rates([1], [1]).j)
    window = LabelledWindow(4)
    window.extend(
        BlindRow(step, f"q{step}", "qa" if step % 2 else "math", 0.1 * step, True, False) for step in range(-1, 5)
    )
    assert [row.step for row in window.rows] == [1, 2, 3, 4]
    assert {name: seen.rollouts for name, seen in window.live_rates(3).items()} == {"all": 3, "math": 2, "qa": 1}
    assert window.calibration(fewest_queries=5) is None  # too few queries
    assert window.calibration(fewest_queries=2) is None  # one class only
    other = LabelledWindow(4)
    other.restore(window.to_json())
    assert other.rows == window.rows


@pytest.mark.parametrize("wrong", [{"window": 0}, {"max_age": -1}, {"fewest": 1}, {"refresh_drop": -0.1}])
def test_settings_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        GrowthConfig(**wrong)


def test_a_rollout_counts_half_as_much_for_each_half_life(
    sums: Sums, predictor: RewardPredictor, unlabelled: list[int]
) -> None:
    number = unlabelled[0]
    query = sums.query(number)
    old, new = (
        parse_rollout(query, sums.text(number, off=off), id=str(off), policy_version=f"step-{step}")
        for off, step in ((3, 90), (0, 100))
    )

    def share(half_life: float) -> list[float]:
        following = FollowingPredictor.following(predictor, replace(STILL, half_life=half_life), step=100)
        found = following.features([new, old])
        return [float(x) for x in found.evidence[:, found.evidence_names.index("agreement_share")]]

    assert share(0.0) == [0.5, 0.5]
    assert share(10.0) == pytest.approx([1 / 1.5, 0.5 / 1.5])
    assert share(5.0) == pytest.approx([1 / 1.25, 0.25 / 1.25])
    before_training = replace(old, policy_version="")
    following = FollowingPredictor.following(predictor, replace(STILL, half_life=100.0), step=100)
    found = following.features([new, before_training])
    assert found.evidence[0, found.evidence_names.index("agreement_share")] == pytest.approx(1 / 1.5)


def test_the_past_fades_with_its_age(sums: Sums, predictor: RewardPredictor, unlabelled: list[int]) -> None:
    number = unlabelled[0]
    tied = Call([number] * 4, [sums.text(number)] * 2 + [sums.text(number, off=3)] * 2)
    past = Call([number] * SIZE, [sums.text(number, off=3)] * SIZE)

    def lead(later: int) -> float:
        reward = HybridReward(predictor, config=HybridConfig(growth=replace(STILL, half_life=10.0)))
        values = Call(tied.numbers, tied.texts).of(reward, sums, step=100 + later).extra["memreward/value"]
        return float(np.mean(values[2:]) - np.mean(values[:2]))

    past.of(HybridReward(predictor, config=HybridConfig(growth=STILL)), sums, step=100)
    fresh, stale = lead(1), lead(200)
    assert fresh > stale + 0.02
