"""The predictor in training: its pools follow the policy, its calibration the labelled queries, its network both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from memreward.predict.calibration import Calibration, logit
from memreward.predict.graph_predictor import GraphPredictor, describe_saved
from memreward.predict.metrics import advantages
from memreward.predict.reward_predictor import Provenance, RewardPredictor
from memreward.reward.debias import Floats, fit_coefficient
from memreward.reward.growth import FollowingPredictor, GrowthConfig
from memreward.reward.live import BlindRow, LabelledWindow, rates
from memreward.reward.shaping import ShapingConfig, shape, threshold_for
from memreward.types import Rollout, Score


class LivePredictor:
    """A warmed-up predictor and what labelled queries have said of it since.

    Args:
        predictor: Warmed up; it is left as it is.
        growth: What is learned in training.
        shaping: From values to rewards.

    Attributes:
        predictor: The present one, with pools that follow `growth`.
        window: The newest labelled rollouts predicted blind.
        threshold: Probability from which a rollout is held to be right.
    """

    def __init__(self, predictor: RewardPredictor, growth: GrowthConfig, shaping: ShapingConfig) -> None:
        self.growth, self.shaping = growth, shaping
        self.predictor = FollowingPredictor.following(predictor, growth)
        self.window = LabelledWindow(growth.window)
        self.threshold = predictor.threshold
        self._calibration: Calibration | None = None
        self._j_of_training = float("nan")
        self._last_refresh = 0
        self._judged_since_refresh = 0
        self._begun = False

    def begin(self) -> None:
        """Start the window with what the labels in the ledger say of this model; the first call does it."""
        if not self._begun:
            self._begun = True
            self._learn_window()

    def score(self, step: int, rollouts: Sequence[Rollout]) -> list[Score]:
        """Predict rollouts of this step, labelled queries' blind, before live calibration.

        Raises:
            Exception: a programming error; see `RewardPredictor.score`.
        """
        self.predictor.step = step
        return self.predictor.score(rollouts)

    def holds_right(self, values: ArrayLike) -> list[bool]:
        """Tell of (n,) predicted values whether they reach the threshold."""
        return [bool(held) for held in self.calibrated(values) >= self.threshold]

    def calibrated(self, values: ArrayLike) -> Floats:
        """Return (n,) predicted values after live calibration; NaN stays NaN."""
        given = np.asarray(values, np.float64)
        return given if self._calibration is None else self._calibration.apply(logit(given))

    def shaped(self, values: ArrayLike, group: ArrayLike) -> Floats:
        """Return the rewards of (n,) predicted values in these groups; NaN abstains."""
        return shape(self.calibrated(values), group, self.shaping, self.threshold)

    def learn(self, rows: Sequence[BlindRow]) -> None:
        """Take in labelled rollouts of a step, and fit calibration and threshold anew."""
        self.window.extend(rows)
        self._judged_since_refresh += len(rows)
        self._recalibrate()

    def coefficient(self) -> float:
        """Fit the lambda of `memreward.reward.debias` on the window."""
        groups = self.window.groups
        true = advantages(self.window.correct.astype(np.float64), groups, 0.0)
        return fit_coefficient(true, advantages(self.shaped(self.window.values, groups), groups, 0.0))

    def refresh_due(self, step: int) -> bool:
        """Whether the network should be trained again: enough steps have passed, or live J has fallen."""
        growth = self.growth
        if growth.refresh_every and step - self._last_refresh >= growth.refresh_every:
            return True
        if not growth.refresh_drop or self._judged_since_refresh < growth.refresh_after:
            return False
        return self.window.live_rates(growth.rates_over)["all"].j < self._j_of_training - growth.refresh_drop

    def refresh(self, step: int) -> None:
        """Train the network again and begin a new window.

        Raises:
            LabelError: the labels do not suffice; the old network stays, until a refresh is due again.
        """
        self._last_refresh, self._judged_since_refresh = step, 0
        self.predictor = self.predictor.refreshed()
        self._calibration = None
        self._learn_window()

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the network to a folder, and return the rest as JSON values.

        Raises:
            StoreError: the folder cannot be written.
        """
        self.predictor.save(folder)
        return {
            "window": self.window.to_json(),
            "calibration": None if self._calibration is None else self._calibration.to_dict(),
            "threshold": self.threshold,
            "j_of_training": None if np.isnan(self._j_of_training) else self._j_of_training,
            "last_refresh": self._last_refresh,
            "judged_since_refresh": self._judged_since_refresh,
            "begun": self._begun,
        }

    def restore(self, folder: Path, state: dict[str, Any]) -> None:
        """Undo `save`.

        Raises:
            StoreError: the folder holds no network.
            KeyError, TypeError: `state` is none, or the folder says not how its network came to be.
        """
        old = self.predictor
        provenance = Provenance(**describe_saved(folder)["provenance"])
        loaded = RewardPredictor(old.memory, old.featurizer, GraphPredictor.load(folder), provenance)
        self.predictor = FollowingPredictor.following(loaded, self.growth, old.step)
        self.window.restore(state["window"])
        calibration, j = state["calibration"], state["j_of_training"]
        self._calibration = None if calibration is None else Calibration.from_dict(calibration)
        self._j_of_training = float("nan") if j is None else j
        self.threshold, self._begun = state["threshold"], state["begun"]
        self._last_refresh, self._judged_since_refresh = state["last_refresh"], state["judged_since_refresh"]

    def _learn_window(self) -> None:
        rows = self.predictor.blind_rows()
        self._j_of_training = rates([row.held_right for row in rows], [row.correct for row in rows]).j
        self.window.restart(rows)
        self._recalibrate()

    def _recalibrate(self) -> None:
        if self.growth.recalibrate:
            self._calibration = self.window.calibration(self.growth.fewest)
        fallback = self.predictor.threshold if self._calibration is None else self._calibration.threshold
        self.threshold = threshold_for(self.shaping, self.calibrated(self.window.values), self.window.correct, fallback)
