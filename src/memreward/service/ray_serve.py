"""The service beyond one machine: pages and evidence on replicas of Ray Serve, and one actor that owns what is kept.

Every page hands its requests to the actor of `memreward.service.ray_actor`. There groups are collected, so that they
are whole whichever replicas their rollouts came by, and memory, model and ledger have one writer. Evidence, which takes
most of the time, the actor has made by replicas, all rollouts of a question by one of them.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memreward.integrations.client import SCHEME, ask
from memreward.service.config import ServiceConfig
from memreward.service.token import Application, RequireToken
from memreward.types import EndpointError, MissingExtraError

try:
    import ray
    from ray import serve

    from memreward.service.middleware import OPEN, Admitted, Limited
    from memreward.service.ray_actor import CALLS, start
    from memreward.service.ray_evidence import APPLICATION, DEPLOYMENT, Evidence
except ImportError as error:
    raise MissingExtraError(error.name or "ray", "ray", "the service on a Ray cluster") from error


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
        return pages(APPLICATION, token, config.rate)

    evidence = serve.deployment(Evidence).options(name=DEPLOYMENT, num_replicas=replicas)
    front = serve.deployment(serve.ingress(build)()).options(
        name="Pages", num_replicas=replicas, max_ongoing_requests=CALLS, ray_actor_options={"num_cpus": 0}
    )
    serve.run(front.bind(evidence.bind()), name=APPLICATION)
    actor = start(memory, APPLICATION, config, replicas=replicas)
    try:
        ray.get(actor.pid.remote())
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        ray.kill(actor)
        serve.delete(APPLICATION)
