"""How a client asks the service that runs as a Ray actor (`memreward.service.ray_actor`)."""

from __future__ import annotations

from typing import Any

from memreward.types import EndpointError, MissingExtraError

SCHEME, NAMESPACE = "ray://", "memreward"


async def ask(url: str, method: str, path: str, content: bytes | None) -> tuple[int, str, str | None]:
    """Return status, body and Retry-After; Ray itself makes calls again whose actor has died."""
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "ray", "asking a service that is an actor") from error
    try:
        actor: Any = ray.get_actor(url.removeprefix(SCHEME), namespace=NAMESPACE)
        found: tuple[int, str, str | None] = await actor.ask.remote(method, path, content)
    except (ValueError, ray.exceptions.RayActorError) as error:
        raise EndpointError(f"{url}: no such actor answers: {error}") from error
    return found
