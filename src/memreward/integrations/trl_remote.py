"""TRL: the reward of a service as an asynchronous reward function; each process sends its own rows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from memreward.integrations.client import Client, Scored
from memreward.integrations.rows import TrainerRow, cut_off, rows_of
from memreward.integrations.trl_reward import check_centring
from memreward.types import DOMAINS, ConfigurationError


class RemoteRewardFunction:
    """A reward function for TRL's `GRPOTrainer` that asks `memreward serve`; it pickles, and others run beside.

    A group that is split over processes is put together by the service, from the question's id and the step, under
    `run`, so that two trainings do not meet. `size` is the trainer's `num_generations`, unless given; `domain` is that
    of questions whose row names none.
    """

    def __init__(
        self, client: Client | None = None, *, run: str = "trl", size: int | None = None, domain: str = "math"
    ) -> None:
        if domain not in DOMAINS:
            raise ConfigurationError(f"domain={domain!r} is none of {', '.join(DOMAINS)}")
        self.client, self.run, self.size, self.domain = client or Client(), run, size, domain
        self.__name__ = "memreward_remote"
        self._asked = False

    async def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Any] | None = None,
        *,
        trainer_state: Any = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float]:
        """Return one reward a completion; see `memreward.integrations.trl.RewardFunction`.

        Raises:
            ConfigurationError: the trainer would standardise advantages again, or the group's size is not known.
            EndpointError: at the first call, if the service is not ready.
        """
        started = time.monotonic()
        trainer = getattr(log_metric, "__self__", None)
        columns.setdefault("truncated", cut_off(completion_ids, trainer))
        arguments = getattr(trainer, "args", None)
        if arguments is not None:
            check_centring(arguments)
        if not self._asked:
            await self.client.ready()
            self._asked = True
        training = bool(getattr(getattr(trainer, "model", None), "training", True))
        size = self.size or _size(arguments, training)
        step = int(getattr(trainer_state, "global_step", 0) or 0)
        rows = rows_of(prompts, completions, columns, step)
        place = f"{self.run}/{'train' if training else 'eval'}/{step}"
        scored = await asyncio.gather(*(self._one(row, place, size) for row in rows))
        if log_extra is not None:
            for name in ("source", "probability", "reason"):
                log_extra(f"memreward/{name}", [getattr(one, name) for one in scored])
        if log_metric is not None and scored:
            for name in scored[0].numbers():
                log_metric(name, sum(one.numbers()[name] for one in scored) / len(scored))
            log_metric("memreward/seconds", time.monotonic() - started)
        return [one.reward for one in scored]

    async def _one(self, row: TrainerRow, place: str, size: int) -> Scored:
        if row.unreadable or not isinstance(row.query_id, str):
            return Scored.failure(row.unreadable or "a row names no query: give the data set a column 'query_id'")
        query: dict[str, Any] = {
            "id": row.query_id,
            "text": str(row.query or row.prompt),
            "domain": row.domain if isinstance(row.domain, str) else self.domain,
            "dataset": str(row.dataset or ""),
        }
        if isinstance(row.reference, str):
            query["reference"] = row.reference
        return await self.client.reward(
            group=f"{place}/{row.query_id}",
            size=size,
            query=query,
            text=row.text,
            step=row.step,
            truncated=row.truncated,
            token_logprobs=row.token_logprobs,
        )


def _size(arguments: Mapping[str, Any] | Any, training: bool) -> int:
    name = "num_generations" if training else "num_generations_eval"
    size = getattr(arguments, name, None) or getattr(arguments, "num_generations", None)
    if not size:
        raise ConfigurationError("how many rollouts a group has is not known: RemoteRewardFunction(size=8)")
    return int(size)
