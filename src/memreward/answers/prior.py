"""What other sources taught: a hierarchical prior over the weights, kept as what each source says by itself.

    w_s ~ N(mu_d, diag(tau_d^2)),    mu_d ~ N(mu_0, BETWEEN^2),    mu_0 ~ N(ln share counts 1, all else 0; BASE^2)

for the weights of source s in domain d; a column that two domains share has one mu_0. Each source is the quadratic that
its log-likelihood is near its mode, and EM runs on these. So a prior can be had without some sources in a fraction of a
second: one that shares questions with what is measured must not enter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from memreward.answers.likelihood import slope
from memreward.answers.posterior import Gaussian, Observed
from memreward.answers.table import POOLED, QUESTION, SHARE, AnswerTable, Floats, columns_of
from memreward.arrays import load, save
from memreward.features.columns import Scaling, evidence_columns, signals_of
from memreward.types import DOMAINS, ConfigurationError, Features, FloatArray, Query, content_hash

VERSION = 2
DEFAULT = "default"
"""Name of the prior that is shipped."""

BETWEEN, BASE, PULL, ROUNDS = 0.15, 0.5, 2.0, 8
"""Deviation of a domain's weights about what domains share, of these about 0, observations that draw each weight's
spread to the median spread, and rounds of EM. As the prototype has them; leaving sources out they hardly matter."""

SPREADS = {"math": 0.5, "qa": 0.3, "code": 1.0, "other": 1.0}
"""Part of the estimated variance that a prior keeps, by domain: EM leaves it too wide where they are unlike each
other. Chosen by leaving sources out: means as before, and no file far behind majority vote with few labels."""

LEVEL = 2.0
"""The same for the intercept, in every domain: how strong a policy is differs most, and few labels tell it. Chosen in
the same way, of 1, 2 and 4: the calibration error with labels falls by some thousandths."""

_KIND = "prior"
_REMEDY = "use default, none, or a file that `memreward prior fit` wrote"
_WIDE, _WIDE_BASE = 1.0, 2.0
_SPREAD, _SPREAD_OF_SHARE = 0.3, 2.0
_LEAST, _MOST = 1e-3, 10.0
_MARK = 15


@dataclass(frozen=True)
class SourceCard:
    """What a source of a prior is; `right` is the share of its judged rollouts that are."""

    name: str
    policy: str = ""
    licence: str = ""
    questions: int = 0
    rollouts: int = 0
    right: float = 0.0


@dataclass(frozen=True)
class SourceFactor:
    """One source in one domain: exp(-w.precision.w / 2 + pull.w), its likelihood of the p weights near its mode.

    Attributes:
        signals: Signals behind its columns.
        scaling: Of these signals in the source.
        marks: Hashes of its questions' ids and texts.
    """

    card: SourceCard
    domain: str
    signals: tuple[str, ...]
    scaling: Scaling
    marks: NDArray[np.uint64]
    precision: FloatArray
    pull: FloatArray

    def __post_init__(self) -> None:
        size, names = len(columns_of(self.signals)), len(self.scaling.names)
        sizes = (self.pull.shape, self.precision.shape, self.scaling.mean.shape, self.scaling.deviation.shape)
        if sizes != ((size,), (size, size), (names,), (names,)) or self.domain not in DOMAINS:
            raise ValueError(f"the parts of source {self.card.name!r} do not fit each other")

    @classmethod
    def of(cls, card: SourceCard, features: Features, labels: NDArray[np.int8], queries: Iterable[Query]) -> Self:
        """Summarise rollouts of one domain, without any other source; (n,) labels are 1 right, 0 wrong, -1 unknown.

        Raises ConfigurationError if the features hold no query, or queries of two domains, or no label is known.
        """
        known = np.asarray(labels) >= 0
        if len(set(features.domain.tolist())) != 1 or not known.any():
            raise ConfigurationError(f"source {card.name}: its queries must be of one domain, some with a label")
        domain = DOMAINS[features.domain[0]]
        signals = signals_of(domain, features.evidence_names)
        names = (*signals, "query_length_log")
        scaling = Scaling.of(names, evidence_columns(features, names))
        table = AnswerTable.of(features, domain, signals, scaling)
        observed = Observed.whole(table, table.verdicts(labels))
        weights = Gaussian.diagonal(*_start(columns_of(signals))).given([observed]).mean
        found = slope(table, weights, observed.verdicts, observed.counts)
        counted = replace(
            card,
            questions=len(np.unique(features.group[known])),
            rollouts=int(known.sum()),
            right=round(float(np.mean(np.asarray(labels)[known] == 1)), 4),
        )
        precision = found.information.astype(np.float32)
        pull = (found.information @ weights + found.gradient).astype(np.float32)
        return cls(counted, domain, signals, scaling, marks_of(queries), precision, pull)


def marks_of(queries: Iterable[Query]) -> NDArray[np.uint64]:
    """Return hashes by which a question is known again: of its id, and of the letters and digits of its text."""
    found = {
        int(content_hash(text)[:_MARK], 16)
        for query in queries
        for text in (query.id, "".join(c for c in query.text.lower() if c.isalnum()))
    }
    return np.array(sorted(found), np.uint64)


@dataclass(frozen=True)
class DomainPrior:
    """The prior of one domain: `weights` of the columns of `columns_of(signals)`, for a source that was never seen."""

    signals: tuple[str, ...]
    weights: Gaussian
    scaling: Scaling
    sources: tuple[str, ...]

    def beside(self, scaling: Scaling) -> DomainPrior:
        """Return the prior with signals that no source knew, in their own scaling.

        Their weights have mean 0, and the mean square of the weights of the known signals, apart for those of an answer
        and of a question's pool.
        """
        added = tuple(name for name in scaling.names if name not in self.scaling.names)
        signals, own = (*self.signals, *added), [scaling.names.index(name) for name in added]
        names = columns_of(signals)
        old = [names.index(name) for name in columns_of(self.signals)]
        mean, covariance = np.zeros(len(names)), np.zeros((len(names), len(names)))
        mean[old], covariance[np.ix_(old, old)] = self.weights.mean, self.weights.covariance
        square = mean**2 + np.diag(covariance)
        for prefix in ("", POOLED):
            known, new = ([names.index(prefix + name) for name in group] for group in (self.signals, added))
            covariance[new, new] = square[known].mean()

        def placed(ours: Floats, theirs: Floats) -> Floats:
            return np.concatenate([ours[:-1], theirs[own], ours[-1:]])  # the query's length stands last

        together = Scaling(
            (*signals, self.scaling.names[-1]),
            placed(self.scaling.mean, scaling.mean),
            placed(self.scaling.deviation, scaling.deviation),
            self.scaling.count,
        )
        return DomainPrior(signals, Gaussian(mean, covariance), together, self.sources)


@dataclass(frozen=True)
class RewardPrior:
    """A prior over what signals mean, by domain, of sources `factors`."""

    name: str = "none"
    factors: tuple[SourceFactor, ...] = field(default=(), repr=False)

    @cached_property
    def domains(self) -> Mapping[str, DomainPrior]:
        return _estimated(self.factors)

    def without(self, queries: Iterable[Query]) -> RewardPrior:
        """Return the prior of those sources that share no question, by id or text, with `queries`."""
        marks = marks_of(queries)
        kept = tuple(each for each in self.factors if not np.isin(each.marks, marks).any())
        return self if len(kept) == len(self.factors) else RewardPrior(f"{self.name} (sources left out)", kept)

    def digest(self) -> str:
        numbers = ((f.precision, f.pull, f.scaling.mean, f.scaling.deviation, f.marks) for f in self.factors)
        return content_hash("".join(array.tobytes().hex() for of_source in numbers for array in of_source))[:16]

    @classmethod
    def load(cls, name: str | Path) -> RewardPrior:
        """Read a prior: "default" is the shipped one, "none" has no source, else a file of `save`.

        Raises StoreError where it cannot be read.
        """
        if name == "none":
            return cls()
        return _shipped() if name == DEFAULT else load(Path(name), _KIND, VERSION, cls, _REMEDY)

    def save(self, path: str | Path) -> None:
        """Write the prior to a safetensors file, in the place of one that may be there.

        Raises StoreError where it cannot be written.
        """
        save(Path(path), _KIND, VERSION, self)


@cache
def _shipped() -> RewardPrior:
    """Read and estimated once in a process, which takes a twentieth of a second."""
    path = Path(str(files("memreward.answers") / "default.safetensors"))
    return load(path, _KIND, VERSION, RewardPrior, _REMEDY)


def fit_prior(sources: Sequence[SourceFactor], name: str) -> RewardPrior:
    """Make a prior of sources; ConfigurationError if there is none, or two have one name in one domain."""
    if not sources:
        raise ConfigurationError(
            "a prior needs at least one source with judged rollouts: label some, or name more files"
        )
    named = [(each.card.name, each.domain) for each in sources]
    if len(set(named)) < len(named):
        raise ConfigurationError(f"two sources of one domain have one name among {', '.join(n for n, _ in named)}")
    return RewardPrior(name, tuple(sources))


def _filled(names: Sequence[str], plain: float, **special: float) -> Floats:
    return np.array([special.get(name, plain) for name in names], np.float64)


def _start(names: Sequence[str]) -> tuple[Floats, Floats]:
    """Mean and variance that EM begins with."""
    return _filled(names, 0.0, log_share=1.0), _filled(names, _SPREAD, log_share=_SPREAD_OF_SHARE)


def _estimated(factors: Sequence[SourceFactor]) -> Mapping[str, DomainPrior]:
    """EM over all columns: a row of `mean` and of `spread` (variance of its sources' weights) is of one domain."""
    if not factors:
        return {}
    domains = list(dict.fromkeys(each.domain for each in factors))
    place = {name: i for i, name in enumerate(dict.fromkeys(c for each in factors for c in columns_of(each.signals)))}
    cells = [(domains.index(each.domain), [place[name] for name in columns_of(each.signals)]) for each in factors]
    votes = (*SHARE, QUESTION[0])
    between = _filled(tuple(place), BETWEEN**2, **dict.fromkeys(votes, _WIDE**2))
    beyond = _filled(tuple(place), BASE**2, **dict.fromkeys(votes, _WIDE_BASE**2) | {"log_share": 1.0})
    start, spread = _start(tuple(place))
    base, mean, spread = start, np.tile(start, (len(domains), 1)), np.tile(spread, (len(domains), 1))
    count = np.zeros_like(mean)
    for cell in cells:
        count[cell] += 1
    seen = (count > 0) / between
    for _ in range(ROUNDS):
        total, square = np.zeros_like(mean), np.zeros_like(mean)
        variances, means = [], []
        for each, cell in zip(factors, cells, strict=True):
            covariance = np.linalg.inv(each.precision + np.diag(1 / spread[cell]))
            means.append(covariance @ (each.pull + mean[cell] / spread[cell]))
            variances.append(np.diag(covariance))
            total[cell] += means[-1]
        for _ in range(5):
            mean = (total / spread + base / between) / (count / spread + 1 / between)
            base = ((mean * seen).sum(axis=0) + start / beyond) / (seen.sum(axis=0) + 1 / beyond)
        for cell, own, variance in zip(cells, means, variances, strict=True):
            square[cell] += (own - mean[cell]) ** 2 + variance
        middle = np.nanmedian(np.where(count > 0, square / np.maximum(count, 1), np.nan), axis=1, keepdims=True)
        fresh = np.clip((square + PULL * middle) / (count + PULL), _LEAST, _MOST)
        spread = np.where(count > 0, fresh, spread)
    variance = spread + 1 / (count / spread + 1 / between)
    found = {}
    for row, domain in enumerate(domains):
        mine = [each for each in factors if each.domain == domain]
        signals = tuple(dict.fromkeys(name for each in mine for name in each.signals))
        at = [place[name] for name in columns_of(signals)]
        part = _filled(columns_of(signals), SPREADS.get(domain, 1.0), **{QUESTION[0]: LEVEL})
        weights = Gaussian.diagonal(mean[row, at], part * variance[row, at])
        found[domain] = DomainPrior(signals, weights, _pooled(mine, signals), tuple(each.card.name for each in mine))
    return found


def _pooled(factors: Sequence[SourceFactor], signals: tuple[str, ...]) -> Scaling:
    """Scaling of a typical source: means and deviations averaged over the sources in which a signal varies."""
    names = (*signals, "query_length_log")
    mean, deviation, seen = (np.zeros(len(names)) for _ in range(3))
    for each in factors:
        place = {name: i for i, name in enumerate(each.scaling.names)}
        for j, name in enumerate(names):
            if name in place and each.scaling.deviation[place[name]] > 0:
                mean[j] += each.scaling.mean[place[name]]
                deviation[j] += each.scaling.deviation[place[name]]
                seen[j] += 1
    count = np.maximum(seen, 1)
    return Scaling(names, mean / count, deviation / count, float(sum(each.scaling.count for each in factors)))
