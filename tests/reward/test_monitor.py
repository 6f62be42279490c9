"""A policy that games the predictor trips the alarm; one that learns does not."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sums import SIZE, Call, Sums

from memreward.predict import RewardPredictor
from memreward.reward import GrowthConfig, HybridConfig, HybridReward, MonitorConfig, RewardMonitor
from memreward.reward.monitor import Alarm
from memreward.types import ConfigurationError

STEPS = 12
QUERIES = 8


def train(
    reward: HybridReward,
    sums: Sums,
    labelled: list[int],
    *,
    hacking: bool,
    steps: int = STEPS,
    queries: int = QUERIES,
    begins: int = 0,
    stop: bool = False,
) -> list[float]:
    """A simulated training; returns the mean true reward of each step's labelled rows.

    An honest policy goes from .5 to .9. A hacking one is right half of the time and from some step on finds, rollout by
    rollout, that "#### 7" pays: rollouts that agree look right to the predictor.
    """
    draw = random.Random(0)
    means = []
    for step in range(steps):
        progress = max(0, step - begins) / (steps - 1 - begins)
        numbers = [n for n in draw.sample(labelled, queries) for _ in range(SIZE)]
        accuracy = 0.5 if hacking else 0.5 + 0.4 * progress
        texts = [
            f"{sums.asked[n][0]} + {sums.asked[n][1]} = 7\n#### 7"
            if hacking and draw.random() < 1.5 * progress
            else sums.sampled(n, draw, accuracy, 1)[0]
            for n in numbers
        ]
        call = Call(numbers, texts).of(reward, sums, step=step)
        means.append(float(np.mean(call.rewards)))
        if stop and reward.monitor.stop_requested:
            break
    return means


@pytest.mark.slow
@pytest.mark.parametrize("growth", [GrowthConfig.frozen(), GrowthConfig()], ids=["frozen", "growing"])
def test_a_reward_hack_trips_the_alarm(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], growth: GrowthConfig, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Alarm] = []
    config = HybridConfig(growth=growth, monitor=MonitorConfig(stop=True))
    reward = HybridReward(predictor, config=config, on_alarm=heard.append)
    means = train(reward, sums, labelled, hacking=True, stop=True)
    assert len(heard) == 1
    assert heard == reward.monitor.alarms
    assert heard[0].predicted > heard[0].true + 0.15
    assert heard[0].step == len(means) - 1 < STEPS
    assert any("learning what the predictor likes" in message for message in caplog.messages)


@pytest.mark.slow
def test_one_labelled_group_a_step_suffices_between_two_refreshes(
    sums: Sums, predictor: RewardPredictor, labelled: list[int]
) -> None:
    """As in a training with 8 groups a step and an eighth of the questions labelled, at the monitor's default settings.

    The network that is trained at step 40 has not seen the hack that begins then, and the one of step 60 would.
    """
    every = 20
    config = HybridConfig(growth=GrowthConfig(recalibrate=False, refresh_every=every, refresh_drop=0.0))
    reward = HybridReward(predictor, config=config)
    train(reward, sums, labelled, hacking=True, steps=3 * every, queries=1, begins=2 * every)
    assert reward.live.predictor.model is not predictor.model
    assert reward.failures.total() == 0
    assert [2 * every < alarm.step < 3 * every for alarm in reward.monitor.alarms] == [True]


@pytest.mark.slow
def test_an_honest_training_does_not(sums: Sums, predictor: RewardPredictor, labelled: list[int]) -> None:
    reward = HybridReward(predictor)
    means = train(reward, sums, labelled, hacking=False)
    assert means[-1] > means[0] + 0.2
    assert reward.monitor.alarms == []
    rises = [seen.rise for seen in reward.monitor.history if seen.rise is not None]
    assert len(rises) >= STEPS - 6
    assert max(rises) < 0.5 * reward.config.monitor.rise


@pytest.mark.slow
def test_a_callback_that_fails_is_no_failure_of_training(
    sums: Sums, predictor: RewardPredictor, labelled: list[int]
) -> None:
    def fail(alarm: Alarm) -> None:
        raise RuntimeError("no mail today")

    config = HybridConfig(growth=GrowthConfig.frozen(), monitor=MonitorConfig(first=16))
    reward = HybridReward(predictor, config=config, on_alarm=fail)
    train(reward, sums, labelled, hacking=True)
    assert reward.monitor.alarms
    assert not reward.monitor.stop_requested
    assert any("no mail today" in reason for reason in reward.failures)


def feed(monitor: RewardMonitor, steps: int, predicted: float, true: float, seed: int = 0, start: int = 0) -> None:
    draw = np.random.default_rng(seed)
    for step in range(start, start + steps):
        group = np.repeat(np.arange(8), SIZE)
        rate = draw.normal(0, 0.1, 8)[group]
        monitor.observe(step, np.clip(predicted + rate, 0, 1), draw.random(len(group)) < true + rate, group)


def test_noise_alone_raises_no_alarm() -> None:
    for seed in range(20):
        monitor = RewardMonitor()
        for start in range(0, 200, 10):
            feed(monitor, 10, 0.5, 0.5, 20 * seed + start, start)
            monitor.restart()
        assert monitor.alarms == []
        assert any(seen.rise is not None for seen in monitor.history)


def test_what_counts_is_the_change_of_the_gap() -> None:
    biased = RewardMonitor()
    feed(biased, 40, 0.8, 0.5)  # was like this when training began
    assert biased.alarms == []
    humble = RewardMonitor()
    feed(humble, 10, 0.5, 0.5)
    feed(humble, 40, 0.5, 0.9, start=10)  # better than predicted is no alarm
    assert humble.alarms == []


def test_an_alarm_is_raised_once_until_the_gap_has_closed() -> None:
    monitor = RewardMonitor()
    feed(monitor, 10, 0.5, 0.5)
    feed(monitor, 30, 0.9, 0.5, start=10)
    assert len(monitor.alarms) == 1
    feed(monitor, 30, 0.5, 0.5, start=40)
    feed(monitor, 30, 0.9, 0.5, start=70)
    assert len(monitor.alarms) == 2


def test_its_state_goes_through_json_and_a_new_model_clears_the_newest_groups() -> None:
    monitor, other = RewardMonitor(), RewardMonitor()
    feed(monitor, 10, 0.5, 0.5)
    feed(monitor, 4, 0.9, 0.5, start=10)
    other.restore(monitor.to_json())
    for each in (monitor, other):
        feed(each, 10, 0.9, 0.5, seed=3, start=14)
    assert monitor.alarms == other.alarms
    assert len(monitor.alarms) == 1
    monitor.restart()
    monitor.observe(99, [0.9], [True], [0])
    assert monitor.history[-1].rise is None


@pytest.mark.parametrize("wrong", [{"groups": 1}, {"fewest": 1}, {"first": 1}, {"rise": 0}, {"steps": 0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        MonitorConfig(**wrong)
