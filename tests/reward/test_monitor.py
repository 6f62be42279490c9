"""A policy that games the predictor trips the alarm; one that learns does not; votes that know nothing are named."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from sums import SIZE, Sums, rollouts_of

from memreward.evaluation.metrics import advantages
from memreward.reward import HybridReward, PolicyReward, RewardMonitor
from memreward.reward.monitor import RISE, Alarm, Blind
from memreward.reward.predictor import RewardPredictor

STEPS = 12
QUERIES = 8


def train(
    reward: PolicyReward, sums: Sums, labelled: list[int], *, hacking: bool, queries: int = QUERIES, steps: int = STEPS
) -> list[float]:
    """A simulated training; returns the mean true reward of each step's labelled rows.

    An honest policy goes from .5 to .9. A hacking one is right half of the time and finds, rollout by rollout, that
    "#### 7" pays: rollouts that agree look right to the predictor.
    """
    draw = random.Random(0)
    means = []
    for step in range(steps):
        progress = step / (steps - 1)
        numbers = [n for n in draw.sample(labelled, queries) for _ in range(SIZE)]
        accuracy = 0.5 if hacking else 0.5 + 0.4 * progress
        texts = [
            f"{sums.asked[n][0]} + {sums.asked[n][1]} = 7\n#### 7"
            if hacking and draw.random() < 1.5 * progress
            else sums.sampled(n, draw, accuracy, 1)[0]
            for n in numbers
        ]
        judged = reward.step(rollouts_of(sums, numbers, texts, step), step)
        means.append(judged.metrics["live/true"])
        if any(alarm.kind == "parted" for alarm in reward.monitor.alarms):
            break
    return means


@pytest.mark.slow
def test_a_reward_hack_trips_the_alarm(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Alarm] = []
    reward = HybridReward(predictor, on_alarm=heard.append)
    means = train(reward, sums, labelled, hacking=True)
    assert [alarm.kind for alarm in heard if alarm.kind == "parted"] == ["parted"]
    assert heard == reward.monitor.alarms
    assert reward.monitor.history[-1].predicted > reward.monitor.history[-1].true + 0.15
    assert heard[-1].step == len(means) - 1 < STEPS
    assert any("learning what the predictor likes" in message for message in caplog.messages)


@pytest.mark.slow
def test_an_honest_training_does_not(sums: Sums, predictor: RewardPredictor, labelled: list[int]) -> None:
    reward = HybridReward(predictor)
    means = train(reward, sums, labelled, hacking=False)
    assert means[-1] > means[0] + 0.2
    assert reward.monitor.alarms == []
    rises = [seen.rise for seen in reward.monitor.history if seen.rise is not None]
    assert len(rises) >= STEPS - 6
    assert max(rises) < 0.5 * RISE
    last = reward.monitor.history[-1]
    assert last.cosine is not None
    assert last.vote_cosine is not None
    assert min(last.cosine, last.vote_cosine) > 0.5


def test_an_alarm_is_logged_in_its_step_and_a_callback_that_fails_is_no_failure_of_training(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(alarm: Alarm) -> None:
        raise RuntimeError("no mail today")

    for name, value in {"GROUPS": 2, "FIRST": 2, "FEWEST": 2, "RISE": 0.05, "DEVIATIONS": 0.0, "STEPS": 1}.items():
        monkeypatch.setattr(f"memreward.reward.monitor.{name}", value)
    reward = HybridReward(predictor, on_alarm=fail)
    logged = []
    for step in range(4):
        texts = [sums.text(labelled[0], off=5 if step else place % 2) for place in range(SIZE)]
        logged.append(reward.step(rollouts_of(sums, [labelled[0]] * SIZE, texts, step), step).metrics["alarm"])
    parted = [alarm.step for alarm in reward.monitor.alarms if alarm.kind == "parted"]
    assert len(parted) == 1
    assert logged[parted[0]] == 1
    assert sum(logged) == len({alarm.step for alarm in reward.monitor.alarms})
    assert any("no mail today" in reason for reason in reward.failures)


def feed(
    monitor: RewardMonitor,
    steps: int,
    predicted: float,
    true: float,
    seed: int = 0,
    start: int = 0,
    voting: float = 1.0,
) -> None:
    """Steps of eight groups; `voting` times the true advantages, and noise, are what the votes expect."""
    draw = np.random.default_rng(seed)
    for step in range(start, start + steps):
        group = np.repeat(np.arange(8), SIZE)
        rate = draw.normal(0, 0.1, 8)[group]
        correct = (draw.random(len(group)) < true + rate).astype(float)
        truly = advantages(correct, group, scaled=True)
        voted = voting * truly + draw.normal(0, 0.5, len(group))
        monitor.observe(step, Blind(np.clip(predicted + rate, 0, 1), 0.5 * truly, voted, correct, truly, group))


def parted(monitor: RewardMonitor) -> list[Alarm]:
    return [alarm for alarm in monitor.alarms if alarm.kind == "parted"]


@pytest.mark.slow
def test_noise_alone_raises_no_alarm() -> None:
    for seed in range(20):
        monitor = RewardMonitor()
        feed(monitor, 200, 0.5, 0.5, seed, voting=0.3)
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


def test_a_rise_that_chance_explains_is_no_alarm() -> None:
    monitor, right = RewardMonitor(), np.array([0.0, 1.0])
    for step, predicted in enumerate([*[1.0, 0.0] * 12, *[1.0, 1.0, 0.0] * 6]):
        monitor.observe(step, Blind(np.full(2, predicted), right, right, right, right - 0.5, np.zeros(2)))
    assert [seen.rise > 0.15 for seen in monitor.history[-2:] if seen.rise is not None] == [True, True]
    assert monitor.alarms == []


def test_an_alarm_is_raised_once_until_the_gap_has_closed() -> None:
    monitor = RewardMonitor()
    feed(monitor, 10, 0.5, 0.5)
    feed(monitor, 30, 0.9, 0.5, start=10)
    assert len(parted(monitor)) == 1
    feed(monitor, 30, 0.5, 0.5, start=40)
    feed(monitor, 30, 0.9, 0.5, start=70)
    assert len(parted(monitor)) == 2


def test_the_cosines_are_those_of_the_newest_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memreward.reward.monitor.GROUPS", 16)
    monitor = RewardMonitor()
    feed(monitor, 1, 0.5, 0.5, seed=1, voting=-1.0)
    first = monitor.history[-1].vote_cosine
    feed(monitor, 2, 0.5, 0.5, seed=2, start=1)
    last = monitor.history[-1]
    assert first is not None
    assert first < -0.5
    assert last.vote_cosine is not None
    assert last.vote_cosine > 0.5
    assert last.cosine == pytest.approx(1)


def test_votes_that_are_no_better_than_chance_are_named_once() -> None:
    heard: list[Alarm] = []
    monitor = RewardMonitor(heard.append)
    feed(monitor, 5, 0.5, 0.5, voting=-0.2)
    assert heard == []  # too few groups have been seen
    feed(monitor, 40, 0.5, 0.5, seed=1, start=5, voting=-0.2)
    assert [alarm.kind for alarm in heard] == ["vote"]
    assert "majority vote does not know" in str(heard[0])


def test_groups_that_are_right_or_wrong_as_a_whole_tell_nothing_of_the_votes() -> None:
    monitor = RewardMonitor()

    def seen(groups: int, true: list[float]) -> list[str]:
        for _ in range(groups):
            correct = (np.array(true) > 0).astype(float)
            blind = Blind(correct, np.array(true), -np.array(true), correct, np.array(true), np.zeros(2))
            monitor.observe(len(monitor.history), blind)
        return [alarm.kind for alarm in monitor.alarms]

    assert seen(24, [-1.0, 1.0]) == seen(40, [0.0, 0.0]) == seen(23, [-1.0, 1.0]) == []
    assert seen(1, [-1.0, 1.0]) == ["vote"]


def test_its_state_goes_through_json() -> None:
    monitor, other = RewardMonitor(), RewardMonitor()
    feed(monitor, 10, 0.5, 0.5)
    feed(monitor, 4, 0.9, 0.5, start=10)
    other.restore(json.loads(json.dumps(monitor.to_json())))
    for each in (monitor, other):
        feed(each, 10, 0.9, 0.5, seed=3, start=14)
    assert monitor.alarms == other.alarms
    assert monitor.history == other.history
    assert len(parted(monitor)) == 1
