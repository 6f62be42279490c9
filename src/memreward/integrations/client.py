"""One client of `memreward serve` for all adapters: pooled, tried again, bounded in time, and picklable."""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import os
import random
import time
import uuid
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from memreward.types import PROGRAMMING_ERRORS, ConfigurationError, EndpointError, FaultError, MissingExtraError

if TYPE_CHECKING:
    import aiohttp

URL_VARIABLE, TOKEN_VARIABLE = "MEMREWARD_URL", "MEMREWARD_TOKEN"
DEFAULT_URL = "http://127.0.0.1:8765"
SCHEME, NAMESPACE = "ray://", "memreward"
"""Of the service that runs as a Ray actor (`memreward.service.ray_actor`)."""

_LOGGER = logging.getLogger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 20.0
_CONNECT_SECONDS = 10.0
_SPARE_SECONDS = 5.0
_PASSING = frozenset({408, 425, 429, *range(501, 600)})
_SOURCES = ("truth", "predicted", "abstained")
FIGURES = ("labelled_queries", "live_right", "live_wrong", "live_tpr", "live_fpr", "live_j")
"""What the service says of itself beside each reward."""
LOUD: tuple[type[Exception], ...] = (FaultError, *PROGRAMMING_ERRORS)
"""What no adapter turns into an abstention: a bug, of the service's or of ours."""
# Jitter decides no reward, and must differ between processes that were started alike.
_jitter = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Scored:
    """The reward of one rollout.

    Attributes:
        reward: What the trainer is to centre, and nothing else; of a whole group the sum is 0.
        source: "truth", "predicted" or "abstained"; the reward of an abstention is 0.
        probability: That it is right, predicted before any label was read; None where it abstains.
        correct: Ground truth; None where it is not labelled or cannot be told.
        partial: Whether the group was answered without all of its rollouts.
        rollout: Its id in memory, by which it can be labelled; "" where there is none.
        figures: `FIGURES`, where the service has said them.
    """

    reward: float
    source: str
    probability: float | None = None
    correct: bool | None = None
    reason: str = ""
    failed: bool = False
    partial: bool = False
    rollout: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def failure(cls, reason: str) -> Scored:
        """Return what a rollout gets that the service said nothing of, and log why."""
        _LOGGER.warning("no reward: %s", reason)
        return cls(0.0, "abstained", reason=reason, failed=True)

    def record(self) -> dict[str, Any]:
        """Return its fields but `figures`, by name; `asdict` would copy each, at a tenth of what a request costs."""
        return {name: getattr(self, name) for name in self.__slots__[:-1]}

    def numbers(self) -> dict[str, float]:
        """Return what a trainer logs: the same names in every row, finite numbers all."""
        shares = {f"memreward/{source}": float(self.source == source) for source in _SOURCES}
        flags = {"memreward/failed": float(self.failed), "memreward/partial": float(self.partial)}
        return shares | flags | {f"memreward/{name}": float(self.figures.get(name, 0.0)) for name in FIGURES}


class Client:
    """Asks a service for rewards; from any event loop, and from threads by `now`.

    It pickles, without its connections and without the token, which every process reads from its own environment.

    Args:
        url: Of the service, or ray://NAME of the actor; None takes MEMREWARD_URL, else this machine's default.
        deadline: Seconds for a reward, waiting for its group and trying again included.
        connections: Connections at a time: each rollout whose group is not whole holds one.
    """

    def __init__(self, url: str | None = None, *, deadline: float = 300.0, connections: int = 1024) -> None:
        self.url = (url or os.environ.get(URL_VARIABLE, "") or DEFAULT_URL).rstrip("/")
        if not self.url.startswith(("http://", "https://", SCHEME)):
            raise ConfigurationError(f"url={self.url!r} is not an address: give one as {DEFAULT_URL}, or ray://NAME")
        self.deadline, self.connections = deadline, connections
        self._pools: weakref.WeakKeyDictionary[Any, aiohttp.ClientSession] = weakref.WeakKeyDictionary()

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(Client, self.url, deadline=self.deadline, connections=self.connections), ()

    async def ready(self) -> None:
        """Return if the service can be asked, and gives out advantages.

        Raises:
            ConfigurationError: it refuses the token, or is another program.
            EndpointError: it cannot be reached, or is not ready, for as long as `deadline`.
        """
        said = await self._ask("GET", "/ready", None)
        if said.get("pays") != "advantages":
            raise ConfigurationError(f"{self.url} is not a memreward service: it says {str(said)[:200]!r}")
        await self._ask("GET", "/memory", None)  # which needs the token

    async def score(self, groups: Sequence[Mapping[str, Any]]) -> list[list[Scored]]:
        """Reward whole groups, each as POST /score describes it.

        Raises ConfigurationError where the service refuses token or request, EndpointError where it kept failing,
        FaultError where it met a bug.
        """
        said = await self._ask("POST", "/score", {"groups": list(groups)})
        figures = said["figures"]
        return [[Scored(**one, figures=figures) for one in group["rewards"]] for group in said["groups"]]

    async def score_one(
        self,
        *,
        group: str,
        size: int,
        query: Mapping[str, Any],
        text: str,
        step: int = 0,
        truncated: bool | None = None,
        token_logprobs: Sequence[float] | None = None,
        rollout: str | None = None,
        group_deadline: float | None = None,
    ) -> Scored:
        """Reward one rollout once its group is whole; see POST /score_one. Raises as `score`.

        Args:
            group: Id of the group, the same for all of its rollouts and for no other group at the same time.
            query: "id", "text", "domain", and, if there are, "dataset" and "reference".
            rollout: Its id; None makes one, which is the same however often the request is sent.
            group_deadline: Seconds after which the group is rewarded as it is.
        """
        sampled = {"truncated": truncated, "token_logprobs": token_logprobs}
        body = {
            "group": group,
            "size": size,
            "query": dict(query),
            "rollout": {"id": rollout or uuid.uuid4().hex, "text": text, **sampled},
            "step": step,
            "deadline": group_deadline or max(1.0, self.deadline - _SPARE_SECONDS),
        }
        return Scored(**await self._ask("POST", "/score_one", body))

    async def reward(self, **asked: Any) -> Scored:
        """Return `score_one` or, where the service does not answer, a failure: training goes on, and its log shows it.

        Raises:
            FaultError: the service met a bug. A training must not go on as if it had abstained.
        """
        try:
            return await self.score_one(**asked)
        except LOUD:
            raise
        except Exception as error:  # trainers stop at the first exception of a reward
            return Scored.failure(f"{type(error).__name__}: {error}")

    def now(self, asking: Any) -> Any:
        """Wait for a coroutine of this client's from a thread without an event loop."""
        return asyncio.run_coroutine_threadsafe(asking, _loop()).result()

    async def close(self) -> None:
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.close()

    def close_all(self) -> None:
        """Close the connections of every event loop that runs in another thread, as a trainer's does."""
        for loop, pool in list(self._pools.items()):
            if loop.is_running():
                asyncio.run_coroutine_threadsafe(pool.close(), loop).result(_CONNECT_SECONDS)
        self._pools.clear()

    async def _ask(self, method: str, path: str, body: Any) -> dict[str, Any]:
        ends = time.monotonic() + self.deadline
        content = None if body is None else json.dumps(body, ensure_ascii=True, allow_nan=False).encode()
        attempt = 0
        while True:
            attempt += 1
            after = 0.0
            try:
                async with asyncio.timeout(max(0.001, ends - time.monotonic())):
                    status, said, again = await self._sent(method, path, content)
            except TimeoutError:
                failure = f"no answer within {self.deadline:g} s"
            except EndpointError as error:
                failure = str(error)
            else:
                if status == 200:
                    return self._read(said)
                failure, after = f"{status}: {said[:300]}", _seconds(again)
                if status == 500:
                    raise FaultError(f"{self.url}{path} met a bug: {failure}")
                if status not in _PASSING:
                    raise ConfigurationError(f"{self.url}{path} refuses the request: {failure}")
            pause = max(after, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempt, 10)) * _jitter.uniform(0.5, 1.0))
            if time.monotonic() + pause >= ends:
                raise EndpointError(
                    f"{self.url}{path}: failed {attempt} times, at last with {failure}: look at the service's log, and "
                    f"whether {URL_VARIABLE} names it"
                )
            await asyncio.sleep(pause)

    async def _sent(self, method: str, path: str, content: bytes | None) -> tuple[int, str, str | None]:
        if self.url.startswith(SCHEME):
            return await ask(self.url, method, path, content)
        try:
            async with self._pool().request(method, self.url + path, data=content) as reply:
                return reply.status, await reply.text(errors="replace"), reply.headers.get("retry-after")
        except _aiohttp().ClientError as error:
            raise EndpointError(f"{type(error).__name__}: {error}".removesuffix(": ")) from error

    def _read(self, said: str) -> dict[str, Any]:
        try:
            found = json.loads(said)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ConfigurationError(f"{self.url} is not a memreward service: it says {said[:200]!r}")
        return found

    def _pool(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            aiohttp = _aiohttp()
            token = os.environ.get(TOKEN_VARIABLE, "").strip()
            headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
            atexit.register(self.close_all)  # before the loop of whoever asks ends: aiohttp would complain of each pool
            # With a thousand open requests httpx takes a thousand times as long for each: it looks at all connections.
            pool = self._pools[loop] = aiohttp.ClientSession(
                headers=headers,
                timeout=aiohttp.ClientTimeout(None, sock_connect=_CONNECT_SECONDS),
                connector=aiohttp.TCPConnector(limit=self.connections),
            )
        return pool


@cache
def ready_client(url: str | None = None, deadline: float = 300.0) -> Client:
    """Return this process's client, of a service that was ready; raises as `Client.ready`."""
    client = Client(url, deadline=deadline)
    client.now(client.ready())
    return client


def _aiohttp() -> Any:
    try:
        import aiohttp
    except ImportError as error:
        raise MissingExtraError("aiohttp", "serve", "asking a reward service") from error
    return aiohttp


def _seconds(value: str | None) -> float:
    try:
        return max(0.0, float(value or 0))
    except ValueError:
        return 0.0


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """An event loop in a thread of its own, one a process."""
    import threading

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="memreward-client", daemon=True).start()
    return loop


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
