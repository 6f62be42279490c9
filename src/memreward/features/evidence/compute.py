"""The evidence of n rollouts: one matrix of signals that need no label."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from memreward.features.evidence.agreement import agreement_signals
from memreward.features.evidence.behaviour import Behaviours, ComparedRuns, behaviour_signals
from memreward.features.evidence.code import code_signals
from memreward.features.evidence.options import option_signals
from memreward.features.evidence.pools import Pools
from memreward.features.evidence.reasoning import number_signals, parts_of, word_signals
from memreward.features.evidence.texts import logprob_signals, text_signals
from memreward.sandbox.deadline import carried, check
from memreward.types import FloatArray, IntArray, Rollout


@dataclass(frozen=True)
class Evidence:
    """Signals of n rollouts to q queries.

    Attributes:
        names: e names; docs/evidence.md says what each means.
        values: (n, e) float32; NaN where a signal is not defined for a rollout.
        cluster: (n,) class of equivalent answers, unique across queries; -1 without an answer.
        group: (n,) index into `query_ids`, which are in order of first appearance.
    """

    names: tuple[str, ...]
    values: FloatArray
    cluster: IntArray
    group: IntArray
    query_ids: tuple[str, ...]


def compute_evidence(rollouts: Sequence[Rollout], behaviours: Behaviours | None = None) -> Evidence:
    """Compute the evidence of n rollouts; all that carry one query id form one pool, whatever their order.

    Reads texts, answers and token log-probabilities, never a label or provenance, and for a row nothing of other
    queries. With behaviours (None for what was not run), code that behaves alike is equivalent, and signals of running
    are added.
    """
    compared = None if behaviours is None else ComparedRuns.of(rollouts, behaviours)
    # A worker that compares algebra may have to start: meanwhile the texts are read.
    with ThreadPoolExecutor(1) as beside:
        pooled = beside.submit(carried(Pools.of), rollouts, None if compared is None else compared.keys)
        thinkings = []
        for rollout in rollouts:
            check()
            thinkings.append(parts_of(rollout))
    pools = pooled.result()
    columns = (
        agreement_signals(pools)
        | text_signals(pools)
        | logprob_signals(pools)
        | number_signals(pools, thinkings)
        | word_signals(pools, thinkings)
        | option_signals(pools)
        | code_signals(pools)
    )
    if compared is not None:
        columns |= behaviour_signals(pools, compared)
    values = np.stack(list(columns.values()), axis=1).astype(np.float32)
    return Evidence(tuple(columns), values, pools.cluster, pools.group, pools.query_ids)
