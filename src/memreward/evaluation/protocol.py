"""Compare predictors on files of rollouts: label a share of the queries, predict the rest, measure.

The labelled queries of each file, share and seed are paid for through a label ledger; the truth of the others is
released by a second ledger, for measuring, after everything is predicted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreward.data.draw import Count, count_from
from memreward.evaluation.cells import Cell, Outcome, PredictorFactory, cell_key, hash_features, run_cell, save_features
from memreward.evaluation.metrics import (
    METRICS,
    QueryTable,
    advantages_of_values,
    bootstrap,
    interval,
    nanmean,
    reliability,
    resample_named,
)
from memreward.evaluation.parts import installed_versions
from memreward.evaluation.results import MEAN, EvaluationResult, Row
from memreward.evaluation.tables import Figure
from memreward.evaluation.workers import Workers, worker_processes
from memreward.features.featurizer import Featurizer
from memreward.features.subset import rows_of_queries
from memreward.memory import FROM_FILE, Budget, LabelLedger, label, measured
from memreward.temporary import TemporaryFolder
from memreward.types import ConfigurationError, DataError, Features, Group, Progress, silent

PACKAGES = ("memreward", "numpy", "scikit-learn", "torch", "torch-geometric", "sentence-transformers")

REFERENCE = "majority"
"""The predictor that the others are compared with, where it is among them."""
RESAMPLES = 1000
"""Of the bootstrap over the queries."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class EvaluationConfig:
    """Settings of an evaluation.

    Attributes:
        labels: How many queries are labelled: whole numbers, 0 among them, and shares (20% or 0.2).
        seeds: Splits for each number of labels, which also seed the predictors: 5 is 0 to 4, 5-9 and 1,4,7 are
            these.
    """

    labels: tuple[str, ...] = ("0", "5", "20", "50")
    seeds: int | str = 5

    def counts(self) -> tuple[Count, ...]:
        return tuple(count_from(each) for each in self.labels)

    def splits(self) -> tuple[int, ...]:
        """Return the seeds, each once."""
        text = str(self.seeds)
        if text.isdecimal():
            return tuple(range(int(text)))
        parts = [part.strip().partition("-") for part in text.split(",")]
        if not all(low.isdecimal() and (high.isdecimal() or not dash) for low, dash, high in parts):
            raise ConfigurationError(f"seeds={text}: give how many (5 is 0 to 4), a range (5-9) or a list (1,4,7)")
        found = [range(int(low), int(high or low) + 1) for low, _, high in parts]
        return tuple(dict.fromkeys(seed for numbers in found for seed in numbers))

    def __post_init__(self) -> None:
        if not self.labels or "all" in self.counts():
            raise ConfigurationError(
                f"labels={self.labels}: give numbers or shares of queries, e.g. 0,5,20%; all leaves none to predict"
            )
        if not self.splits():
            raise ConfigurationError(f"seeds={self.seeds}: give one at least (5-9 counts up)")


def evaluate(
    files: Mapping[str, Sequence[Group]],
    predictors: Mapping[str, PredictorFactory],
    featurizer: Featurizer,
    config: EvaluationConfig | None = None,
    *,
    out: str | Path | None = None,
    processes: int = 1,
    progress: Progress | None = None,
) -> EvaluationResult:
    """Evaluate predictors on files; where majority vote is among them, the others are compared with it.

    Of several files there is a mean over all, and one over those of each domain where they are of several.

    Args:
        files: Name -> groups. Rollout ids are unique in a file.
        predictors: Name -> factory from a seed, or a class or function of one's own (`memreward.evaluation.own`); with
            several processes each must pickle. What has `blind_to(queries)` is replaced for each file by what that
            returns, a prior without the sources that share questions with it; likewise `reading(groups)`, of unlabelled
            groups.
        out: Folder of finished cells; a second run takes over those whose features, labels, predictor and code are the
            same.
        processes: 1 is this one, 0 one a core.

    Raises ConfigurationError if there is no file or no predictor, DataError if a file has no rollouts or no verdicts,
    or rollout ids occur twice, MemRewardError if a worker process died.
    """
    settings = config or EvaluationConfig()
    if not files or not predictors:
        raise ConfigurationError(f"no {'predictor' if files else 'file'} is given: there is nothing to evaluate")
    told = progress or silent
    with TemporaryFolder("evaluate-") as scratch, worker_processes(processes) as workers:
        kept = Path(out) if out is not None else scratch
        kept.mkdir(parents=True, exist_ok=True)
        pools: list[_Pool] = []
        for name, groups in files.items():
            pools.append(_Pool.of(name, groups, featurizer, scratch))
            told("computing signals", len(pools), len(files))
        draws = list(product(pools, settings.counts(), settings.splits()))
        splits = [_Split.draw(pool, share, seed) for pool, share, seed in draws]
        outcomes = _run(splits, predictors, kept, workers, told)
    parts: list[_Part] = []
    for pool in pools:
        # The same resamples for every predictor: differences are paired.
        weights = resample_named(pool.features.query_ids, RESAMPLES)
        for share in settings.counts():
            own = [split for split in splits if split.pool is pool and split.share == float(share)]
            parts.append(_measured(own, {name: [outcomes[each, name] for each in own] for name in predictors}, weights))
            told("measuring", len(parts), len(pools) * len(settings.labels))
    for name, members in _means(files).items():
        parts += _mean_parts(name, [part for part in parts if part.file in members])
    return EvaluationResult(
        config=_recorded(settings, predictors),
        versions=installed_versions(PACKAGES),
        files={pool.file: pool.facts() for pool in pools},
        ledger=tuple(split.spent for split in splits),
        rows=tuple(row for part in parts for row in part.rows()),
    )


def _recorded(settings: EvaluationConfig, predictors: Mapping[str, PredictorFactory]) -> dict[str, Any]:
    """What decides the result; how many processes found it does not."""
    given = {"labels": list(settings.labels), "seeds": list(settings.splits()), "predictors": list(predictors)}
    return {**given, "references": _references(predictors), "resamples": RESAMPLES}


def _references(predictors: Iterable[str]) -> list[str]:
    return [REFERENCE] if REFERENCE in predictors else []


@dataclass(frozen=True)
class _Pool:
    file: str
    groups: tuple[Group, ...]
    features: Features
    verdicts: NDArray[np.int8]
    stored: Path
    hash: str

    @classmethod
    def of(cls, file: str, groups: Sequence[Group], featurizer: Featurizer, scratch: Path) -> _Pool:
        kept = tuple(group for group in groups if group.rollouts)
        if not kept:
            raise DataError(f"{file} has no rollouts: there is nothing to evaluate")
        verdicts = measured(groups)
        if not verdicts:
            raise DataError(
                f'{file} has no verdict, so there is nothing to measure by: give its rollouts "correct", or let '
                "memreward verify fill it from the references"
            )
        features = featurizer.features([rollout for group in kept for rollout in group.rollouts])
        if len(set(features.rollout_ids)) < len(features):
            raise DataError(f"{file}: rollout ids occur twice; give each rollout of a file its own 'id'")
        digest = hash_features(features)
        stored = scratch / f"{digest}.safetensors"
        save_features(features, stored)
        by_row = np.array([verdicts.get(rollout, -1) for rollout in features.rollout_ids], np.int8)
        return cls(file, kept, features, by_row, stored, digest)

    def facts(self) -> dict[str, int]:
        return {
            "queries": len(self.groups),
            "rollouts": len(self.verdicts),
            "judged": int(np.sum(self.verdicts >= 0)),
            "right": int(np.sum(self.verdicts == 1)),
        }


@dataclass(frozen=True, eq=False)
class _Split:
    pool: _Pool
    share: float
    seed: int
    labelled: frozenset[str]
    labels: NDArray[np.int8]
    measured_by: NDArray[np.int8]
    spent: Mapping[str, Any]

    @classmethod
    def draw(cls, pool: _Pool, share: Count, seed: int) -> _Split:
        ledger = LabelLedger.detached(pool.groups)
        budget = Budget.of(share)
        chosen = ledger.choose(budget, seed)
        # Every verdict is read, as the published figures were made; what one settles of others would cost less.
        released = label(ledger, chosen, FROM_FILE, budget, "warmup", settle=False).labels
        labelled = frozenset(chosen)
        if labelled >= {group.query.id for group in pool.groups}:
            raise ConfigurationError(
                f"{pool.file}: labels={share} labels all {len(pool.groups)} queries and leaves none to predict; "
                "ask for fewer"
            )
        # What is only measured is no part of the label budget; a ledger of its own has opened it, once for the file.
        measured_by = np.where(rows_of_queries(pool.features, labelled), -1, pool.verdicts).astype(np.int8)
        judged = measured_by >= 0
        if not judged.any():
            raise ConfigurationError(
                f"{pool.file}: labels={share} takes all {len(chosen)} queries that have a verdict, and what is left "
                "cannot be measured; ask for fewer"
            )
        row = {rollout: index for index, rollout in enumerate(pool.features.rollout_ids)}
        labels = np.full(len(row), -1, np.int8)
        for one in released:
            labels[row[one.rollout_id]] = one.correct
        totals = ledger.totals()
        spent = {
            **{"file": pool.file, "labels": float(share), "seed": seed},
            "warmup": {unit: totals[unit] for unit in ("queries", "judgements")},
            "evaluation": {
                "queries": len(np.unique(pool.features.group[judged])),
                "judgements": int(judged.sum()),
            },
        }
        return cls(pool, float(share), seed, labelled, labels, measured_by, spent)

    def cell(self, predictor: PredictorFactory) -> Cell:
        key = cell_key(self.pool.hash, self.labels, predictor, self.seed)
        return Cell(self.pool.stored, self.labels, self.labelled, predictor, self.seed, key)


Figures = Mapping[str, float]


@dataclass(frozen=True)
class _Part:
    """All predictors on one file, or in the mean of several, at one share: each metric, and under each resample.

    `told` is what else a row says of a predictor; nothing in a mean.
    """

    file: str
    share: float
    points: Mapping[str, Figures]
    resampled: Mapping[str, Mapping[str, Floats]]
    told: Mapping[str, Mapping[str, Any]]

    def rows(self) -> Iterator[Row]:
        for name in self.points:
            differences = {reference: self._figures(name, reference) for reference in _references(self.points)}
            yield Row(self.file, self.share, name, self._figures(name), differences, **self.told.get(name, {}))

    def _figures(self, predictor: str, reference: str | None = None) -> dict[str, Figure]:
        """Figures of a predictor, or of its paired differences from another."""
        found = {}
        for metric in METRICS:
            value, spread = self.points[predictor][metric], self.resampled[predictor][metric]
            if reference is not None:
                value, spread = value - self.points[reference][metric], spread - self.resampled[reference][metric]
            found[metric] = _figure(value, spread, least=-math.inf if reference else 0.0)
        return found


def _figure(value: float, spread: Floats, least: float) -> Figure:
    if math.isnan(value):
        return Figure(math.nan, math.nan, math.nan)
    ends = interval(spread)
    return Figure(value, max(min(ends.low, value), least), max(ends.high, value))


def _mean(each: Sequence[Figures]) -> dict[str, float]:
    return {metric: float(nanmean(np.array([one[metric] for one in each]))) for metric in METRICS}


def _mean_parts(name: str, parts: Sequence[_Part]) -> Iterator[_Part]:
    for share in dict.fromkeys(part.share for part in parts):
        members = [part for part in parts if part.share == share]
        predictors = tuple(members[0].points)
        resampled = {
            predictor: {
                metric: nanmean(np.stack([p.resampled[predictor][metric] for p in members])) for metric in METRICS
            }
            for predictor in predictors
        }
        points = {predictor: _mean([part.points[predictor] for part in members]) for predictor in predictors}
        yield _Part(name, share, points, resampled, {})


def _run(
    splits: Sequence[_Split], predictors: Mapping[str, PredictorFactory], kept: Path, workers: Workers, told: Progress
) -> dict[tuple[_Split, str], Outcome]:
    outcomes: dict[tuple[_Split, str], Outcome] = {}
    pools = {split.pool.file: split.pool.groups for split in splits}
    blind = {(file, name): _of_file(predictors[name], pools[file]) for file, name in product(pools, predictors)}
    running: dict[Future[Outcome], tuple[_Split, str, Path]] = {}
    total = len(splits) * len(predictors)
    for split, name in product(splits, predictors):
        cell = split.cell(blind[split.pool.file, name])
        path = kept / f"{cell.key}.json"
        if path.exists():
            outcomes[split, name] = Outcome.load(path)
            told("predicting", len(outcomes), total)
        else:
            running[workers.submit(run_cell, cell)] = (split, name, path)
    for future in workers.completed():
        split, name, path = running[future]
        outcomes[split, name] = future.result()
        outcomes[split, name].save(path)
        told("predicting", len(outcomes), total)
    return outcomes


def _measured(splits: Sequence[_Split], outcomes: Mapping[str, Sequence[Outcome]], weights: Floats) -> _Part:
    """What predictors are worth on one file at one share; an outcome for each split, which is of one seed."""
    first, points, resampled, told = splits[0], {}, {}, {}
    for name, found in outcomes.items():
        tables = [_table(split, outcome) for split, outcome in zip(splits, found, strict=True)]
        seeds = tuple(table.metrics().to_dict() for table in tables)
        points[name], resampled[name] = _mean(seeds), bootstrap(tables, weights)
        values, truth = (np.concatenate(each) for each in ([o.values for o in found], [s.measured_by for s in splits]))
        told[name] = {
            "seeds": seeds,
            "seconds": tuple(round(outcome.seconds, 3) for outcome in found),
            "failures": {str(split.seed): o.failure for split, o in zip(splits, found, strict=True) if o.failure},
            "reliability": {each: tuple(bins.tolist()) for each, bins in vars(reliability(values, truth)).items()},
        }
    return _Part(first.pool.file, first.share, points, resampled, told)


def _table(split: _Split, outcome: Outcome) -> QueryTable:
    features = split.pool.features
    return QueryTable.of(
        outcome.values,
        split.measured_by,
        features.group,
        outcome.threshold,
        queries=len(features.query_ids),
        expected=advantages_of_values(features, outcome.values, split.measured_by >= 0),
    )


def _of_file(predictor: PredictorFactory, groups: Sequence[Group]) -> PredictorFactory:
    """The factory without what it knows of these questions, and with what the file says beside their truth."""
    if (blind_to := getattr(predictor, "blind_to", None)) is not None:
        predictor = blind_to([group.query for group in groups])
    if (reading := getattr(predictor, "reading", None)) is not None:
        predictor = reading([group.unlabelled() for group in groups])
    return predictor


def _means(files: Mapping[str, Sequence[Group]]) -> dict[str, list[str]]:
    domains: dict[str, list[str]] = {}
    for name, groups in files.items():
        domains.setdefault(groups[0].query.domain, []).append(name)
    of_each = {f"{MEAN} of {domain}": names for domain, names in domains.items()} if len(domains) > 1 else {}
    return {MEAN: list(files)} | of_each if len(files) > 1 else {}
