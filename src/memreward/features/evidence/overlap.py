"""How much of a rollout the others of its pool share. Linear in the number of parts, whatever the pool's size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from memreward.features.evidence.parts import Parts
from memreward.features.evidence.pools import Column, Pools, bin_totals, ratio
from memreward.types import IntArray

_POOL, _MULTIPLIER = np.uint64(0xD1342543DE82EF95), np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Overlap:
    """Overlap of n rollouts with the others of their pools; each in [0, 1], NaN alone in the pool.

    A part weighs log((m + 1) / f), with f of the pool's m rollouts having it: what all have says little.

    Attributes:
        precision: Mean over the others of the weighted share of this rollout's parts that they have too.
        recall: Mean over the others with any parts of the weighted share of their parts that this rollout has.
        cosine: Mean over the others with any parts of the cosine between weighted parts.
        rival_precision: As precision, over rollouts without an equivalent answer only; NaN where all agree.
    """

    precision: Column
    recall: Column
    cosine: Column
    rival_precision: Column


def pool_overlap(pools: Pools, parts: Sequence[Parts]) -> Overlap:
    """Compare n sets of parts inside each pool. An empty set has recall and cosine 0, and precision NaN."""
    n = len(parts)
    owner, part, ally = _entries(pools, parts)
    one = np.ones(len(owner))
    frequency = bin_totals(part, one)[part]
    weight = np.log((pools.size[owner] + 1) / frequency)
    mass = _per_rollout(owner, weight, n)
    norm = np.sqrt(_per_rollout(owner, weight**2, n))
    filled = (mass > 0).astype(np.float64)
    filled_others = pools.total(filled) - filled

    def among_others(value: Column) -> Column:
        """(parts,) sum of `value` over the other rollouts of the pool that have the part."""
        return bin_totals(part, value)[part] - value

    in_cluster = np.where(pools.cluster[owner] >= 0, bin_totals(ally, one)[ally], 1.0)
    allies = np.where(pools.cluster >= 0, pools.cluster_size, 1.0)
    unit = weight / norm[owner]
    return Overlap(
        precision=ratio(_per_rollout(owner, weight * (frequency - 1), n), mass * (pools.size - 1)),
        recall=ratio(_per_rollout(owner, among_others(weight / mass[owner]), n), filled_others),
        cosine=ratio(_per_rollout(owner, unit * among_others(unit), n), filled_others),
        rival_precision=ratio(_per_rollout(owner, weight * (frequency - in_cluster), n), mass * (pools.size - allies)),
    )


def _entries(pools: Pools, parts: Sequence[Parts]) -> tuple[IntArray, IntArray, IntArray]:
    """For each part of each rollout its owner, the index of (pool, part) and that of (pool, part, cluster).

    They are sorted by pool and part, and by cluster within, so that one sort gives both indices.
    """
    rows = np.argsort(pools.cluster, kind="stable")
    owner = np.repeat(rows, [len(parts[row]) for row in rows])
    key = _in_pool(pools.group[owner], _flat([parts[row] for row in rows]))
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


def _flat(parts: Sequence[Parts]) -> Parts:
    return np.concatenate([*parts, np.zeros(0, dtype=np.uint64)])


def _per_rollout(owner: IntArray, values: Column, n: int) -> Column:
    return np.asarray(np.bincount(owner, values, n), dtype=np.float64)
