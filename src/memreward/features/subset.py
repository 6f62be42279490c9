"""Cutting features down to some of their rollouts, joining them, and shares of votes."""

from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memreward.types import Features, FloatArray, IntArray


def subset(features: Features, rows: ArrayLike) -> Features:
    """Return the features of some of n rollouts, by m indices or a mask of n, as if no others were known.

    Queries are renumbered in order of first appearance and classes of answers by their order. Evidence is taken over
    as it is: it was computed on the whole pool, so cut by query unless that is meant.
    """
    chosen = np.asarray(rows)
    index: IntArray = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen.astype(np.int64)
    queries, group = _by_first_appearance(features.group[index])
    cluster = features.cluster[index]
    answered = cluster >= 0
    renumbered = np.full(len(index), -1, np.int64)
    renumbered[answered] = np.unique(cluster[answered], return_inverse=True)[1]
    return replace(
        features,
        rollout_ids=tuple(features.rollout_ids[row] for row in index),
        query_ids=tuple(features.query_ids[query] for query in queries),
        group=group,
        domain=features.domain[queries],
        query_vectors=features.query_vectors[queries],
        thinking_vectors=features.thinking_vectors[index],
        answer_vectors=features.answer_vectors[index],
        cluster=renumbered,
        evidence=features.evidence[index],
        template_vectors=None if features.template_vectors is None else features.template_vectors[queries],
        outline_vectors=None if features.outline_vectors is None else features.outline_vectors[index],
        lean=None if features.lean is None else features.lean[index],
    )


def joined(parts: Sequence[Features]) -> Features:
    """Return the features of all rollouts of some parts, one part after the other; no query may stand in two."""
    queries = np.cumsum([0, *(len(part.query_ids) for part in parts)])
    classes = np.cumsum([0, *(part.cluster.max(initial=-1) + 1 for part in parts)])
    clusters = [np.where(p.cluster < 0, -1, p.cluster + before) for p, before in zip(parts, classes, strict=False)]
    groups = [part.group + before for part, before in zip(parts, queries, strict=False)]
    whole: dict[str, Any] = {"group": np.concatenate(groups), "cluster": np.concatenate(clusters)}
    for field in fields(Features):
        values = [getattr(part, field.name) for part in parts]
        if field.name == "evidence_names" or values[0] is None:
            whole[field.name] = values[0]
        elif isinstance(values[0], tuple):
            whole[field.name] = tuple(chain.from_iterable(values))
        elif field.name not in whole:
            whole[field.name] = np.concatenate(values)
    return Features(**whole)


def rows_of_queries(features: Features, query_ids: set[str] | frozenset[str]) -> NDArray[np.bool_]:
    """Return the (n,) mask of the rollouts whose query is one of `query_ids`."""
    member = np.array([query in query_ids for query in features.query_ids], np.bool_)
    return member[features.group]


def vote_share(features: Features) -> FloatArray:
    """Share of the query's rollouts that give an equivalent answer: (n,) in [0, 1], 0 without an answer."""
    return pool_share(features).astype(np.float32)


def pool_share(features: Features) -> NDArray[np.float64]:
    """`vote_share` before it is rounded."""
    votes = np.bincount(features.cluster[features.cluster >= 0], minlength=1)
    pool = np.bincount(features.group, minlength=len(features.query_ids))
    share = votes[features.cluster] / np.maximum(pool[features.group], 1)
    return np.where(features.cluster >= 0, share, 0.0)


def distinct_pairs(one: IntArray, other: IntArray) -> tuple[IntArray, IntArray]:
    """Return the k distinct pairs of two (n,) arrays as (k, 2) in ascending order, and (n,) which of them each is."""
    distinct, row = np.unique(np.stack([one, other], axis=1), axis=0, return_inverse=True)
    return distinct.astype(np.int64), row.reshape(-1).astype(np.int64)


def _by_first_appearance(group: IntArray) -> tuple[IntArray, IntArray]:
    queries, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return queries[order], rank[inverse]
