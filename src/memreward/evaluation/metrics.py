"""How good predicted rewards are, measured the way GRPO uses them.

Everywhere `values` is (n,) float, NaN an abstention; `correct` is (n,) with 1 right, 0 wrong and -1 where no
trustworthy label exists (such rollouts are left out of every metric); `group` is (n,) with the index of each rollout's
query. A metric that is not defined (one class only, nothing covered) is NaN. Every metric but the pooled AUC is a
function of sums over queries (`QueryTable`), for the point estimate and for the bootstrap alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memreward.answers.advantage import expected_advantages
from memreward.domains import rules_of
from memreward.features.subset import distinct_pairs
from memreward.types import DOMAINS, ConfigurationError, DataError, Features, content_hash

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

BINS = 10
"""Bins of the calibration error, of equal width on [0, 1]."""
FLAT = 1e-9


@dataclass(frozen=True, slots=True)
class Metrics:
    """The figures of one predictor on one set of rollouts.

    Attributes:
        auc: ROC-AUC over all covered rollouts, ties counted half.
        group_auc: Mean over the queries with both classes of the AUC inside the query.
        accuracy: Share of covered rollouts on the right side of the threshold.
        ece: Calibration error: root mean square, over rollouts, of mean probability less share right of their bin,
            without its bias; NaN where a value is no probability.
        best_of_n: Accuracy of the query's rollout with the highest value, ties averaged; of a query whose rollouts are
            all abstained, that of a random one, so that leaving hard queries out earns nothing.
        oracle_of_n: Share of queries with a right rollout: the best that any choice can reach.
        advantage_cosine: Cosine of expected advantages and the true ones as GRPO standardises them.
        coverage: Share of rollouts with a value.
    """

    auc: float
    group_auc: float
    accuracy: float
    ece: float
    best_of_n: float
    oracle_of_n: float
    advantage_cosine: float
    coverage: float

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


METRICS: tuple[str, ...] = tuple(field.name for field in fields(Metrics))


def roc_auc(values: ArrayLike, correct: ArrayLike) -> float:
    """Probability that a right rollout scores above a wrong one, ties counted half."""
    return _table(values, correct, np.zeros(np.shape(values), np.int64)).metrics().auc


def group_auc(values: ArrayLike, correct: ArrayLike, group: ArrayLike) -> float:
    """Mean over the queries with both classes of the AUC inside the query (method.md, section 4 c)."""
    return _table(values, correct, group).metrics().group_auc


def advantage_cosine(expected: ArrayLike, correct: ArrayLike, group: ArrayLike) -> float:
    """Cosine of (n,) expected and true advantages, over all groups; NaN expected is 0, correct is 1, 0 or -1 unknown.

    The true ones are GRPO's own: `advantages(correct, group, scaled=True)`. What is expected in a group that is all
    right or all wrong counts in the length alone. 0 if every expected advantage is 0, NaN if every true one is.
    """
    return _table(expected, correct, group).metrics().advantage_cosine


def advantages(values: ArrayLike, group: ArrayLike, *, scaled: bool = False) -> Floats:
    """(n,) advantages of GRPO: the value relative to its group; 0 in a group with fewer than two values.

    NaN, an abstention, leaves the group's mean and gets 0. `scaled` divides by the group's standard deviation too (n -
    1 in the denominator, as TRL and verl do).
    """
    scores = np.asarray(values, np.float64)
    query = np.unique(np.asarray(group), return_inverse=True)[1]
    queries = int(query.max()) + 1 if query.size else 0
    covered = ~np.isnan(scores)
    count = np.bincount(query, covered, queries)
    filled = np.where(covered, scores, 0.0)
    mean = np.bincount(query, filled, queries) / np.maximum(count, 1)
    centred = np.where(covered, filled - mean[query], 0.0)
    # The mean of equal floats can miss them by a rounding error, which a cosine would blow up to full size.
    centred[np.abs(centred) < FLAT] = 0.0
    if not scaled:
        return centred
    spread = np.sqrt(np.bincount(query, centred**2, queries) / np.maximum(count - 1, 1))
    scale = np.where(spread > FLAT, 1.0 / np.maximum(spread, FLAT), 0.0)
    return centred * scale[query]


def advantages_of_values(features: Features, values: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.float64]:
    """(n,) expected advantages under any predictor's (n,) probabilities, among `rows` (a mask or indices), elsewhere 0.

    An answer's probability is the mean of its rollouts'; where at most one answer can be right and they sum to more
    than 1, they are divided by their sum. An abstention (NaN) is 0.
    """
    expected = np.zeros(len(features))
    index = np.arange(len(features))[rows]
    given = np.clip(np.nan_to_num(np.asarray(values, np.float64)[index]), 0.0, 1.0)
    group = features.group[index]
    answer = distinct_pairs(group, features.cluster[index])[1]
    votes = np.bincount(answer)
    mean = np.bincount(answer, given) / np.maximum(votes, 1)
    total = np.bincount(group, given / votes[answer], len(features.query_ids))
    several = np.array([rules_of(name).several_right for name in DOMAINS])[features.domain[group]]
    right = np.where(several, mean[answer], mean[answer] / np.maximum(total[group], 1.0))
    expected[index] = expected_advantages(group, answer, right, several=several)
    return expected


def evaluate_predictions(
    values: ArrayLike,
    correct: ArrayLike,
    group: ArrayLike,
    threshold: float = 0.5,
    *,
    expected: ArrayLike | None = None,
) -> Metrics:
    """Compute every metric at once. Raises DataError if the arrays differ in length or a label is none of 1, 0, -1.

    `threshold` is for accuracy, (n,) `expected` advantages for `advantage_cosine`; None takes the centred values.
    """
    return _table(values, correct, group, threshold=threshold, expected=expected).metrics()


@dataclass(frozen=True)
class Reliability:
    """One calibration curve, (BINS,) each: mean probability and share right, NaN in an empty bin, and rollouts."""

    predicted: Floats
    observed: Floats
    count: Ints


def reliability(values: ArrayLike, correct: ArrayLike) -> Reliability:
    """Mean probability against share right, in equal-width bins on [0, 1]."""
    rows = _Rows.of(values, correct, np.zeros(np.shape(correct)))
    rows = rows.only(~np.isnan(rows.values))
    index = _bin(rows.values)
    count = np.bincount(index, minlength=BINS)
    return Reliability(
        predicted=_ratio(np.bincount(index, rows.values, BINS), count),
        observed=_ratio(np.bincount(index, rows.positive, BINS), count),
        count=count.astype(np.int64),
    )


@dataclass(frozen=True)
class QueryTable:
    """What the metrics need of one predictor's values: sums by name, (q,) or (q, BINS).

    For the pooled AUC, the m covered rollouts by ascending value: their query, whether they are right, and the index at
    which each distinct value begins.
    """

    sums: dict[str, Floats]
    ordered_query: Ints
    ordered_positive: Bools
    tie_starts: Ints

    @classmethod
    def of(
        cls,
        values: ArrayLike,
        correct: ArrayLike,
        group: ArrayLike,
        threshold: float = 0.5,
        *,
        queries: int,
        expected: ArrayLike | None = None,
    ) -> Self:
        """Sum up; `group` indexes 0 .. `queries` - 1, other arguments as in `evaluate_predictions`."""
        rows = _Rows.of(values, correct, group, expected)
        covered = rows.only(~np.isnan(rows.values))
        sums = {
            **_classification_sums(covered, threshold, queries),
            **_calibration_sums(covered, queries),
            **_choice_sums(rows, queries),
            **_advantage_sums(rows, queries),
        }
        order = np.argsort(covered.values, kind="stable")
        ordered = covered.values[order]
        return cls(
            sums=sums,
            ordered_query=covered.group[order],
            ordered_positive=covered.positive[order],
            tie_starts=np.flatnonzero(np.diff(ordered, prepend=-np.inf)),
        )

    def metrics(self) -> Metrics:
        queries = len(self.sums["rollouts"])
        return Metrics(**{name: float(figure[0]) for name, figure in self.resampled(np.ones((1, queries))).items()})

    def resampled(self, weights: ArrayLike) -> dict[str, Floats]:
        """Every metric, (B,) by name, under (B, q) `weights`: how often each of B resamples holds each query."""
        counts = np.asarray(weights, np.float64)
        total = {name: counts @ column for name, column in self.sums.items()}
        return {
            "auc": self._pooled_auc(counts),
            "group_auc": _ratio(total["group_auc"], total["mixed"]),
            "accuracy": _ratio(total["hits"], total["covered"]),
            "ece": _calibration_error(total),
            "best_of_n": _ratio(total["best"], total["queries"]),
            "oracle_of_n": _ratio(total["oracle"], total["queries"]),
            "advantage_cosine": _cosine(total["dot"], total["expected_squared"], total["true_squared"]),
            "coverage": _ratio(total["covered"], total["rollouts"]),
        }

    def _pooled_auc(self, weights: Floats) -> Floats:
        if not len(self.tie_starts):
            return np.full(len(weights), np.nan)
        # Rollouts run along axis 0, so that gathering copies whole rows of resamples: several times faster.
        by_query = np.ascontiguousarray(weights.T, np.float32)
        weight = by_query[self.ordered_query]
        positive = np.add.reduceat(weight * self.ordered_positive[:, None], self.tie_starts, axis=0)
        negative = np.add.reduceat(weight * ~self.ordered_positive[:, None], self.tie_starts, axis=0)
        below = np.cumsum(negative, axis=0) - negative / 2
        wins = np.einsum("lb,lb->b", positive, below, dtype=np.float64)
        pairs = positive.sum(0, dtype=np.float64) * negative.sum(0, dtype=np.float64)
        return _ratio(wins, pairs)


def resample_queries(queries: int, resamples: int = 1000, seed: int = 0) -> Floats:
    """Draw B bootstrap resamples of q queries with replacement: (B, q) multiplicities, each row summing to q."""
    if queries < 1 or resamples < 1:
        raise ConfigurationError(f"{resamples} resamples of {queries} queries: both must be at least 1")
    draws = np.random.default_rng(seed).multinomial(queries, np.full(queries, 1.0 / queries), size=resamples)
    return draws.astype(np.float64)


def resample_named(query_ids: Sequence[str], resamples: int = 1000) -> Floats:
    """Draw (B, q) multiplicities that the ids alone decide: neither a file's name nor its order moves an interval."""
    ranked = sorted(range(len(query_ids)), key=lambda index: query_ids[index])
    seed = int(content_hash("\0".join(query_ids[index] for index in ranked))[:8], 16)
    weights = np.empty((resamples, len(query_ids)))
    weights[:, ranked] = resample_queries(len(query_ids), resamples, seed)
    return weights


def bootstrap(tables: Sequence[QueryTable], weights: ArrayLike, chunk: int = 100) -> dict[str, Floats]:
    """Metrics averaged over `tables` (the seeds of one predictor) under each resample of the queries: (B,) by name.

    With the same (B, q) weights for two predictors, the difference of their arrays is the paired one. The calibration
    error, which is rid of the noise that a resample repeats, is moved so that its mean is the estimate.
    """
    counts = np.asarray(weights, np.float64)
    parts: dict[str, list[Floats]] = {name: [] for name in METRICS}
    for start in range(0, len(counts), chunk):
        block = counts[start : start + chunk]
        seeds = [table.resampled(block) for table in tables]
        for name in METRICS:
            parts[name].append(nanmean(np.stack([seed[name] for seed in seeds])))
    found = {name: np.concatenate(figures) for name, figures in parts.items()}
    estimate = nanmean(np.array([table.metrics().ece for table in tables]))
    found["ece"] += estimate - nanmean(found["ece"])
    return found


@dataclass(frozen=True, slots=True)
class Interval:
    """A percentile bootstrap interval; both ends NaN where the metric is not defined."""

    low: float
    high: float


def interval(figures: ArrayLike) -> Interval:
    """Central 95 % percentile interval of bootstrap figures, resamples without a figure left out."""
    defined = np.asarray(figures, np.float64)
    defined = defined[~np.isnan(defined)]
    if not defined.size:
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(defined, [0.025, 0.975])
    return Interval(float(low), float(high))


def nanmean(figures: Floats) -> Floats:
    """Mean over axis 0 of what is defined; NaN, without a warning, where nothing is."""
    defined = ~np.isnan(figures)
    return _ratio(np.where(defined, figures, 0.0).sum(0), defined.sum(0))


@dataclass(frozen=True)
class _Rows:
    values: Floats
    positive: Bools
    group: Ints
    expected: Floats | None = None

    @classmethod
    def of(cls, values: ArrayLike, correct: ArrayLike, group: ArrayLike, expected: ArrayLike | None = None) -> _Rows:
        """Check and take the rollouts with a label, abstentions among them."""
        scores, labels = np.asarray(values, np.float64), np.asarray(correct, np.int64)
        query = np.asarray(group, np.int64)
        claimed = None if expected is None else np.asarray(expected, np.float64)
        lengths = {len(scores), len(labels), len(query), *(() if claimed is None else (len(claimed),))}
        if len(lengths) > 1:
            raise DataError(f"values, correct, group and expected have lengths {sorted(lengths)}: give one a rollout")
        if not np.isin(labels, (-1, 0, 1)).all():
            raise DataError(f"labels are 1 right, 0 wrong and -1 unknown, not {sorted(set(labels.tolist()))}")
        return cls(scores, labels == 1, query, claimed).only(labels >= 0)

    def only(self, rows: Bools) -> _Rows:
        claimed = None if self.expected is None else self.expected[rows]
        return _Rows(self.values[rows], self.positive[rows], self.group[rows], claimed)


def _table(
    values: ArrayLike,
    correct: ArrayLike,
    group: ArrayLike,
    *,
    threshold: float = 0.5,
    expected: ArrayLike | None = None,
) -> QueryTable:
    names, query = np.unique(np.asarray(group), return_inverse=True)
    return QueryTable.of(values, correct, query, threshold, queries=len(names), expected=expected)


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> Floats:
    defined = denominator > 0
    return np.where(defined, numerator / np.where(defined, denominator, 1), np.nan)


def _sum(group: Ints, terms: ArrayLike, queries: int) -> Floats:
    weights = np.broadcast_to(np.asarray(terms, np.float64), group.shape)
    return np.bincount(group, weights, queries).astype(np.float64, copy=False)


def _cosine(dot: Floats, predicted_squared: Floats, true_squared: Floats) -> Floats:
    cosine = dot / np.sqrt(np.maximum(predicted_squared * true_squared, FLAT**2))
    return np.where(true_squared > 0, cosine, np.nan)


def _wins_by_query(values: Floats, positive: Bools, group: Ints, queries: int) -> Floats:
    """(q,) pairs of a right and a wrong rollout of a query in which the right one has the higher value, ties half."""
    order = np.lexsort((values, group))
    owner, right = group[order], positive[order]
    changes = (np.diff(owner, prepend=-1) != 0) | (np.diff(values[order], prepend=np.nan) != 0)
    tie = np.cumsum(changes) - 1
    wrong_of_tie = np.bincount(tie, ~right)
    below = np.cumsum(wrong_of_tie) - wrong_of_tie / 2
    before = np.cumsum(np.bincount(owner, ~right, queries)) - np.bincount(owner, ~right, queries)
    return _sum(owner, right * (below[tie] - before[owner]), queries)


def _classification_sums(rows: _Rows, threshold: float, queries: int) -> dict[str, Floats]:
    claimed = rows.values >= threshold
    wins = _wins_by_query(rows.values, rows.positive, rows.group, queries)
    pairs = _sum(rows.group, rows.positive, queries) * _sum(rows.group, ~rows.positive, queries)
    return {
        "covered": _sum(rows.group, 1.0, queries),
        "hits": _sum(rows.group, claimed == rows.positive, queries),
        "group_auc": np.where(pairs > 0, wins / np.maximum(pairs, 1), 0.0),
        "mixed": (pairs > 0).astype(np.float64),
    }


def _calibration_sums(rows: _Rows, queries: int) -> dict[str, Floats]:
    if not ((rows.values >= 0) & (rows.values <= 1)).all():
        return {}
    error = rows.values - rows.positive
    cell = rows.group * BINS + _bin(rows.values)
    gap, count = (_sum(cell, each, queries * BINS).reshape(queries, BINS) for each in (error, 1.0))
    return {
        "bin_gap": gap,
        "bin_count": count,
        "bin_queries": (count > 0).astype(np.float64),
        "bin_gap_gap": gap**2,
        "bin_gap_count": gap * count,
        "bin_count_count": count**2,
    }


def _calibration_error(total: dict[str, Floats]) -> Floats:
    """(B,) from sums over queries: each bin's squared mean gap less the variance of that mean over queries.

    The plain estimator counts the noise of each bin's mean as miscalibration (Kumar, Liang and Ma, Verified Uncertainty
    Calibration, NeurIPS 2019, section 5; arXiv 1909.10155). A bin with one query says nothing; a sum below 0 is 0.
    """
    if "bin_count" not in total:
        return np.full(len(total["covered"]), np.nan)
    count, queries = total["bin_count"], total["bin_queries"]
    mean = total["bin_gap"] / np.maximum(count, 1)
    scatter = total["bin_gap_gap"] - 2 * mean * total["bin_gap_count"] + mean**2 * total["bin_count_count"]
    noise = scatter * queries / np.maximum(queries - 1, 1) / np.maximum(count, 1) ** 2
    squared = np.where(queries > 1, mean**2 - noise, 0.0)
    return np.sqrt(np.maximum(_ratio((count * squared).sum(-1), total["covered"]), 0.0))


def _bin(values: Floats) -> Ints:
    return np.clip((values * BINS).astype(np.int64), 0, BINS - 1)


def _choice_sums(rows: _Rows, queries: int) -> dict[str, Floats]:
    count = _sum(rows.group, 1.0, queries)
    return {
        "rollouts": count,
        "queries": (count > 0).astype(np.float64),
        "best": _top_accuracy(rows, np.where(np.isnan(rows.values), -np.inf, rows.values), queries),
        "oracle": (_sum(rows.group, rows.positive, queries) > 0).astype(np.float64),
    }


def _top_accuracy(rows: _Rows, scores: Floats, queries: int) -> Floats:
    top = np.full(queries, -np.inf)
    np.maximum.at(top, rows.group, scores)
    is_top = scores == top[rows.group]
    picked = _sum(rows.group, is_top, queries)
    return _sum(rows.group, is_top & rows.positive, queries) / np.maximum(picked, 1)


def _advantage_sums(rows: _Rows, queries: int) -> dict[str, Floats]:
    true = advantages(rows.positive.astype(np.float64), rows.group, scaled=True)
    expected = advantages(rows.values, rows.group) if rows.expected is None else np.nan_to_num(rows.expected)
    products = {"dot": expected * true, "expected_squared": expected**2, "true_squared": true**2}
    return {name: _sum(rows.group, product, queries) for name, product in products.items()}
