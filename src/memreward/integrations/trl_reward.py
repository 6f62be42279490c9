"""TRL: a reward of ours, or of a service, as a reward function, and what settings and data set must say."""

import asyncio
import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from memreward.integrations.client import Client, Scored
from memreward.integrations.rows import COLUMNS, RowReader, TrainerRow, cut_off, query_ids, rows_of
from memreward.reward.judged import Judged
from memreward.reward.policy import PolicyReward
from memreward.types import (
    DOMAINS,
    PROGRAMMING_ERRORS,
    ConfigurationError,
    DataError,
    MemRewardError,
    NoRewardError,
    Rollout,
    UnknownDomainError,
    unknown_domain,
)

_LOGGER = logging.getLogger(__name__)
_PEEKED = 256
"""Rows that are looked at of a data set that can only be iterated over."""
_PARTICULARS = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")
_LOGGED = ("source", "probability", "advantage", "reason")
"""What a result has of a row after its reward: plain values, which are sent between processes."""


class RewardFunction:
    """A reward function for TRL's `GRPOTrainer`, alone or beside others: `reward_funcs=[RewardFunction(reward), ...]`.

    The column "query_id" names questions, by texts or integers; where there is none, `query_id_of` their text does.
    Every row gets a finite reward. An abstention adds no advantage: `memreward.reward.judged.filled`. With several
    processes, rows are gathered and decided on in the first one, which alone writes to memory and whose `reward` has
    the state.
    """

    def __init__(self, reward: PolicyReward) -> None:
        self.reward = reward
        self.__name__ = f"{reward.name}_reward"
        self._rows = RowReader(reward.memory)
        self._noted: set[str] = set()

    def __call__(
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
        """Return one reward a completion; of the columns, `memreward.integrations.rows.COLUMNS` are read.

        `log_extra` is told of source, predicted probability, advantage and reason of each row, `log_metric` of
        `Judged.metrics`.

        Raises:
            ConfigurationError: the trainer would standardise advantages again.
            NoRewardError: no row of the step, over all processes, got a reward, and all failed for one cause.
            Exception: a programming error (`memreward.types.PROGRAMMING_ERRORS`). Of several processes all raise.
        """
        started = time.monotonic()
        trainer = getattr(log_metric, "__self__", None)
        columns.setdefault("truncated", cut_off(completion_ids, trainer))
        if (arguments := getattr(trainer, "args", None)) is not None:
            check_arguments(arguments, self.reward)
        step = int(getattr(trainer_state, "global_step", 0) or 0)
        results, metrics = decide_together(self._read(prompts, completions, columns, step), self._decide)
        if log_extra is not None:
            for position, name in enumerate(_LOGGED, start=1):
                log_extra(f"memreward/{name}", [result[position] for result in results])
        if log_metric is not None:
            for name, value in {**metrics, "seconds": time.monotonic() - started}.items():
                log_metric(f"memreward/{name}", value)
        return [reward for reward, *_ in results]

    def save(self, folder: str | Path) -> None:
        self.reward.save(folder)

    def restore(self, folder: str | Path) -> None:
        self.reward.restore(folder)

    def _read(
        self, prompts: Sequence[Any], completions: Sequence[Any], columns: Mapping[str, Any], step: int
    ) -> list[TrainerRow]:
        try:
            return rows_of(prompts, completions, columns, step)
        except Exception as error:  # the other processes wait for this one's rows
            return [TrainerRow.broken(f"{type(error).__name__}: {error}", step)] * len(completions)

    def _decide(self, rows: list[TrainerRow]) -> tuple[list[tuple[Any, ...]], Mapping[str, float]]:
        """Results of all rows, and metrics for all processes."""
        step = max((row.step for row in rows), default=0)
        broken = self._seal(rows)
        rollouts: list[Rollout] = []
        for i, row in enumerate(rows):
            if not broken[i]:
                try:
                    rollouts.append(self._rows.rollout(row, self.reward.seen + len(rollouts) + 1))
                except Exception as error:  # one odd row must not cost the others their reward
                    broken[i] = f"{type(error).__name__}: {error}"
        for reason in set(filter(None, broken)) - self._noted:
            self._noted.add(reason)
            _LOGGER.warning("no reward: %s", reason)
        judged = self.reward.step(rollouts, step).among(broken, _runs(rows))
        _refuse_one_failure(judged)
        probability = [None if np.isnan(p) else p for p in judged.probability.tolist()]
        told = (judged.reward.tolist(), judged.source, probability, judged.advantage.tolist(), judged.reason)
        return list(zip(*told, strict=True)), judged.metrics

    def _seal(self, rows: list[TrainerRow]) -> list[str]:
        """Find the rows' queries, and put references that memory does not have into it; what is wrong with each row."""
        try:
            self._rows.look_up(rows)
            self._rows.seal(rows)
        except PROGRAMMING_ERRORS:
            raise
        except Exception as error:
            return [f"{type(error).__name__}: {error}"] * len(rows)
        return [""] * len(rows)


def _refuse_one_failure(judged: Judged) -> None:
    causes = {_PARTICULARS.sub("", reason) for reason in judged.reason}
    if len(judged.failed) and judged.failed.all() and len(causes) == 1:
        raise NoRewardError(
            f"no rollout of this step got a reward, all {len(judged.failed)} for one cause: {judged.reason[0]}"
        )


def _runs(rows: Sequence[TrainerRow]) -> list[int]:
    """Group of each row: rows of one question in a row are one."""
    found: list[int] = []
    for i, row in enumerate(rows):
        found.append(found[-1] + (row.query_id != rows[i - 1].query_id) if found else 0)
    return found


def check_arguments(args: Any, reward: PolicyReward) -> None:
    if reward.pays_advantages:
        check_centring(args)


def check_centring(args: Any) -> None:
    """Refuse a `GRPOConfig` with which the trainer would do more to an advantage than subtract its group's mean."""
    if args.scale_rewards != "none":
        raise ConfigurationError(
            f"scale_rewards={args.scale_rewards!r} standardises again what is an expected advantage already, and blows "
            'small ones up to full size: set GRPOConfig(scale_rewards="none"), or take '
            'HybridReward(..., rewards="probability")'
        )
    if args.multi_objective_aggregation != "sum_then_normalize":
        raise ConfigurationError(
            f"multi_objective_aggregation={args.multi_objective_aggregation!r} standardises expected advantages again "
            'whatever scale_rewards is: set GRPOConfig(multi_objective_aggregation="sum_then_normalize")'
        )


def check_questions(data: Any, reward: PolicyReward) -> None:
    """Refuse a data set on whose questions the reward could never say anything: DataError, or UnknownDomainError.

    Each question needs a usable id, and a domain or a place in memory. Of a data set that can only be iterated over,
    the first rows are looked at.
    """
    columns = _columns_of(data)
    ids = query_ids(columns["prompt"], columns)
    if (row := next((i for i, name in enumerate(ids) if name is None), None)) is not None:
        name = (columns.get("query_id") or {row: None})[row]
        raise DataError(
            f"the training's data set, row {row}: query_id {name!r} is neither a text nor an integer: name each "
            "question in a column 'query_id', or leave that column out"
        )
    domains = columns.get("domain") or [None] * len(ids)
    if (other := next((domain for domain in domains if domain not in (None, *DOMAINS)), None)) is not None:
        raise UnknownDomainError(f"the training's data set, column 'domain': {unknown_domain(other)}")
    known = set(reward.memory.query_ids())
    lacking = [name for name, domain in zip(ids, domains, strict=True) if domain is None and name not in known]
    if lacking:
        raise DataError(
            f"the training's data set: {len(set(lacking))} questions (the first is {lacking[0]!r}) are neither in "
            f"memory nor have a domain: add a column 'domain' with one of {', '.join(DOMAINS)}, or add their groups "
            "to memory"
        )
    if reward.labelled and reward.labelled.isdisjoint(ids):
        _LOGGER.warning(
            "none of the data set's questions is labelled, so that no reward will be ground truth: if that is not "
            "meant, give it the ids that memory has, in a column 'query_id'"
        )


def _columns_of(data: Any) -> dict[str, list[Any]]:
    if hasattr(data, "__len__") and hasattr(data, "column_names"):
        return {name: list(data[name]) for name in ("prompt", *COLUMNS) if name in data.column_names}
    rows: Iterable[Mapping[str, Any]] = islice(iter(data), _PEEKED)
    seen = [dict(row) for row in rows]
    return {name: [row.get(name) for row in seen] for name in ("prompt", *COLUMNS)}


def decide_together(rows: Sequence[Any], decide: Callable[[list[Any]], tuple[list[Any], Any]]) -> tuple[list[Any], Any]:
    """Gather the rows of all processes, decide on them in the first one, and return what concerns the caller.

    Every process must call it, as often as the others. `decide` is called in the first process with the rows of all by
    rank; it returns one result a row, and something for everybody. Rows and results are plain values: they are sent.

    Raises:
        RuntimeError: the processes have lost each other. Training cannot go on then.
        MemRewardError: `decide` raised in the first process, which raises that itself. None waits for it in vain.
    """
    dist = sys.modules.get("torch.distributed")  # who is one of several has loaded it
    if dist is None or not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return decide(list(rows))
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, list(rows))
    answer: list[Any] = [None, ""]
    failure: Exception | None = None
    if dist.get_rank() == 0:
        try:
            answer[0] = decide([row for part in gathered for row in part])
        except Exception as error:
            failure, answer[1] = error, f"{type(error).__name__}: {error}"
    dist.broadcast_object_list(answer, src=0)
    if failure is not None:
        raise failure
    if answer[1]:
        raise MemRewardError(f"the first process, which decides for all, failed: {answer[1]}")
    results, common = answer[0]
    start = sum(len(part) for part in gathered[: dist.get_rank()])
    return results[start : start + len(rows)], common


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
