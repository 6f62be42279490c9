"""Evidence made by replicas of Ray Serve: the part of scoring that takes most of the time, spread over a cluster."""

import logging
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np

from memreward.features.behaviour import runner_for
from memreward.features.featurizer import Featurizer
from memreward.features.subset import joined
from memreward.sandbox.deadline import left
from memreward.types import Features, MissingExtraError, Rollout

try:
    from ray import serve
    from ray.exceptions import RayActorError
    from ray.serve.exceptions import RayServeException
except ImportError as error:
    raise MissingExtraError(error.name or "ray", "ray", "the service on a Ray cluster") from error

_LOGGER = logging.getLogger(__name__)
APPLICATION, DEPLOYMENT = "memreward", "Evidence"
"""Names of the application of Ray Serve, and of its deployment that makes evidence."""
_SECONDS = 60.0
"""That a replica may take for its part of a batch, before the actor does it itself."""


class Evidence:
    """What a replica does: rollouts to features, by the code that one process uses."""

    def features(self, rollouts: list[Rollout], runs: bool) -> Features:
        """Return features; `runs` says whether solutions of code are run."""
        return Featurizer(runner=runner_for("auto") if runs else None).features(rollouts)


class SpreadFeaturizer(Featurizer):
    """Has replicas do a featurizer's work, a batch in so many parts at most; where they do not answer, it does it."""

    def __init__(self, alone: Featurizer, parts: int, replicas: Any) -> None:
        super().__init__(alone.encoder, alone.runner)
        self._parts, self._replicas = parts, replicas

    def features(self, rollouts: Sequence[Rollout]) -> Features:
        """Return what one process returns."""
        pools = [list(pool) for _, pool in groupby(rollouts, key=lambda rollout: rollout.query.id)]
        if len(pools) > len({pool[0].query.id for pool in pools}):  # a question's rollouts do not stand in a row
            return super().features(rollouts)
        cuts = np.array_split(np.arange(len(pools)), min(self._parts, len(pools)))
        parts = [[rollout for pool in cut for rollout in pools[pool]] for cut in cuts]
        asked = [self._replicas.features.remote(part, self.runner is not None) for part in parts]
        try:
            return joined([one.result(timeout_s=max(0.0, min(_SECONDS, left()))) for one in asked])
        except (RayActorError, RayServeException, TimeoutError) as error:
            _LOGGER.warning("replicas do not answer, the actor does their work: %s: %s", type(error).__name__, error)
            return super().features(rollouts)


def spread_over(alone: Featurizer, replicas: int) -> Featurizer:
    return SpreadFeaturizer(alone, replicas, serve.get_deployment_handle(DEPLOYMENT, APPLICATION))
