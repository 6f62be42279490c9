"""Signals of the thinking: its numbers, arithmetic and wording against the rest of the pool."""

import math
import re
from collections.abc import Sequence

import numpy as np

from memreward.domains import rules_of
from memreward.domains.math.arithmetic import numbers
from memreward.features.evidence.agreement import weighted_votes
from memreward.features.evidence.overlap import Overlap
from memreward.features.evidence.parts import Parts, ThinkingParts, distinct, hashed, thinking_parts
from memreward.features.evidence.pools import Column, Pools, ratio
from memreward.types import Rollout

_PLAIN_NUMBER = re.compile(r"-?(?:\d[\d,]*(?:\.\d*)?|\.\d+)")
_LARGEST = 1e30


def parts_of(rollout: Rollout) -> ThinkingParts:
    """Take the rollout's thinking apart."""
    return thinking_parts(rollout.thinking, numeric=rules_of(rollout.query.domain).numeric)


def number_signals(pools: Pools, thinkings: Sequence[ThinkingParts]) -> dict[str, Column]:
    """Numbers and arithmetic; NaN in domains qa and code."""
    numeric = np.array([rules_of(r.query.domain).numeric for r in pools.rollouts], dtype=bool)
    parts = [thinking.numbers for thinking in thinkings]
    counts = np.array([thinking.arithmetic for thinking in thinkings], dtype=np.float64).reshape(-1, 2)
    true, false = np.log1p(counts).T
    answers = [_plain_number(r) for r in pools.rollouts]
    columns = {
        "number_recall_cluster": pools.cluster_mean(Overlap(pools, parts).recall),
        "arithmetic_true": true,
        "arithmetic_false": false,
        "arithmetic_votes": weighted_votes(pools, true),
        "arithmetic_results": np.log1p([thinking.results for thinking in thinkings]),
        "arithmetic_answer": np.array([_shown(*pair) for pair in zip(answers, thinkings, strict=True)], np.float64),
        "answer_decimal": np.where(pools.cluster >= 0, [a is not None and "." in a for a in answers], np.nan),
        "answer_distance": _distance_to_pool(pools, answers),
        "number_from_question": _share_of_question(pools, parts),
    }
    return {name: np.where(numeric, column, np.nan) for name, column in columns.items()}


def word_signals(pools: Pools, thinkings: Sequence[ThinkingParts]) -> dict[str, Column]:
    """Pairs of neighbouring words in the thinking, for every domain."""
    words = Overlap(pools, [thinking.words for thinking in thinkings])
    ending = Overlap(pools, [thinking.ending for thinking in thinkings])
    return {
        "word_recall": words.recall,
        "word_recall_cluster": pools.cluster_mean(words.recall),
        "word_cosine_cluster": pools.cluster_mean(words.cosine),
        "word_rivals_cluster": pools.cluster_mean(words.rival_precision),
        "ending_precision": ending.precision,
        "ending_cosine_cluster": pools.cluster_mean(ending.cosine),
    }


def _share_of_question(pools: Pools, parts: Sequence[Parts]) -> Column:
    """(n,) share of the question's distinct numbers that stand in the thinking; NaN where it has none."""
    given = {r.query.id: r.query.text for r in pools.rollouts}
    asked = {name: distinct(hashed(numbers(text))) for name, text in given.items()}
    owner = np.repeat(np.arange(len(parts)), [len(asked[r.query.id]) for r in pools.rollouts])
    wanted = [_held(asked[r.query.id], held) for r, held in zip(pools.rollouts, parts, strict=True)]
    found: Column = np.bincount(owner, np.concatenate([*wanted, np.zeros(0)]), len(parts)).astype(np.float64)
    return ratio(found, np.bincount(owner, minlength=len(parts)).astype(np.float64))


def _shown(answer: str | None, thinking: ThinkingParts) -> float:
    """Whether a true statement comes to the answer; NaN where it is no plain number, or there is no statement."""
    if answer is None or not sum(thinking.arithmetic):
        return math.nan
    return float(_held(hashed([answer.lstrip("-")]), thinking.shown)[0])


def _held(wanted: Parts, held: Parts) -> Column:
    """Which of the wanted parts, 1 or 0, are among those held, which are in order."""
    if not len(held):
        return np.zeros(len(wanted))
    place = np.minimum(np.searchsorted(held, wanted), len(held) - 1)
    return np.asarray(held[place] == wanted, dtype=np.float64)


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
