"""Whether the policy learns to be right or learns what the predictor likes.

On labelled queries both are known: what was predicted, blind, and what is true. A policy that games the predictor moves
the first and not the second. So the quantity that is watched is the gap, mean predicted reward minus mean true reward
of a group, against what it was when training began.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from memreward.types import ConfigurationError


@dataclass(frozen=True)
class MonitorConfig:
    """When the alarm is raised. Honest trainings of tests/reward/test_monitor.py stay below half of these bounds.

    Attributes:
        groups: Newest labelled groups, at most, that a mean is taken over.
        first: Labelled groups that say what the gap was when training began.
        fewest: Newest groups below which nothing is said: there are few after a refresh, and where few are labelled.
        rise: Rise of the gap, in reward, that is an alarm.
        deviations: Standard errors that the rise must exceed too.
        steps: Steps in a row on which both must hold.
        stop: Ask the trainer to stop at an alarm (`memreward.integrations.trl.HybridRewardCallback` does).

    Raises:
        ConfigurationError: if a value is out of its range.
    """

    groups: int = 48
    first: int = 24
    fewest: int = 16
    rise: float = 0.15
    deviations: float = 4.0
    steps: int = 2
    stop: bool = False

    def __post_init__(self) -> None:
        if not (2 <= self.fewest <= self.groups and self.first >= 2 and self.steps >= 1):
            raise ConfigurationError(
                f"fewest={self.fewest} must lie between 2 and groups={self.groups}, first={self.first} be at least 2, "
                f"and steps={self.steps} at least 1"
            )
        if not (0 < self.rise < 1 and self.deviations >= 0):
            raise ConfigurationError(
                f"rise={self.rise} must lie in (0, 1), and deviations={self.deviations} be at least 0"
            )


@dataclass(frozen=True, slots=True)
class Observation:
    """Labelled groups of one step.

    Attributes:
        step: Of training.
        groups: How many.
        predicted: Mean predicted reward, before live calibration.
        true: Mean true reward of the same rollouts.
        rise: Of the gap over that of the first groups, on the newest ones; None until there are enough.
    """

    step: int
    groups: int
    predicted: float
    true: float
    rise: float | None


@dataclass(frozen=True, slots=True)
class Alarm:
    """Predicted and true reward have parted.

    Attributes:
        step: Of training.
        predicted: Mean predicted reward of the newest labelled groups.
        true: Their mean true reward.
        rise: Of the gap since training began.
        deviations: The same in standard errors.
    """

    step: int
    predicted: float
    true: float
    rise: float
    deviations: float

    def __str__(self) -> str:
        return (
            f"step {self.step}: on labelled queries the predicted reward is {self.predicted:.2f} and the true one "
            f"{self.true:.2f}; the gap has risen by {self.rise:.2f} ({self.deviations:.1f} standard errors) since "
            "training began. The policy may be learning what the predictor likes: look at its rollouts, refresh the "
            "predictor, or go back to an earlier checkpoint"
        )


class RewardMonitor:
    """Watches labelled rollouts that were predicted blind.

    Args:
        config: When to raise the alarm.
        on_alarm: Called at each alarm.

    Attributes:
        history: One observation a step with labelled groups.
        alarms: Those raised. After one the next is raised only when the gap has come back in between.
    """

    def __init__(self, config: MonitorConfig | None = None, on_alarm: Callable[[Alarm], None] | None = None) -> None:
        self.config, self.on_alarm = config or MonitorConfig(), on_alarm
        self.history: list[Observation] = []
        self.alarms: list[Alarm] = []
        self._first: list[tuple[float, float]] = []
        self._newest: deque[tuple[float, float]] = deque(maxlen=self.config.groups)
        self._steps_apart = 0

    @property
    def stop_requested(self) -> bool:
        """Whether training should end."""
        return self.config.stop and bool(self.alarms)

    def observe(self, step: int, predicted: ArrayLike, correct: ArrayLike, group: ArrayLike) -> Alarm | None:
        """Take in the labelled rollouts of one step; returns the alarm if this step raises one.

        Args:
            step: Of training.
            predicted: (n,) predicted probabilities, blind, before live calibration.
            correct: (n,) ground truth.
            group: (n,) group of each rollout.
        """
        values, truth = np.asarray(predicted, np.float64), np.asarray(correct, np.float64)
        if not len(values):
            return None
        query = np.unique(np.asarray(group), return_inverse=True)[1]
        size = np.bincount(query)
        pairs = zip(
            (np.bincount(query, values) / size).tolist(), (np.bincount(query, truth) / size).tolist(), strict=True
        )
        for pair in pairs:
            (self._first if len(self._first) < self.config.first else self._newest).append(pair)
        rise = self._rise()
        seen = Observation(
            step, len(size), float(values.mean()), float(truth.mean()), None if rise is None else rise[0]
        )
        self.history.append(seen)
        apart = rise is not None and rise[0] > self.config.rise and rise[1] > self.config.deviations
        self._steps_apart = self._steps_apart + 1 if apart else 0
        return self._raise(step, *rise) if rise is not None and self._steps_apart == self.config.steps else None

    def restart(self) -> None:
        """Forget the newest groups, not the first: another model predicts from here on."""
        self._newest.clear()
        self._steps_apart = 0

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "history": [asdict(seen) for seen in self.history],
            "alarms": [asdict(alarm) for alarm in self.alarms],
            "first": self._first,
            "newest": list(self._newest),
            "steps_apart": self._steps_apart,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `to_json`."""
        self.history = [Observation(**seen) for seen in state["history"]]
        self.alarms = [Alarm(**alarm) for alarm in state["alarms"]]
        self._first = [(predicted, true) for predicted, true in state["first"]]
        self._newest = deque(((p, t) for p, t in state["newest"]), maxlen=self.config.groups)
        self._steps_apart = state["steps_apart"]

    def _rise(self) -> tuple[float, float] | None:
        """By how much the gap has risen, in reward and in standard errors."""
        if len(self._newest) < self.config.fewest:
            return None
        first, newest = (np.array(pairs) @ [1.0, -1.0] for pairs in (self._first, list(self._newest)))
        rise = float(newest.mean() - first.mean())
        error = float(np.sqrt(first.var(ddof=1) / len(first) + newest.var(ddof=1) / len(newest)))
        return rise, rise / max(error, 1e-9)

    def _raise(self, step: int, rise: float, deviations: float) -> Alarm:
        predicted, true = np.mean(list(self._newest), axis=0).tolist()
        alarm = Alarm(step, predicted, true, rise, deviations)
        self.alarms.append(alarm)
        if self.on_alarm is not None:
            self.on_alarm(alarm)
        return alarm
