"""The rollouts of one call cut into pools: all rollouts of a query, whatever their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from memreward.domains import cluster_answers
from memreward.types import IntArray, Rollout

Column = NDArray[np.float64]


@dataclass(frozen=True)
class Pools:
    """n rollouts of q queries (in order of first appearance), with the sums that every family of signals needs.

    `group` (n,) indexes the queries; `cluster` (n,) is the class of equivalent answers, unique across queries, -1 for
    none.
    """

    rollouts: Sequence[Rollout]
    query_ids: tuple[str, ...]
    group: IntArray
    cluster: IntArray

    @classmethod
    def of(cls, rollouts: Sequence[Rollout], keys: Sequence[str | None] | None = None) -> Pools:
        """Pool the rollouts by query id and cluster each pool's answers.

        Answers whose key, what they do, is known are equivalent by it, and to none without a key.
        """
        index: dict[str, int] = {}
        group = np.array([index.setdefault(r.query.id, len(index)) for r in rollouts], dtype=np.int64)
        cluster = np.full(len(rollouts), -1, dtype=np.int64)
        used = 0
        for rows in _rows_of(group, len(index)):
            query = rollouts[rows[0]].query
            written = [None if keys and keys[i] is not None else rollouts[i].answer for i in rows]
            local = np.asarray(cluster_answers(written, query.domain, query_text=query.text), dtype=np.int64)
            if keys:
                local = _with_keys(local, [keys[i] for i in rows])
            cluster[rows] = np.where(local >= 0, local + used, -1)
            used += int(local.max(initial=-1)) + 1
        return cls(rollouts, tuple(index), group, cluster)

    @cached_property
    def rows(self) -> tuple[IntArray, ...]:
        """For each query the indices of its rollouts."""
        return _rows_of(self.group, len(self.query_ids))

    @cached_property
    def size(self) -> Column:
        """(n,) number of rollouts of each rollout's pool."""
        return self.total(np.ones(len(self.group)))

    @cached_property
    def cluster_size(self) -> Column:
        """(n,) number of rollouts with an equivalent answer, itself among them; 0 without an answer."""
        return self.cluster_total(np.ones(len(self.group)))

    def total(self, values: Column) -> Column:
        """(n,) sum over each rollout's pool; NaN counts as nothing."""
        return bin_totals(self.group, np.nan_to_num(values))[self.group]

    def mean(self, values: Column) -> Column:
        """(n,) mean over the rollouts of the pool for which `values` is defined."""
        return ratio(self.total(values), self.total(np.isfinite(values).astype(float)))

    def maximum(self, values: Column) -> Column:
        """(n,) greatest finite value of the pool; NaN where there is none."""
        top = np.full(len(self.query_ids), -np.inf)
        np.maximum.at(top, self.group, np.where(np.isfinite(values), values, -np.inf))
        return np.where(np.isfinite(top), top, np.nan)[self.group]

    def cluster_total(self, values: Column) -> Column:
        """(n,) sum over the rollouts with an equivalent answer; 0 without an answer."""
        sums = bin_totals(self.cluster + 1, np.nan_to_num(values))
        return np.where(self.cluster >= 0, sums[self.cluster + 1], 0.0)

    def cluster_mean(self, values: Column) -> Column:
        """(n,) mean over the rollouts with an equivalent answer; NaN without an answer."""
        return ratio(self.cluster_total(values), self.cluster_total(np.isfinite(values).astype(float)))


def _with_keys(local: IntArray, keys: Sequence[str | None]) -> IntArray:
    """Number the answers with a key after those without."""
    first = int(local.max(initial=-1)) + 1
    classes: dict[str, int] = {}
    return np.array(
        [
            own if key is None else first + classes.setdefault(key, len(classes))
            for own, key in zip(local, keys, strict=True)
        ],
        dtype=np.int64,
    )


def _rows_of(group: IntArray, n_groups: int) -> tuple[IntArray, ...]:
    order = np.argsort(group, kind="stable")
    return tuple(np.split(order, np.cumsum(np.bincount(group, minlength=n_groups))[:-1])) if n_groups else ()


def bin_totals(bins: IntArray, values: Column) -> Column:
    """Return the sum of `values` in each bin 0, 1, ..., greatest of `bins`."""
    return np.asarray(np.bincount(bins, values), dtype=np.float64)


def ratio(numerator: Column, denominator: Column) -> Column:
    """Return numerator / denominator; NaN where the denominator is not positive."""
    undefined = np.full(len(numerator), np.nan)
    return np.asarray(np.divide(numerator, denominator, out=undefined, where=denominator > 0), dtype=np.float64)
