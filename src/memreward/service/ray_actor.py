"""The service as a Ray actor, for trainers whose workers live in a Ray cluster: the same pages, without HTTP.

It is named and detached, and Ray starts it again where it dies: what it had promised is in its folder, and the calls
that were under way are made again, which is harmless, since a rollout that is sent twice is answered once.
`Client("ray://NAME")` asks it.
"""

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from memreward.domains.registry import begin_all
from memreward.integrations.client import NAMESPACE
from memreward.service.app import create_app
from memreward.service.config import ServiceConfig
from memreward.service.store import GroupStore, Store, reward_of
from memreward.service.store_process import StoreProcess
from memreward.types import MissingExtraError, StoreError

CALLS = 10_000
"""Calls under way at a time: each rollout whose group is not whole is one."""
_LETTING_GO = 60.0


class StoreActor:
    """Owns memory, model and ledger, and answers what the service's pages answer.

    Replicas of Ray Serve, if there are any, make its evidence.
    """

    def __init__(self, memory: str, config: ServiceConfig, replicas: int = 0) -> None:
        with ThreadPoolExecutor(1) as pool:  # the steps done again ask replicas, which cannot be in an event loop
            self._store = pool.submit(_opened, Path(memory), config, replicas).result()
        self._app = create_app(self._store, config, token="")
        self._begun = False

    async def ask(self, method: str, path: str, content: bytes | None) -> tuple[int, str, str | None]:
        if not self._begun:  # in the actor's event loop, which its constructor has not
            self._begun = True
            self._app.batcher.start()
        given, replies = False, []

        async def receive() -> dict[str, Any]:
            nonlocal given
            if given:
                await asyncio.Event().wait()
            given = True
            return {"type": "http.request", "body": content or b"", "more_body": False}

        async def send(message: Any) -> None:
            replies.append(message)

        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content or b"")).encode())]
        path, _, query = path.partition("?")
        scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": headers}
        await self._app(scope, receive, send)
        after = dict(replies[0]["headers"]).get(b"retry-after")
        body = b"".join(reply.get("body", b"") for reply in replies[1:])
        return replies[0]["status"], body.decode(), after and after.decode()

    def pid(self) -> int:
        return os.getpid()


def start(
    memory: str | Path, name: str = "memreward", config: ServiceConfig | None = None, *, replicas: int = 0
) -> Any:
    """Start the actor in the cluster that this process is connected to, or find the one that runs; returns its handle.

    Args:
        memory: Folder of the memory. Ray starts the actor again on this node, else on another that has the folder.
        replicas: Of `memreward.service.ray_serve` that make its evidence, if they run.
    """
    try:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
    except ImportError as error:
        raise MissingExtraError("ray", "ray", "the service as an actor") from error
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    options = ray.remote(StoreActor).options(
        name=name,
        namespace=NAMESPACE,
        lifetime="detached",
        get_if_exists=True,
        max_restarts=-1,
        max_task_retries=-1,
        max_concurrency=CALLS,
        scheduling_strategy=here,
    )
    return options.remote(str(Path(memory).absolute()), config or ServiceConfig(), replicas)


def _opened(memory: Path, config: ServiceConfig, replicas: int) -> Store:
    """Open the store, once the process that held it before, on a node that is dying, has let go of its folder."""
    ends = time.monotonic() + _LETTING_GO
    while True:
        try:
            return _spread(memory, config, replicas) if replicas else StoreProcess(memory, config)
        except StoreError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.5)


def _spread(memory: Path, config: ServiceConfig, replicas: int) -> GroupStore:
    """The store in this process, from which alone the replicas that make its evidence can be asked."""
    from memreward.service.ray_evidence import spread_over

    begin_all()
    reward = reward_of(memory)
    reward.featurizer = spread_over(reward.featurizer, replicas)
    return GroupStore(reward, memory / "service", config)
