"""Signals of a single text: form, arithmetic, repetition, truncation, log-probabilities."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from memreward.features.evidence.parts import ngrams, number_parts
from memreward.features.evidence.pools import Column, Pools
from memreward.parsing import arithmetic_statements, numbers
from memreward.types import Rollout

_NUMBER_ANSWER = re.compile(r"[-+]?[$£€]?\d[\d,]*(?:\.\d+)?%?")
_COMPLETE_ENDINGS = frozenset(".!?)]}>$`\"'")
_UNLIKELY = -3.0


@lru_cache(maxsize=8192)
def _arithmetic(text: str) -> tuple[float, float, float]:
    """Share of true statements, number of true and of false ones."""
    verdicts = [true for _, true in arithmetic_statements(text)]
    true = float(sum(verdicts))
    return (true / len(verdicts) if verdicts else np.nan, true, len(verdicts) - true)


@lru_cache(maxsize=8192)
def repeated_share(text: str) -> float:
    """Return the share of runs of four words or signs that occur before in the text; NaN for fewer than five."""
    runs = ngrams(text, 4)
    return 1.0 - len(np.unique(runs)) / len(runs) if len(runs) > 1 else np.nan


def text_signals(pools: Pools) -> dict[str, Column]:
    """Signals that need one rollout each, and their comparison with the pool."""
    rollouts = pools.rollouts
    length = np.log1p(_column(rollouts, lambda r: len(r.text)))
    statements = np.array([_arithmetic(r.thinking) for r in rollouts], dtype=float).reshape(len(rollouts), 3)
    repeated = _column(rollouts, lambda r: repeated_share(r.text))
    return {
        "has_answer": (pools.cluster >= 0).astype(float),
        "length_log": length,
        "length_to_pool": length - pools.mean(length),
        "length_distance": np.abs(length - pools.mean(length)),
        "repetition": repeated,
        "truncated": _column(rollouts, _truncated),
        "arithmetic_true_share": statements[:, 0],
        "arithmetic_true_log": np.log1p(statements[:, 1]),
        "arithmetic_false_log": np.log1p(statements[:, 2]),
        "answer_from_last_number": _column(rollouts, _answer_is_last_number),
        "answer_in_query": _column(rollouts, _answer_in_query),
        "answer_is_whole": _column(rollouts, _answer_is_whole),
        "answer_length_log": np.log1p(_column(rollouts, lambda r: np.nan if r.answer is None else len(r.answer))),
        "query_length_log": np.log1p(_column(rollouts, lambda r: len(r.query.text))),
        "query_numbers_log": np.log1p(_column(rollouts, lambda r: len(number_parts(r.query.text)))),
    }


def logprob_signals(pools: Pools) -> dict[str, Column]:
    """Log-probabilities of the sampled tokens; NaN where the rollout brings none."""
    facts = np.array([_logprob_facts(r.token_logprobs) for r in pools.rollouts], dtype=float)
    mean, lowest, unlikely = facts.reshape(len(pools.rollouts), 3).T
    return {
        "logprob_mean": mean,
        "logprob_min": lowest,
        "logprob_unlikely": unlikely,
        "logprob_to_pool": mean - pools.mean(mean),
        "logprob_cluster": pools.cluster_mean(mean),
    }


def _logprob_facts(logprobs: tuple[float, ...] | None) -> tuple[float, float, float]:
    if not logprobs:
        return (np.nan, np.nan, np.nan)
    values = np.asarray(logprobs)
    return float(values.mean()), float(values.min()), float((values < _UNLIKELY).mean())


def _column(rollouts: object, fact: Callable[[Rollout], float]) -> Column:
    return np.array([fact(r) for r in rollouts], dtype=float)  # type: ignore[attr-defined]


def _truncated(rollout: Rollout) -> float:
    if rollout.truncated is not None:
        return float(rollout.truncated)
    return float(rollout.answer is None and rollout.text.rstrip()[-1:] not in _COMPLETE_ENDINGS)


def _plain_number(rollout: Rollout) -> str | None:
    answer = rollout.answer
    if rollout.query.domain not in {"math", "other"} or answer is None:
        return None
    bare = answer.strip().strip("$").replace("\\$", "").replace("\\%", "")
    return numbers(bare)[0] if _NUMBER_ANSWER.fullmatch(bare) else None


def _answer_is_last_number(rollout: Rollout) -> float:
    number = _plain_number(rollout)
    if number is None:
        return np.nan
    before = numbers(rollout.thinking)
    return float(bool(before) and before[-1] == number)


def _answer_in_query(rollout: Rollout) -> float:
    number = _plain_number(rollout)
    return np.nan if number is None else float(number in numbers(rollout.query.text))


def _answer_is_whole(rollout: Rollout) -> float:
    number = _plain_number(rollout)
    return np.nan if number is None else float("." not in number)
