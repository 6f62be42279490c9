"""The evidence of n rollouts: one matrix of signals that need no label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from memreward.features.evidence.agreement import agreement_signals
from memreward.features.evidence.code import code_signals
from memreward.features.evidence.overlap import pool_overlap
from memreward.features.evidence.parts import ngram_parts, number_parts
from memreward.features.evidence.pools import Column, Pools
from memreward.features.evidence.texts import logprob_signals, text_signals
from memreward.types import FloatArray, IntArray, Rollout


@dataclass(frozen=True)
class Evidence:
    """Signals of n rollouts to q queries.

    Attributes:
        names: e names; docs/evidence.md says what each means.
        values: (n, e) float32; NaN where a signal is not defined for a rollout.
        cluster: (n,) class of equivalent answers, unique across queries; -1 without an answer.
        group: (n,) index into `query_ids`.
        query_ids: q ids in order of first appearance.
    """

    names: tuple[str, ...]
    values: FloatArray
    cluster: IntArray
    group: IntArray
    query_ids: tuple[str, ...]


def compute_evidence(rollouts: Sequence[Rollout], thinking_vectors: FloatArray | None = None) -> Evidence:
    """Compute the evidence of n rollouts; all that carry one query id form one pool, whatever their order.

    Reads texts, answers and token log-probabilities, never a label or provenance. A rollout's row depends neither on
    the order of the rollouts nor on other queries.

    Args:
        rollouts: Any number, also of several domains.
        thinking_vectors: (n, d) unit vectors of the thinkings; without them the semantic signals are NaN.
    """
    pools = Pools.of(rollouts)
    columns = agreement_signals(pools) | text_signals(pools) | logprob_signals(pools) | _overlap_signals(pools)
    columns |= _semantic_signals(pools, thinking_vectors) | code_signals(pools)
    values = np.stack(list(columns.values()), axis=1).astype(np.float32)
    return Evidence(tuple(columns), values, pools.cluster, pools.group, pools.query_ids)


def _overlap_signals(pools: Pools) -> dict[str, Column]:
    thinking = [r.thinking for r in pools.rollouts]
    out: dict[str, Column] = {}
    for name, parts in (
        ("number", [number_parts(t) for t in thinking]),
        ("word", [ngram_parts(t, 2) for t in thinking]),
    ):
        overlap = pool_overlap(pools, parts)
        for field in ("precision", "recall", "cosine", "rival_precision"):
            values = getattr(overlap, field)
            out[f"{name}_{field}"] = values
            out[f"{name}_{field}_cluster"] = pools.cluster_mean(values)
    return out


def _semantic_signals(pools: Pools, vectors: FloatArray | None) -> dict[str, Column]:
    """Mean cosine of a rollout's thinking to the others', and to those with an equivalent answer."""
    n = len(pools.group)
    names = ("thinking_cosine", "thinking_cosine_cluster", "thinking_cosine_rivals")
    if vectors is None or not n:
        return {name: np.full(n, np.nan) for name in names}
    x = vectors.astype(float)
    own = (x * x).sum(1)
    pool_sum = np.zeros((len(pools.query_ids), x.shape[1]))
    np.add.at(pool_sum, pools.group, x)
    cluster_sum = np.zeros((int(pools.cluster.max(initial=-1)) + 2, x.shape[1]))
    np.add.at(cluster_sum, pools.cluster + 1, x)
    answered = pools.cluster >= 0
    to_pool = (x * pool_sum[pools.group]).sum(1) - own
    to_cluster = np.where(answered, (x * cluster_sum[pools.cluster + 1]).sum(1) - own, 0.0)
    allies = np.where(answered, pools.cluster_size - 1, 0.0)
    rivals = pools.size - 1 - allies
    return {
        "thinking_cosine": _divide(to_pool, pools.size - 1),
        "thinking_cosine_cluster": _divide(to_cluster, allies),
        "thinking_cosine_rivals": _divide(to_pool - to_cluster, rivals),
    }


def _divide(numerator: Column, denominator: Column) -> Column:
    return np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0)
