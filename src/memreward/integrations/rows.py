"""From what TRL hands to a reward function to plain rows, and from these to rollouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, NamedTuple

from memreward.data.chat import query_id_of, question_of, text_of
from memreward.domains import parse_rollout
from memreward.memory import ExperienceMemory
from memreward.types import DataError, Group, Query, Rollout, Truth, content_hash

COLUMNS = ("query_id", "query", "domain", "dataset", "reference")
"""Columns of the data set that are read; docs/training.md says for what."""

SAMPLED = ("token_logprobs", "truncated")
"""Columns that a `rollout_func` may add; without it, `cut_off` finds the second."""

_VERSION = "step-"


class TrainerRow(NamedTuple):
    """One completion, in plain values that can be sent to another process.

    Attributes:
        prompt: What the policy was asked, as text; the question where neither memory nor the column "query" has it.
        query_id, query, domain, dataset, reference: The data set's columns; None where there is none.
        token_logprobs, truncated: The sampler's columns, see `memreward.types.Rollout`; None where none.
        unreadable: Why completion or prompt cannot be read; "" where they can.
    """

    text: str
    prompt: str
    step: int
    query_id: Any
    query: Any
    domain: Any
    dataset: Any
    reference: Any
    token_logprobs: Any = None
    truncated: Any = None
    unreadable: str = ""

    @classmethod
    def broken(cls, reason: str, step: int) -> TrainerRow:
        return cls("", "", step, None, None, None, None, None, unreadable=reason)


class RowReader:
    """Makes rollouts of a training's rows: it knows their queries."""

    def __init__(self, memory: ExperienceMemory) -> None:
        self.memory = memory
        self._queries: dict[str, Query] = {}
        self._sealed: set[str] = set()

    def look_up(self, rows: Sequence[TrainerRow]) -> None:
        unknown = sorted({row.query_id for row in rows if isinstance(row.query_id, str)} - self._queries.keys())
        if unknown:
            self._queries.update((group.query.id, group.query) for group in self.memory.groups(unknown, recent=0))

    def seal(self, rows: Sequence[TrainerRow]) -> None:
        """Put the references of the column "reference" into memory, unseen, each query's at its first row."""
        new: dict[str, Group] = {}
        for row in rows:
            if isinstance(row.reference, str) and isinstance(row.query_id, str) and row.query_id not in self._sealed:
                try:
                    new.setdefault(row.query_id, Group(self._query(row), (), Truth(row.reference)))
                except DataError:
                    continue  # `rollout` says what is wrong with it
        if new:
            self.memory.add(new.values())
            self._sealed.update(new)

    def rollout(self, row: TrainerRow, number: int) -> Rollout:
        """Return the row's rollout, named by the `number` of the row in this training."""
        if row.unreadable:
            raise DataError(row.unreadable)
        return rollout_of(row, self._query(row), number)

    def _query(self, row: TrainerRow) -> Query:
        if not isinstance(row.query_id, str):
            raise DataError("a row names no query: give the data set a column 'query_id' of texts")
        if row.query_id not in self._queries:
            self._queries[row.query_id] = query_of(row)
        return self._queries[row.query_id]


def rows_of(
    prompts: Sequence[Any], completions: Sequence[Any], columns: Mapping[str, Any], step: int
) -> list[TrainerRow]:
    """Return one row a completion, in order; one that cannot be read says why, and costs the others nothing.

    Of the `columns`, lists of n values by name, others than `COLUMNS` and `SAMPLED` are not looked at.
    """
    names = (*COLUMNS, *SAMPLED)
    given = {name: columns[name] for name in names if columns.get(name) is not None}
    given["query_id"] = query_ids(prompts, columns)
    rows = []
    for i, completion in enumerate(completions):
        values: dict[str, Any] = {name: given[name][i] if name in given else None for name in names}
        try:
            rows.append(TrainerRow(text_of(completion), question_of(prompts[i]), step, **values))
        except DataError as error:
            rows.append(TrainerRow("", "", step, **values, unreadable=str(error)))
    return rows


def query_ids(prompts: Sequence[Any], columns: Mapping[str, Any]) -> list[str | None]:
    """Return n ids of questions: those of the column "query_id" as texts, else `query_id_of` the question's text.

    None stands where the id is neither a text nor an integer, or where there is none and the prompt cannot be read.
    """
    names, texts = columns.get("query_id"), columns.get("query")
    return [
        _query_id(None if names is None else names[i], None if texts is None else texts[i], prompt)
        for i, prompt in enumerate(prompts)
    ]


def _query_id(name: Any, text: Any, prompt: Any) -> str | None:
    if isinstance(name, Integral) and not isinstance(name, bool):
        return str(int(name))
    if name is not None:
        return name if isinstance(name, str) else None
    try:
        return query_id_of(text if isinstance(text, str) and text else question_of(prompt))
    except DataError:
        return None


def cut_off(completion_ids: Sequence[Any] | None, trainer: Any) -> list[bool] | None:
    """Return whether the length limit ended each completion, None where the trainer does not say what would."""
    limit, ends = getattr(trainer, "max_completion_length", None), getattr(trainer, "eos_token_ids", None)
    if completion_ids is None or not limit or ends is None:
        return None
    return [len(tokens) >= limit and tokens[-1] not in ends for tokens in completion_ids]


def query_of(row: TrainerRow) -> Query:
    """Return the query of a row that memory does not know; a row that does not say enough is a DataError."""
    if not isinstance(row.domain, str):
        raise DataError(
            f"query {row.query_id!r} is not in memory and has no domain: add a column 'domain', or its group to memory"
        )
    return Query(row.query_id, str(row.query or row.prompt), row.domain, str(row.dataset or ""))


def rollout_of(row: TrainerRow, query: Query, number: int) -> Rollout:
    """Parse a row; its id names query, step, text and, for equal texts, the `number` of the row in this training.

    A step that is made again after an interruption, with other texts, makes other rollouts.
    """
    if row.truncated not in (None, True, False):
        raise DataError(f"truncated={row.truncated!r} is neither true nor false: leave it out where it is not known")
    identity = f"{query.id}@{row.step}/{number}-{content_hash(row.text)[:12]}"
    return parse_rollout(
        query,
        row.text,
        id=identity,
        policy_version=f"{_VERSION}{row.step}",
        token_logprobs=row.token_logprobs,
        truncated=row.truncated,
    )
