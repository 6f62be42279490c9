"""Sample groups of rollouts from a server that speaks OpenAI's protocol."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any

from memreward.policy.connection import Connection, RefusedError
from memreward.policy.sampler import Chat, Sample, SampledGroup
from memreward.policy.settings import EndpointConfig, SamplingConfig
from memreward.types import ConfigurationError, content_hash

# What a request can do without, and the words of a server that refuses it; the first is what most refuse.
_OPTIONAL = {
    "several": r"\bn\b|\bbest_of\b|\b(one|single|multiple) (\w+ )?(completion|choice)",
    "logprobs": r"logprob",
    "seed": r"\bseed\b",
}


class EndpointSampler:
    """Samples groups from one server; several requests are under way at a time.

    A group is one request where the server gives several choices, else one a rollout, seeded by the run's seed, the
    group's id and the rollout's place. The first request finds out what the server takes; what it refuses is left out
    of all that follow.
    """

    def __init__(self, config: SamplingConfig, endpoint: EndpointConfig) -> None:
        self.config = config
        self.endpoint = endpoint

    def prompts(self, chats: Sequence[Chat]) -> Sequence[Chat]:
        return chats

    def sample(self, prompts: Sequence[Chat]) -> Generator[SampledGroup, None, None]:
        """Yield each group once it is whole; closing the generator ends the requests. Raises as `Connection`."""
        from anyio.from_thread import start_blocking_portal

        finished: SimpleQueue[SampledGroup | None] = SimpleQueue()
        # The event loop has a thread of its own, so that this works where another loop runs, as in a notebook.
        with start_blocking_portal() as portal:
            sampling = portal.start_task_soon(self._sample_all, tuple(prompts), finished.put)
            sampling.add_done_callback(lambda _: finished.put(None))
            try:
                while (group := finished.get()) is not None:
                    yield group
                sampling.result()
            finally:
                sampling.cancel()

    async def _sample_all(self, prompts: Sequence[Chat], finished: Callable[[SampledGroup], None]) -> None:
        waiting = iter(prompts)
        async with Connection(self.config.model, self.endpoint) as connection:
            run = _Run(self.config, connection)

            async def work() -> None:
                for prompt in waiting:
                    finished(await run.group(prompt))

            try:
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(min(self.endpoint.parallel, len(prompts))):
                        tasks.create_task(work())
            except BaseExceptionGroup as failures:
                # The first failure ended the others.
                raise _innermost(failures) from None


@dataclass(frozen=True)
class _Dialect:
    """What this server takes: the optional parts of a request, and its name of the length limit."""

    parts: tuple[str, ...] = tuple(_OPTIONAL)
    limit: str = "max_tokens"

    def without(self, *left_out: str) -> _Dialect:
        return replace(self, parts=tuple(part for part in self.parts if part not in left_out))

    def after(self, refusal: str) -> _Dialect | None:
        """What to try when the server has refused a request for this reason; None if nothing can be left out."""
        if "max_completion_tokens" in refusal and self.limit == "max_tokens":
            return replace(self, limit="max_completion_tokens")
        named = [part for part in self.parts if re.search(_OPTIONAL[part], refusal, re.IGNORECASE)]
        suspects = named or self.parts
        return self.without(suspects[0]) if suspects else None


class _Run:
    def __init__(self, config: SamplingConfig, connection: Connection) -> None:
        self.config = config
        self.connection = connection
        self.dialect = _Dialect()
        self._settled = False
        self._settling = asyncio.Lock()
        # First come, first served: groups finish about in order, and few are lost half-done to an interruption.
        self._slots = asyncio.Semaphore(connection.config.parallel)

    async def group(self, prompt: Chat) -> SampledGroup:
        samples: list[Sample] = []
        while (done := len(samples)) < self.config.rollouts:
            missing = self.config.rollouts - done
            if "several" in self.dialect.parts:
                samples += await self._answer(prompt, done, missing)
            else:
                async with asyncio.TaskGroup() as tasks:
                    asked = [tasks.create_task(self._answer(prompt, done + index, 1)) for index in range(missing)]
                samples += [sample for task in asked for sample in task.result()]
        return SampledGroup(prompt.id, tuple(samples[: self.config.rollouts]))

    async def _answer(self, prompt: Chat, index: int, count: int) -> list[Sample]:
        """One or more samples, of which the first is the group's `index`-th."""
        async with self._settling:
            if not self._settled:
                return await self._settle(prompt, index, count)
        async with self._slots:
            try:
                return await self.connection.ask(self._body(self.dialect, prompt, index, count))
            except RefusedError as refusal:
                raise _refused(prompt, refusal) from refusal

    async def _settle(self, prompt: Chat, index: int, count: int) -> list[Sample]:
        """Ask with less and less until the server takes the request."""
        dialect, first = self.dialect, None
        while True:
            try:
                answer = await self.connection.ask(self._body(dialect, prompt, index, count))
            except RefusedError as refusal:
                first = first or refusal
                less = dialect.after(refusal.said)
                if less is None:
                    raise _refused(prompt, first) from refusal
                dialect = less
            else:
                # Some servers refuse n, others ignore it.
                ignored = count > 1 and len(answer) == 1
                self.dialect = dialect.without("several") if ignored else dialect
                self._settled = True
                return answer

    def _body(self, dialect: _Dialect, prompt: Chat, index: int, count: int) -> dict[str, Any]:
        config = self.config
        body: dict[str, Any] = {
            "model": config.model,
            "messages": prompt.messages,
            dialect.limit: config.max_new_tokens,
        }
        body |= {"temperature": config.temperature, "top_p": config.top_p}
        if "several" in dialect.parts and count > 1:
            body["n"] = count
        if "seed" in dialect.parts:
            # 31 bits: the least that any server takes.
            body["seed"] = int(content_hash(f"{config.seed} {prompt.id} {index}")[:8], 16) >> 1
        if "logprobs" in dialect.parts:
            # One alternative, as vLLM once wanted some and llama.cpp gives 20 unasked.
            body |= {"logprobs": True, "top_logprobs": 1}
        return body


def _innermost(failure: BaseException) -> BaseException:
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure


def _refused(prompt: Chat, refusal: RefusedError) -> ConfigurationError:
    return ConfigurationError(
        f"the server does not take the request for query {prompt.id!r} ({refusal}): change the setting that it names, "
        "or leave the question out"
    )
