"""Small features with known answers, and sources whose weights are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from memreward.answers.likelihood import right_probabilities
from memreward.answers.prior import SourceCard, SourceFactor
from memreward.answers.table import AnswerTable, columns_of
from memreward.features.columns import Scaling
from memreward.types import DOMAINS, Features, Query

SIGNALS = ("has_answer", "length_log", "word_recall")
EVIDENCE = (*SIGNALS, "query_length_log")
COLUMNS = columns_of(SIGNALS)


def features_of(
    answers: Sequence[Sequence[int]],
    evidence: NDArray[np.float64] | None = None,
    *,
    domain: str = "math",
    prefix: str = "q",
) -> Features:
    """One list a question, of the answer's number of each rollout; -1 is no answer."""
    group = np.repeat(np.arange(len(answers)), [len(each) for each in answers]).astype(np.int64)
    flat = np.array([a for each in answers for a in each], np.int64)
    n = len(flat)
    cluster = np.where(flat < 0, -1, group * 1000 + flat)
    if evidence is None:
        evidence = np.random.default_rng(0).normal(size=(n, len(EVIDENCE)))
    empty = np.zeros((n, 0), np.float32)
    return Features(
        rollout_ids=tuple(f"{prefix}{g}/{i}" for i, g in enumerate(group)),
        query_ids=tuple(f"{prefix}{g}" for g in range(len(answers))),
        group=group,
        domain=np.full(len(answers), DOMAINS.index(domain), np.int64),
        query_vectors=np.zeros((len(answers), 0), np.float32),
        thinking_vectors=empty,
        answer_vectors=empty,
        cluster=cluster,
        evidence=evidence.astype(np.float32),
        evidence_names=EVIDENCE,
    )


def table_of(features: Features, domain: str = "math") -> AnswerTable:
    """The table, its signals standardised by themselves."""
    return AnswerTable.of(features, domain, SIGNALS, Scaling.of(EVIDENCE, features.evidence))


def sampled_answers(rng: np.random.Generator, questions: int, size: int = 8, most: int = 4) -> list[list[int]]:
    """Random groups in which some answers have more votes than others."""
    return [chosen(rng, rng.dirichlet(np.ones(most)), size).tolist() for _ in range(questions)]


def chosen(rng: np.random.Generator, chances: NDArray[np.float64], size: int | None = None) -> NDArray[np.int64]:
    """What `rng.choice` draws with these chances, in a third of the time."""
    below = np.cumsum(chances)
    return np.searchsorted(below / below[-1], rng.random(size), side="right")


def drawn_verdicts(rng: np.random.Generator, table: AnswerTable, weights: NDArray[np.float64]) -> NDArray[np.int8]:
    """Verdicts on every answer as the model with these weights gives them."""
    right = right_probabilities(table, (table.design @ weights)[:, None])[:, 0]
    if table.several:
        return (rng.random(len(table)) < right).astype(np.int8)
    verdicts = np.zeros(len(table), np.int8)
    for question in range(len(table.query_ids)):
        rows = np.flatnonzero(table.question == question)
        chances = np.append(right[rows], max(1 - right[rows].sum(), 0.0))
        outcome = int(chosen(rng, chances))
        if outcome < len(rows):
            verdicts[rows[outcome]] = 1
    return verdicts


def source_of(
    name: str, weights: NDArray[np.float64], seed: int, questions: int = 300, domain: str = "math"
) -> SourceFactor:
    """A source whose labels follow the model with these weights."""
    rng = np.random.default_rng(seed)
    features = features_of(
        sampled_answers(rng, questions), rng.normal(size=(questions * 8, 4)), domain=domain, prefix=name
    )
    table = table_of(features, domain)
    labels = drawn_verdicts(rng, table, weights)[table.answer]
    queries = [Query(each, f"What is {each}?", domain) for each in features.query_ids]  # type: ignore[arg-type]
    return SourceFactor.of(SourceCard(name), features, labels, queries)


def known_weights(rng: np.random.Generator, spread: float) -> NDArray[np.float64]:
    """Weights of a source: votes and words speak for an answer, give or take."""
    mean = np.zeros(len(COLUMNS))
    mean[COLUMNS.index("log_share")], mean[COLUMNS.index("word_recall")] = 1.0, 2.0
    return mean + spread * rng.normal(size=len(COLUMNS))
