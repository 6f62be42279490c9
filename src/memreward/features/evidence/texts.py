"""Signals of form: whether there is an answer, length against the pool, truncation, log-probabilities."""

import numpy as np

from memreward.features.evidence.pools import Column, Pools
from memreward.types import Rollout

UNLIKELY = -3.0
"""Log-probability below which a token counts as unlikely (method, section 4 h)."""

_COMPLETE_ENDINGS = frozenset(".!?)]}>$`\"'")


def text_signals(pools: Pools) -> dict[str, Column]:
    """Signals of each text's form, for every domain."""
    length = np.array([np.log1p(len(r.text)) for r in pools.rollouts], dtype=np.float64)
    to_pool = length - pools.mean(length)
    return {
        "has_answer": (pools.cluster >= 0).astype(np.float64),
        "length_log": length,
        "length_to_pool": to_pool,
        "length_distance": np.abs(to_pool),
        "truncated": np.array([_truncated(r) for r in pools.rollouts], dtype=np.float64),
        "query_length_log": np.array([np.log1p(len(r.query.text)) for r in pools.rollouts], dtype=np.float64),
    }


def logprob_signals(pools: Pools) -> dict[str, Column]:
    """Log-probabilities of the sampled tokens in nats; NaN where the rollout brings none."""
    facts = [_logprob_facts(r.token_logprobs) for r in pools.rollouts]
    mean, lowest, unlikely = np.array(facts, dtype=np.float64).reshape(-1, 3).T
    return {
        "logprob_mean": mean,
        "logprob_min": lowest,
        "logprob_unlikely": unlikely,
        "logprob_cluster": pools.cluster_mean(mean),
    }


def _logprob_facts(logprobs: tuple[float, ...] | None) -> tuple[float, float, float]:
    if not logprobs:
        return np.nan, np.nan, np.nan
    values = np.asarray(logprobs, dtype=np.float64)
    return float(values.mean()), float(values.min()), float((values < UNLIKELY).mean())


def _truncated(rollout: Rollout) -> float:
    if rollout.truncated is not None:
        return float(rollout.truncated)
    return float(rollout.answer is None and rollout.text.rstrip()[-1:] not in _COMPLETE_ENDINGS)
