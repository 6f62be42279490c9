"""From the outcomes of trainings to figures with intervals.

The bootstrap resamples seeds, and held-out queries within their domain. All seeds answer the same queries, so a
resample crosses one draw of seeds with one of queries (the pigeonhole bootstrap of Owen, 2007). A bootstrap of few
seeds alone is too narrow (of five, a 95 % interval covers 83 %), so what a resample's seeds differ by from the sample's
is widened to the width of Student's interval. Every arm meets the same resamples: differences and ratios of arms are
paired.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.arms import ARMS
from lab.trainings.outcome import TEST, TrainingOutcome
from lab.trainings.results import (
    LABELLED,
    LEDGER_HEADINGS,
    MEAN,
    ORACLE,
    OURS,
    PARTS,
    REWARD_HEADINGS,
    START,
    ArmRow,
    Curve,
    TrainingResult,
    spread,
)
from memreward.evaluation.metrics import interval, resample_queries
from memreward.evaluation.tables import Figure
from memreward.types import DOMAINS, DataError, content_hash

RESAMPLES = 2000
_BEFORE = "the policy before training"

Floats = NDArray[np.float64]
Runs = Mapping[int, TrainingOutcome]
"""Seed -> outcome."""


def measure(
    outcomes: Iterable[TrainingOutcome],
    *,
    config: Mapping[str, Any] | None = None,
    versions: Mapping[str, str] | None = None,
    resamples: int = RESAMPLES,
) -> TrainingResult:
    """Measure every arm at every label share.

    Args:
        outcomes: Of arms, label shares and seeds, in any order; arms that are not tied to a share count at each.
        config: Settings to record.
        versions: Versions to record.
        resamples: Of the bootstrap.

    Raises:
        DataError: there are none, two have the same arm, share and seed, or a query has two domains.
    """
    outcomes = list(outcomes)
    if not outcomes:
        raise DataError("there are no outcomes to measure: train at least one arm")
    seen = Counter((outcome.arm, outcome.labels, outcome.seed) for outcome in outcomes)
    twice = [key for key, count in seen.items() if count > 1]
    if twice:
        raise DataError(f"arm, labels and seed {twice[0]} occur twice: give each training once")
    drawn = _Resamples(outcomes, resamples)
    shares = sorted({outcome.labels for outcome in outcomes if _tied(outcome.arm)}) or [0.0]
    tables = {share: _Share(share, outcomes, drawn) for share in shares}
    return TrainingResult(
        config=config or {},
        versions=versions or {},
        gaps={share: table.gaps() for share, table in tables.items()},
        rows=tuple(row for table in tables.values() for row in table.rows()),
    )


class _Resamples:
    """How often each resample holds each seed and query; the first one is the sample itself."""

    def __init__(self, outcomes: Sequence[TrainingOutcome], resamples: int) -> None:
        self.seeds = sorted({outcome.seed for outcome in outcomes})
        domain = _domains(outcomes)
        ids = {part: {q for outcome in outcomes for q in outcome.accuracy.get(part, ())} for part in PARTS}
        self.strata: dict[tuple[str, str], list[str]] = {}
        for part in PARTS:
            for name in DOMAINS:
                members = sorted(query for query in ids[part] if domain[query] == name)
                if members:
                    self.strata[part, name] = members
        self._of_seeds = 1 + _widening(len(self.seeds)) * (_weights(len(self.seeds), resamples, "seeds") - 1)
        self._of_queries = {
            key: _weights(len(members), resamples, " ".join(key)) for key, members in self.strata.items()
        }

    def domains(self, part: str) -> list[str]:
        """Domains of a part."""
        return [name for of, name in self.strata if of == part]

    def by_seed(self, runs: Runs, part: str, domain: str) -> Floats:
        """(seeds, 1 + B) mean accuracy of each seed; NaN without that seed."""
        if domain == MEAN:
            each = [self.by_seed(runs, part, name) for name in self.domains(part)]
            return np.mean(each, axis=0) if each else np.full((len(self.seeds), len(self._of_seeds)), np.nan)
        members, weights = self.strata[part, domain], self._of_queries[part, domain]
        table = np.full((len(self.seeds), len(members)), np.nan)
        for place, seed in enumerate(self.seeds):
            if seed in runs:
                found = runs[seed].accuracy.get(part, {})
                table[place] = [found.get(query, np.nan) for query in members]
        known = ~np.isnan(table)
        return _ratio(np.where(known, table, 0.0) @ weights.T, known @ weights.T)

    def over_seeds(self, by_seed: Floats) -> Floats:
        """(1 + B,) mean over the resampled seeds that have a figure."""
        known = ~np.isnan(by_seed)
        weights = self._of_seeds.T
        return _ratio((np.where(known, by_seed, 0.0) * weights).sum(0), (known * weights).sum(0))


class _Share:
    """All arms at one label share."""

    def __init__(self, labels: float, outcomes: Sequence[TrainingOutcome], drawn: _Resamples) -> None:
        self.labels, self.drawn = labels, drawn
        chosen = [outcome for outcome in outcomes if not _tied(outcome.arm) or outcome.labels == labels]
        arms = sorted({outcome.arm for outcome in chosen}, key=_place)
        self.runs: dict[str, Runs] = {
            arm: {outcome.seed: outcome for outcome in chosen if outcome.arm == arm} for arm in arms
        }
        self.accuracy = {
            (arm, part, domain): drawn.by_seed(runs, part, domain)
            for arm, runs in self.runs.items()
            for part in PARTS
            for domain in self._domains(part)
        }

    def _domains(self, part: str) -> list[str]:
        return [*self.drawn.domains(part), MEAN]

    def _each(self, of: Callable[[str, str], Figure]) -> dict[str, dict[str, Figure]]:
        return {part: {domain: of(part, domain) for domain in self._domains(part)} for part in PARTS}

    def gaps(self) -> dict[str, dict[str, Figure]]:
        return self._each(lambda part, domain: self._difference(ORACLE, LABELLED, part, domain))

    def rows(self) -> list[ArmRow]:
        return [self._row(arm, runs) for arm, runs in self.runs.items()]

    def _row(self, arm: str, runs: Runs) -> ArmRow:
        each = list(runs.values())
        return ArmRow(
            arm=arm,
            says=ARMS[arm].says if arm in ARMS else _BEFORE if arm == START else "",
            ablation=arm.startswith(f"{OURS}-"),
            tied=_tied(arm),
            labels=self.labels,
            accuracy=self._each(lambda part, domain: self._figure(self.accuracy[arm, part, domain])),
            kinds=_kinds(each),
            of_oracle={part: self._of_oracle(arm, part) for part in PARTS},
            gap_closed=self._each(lambda part, domain: self._gap_closed(arm, part, domain)),
            ours_ahead=self._each(lambda part, domain: self._difference(OURS, arm, part, domain)),
            seeds={seed: self._of_seed(arm, seed) for seed in sorted(runs)},
            reward={name: spread([_mean_of(run, name) for run in each]) for name in REWARD_HEADINGS},
            ledger=_ledger(each),
            learning=_learning_curves(each),
            rewarding=_reward_curves(each),
            seconds=spread([run.seconds for run in each]),
        )

    def _figure(self, by_seed: Floats) -> Figure:
        return _figure(self.drawn.over_seeds(by_seed))

    def _difference(self, arm: str, other: str, part: str, domain: str) -> Figure:
        if arm not in self.runs or other not in self.runs:
            return _NOWHERE
        return self._figure(self.accuracy[arm, part, domain] - self.accuracy[other, part, domain])

    def _of_oracle(self, arm: str, part: str) -> Figure:
        if ORACLE not in self.runs:
            return _NOWHERE
        own, oracle = self.accuracy[arm, part, MEAN], self.accuracy[ORACLE, part, MEAN]
        # A seed that one of the two lacks counts for neither.
        return _figure(_ratio(self.drawn.over_seeds(own + 0 * oracle), self.drawn.over_seeds(oracle + 0 * own)))

    def _gap_closed(self, arm: str, part: str, domain: str) -> Figure:
        if ORACLE not in self.runs or LABELLED not in self.runs:
            return _NOWHERE
        own, low, high = (self.accuracy[name, part, domain] for name in (arm, LABELLED, ORACLE))
        gap = self.drawn.over_seeds(high - low + 0 * own)
        closed = _figure(_ratio(self.drawn.over_seeds(own - low + 0 * high), gap))
        clear = _figure(gap).low > 0
        return closed if clear else Figure(closed.value, math.nan, math.nan)

    def _of_seed(self, arm: str, seed: int) -> dict[str, float]:
        place = self.drawn.seeds.index(seed)
        found = {part: float(self.accuracy[arm, part, MEAN][place, 0]) for part in PARTS}
        closed = math.nan
        if ORACLE in self.runs and LABELLED in self.runs:
            low, high = (float(self.accuracy[name, TEST, MEAN][place, 0]) for name in (LABELLED, ORACLE))
            closed = (found[TEST] - low) / (high - low) if high > low else math.nan
        return {**found, "gap_closed": closed}


_NOWHERE = Figure(math.nan, math.nan, math.nan)


def _figure(resampled: Floats) -> Figure:
    found = interval(resampled[1:])
    return Figure(float(resampled[0]), found.low, found.high)


def _weights(count: int, resamples: int, name: str) -> Floats:
    """(1 + B, count) multiplicities; the draw depends on the name alone, not on what else is resampled."""
    drawn = resample_queries(count, resamples, int(content_hash(name)[:8], 16))
    return np.concatenate([np.ones((1, count)), drawn])


def _widening(count: int) -> float:
    """Width of Student's 95 % interval for the mean of so many, over that of their bootstrap, which tends to 1.

    The bootstrap's is normal, with a variance that lacks the factor n / (n - 1) (Hesterberg, 2015, section 3).
    """
    if count < 2:
        return 1.0
    from scipy.special import ndtri, stdtrit  # scipy.stats, which calls them, takes a second to load

    return float(stdtrit(count - 1, 0.975) / ndtri(0.975)) * math.sqrt(count / (count - 1))


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    defined = denominator > 0
    return np.where(defined, numerator / np.where(defined, denominator, 1.0), np.nan)


def _tied(arm: str) -> bool:
    """Whether an arm is another one at another label share."""
    return arm != START and (arm not in ARMS or ARMS[arm].labels == "share")


def _place(arm: str) -> tuple[int, str]:
    names = [*ARMS, START]
    return (names.index(arm) if arm in names else len(names), arm)


def _domains(outcomes: Sequence[TrainingOutcome]) -> dict[str, str]:
    found: dict[str, str] = {}
    for outcome in outcomes:
        for query, domain in outcome.domains.items():
            if found.setdefault(query, domain) != domain:
                raise DataError(f"query {query!r} is {found[query]} in one training and {domain} in another")
    return found


def _kinds(runs: Sequence[TrainingOutcome]) -> dict[str, float]:
    """Kind -> accuracy on its held-out questions: a question's id begins with its kind."""
    found: dict[str, list[float]] = {}
    for run in runs:
        for query, right in run.accuracy[TEST].items():
            found.setdefault(re.split(r"-\d", query)[0], []).append(right)
    return {kind: math.fsum(each) / len(each) for kind, each in found.items()}


def _mean_of(run: TrainingOutcome, name: str) -> float:
    values = [float(step[name]) for step in run.steps if step.get(name) is not None]
    return math.fsum(values) / len(values) if values else math.nan


def _ledger(runs: Sequence[TrainingOutcome]) -> dict[str, dict[str, float]]:
    uses = sorted({use for run in runs for use in run.ledger.get("uses", {})})
    units = ("queries", "judgements")
    return {
        use: {
            unit: math.fsum(run.ledger.get("uses", {}).get(use, {}).get(unit, 0) for run in runs) / len(runs)
            for unit in units
        }
        for use in uses
    }


def _learning_curves(runs: Sequence[TrainingOutcome]) -> dict[str, dict[str, Curve]]:
    return {part: _learning_curves_of([_points(run, part) for run in runs]) for part in PARTS}


def _points(run: TrainingOutcome, part: str) -> dict[int, Mapping[str, float]]:
    """Step -> accuracy by domain."""
    return {point["step"]: point[part] for point in run.curve if point.get(part)}


def _learning_curves_of(runs: Sequence[Mapping[int, Mapping[str, float]]]) -> dict[str, Curve]:
    domains = sorted({domain for run in runs for point in run.values() for domain in point})
    curves = {
        domain: _curve([{step: point[domain] for step, point in run.items() if domain in point} for run in runs])
        for domain in domains
    }
    whole = [{step: point for step, point in run.items() if len(point) == len(domains)} for run in runs]
    mean = [{step: math.fsum(point.values()) / len(point) for step, point in run.items()} for run in whole]
    return {**curves, MEAN: _curve(mean)} if domains else {}


def _reward_curves(runs: Sequence[TrainingOutcome]) -> dict[str, Curve]:
    curves = {
        name: _curve([{s["step"]: float(s[name]) for s in run.steps if s.get(name) is not None} for run in runs])
        for name in (*REWARD_HEADINGS, *LEDGER_HEADINGS)
    }
    return {name: curve for name, curve in curves.items() if curve.steps}


def _curve(seeds: Sequence[Mapping[int, float]]) -> Curve:
    steps = sorted({step for own in seeds for step in own})
    values = [[own[step] for own in seeds if step in own] for step in steps]
    return Curve(
        tuple(steps),
        tuple(round(math.fsum(v) / len(v), 5) for v in values),
        tuple(round(min(v), 5) for v in values),
        tuple(round(max(v), 5) for v in values),
    )
