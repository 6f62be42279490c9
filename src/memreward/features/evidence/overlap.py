"""How much of a rollout the others of its pool share. Linear in the number of parts, whatever the pool's size."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from memreward.features.evidence.parts import NOTHING, Parts
from memreward.features.evidence.pools import Column, Pools, bin_totals, ratio
from memreward.types import IntArray

_POOL, _MULTIPLIER = np.uint64(0xD1342543DE82EF95), np.uint64(0x9E3779B97F4A7C15)


class Overlap:
    """Overlap of n rollouts with the others of their pools; each in [0, 1], NaN alone in the pool.

    A part weighs log((m + 1) / f), with f of the pool's m rollouts having it. An empty set of parts has recall and
    cosine 0, and precision NaN. What nobody reads is not computed.
    """

    def __init__(self, pools: Pools, parts: Sequence[Parts]) -> None:
        self._pools = pools
        self._owner, self._part, self._ally = _entries(pools, parts)
        self._frequency = bin_totals(self._part, np.ones(len(self._owner)))[self._part]
        self._weight = np.log((pools.size[self._owner] + 1) / self._frequency)
        self._mass = self._per_rollout(self._weight)

    @cached_property
    def precision(self) -> Column:
        """(n,) mean over the others of the weighted share of this rollout's parts that they have too."""
        return ratio(self._per_rollout(self._weight * (self._frequency - 1)), self._mass * (self._pools.size - 1))

    @cached_property
    def recall(self) -> Column:
        """(n,) mean over the others with any parts of the weighted share of their parts that this rollout has."""
        return ratio(self._per_rollout(self._among_others(self._weight / self._mass[self._owner])), self._filled_others)

    @cached_property
    def cosine(self) -> Column:
        """(n,) mean over the others with any parts of the cosine between weighted parts."""
        unit = self._weight / np.sqrt(self._per_rollout(self._weight**2))[self._owner]
        return ratio(self._per_rollout(unit * self._among_others(unit)), self._filled_others)

    @cached_property
    def rival_precision(self) -> Column:
        """(n,) as precision, over rollouts without an equivalent answer only; NaN where all agree."""
        pools, ally = self._pools, self._ally
        in_cluster = np.where(pools.cluster[self._owner] >= 0, bin_totals(ally, np.ones(len(ally)))[ally], 1.0)
        rivals = pools.size - np.where(pools.cluster >= 0, pools.cluster_size, 1.0)
        return ratio(self._per_rollout(self._weight * (self._frequency - in_cluster)), self._mass * rivals)

    @cached_property
    def _filled_others(self) -> Column:
        filled = (self._mass > 0).astype(np.float64)
        return self._pools.total(filled) - filled

    def _among_others(self, value: Column) -> Column:
        """(parts,) sum of `value` over the other rollouts of the pool that have the part."""
        return bin_totals(self._part, value)[self._part] - value

    def _per_rollout(self, values: Column) -> Column:
        return np.asarray(np.bincount(self._owner, values, len(self._pools.group)), dtype=np.float64)


def _entries(pools: Pools, parts: Sequence[Parts]) -> tuple[IntArray, IntArray, IntArray]:
    """For each part of each rollout its owner, the index of (pool, part) and that of (pool, part, cluster).

    They are sorted by pool and part, and by cluster within, so that one sort gives both indices.
    """
    rows = np.argsort(pools.cluster, kind="stable")
    owner = np.repeat(rows, [len(parts[row]) for row in rows])
    key = _in_pool(pools.group[owner], np.concatenate([*(parts[row] for row in rows), NOTHING]))
    order = np.argsort(key, kind="stable")
    owner, key = owner[order], key[order]
    new_part = key[1:] != key[:-1]
    new_ally = new_part | (pools.cluster[owner[1:]] != pools.cluster[owner[:-1]])
    first = np.zeros(min(len(key), 1), dtype=np.int64)
    return owner, np.concatenate([first, np.cumsum(new_part)]), np.concatenate([first, np.cumsum(new_ally)])


def _in_pool(group: IntArray, part: Parts) -> Parts:
    """One hash per pair of pool and part."""
    mixed = (part + group.astype(np.uint64) * _POOL) * _MULTIPLIER
    return np.asarray(mixed ^ (mixed >> np.uint64(32)), dtype=np.uint64)
