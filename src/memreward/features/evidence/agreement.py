"""Agreement: how many of a query's rollouts give an equivalent answer."""

from __future__ import annotations

import numpy as np

from memreward.features.evidence.pools import Column, Pools


def agreement_signals(pools: Pools) -> dict[str, Column]:
    """Votes by cluster. A rollout without an answer has share 0: nobody agrees with it."""
    size, votes = pools.size, pools.cluster_size
    top = pools.maximum(votes)
    return {
        "agreement_share": votes / size,
        "agreement_others": np.divide(np.maximum(votes - 1, 0), size - 1, out=np.full(len(size), np.nan), where=size > 1),
        "agreement_smoothed": np.maximum(votes - 0.5, 0) / (size + 1),
        "agreement_relative": np.divide(votes, top, out=np.full(len(size), np.nan), where=top > 0),
        "agreement_plurality": (votes == top).astype(float),
        "agreement_margin": (votes - _best_other_votes(pools)) / size,
        "cluster_count_ratio": _cluster_count(pools) / size,
        "cluster_entropy": _cluster_entropy(pools),
        "pool_size_log": np.log(size),
        "answered_share": pools.mean((pools.cluster >= 0).astype(float)),
    }


def _cluster_count(pools: Pools) -> Column:
    share_of_cluster = np.divide(1.0, pools.cluster_size, out=np.zeros(len(pools.group)), where=pools.cluster >= 0)
    return pools.total(share_of_cluster)


def _cluster_entropy(pools: Pools) -> Column:
    """Entropy in nats of the answers; NaN where the pool has none."""
    answered = pools.total((pools.cluster >= 0).astype(float))
    share = np.divide(pools.cluster_size, answered, out=np.ones(len(answered)), where=pools.cluster >= 0)
    entropy = pools.total(-np.log(share) * (pools.cluster >= 0)) / np.maximum(answered, 1)
    return np.where(answered > 0, np.maximum(entropy, 0.0), np.nan)


def _best_other_votes(pools: Pools) -> Column:
    """(n,) votes of the largest cluster of the pool that is not the rollout's own; 0 without another."""
    top = pools.maximum(pools.cluster_size)
    leaders = pools.cluster_size == top
    n_leading = np.rint(pools.total(np.divide(1.0, pools.cluster_size, out=np.zeros(len(top)), where=leaders & (top > 0))))
    runner_up = np.nan_to_num(pools.maximum(np.where(leaders, np.nan, pools.cluster_size)))
    return np.where(leaders & (n_leading == 1), runner_up, np.nan_to_num(top))
