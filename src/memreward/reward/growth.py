"""How memory and predictor follow the policy: what enters, what is learned from it, what is retired.

The rule of retirement. Nothing is ever deleted: the ledger's entries refer to rollouts, and an audit must find them.
What is retired is no longer read:

- Agreement of a query is taken over its newest `PredictorConfig.recent` rollouts in memory, of these those that are at
  most `max_age` steps old, each with half the weight of one that is `half_life` steps younger. Rollouts from before
  training count as sampled at step 0.
- Calibration, threshold, lambda and rates are those of the newest `window` labelled rollouts, each predicted blind.
- A refresh trains on the newest `keep` rollouts of each labelled query.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from memreward.predict.graph_predictor import GraphPredictor
from memreward.predict.reward_predictor import WARMUP, RewardPredictor, label_array
from memreward.reward.live import BEFORE_TRAINING, BlindRow
from memreward.reward.rows import step_of
from memreward.types import ConfigurationError, Features, Label, LabelError, Rollout

TRAINING = "training"
"""The ledger's name for ground truth that rewards labelled queries, and so measures, calibrates and refreshes the
predictor."""


@dataclass(frozen=True)
class GrowthConfig:
    """How memory grows. The numbers are chosen by reasoning, not measured yet.

    Attributes:
        grow: Let the rollouts of unlabelled queries enter memory (those of labelled ones always do, since the ledger
            names them), and pool a query's rollouts with those that training sampled earlier.
        max_age: Steps after which a rollout leaves its query's pool; 0 is never.
        half_life: Steps in which the weight of a rollout in the evidence of its pool (agreement and what else it is
            compared with) halves; 0 weighs all alike. Its own signals do not change.
        recalibrate: Fit calibration and threshold anew at every step, on labelled rollouts predicted blind.
        window: Labelled rollouts, at most, that calibration, threshold and lambda are fitted on.
        fewest: Labelled queries below which the predictor's own calibration stands.
        rates_over: Labelled rollouts that live rates are taken over.
        refresh_every: Steps between two trainings of the network on the labelled rollouts so far; 0 is never.
        refresh_drop: A live J that lies so far below the J of the last training asks for one; 0 is never.
        refresh_after: Labelled rollouts that must have been judged since the last training before a low J asks for one.
        keep: Newest rollouts of each labelled query that the network is trained on.

    Raises:
        ConfigurationError: if a value is out of its range.
    """

    grow: bool = True
    max_age: int = 0
    half_life: float = 0.0
    recalibrate: bool = True
    window: int = 2048
    fewest: int = 20
    rates_over: int = 512
    refresh_every: int = 50
    refresh_drop: float = 0.15
    refresh_after: int = 256
    keep: int = 32

    def __post_init__(self) -> None:
        for name, least in (("window", 1), ("rates_over", 1), ("keep", 1), ("fewest", 2), ("refresh_after", 1)):
            if getattr(self, name) < least:
                raise ConfigurationError(f"{name}={getattr(self, name)} must be at least {least}")
        for name in ("max_age", "half_life", "refresh_every", "refresh_drop"):
            if getattr(self, name) < 0:
                raise ConfigurationError(f"{name}={getattr(self, name)} must be at least 0; 0 turns it off")

    @classmethod
    def frozen(cls) -> GrowthConfig:
        """Return the paper's setting: the predictor of warmup, and nothing learned later."""
        return cls(grow=False, recalibrate=False, refresh_every=0, refresh_drop=0.0)


class FollowingPredictor(RewardPredictor):
    """A predictor whose pools follow `GrowthConfig`.

    Attributes:
        growth: The rule.
        step: Steps of training so far; set it before scoring.
    """

    growth: GrowthConfig
    step: int

    @classmethod
    def following(cls, predictor: RewardPredictor, growth: GrowthConfig, step: int = 0) -> FollowingPredictor:
        """Return `predictor` with pools of this rule; memory, features and model are shared."""
        made = cls(predictor.memory, predictor.featurizer, predictor.model, predictor.provenance)
        made.growth, made.step = growth, step
        return made

    def pool(self, rollouts: Sequence[Rollout]) -> list[Rollout]:
        """Return `rollouts` and, after them, those earlier ones of their queries that are not retired."""
        earlier = super().pool(rollouts)[len(rollouts) :]
        return [*rollouts, *(rollout for rollout in earlier if self._counts(rollout))]

    def features(self, rollouts: Sequence[Rollout]) -> Features:
        """Return what the network sees of `rollouts`, those of older policies weighing less in their pools."""
        if not self.growth.half_life:
            return super().features(rollouts)
        sampled = np.array([step_of(rollout) or 0 for rollout in rollouts], np.float64)
        newest = max(self.step, sampled.max(initial=0.0))
        return self.featurizer.features(rollouts, 0.5 ** ((newest - sampled) / self.growth.half_life))

    def _counts(self, rollout: Rollout) -> bool:
        sampled = step_of(rollout)
        if not self.growth.grow:
            return sampled is None
        return self.growth.max_age == 0 or self.step - (sampled or 0) <= self.growth.max_age

    def blind_rows(self) -> list[BlindRow]:
        """Predict the labelled rollouts in memory, each by the member blind to its query.

        Oldest first. Their labels have been released before; rollouts that are abstained on are left out.
        """
        rollouts, labels = self._labelled()
        if not rollouts:
            return []
        values = self.model.predict(self.features(rollouts)).value
        known = zip(rollouts, values.tolist(), label_array(rollouts, labels).tolist(), strict=True)
        rows = [
            BlindRow(_step(r), r.query.id, r.query.domain, value, value >= self.threshold, verdict == 1)
            for r, value, verdict in known
            if verdict >= 0 and np.isfinite(value)
        ]
        return sorted(rows, key=lambda row: row.step)

    def refreshed(self) -> FollowingPredictor:
        """Train the network again, on the newest labelled rollouts of every query labelled so far.

        Raises:
            LabelError: the labels do not suffice.
        """
        rollouts, labels = self._labelled()
        if not rollouts:
            raise LabelError("memory holds no labelled rollout to train on: release or judge some")
        model = GraphPredictor(self.model.config, self.provenance.seed)
        model.fit(self.features(rollouts), label_array(rollouts, labels))
        queries = len({rollout.query.id for rollout in rollouts})
        provenance = replace(self.provenance, labelled_queries=queries, labels=len(labels))
        made = RewardPredictor(self.memory, self.featurizer, model, provenance)
        return self.following(made, self.growth, self.step)

    def _labelled(self) -> tuple[list[Rollout], list[Label]]:
        """The newest rollouts of labelled queries, and their labels; the ledger entered both uses before."""
        released = {use: self.memory.ledger.labels(use) for use in (WARMUP, TRAINING)}
        labels = {label.rollout_id: label for use in released for label in released[use]}
        queries = sorted({label.query_id for label in labels.values()})
        groups = self.memory.groups(queries, recent=self.growth.keep)
        rollouts = [rollout for group in groups for rollout in group.rollouts]
        return rollouts, [labels[rollout.id] for rollout in rollouts if rollout.id in labels]


def _step(rollout: Rollout) -> int:
    step = step_of(rollout)
    return BEFORE_TRAINING if step is None else step
