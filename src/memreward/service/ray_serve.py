"""The service beyond one machine: pages and evidence on replicas of Ray Serve, and one actor that owns what is kept.

Every page hands its requests to the actor of `memreward.service.ray_actor`. There groups are collected, so that they
are whole whichever replicas their rollouts came by, and memory, model and ledger have one writer. Evidence, which takes
most of the time, the actor has made by replicas, all rollouts of a question by one of them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from memreward.features.behaviour import runner_for
from memreward.features.featurizer import Featurizer
from memreward.features.subset import joined
from memreward.integrations.ray import SCHEME, ask
from memreward.sandbox.deadline import left
from memreward.service.config import ServiceConfig
from memreward.service.token import Application, RequireToken
from memreward.types import EndpointError, Features, MissingExtraError, Rollout

try:
    import ray
    from ray import serve
    from ray.exceptions import RayActorError
    from ray.serve.exceptions import RayServeException

    from memreward.service.gate import OPEN, Admitted, Limited
    from memreward.service.ray_actor import CALLS, start
except ImportError as error:
    raise MissingExtraError(error.name or "ray", "ray", "the service on a Ray cluster") from error

_LOGGER = logging.getLogger(__name__)
_NAME, _EVIDENCE = "memreward", "Evidence"
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
    return SpreadFeaturizer(alone, replicas, serve.get_deployment_handle(_EVIDENCE, _NAME))


def pages(actor: str, token: str, rate: float) -> Application:
    """Return the ASGI application of a replica: it checks rate, token and size, and hands requests to the actor."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def forward(request: Request) -> Response:
        path = f"{request.url.path}?{request.url.query}"
        try:
            status, said, after = await ask(f"{SCHEME}{actor}", request.method, path, await request.body())
        except EndpointError as error:  # it is being started again
            status, said, after = 503, json.dumps({"error": str(error)}), "5"
        return Response(said, status, {"retry-after": after} if after else None, "application/json")

    guards = [
        Middleware(Admitted, rate=rate, crowded=lambda: False, open_to_all=OPEN),
        Middleware(RequireToken, token=token, open_to_all=OPEN),
        Middleware(Limited),
    ]
    return Starlette(routes=[Route("/{path:path}", forward, methods=["GET", "POST"])], middleware=guards)


@contextmanager
def serving(memory: str | Path, config: ServiceConfig, *, host: str, port: int, token: str) -> Iterator[str]:
    """Serve by the cluster that RAY_ADDRESS names, else by one of this machine; yields the address of its head.

    Pages and evidence have as many replicas as the cluster has free cores at the start, less one for the actor.

    Args:
        memory: Its folder, on a disk that every node sees on which the actor may be started again.
        token: "" asks nobody.
    """
    if not ray.is_initialized():
        ray.init(log_to_driver=False, logging_level=logging.WARNING)
    replicas = max(1, int(ray.available_resources().get("CPU", 0)) - 1)
    serve.start(http_options={"host": host, "port": port}, logging_config={"log_level": "WARNING"})

    def build() -> Application:
        return pages(_NAME, token, config.rate)

    evidence = serve.deployment(Evidence).options(name=_EVIDENCE, num_replicas=replicas)
    front = serve.deployment(serve.ingress(build)()).options(
        name="Pages", num_replicas=replicas, max_ongoing_requests=CALLS, ray_actor_options={"num_cpus": 0}
    )
    serve.run(front.bind(evidence.bind()), name=_NAME)
    actor = start(memory, _NAME, config, replicas=replicas)
    try:
        ray.get(actor.pid.remote())
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        ray.kill(actor)
        serve.delete(_NAME)
