"""Signals of the thinking: its numbers, arithmetic and wording against the rest of the pool."""

from __future__ import annotations

import math
import re
from functools import lru_cache

import numpy as np

from memreward.features.evidence.agreement import weighted_votes
from memreward.features.evidence.overlap import pool_overlap, share_with_item
from memreward.features.evidence.parts import CACHED_TEXTS, ending_pairs, hashed, number_parts, word_pairs
from memreward.features.evidence.pools import Column, Pools, ratio
from memreward.parsing import arithmetic_statements, numbers
from memreward.types import FloatArray, Rollout

NUMERIC_DOMAINS = frozenset({"math", "other"})
ENDING = 40
"""Pairs of words that count as the end of a thinking."""

_PLAIN_NUMBER = re.compile(r"-?(?:\d[\d,]*(?:\.\d*)?|\.\d+)")
_LARGEST = 1e30


@lru_cache(maxsize=CACHED_TEXTS)
def arithmetic_counts(text: str) -> tuple[int, int]:
    """Return how many arithmetic statements of `text` are true, and how many are false."""
    verdicts = [true for _, true in arithmetic_statements(text)]
    return sum(verdicts), len(verdicts) - sum(verdicts)


def number_signals(pools: Pools) -> dict[str, Column]:
    """Numbers and arithmetic; NaN in domains qa and code."""
    numeric = np.array([r.query.domain in NUMERIC_DOMAINS for r in pools.rollouts], dtype=bool)
    texts = [r.thinking if is_numeric else "" for r, is_numeric in zip(pools.rollouts, numeric, strict=True)]
    parts = [number_parts(text) for text in texts]
    counts = np.array([arithmetic_counts(text) for text in texts], dtype=np.float64).reshape(-1, 2)
    true, false = np.log1p(counts).T
    answers = [_plain_number(r) for r in pools.rollouts]
    overlap = pool_overlap(pools, parts)
    columns = {
        "number_recall": overlap.recall,
        "number_recall_cluster": pools.cluster_mean(overlap.recall),
        "number_precision_cluster": pools.cluster_mean(overlap.precision),
        "number_votes": weighted_votes(pools, overlap.recall),
        "arithmetic_true": true,
        "arithmetic_false": false,
        "arithmetic_true_share": ratio(counts[:, 0], counts.sum(1)),
        "arithmetic_votes": weighted_votes(pools, true),
        "answer_decimal": np.where(pools.cluster >= 0, [a is not None and "." in a for a in answers], np.nan),
        "answer_distance": _distance_to_pool(pools, answers),
        "answer_in_others": share_with_item(
            pools, parts, [None if a is None else int(hashed([a])[0]) for a in answers]
        ),
    }
    return {name: np.where(numeric, column, np.nan) for name, column in columns.items()}


def word_signals(pools: Pools) -> dict[str, Column]:
    """Pairs of neighbouring words in the thinking, for every domain."""
    words = pool_overlap(pools, [word_pairs(r.thinking) for r in pools.rollouts])
    ending = pool_overlap(pools, [ending_pairs(r.thinking, ENDING) for r in pools.rollouts])
    return {
        "word_recall": words.recall,
        "word_recall_cluster": pools.cluster_mean(words.recall),
        "word_precision_cluster": pools.cluster_mean(words.precision),
        "word_cosine_cluster": pools.cluster_mean(words.cosine),
        "word_rivals_cluster": pools.cluster_mean(words.rival_precision),
        "word_votes": weighted_votes(pools, words.recall),
        "ending_precision": ending.precision,
        "ending_cosine_cluster": pools.cluster_mean(ending.cosine),
    }


def semantic_signals(pools: Pools, vectors: FloatArray | None) -> dict[str, Column]:
    """Mean cosine of a thinking to the others of its pool; NaN without vectors or alone."""
    n = len(pools.group)
    if vectors is None or not n:
        cosine = np.full(n, np.nan)
    else:
        exact = vectors.astype(np.float64)
        totals = np.zeros((len(pools.query_ids), exact.shape[1]))
        counted = exact * pools.weight[:, None]
        np.add.at(totals, pools.group, counted)
        to_others = (exact * (totals[pools.group] - counted)).sum(1)
        cosine = ratio(to_others, pools.size - pools.weight)
    return {"thinking_cosine": cosine, "thinking_cosine_cluster": pools.cluster_mean(cosine)}


def _plain_number(rollout: Rollout) -> str | None:
    """The answer in the normal form of `parsing.numbers`, if it is one number and nothing else."""
    if rollout.answer is None:
        return None
    bare = rollout.answer.strip().strip("$£€%\\ ")
    return numbers(bare)[0] if _PLAIN_NUMBER.fullmatch(bare) else None


def _distance_to_pool(pools: Pools, answers: list[str | None]) -> Column:
    """(n,) how many e-foldings the answer's magnitude lies from the pool's mean; NaN where it is no plain number."""
    size = np.array([np.nan if a is None else _signed_log(a) for a in answers], dtype=np.float64)
    return np.abs(size - pools.mean(size))


def _signed_log(number: str) -> float:
    value = max(-_LARGEST, min(float(number), _LARGEST))
    return math.copysign(math.log1p(abs(value)), value)
