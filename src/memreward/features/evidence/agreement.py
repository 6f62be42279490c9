"""Agreement: how many of a query's rollouts give an equivalent answer, counted or weighted by their quality."""

import numpy as np

from memreward.features.evidence.pools import Column, Pools, ratio


def agreement_signals(pools: Pools) -> dict[str, Column]:
    """Votes by cluster. Nobody agrees with a rollout that has no answer: its share is 0."""
    votes = pools.cluster_size
    top = pools.maximum(votes)
    return {
        "agreement_share": votes / pools.size,
        "agreement_relative": ratio(votes, top),
        "agreement_plurality": np.where(top > 0, np.isclose(votes, top), np.nan),
        "cluster_count": pools.total(np.nan_to_num(ratio(np.ones(len(votes)), votes))),
        "cluster_entropy": _cluster_entropy(pools),
        "pool_size_log": np.log(pools.size),
    }


def weighted_votes(pools: Pools, weight: Column) -> Column:
    """(n,) share of the pool's weight that stands behind an equivalent answer; NaN where the pool has no weight.

    A rollout whose weight is NaN has no vote; one without an answer votes for nothing, and has 0.
    """
    return ratio(pools.cluster_total(weight), pools.total(weight))


def _cluster_entropy(pools: Pools) -> Column:
    answered = pools.total((pools.cluster >= 0).astype(float))
    surprise = -np.log(np.where(pools.cluster_size > 0, ratio(pools.cluster_size, answered), 1.0))
    return np.maximum(ratio(pools.total(surprise), answered), 0.0)
