"""TRL: a reward of ours as one of the trainer's reward functions, and what its data set must say."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby, islice
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

from memreward.reward.ranks import decide_together
from memreward.reward.rows import COLUMNS, question_of
from memreward.types import DOMAINS, DataError, NoRewardError, UnknownDomainError, content_hash, unknown_domain

if TYPE_CHECKING:
    from memreward.reward.baselines import BaselineReward
    from memreward.reward.hybrid import HybridReward

_LOGGER = logging.getLogger(__name__)
_PEEKED = 256
"""Rows that are looked at of a data set that can only be iterated over."""
_PARTICULARS = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")


class RewardFunction:
    """A reward function for TRL's `GRPOTrainer`, alone or beside others: `reward_funcs=[RewardFunction(reward), ...]`.

    The column "query_id" names questions, by texts or integers; where there is none, `query_id_of` their text does.

    An abstention is None where the trainer has this reward function alone: TRL then leaves the row out. Beside others
    TRL would add nothing to their sum, as if the rollout were wrong; there an abstention gets the mean of its group's
    scored rows, and each row of a group without any gets one constant, so that neither adds an advantage. A group is a
    run of rows of one question, over all processes.

    Args:
        reward: What rewards.

    Attributes:
        reward: The same.
    """

    def __init__(self, reward: HybridReward | BaselineReward) -> None:
        self.reward = reward
        self.__name__ = reward.__name__

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Any] | None = None,
        *,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """Return one reward a completion; TRL's arguments, see `HybridReward`.

        Raises:
            NoRewardError: no row of the step, over all processes, got a reward, and all failed for one cause.
        """
        told: dict[str, list[Any]] = {}

        def hear(name: str, values: list[Any]) -> None:
            told[name] = values
            if log_extra is not None:
                log_extra(name, values)

        ids = query_ids(prompts, columns)
        rewards = self.reward(
            prompts, completions, completion_ids, log_extra=hear, log_metric=log_metric, **{**columns, "query_id": ids}
        )
        reasons = told.get("memreward/reason") or [""] * len(rewards)
        rows = [_Row(*row) for row in zip(ids, rewards, reasons, strict=True)]
        alone = _stands_alone(log_metric)
        filled, problem = decide_together(rows, lambda of_all: self._completed(of_all, alone))
        if problem:
            raise NoRewardError(problem)
        return filled

    def _completed(self, rows: list[_Row], alone: bool) -> tuple[list[float | None], str]:
        """The rewards of all processes, and what is wrong with all of them; in the first process."""
        given = [row.reward for row in rows]
        if any(reward is not None for reward in given):
            return given if alone else _filled(rows), ""
        failures = getattr(self.reward, "failures", ())
        causes = {_PARTICULARS.sub("", row.reason) if row.reason in failures else "" for row in rows}
        if len(causes) == 1 and causes != {""}:
            return given, f"no rollout of this step got a reward, all {len(rows)} for one cause: {rows[0].reason}"
        return given if alone else _filled(rows), ""


class _Row(NamedTuple):
    query_id: str | None
    reward: float | None
    reason: str


def _filled(rows: Sequence[_Row]) -> list[float | None]:
    """Rewards without a gap: see `RewardFunction`. The constant is the mean of all that is scored, or 0."""
    constant = _mean([row.reward for row in rows], 0.0)
    filled: list[float | None] = []
    for _, run in groupby(rows, key=lambda row: row.query_id):
        rewards = [row.reward for row in run]
        mean = _mean(rewards, constant)
        filled += [mean if reward is None else reward for reward in rewards]
    return filled


def _mean(rewards: Sequence[float | None], otherwise: float) -> float:
    scored = [reward for reward in rewards if reward is not None]
    return sum(scored) / len(scored) if scored else otherwise


def _stands_alone(log_metric: Any) -> bool:
    """Whether the trainer is known to have one reward function: what it logs with is a method of it."""
    return len(getattr(getattr(log_metric, "__self__", None), "reward_funcs", ())) == 1


def query_ids(prompts: Sequence[Any], columns: Mapping[str, Any]) -> list[str | None]:
    """Return n ids of questions: those of the column "query_id" as texts, else `query_id_of` the question's text.

    None stands where the id is neither a text nor an integer, or where there is none and the prompt cannot be read.

    Args:
        prompts: n texts or chats.
        columns: Lists of n values by name.
    """
    names, texts = columns.get("query_id"), columns.get("query")
    return [
        _query_id(None if names is None else names[i], None if texts is None else texts[i], prompt)
        for i, prompt in enumerate(prompts)
    ]


def query_id_of(text: str) -> str:
    """Return the id of a question that has no other: a hash of its text."""
    return content_hash(text)[:16]


def _query_id(name: Any, text: Any, prompt: Any) -> str | None:
    if isinstance(name, Integral) and not isinstance(name, bool):
        return str(int(name))
    if name is not None:
        return name if isinstance(name, str) else None
    try:
        return query_id_of(text if isinstance(text, str) and text else question_of(prompt))
    except DataError:
        return None


def check_questions(data: Any, reward: HybridReward) -> None:
    """Refuse a data set on whose questions the reward could never say anything.

    Of a data set that can only be iterated over, the first rows are looked at.

    Args:
        data: A `datasets.Dataset` or `IterableDataset`, as the trainer has it.
        reward: Its memory may know the questions.

    Raises:
        DataError: a question has no usable id, or is not in memory and has no domain.
        UnknownDomainError: a domain is none of `memreward.types.DOMAINS`; the nearest one is named.
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
    if reward.truth.labelled and reward.truth.labelled.isdisjoint(ids):
        _LOGGER.warning(
            "none of the data set's questions is labelled, so that no reward will be ground truth: if that is not "
            "meant, give it the ids that memory has, in a column 'query_id'"
        )


def _columns_of(data: Any) -> dict[str, list[Any]]:
    """The columns that are read, by name."""
    if hasattr(data, "__len__") and hasattr(data, "column_names"):
        return {name: list(data[name]) for name in ("prompt", *COLUMNS) if name in data.column_names}
    rows: Iterable[Mapping[str, Any]] = islice(iter(data), _PEEKED)
    seen = [dict(row) for row in rows]
    return {name: [row.get(name) for row in seen] for name in ("prompt", *COLUMNS)}
