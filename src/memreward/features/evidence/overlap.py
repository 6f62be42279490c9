"""How much of a rollout the other rollouts of its pool share. Linear in the number of parts, whatever the pool's size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from memreward.features.evidence.parts import Parts
from memreward.features.evidence.pools import Column, Pools


@dataclass(frozen=True)
class Overlap:
    """Overlap of n rollouts with the others of their pools; each in [0, 1], NaN alone in the pool.

    A part weighs log((m + 1) / f), with f of the pool's m rollouts having it: what all have says little.

    Attributes:
        precision: Mean over the others of the weighted share of this rollout's parts that they have too.
        recall: Mean over the others with any parts of the weighted share of their parts that this rollout has.
        cosine: Mean over the others of the cosine between weighted parts.
        rival_precision: As precision, over the rollouts with another answer only; NaN where all agree.
    """

    precision: Column
    recall: Column
    cosine: Column
    rival_precision: Column


def pool_overlap(pools: Pools, parts: Sequence[Parts]) -> Overlap:
    """Compare n sets of parts inside each pool. A set without parts has recall and cosine 0, precision NaN."""
    n = len(parts)
    owner = np.repeat(np.arange(n), [len(p) for p in parts])
    part = _index_in_pool(pools.group[owner], np.concatenate([*parts, np.zeros(0, dtype=np.uint64)]))
    frequency = np.bincount(part).astype(float)
    weight = np.log((pools.size[owner] + 1) / frequency[part])
    mass = np.bincount(owner, weight, n)
    norm = np.sqrt(np.bincount(owner, weight**2, n))
    others = pools.size - 1
    filled = (mass > 0).astype(float)
    filled_others = pools.total(filled) - filled

    def shared(value: Column) -> Column:
        """(parts,) sum of `value` over the other rollouts that have the part."""
        return np.bincount(part, value)[part] - value

    precision = _divide(np.bincount(owner, weight * (frequency[part] - 1), n), mass * others)
    recall = _divide(np.bincount(owner, shared(weight / mass[owner]), n), filled_others)
    cosine = _divide(np.bincount(owner, weight / norm[owner] * shared(weight / norm[owner]), n), filled_others)
    allies = _frequency_in_cluster(pools.cluster[owner], part, frequency[part])
    rivals = pools.size - np.where(pools.cluster >= 0, pools.cluster_size, 1)
    rival_precision = _divide(np.bincount(owner, weight * (frequency[part] - allies), n), mass * rivals)
    return Overlap(precision, recall, cosine, rival_precision)


def _index_in_pool(group: np.ndarray, part: Parts) -> np.ndarray:
    """Number the distinct (pool, part) pairs."""
    _, code = np.unique(part, return_inverse=True)
    n_parts = int(code.max(initial=-1)) + 1
    _, index = np.unique(group * n_parts + code, return_inverse=True)
    return index


def _frequency_in_cluster(cluster: np.ndarray, part: np.ndarray, frequency: Column) -> Column:
    """(parts,) number of rollouts with an equivalent answer that have the part; itself only without an answer."""
    n_parts = int(part.max(initial=-1)) + 1
    _, index = np.unique(cluster * n_parts + part, return_inverse=True)
    return np.where(cluster >= 0, np.bincount(index)[index] if len(index) else frequency, 1.0)


def _divide(numerator: Column, denominator: Column) -> Column:
    return np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0)
