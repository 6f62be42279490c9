"""Experts and their weights: majority vote as it stands, the prior's model moved by the labels, and doubt in votes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from memreward.answers.advantage import expected_advantages
from memreward.answers.doubt import Doubt
from memreward.answers.files import Arrays, read_arrays, unreadable, write_arrays
from memreward.answers.likelihood import question_log_likelihood
from memreward.answers.likeness import COLUMN, LikeSolutions, corrected, with_likeness
from memreward.answers.posterior import Gaussian, Observed
from memreward.answers.prior import DEFAULT, DomainPrior, RewardPrior, packed, unpacked
from memreward.answers.table import (
    SHARE,
    AnswerTable,
    Bools,
    Floats,
    Scaling,
    columns_of,
    evidence_columns,
    leaning,
)
from memreward.domains import rules_of
from memreward.features.subset import subset, vote_share
from memreward.types import DOMAINS, OWN, ConfigurationError, Features, IntArray, Prediction, Query, Score

_CERTAIN = 0.95
"""Majority vote's shares are scaled by this where its likelihood is asked for, so that it rules nothing out."""

START_ODDS = {"math": 0.4, "qa": 0.0, "code": 0.8, "other": 0.0}
"""Log-odds of the model against majority vote before any label, by domain; chosen by leaving sources out: what code
does says much that votes do not, and in choice the prior cannot know how strong a new policy is."""

GROWTH = {"math": 0.0, "qa": 0.0, "code": 2.0, "other": 0.0}
"""How many log-odds the model gains on the vote with each e-folding of labelled questions, by domain; chosen by leaving
sources out: in code it needs the vote no longer once labels have said how strong the policy is."""

SHARPNESS = {"math": 1.15, "code": 1.15}
"""Power of the experts' mean: a mean of probabilities is less sure than what it is made of (Ranjan and Gneiting, 2010).
Chosen by leaving sources out: in choice, where experts are too sure themselves, 1 is best."""

VERSION = 1
_KIND = "predictor"
_REMEDY = "run warmup with this folder"
_FADED = 1e-3
_MOST = 2048
"""Labelled questions, at most, that a model whose observations fade refits on at every step."""
_LARGEST_ODDS = 30.0
_FIRST_QUESTIONS = 5.0
"""Labelled questions of which `GROWTH` takes the logarithm: ln(1 + n / this)."""


TEMPER = 0.15
"""Power of the experts' likelihood on labelled questions by which their weights move, chosen by leaving sources out; 1
is Bayes' rule, which is too sure of itself: neither expert is the truth."""
SCALING_WEIGHT = 50.0
"""Rollouts that the prior's own scaling of the signals counts as, beside those at hand; chosen in the same way."""


@dataclass(frozen=True)
class AnswerModels:
    """Makes answer models that start at one prior, for an evaluation over many files.

    Attributes:
        prior: Where the weights begin.
    """

    prior: RewardPrior

    def __call__(self, seed: int) -> AnswerModel:  # noqa: ARG002  nothing is drawn
        """Make one."""
        return AnswerModel(self.prior)

    def blind_to(self, queries: Sequence[Query]) -> AnswerModels:
        """Return the same without the sources of the prior that share a question with `queries`."""
        return AnswerModels(self.prior.without(queries))

    def describe(self) -> str:
        """Name what decides the outcome: a hash of the prior's numbers."""
        return f"AnswerModels({self.prior.digest()})"


class AnswerBeliefs(NamedTuple):
    """What the model holds of n rollouts.

    Attributes:
        right: (n,) probability of being right, equal for equivalent answers except in code; 0 without an answer.
        vote: (n,) share of the pool that gives an equivalent answer, earlier visits apart; 0 without an answer.
        answer: (n,) number of the answer within the call.
        group: (n,) query, an index into the features' ids.
        several: (n,) whether several answers of the query may be right.
    """

    right: Floats
    vote: Floats
    answer: IntArray
    group: IntArray
    several: Bools

    def first(self, count: int) -> AnswerBeliefs:
        """Return what is held of the first rollouts; the others were their pool."""
        n = slice(count)
        return AnswerBeliefs(self.right[n], self.vote[n], self.answer[n], self.group[n], self.several[n])

    def scores(self) -> list[Score]:
        """Return value, confidence and expected advantage of each rollout."""
        return [
            Score(float(p), float(abs(2 * p - 1)), advantage=float(a))
            for p, a in zip(self.right, self.advantages(), strict=True)
        ]

    def advantages(self, among: IntArray | None = None) -> Floats:
        """(n,) expected advantages of these rollouts alone, whatever pool the probabilities are from.

        Args:
            among: (n,) group of each rollout; None takes all of a query as one group.
        """
        group = self.group if among is None else among
        expected = np.zeros(len(self.right))
        for several in (False, True):
            rows = self.several == several
            if rows.any():
                expected[rows] = expected_advantages(group[rows], self.answer[rows], self.right[rows], several=several)
        return expected


@dataclass
class _Domain:
    """What is believed in one domain: where it began, where it stands, what moved it."""

    prior: DomainPrior
    scaling: Scaling
    posterior: Gaussian
    log_odds: float
    growth: float
    like: LikeSolutions = field(default_factory=LikeSolutions.none)
    doubt: Doubt = field(default_factory=Doubt.none)
    seen: list[tuple[int, Observed]] = field(default_factory=list)

    @property
    def start(self) -> Gaussian:
        """Weights before any label."""
        return with_likeness(self.prior.weights)

    @property
    def trust(self) -> float:
        """Weight of the model; what is left is majority vote's."""
        labelled = sum(len(told.table.query_ids) for _, told in self.seen)
        odds = self.log_odds + self.growth * np.log1p(labelled / _FIRST_QUESTIONS)
        return float(1 / (1 + np.exp(-np.clip(odds, -_LARGEST_ODDS, _LARGEST_ODDS))))


class AnswerModel:
    """Probability that each answer is right. A domain that the prior does not know is majority vote exactly.

    Args:
        prior: Where the weights begin; None is the shipped one.
        half_life: Steps of training after which an observation counts half, since the policy moves; 0 is never.

    Attributes:
        name: "memreward".
        prior: Where the weights began.
        half_life: As given.
        threshold: One half: values are probabilities.
    """

    name = "memreward"
    threshold = 0.5

    def __init__(self, prior: RewardPrior | None = None, half_life: float = 0.0) -> None:
        if not 0 <= half_life < np.inf:
            raise ConfigurationError(f"half_life={half_life} must be a number of at least 0")
        self.prior = RewardPrior.load(DEFAULT) if prior is None else prior
        self.half_life = half_life
        self._domains: dict[str, _Domain] = {}
        self._step = 0

    def fit(self, features: Features, labels: NDArray[np.int8]) -> Self:
        """Begin anew: scale the signals by all rollouts given, and learn from those that are labelled.

        Args:
            features: n rollouts, labelled or not.
            labels: (n,) 1 right, 0 wrong, -1 unknown; there may be none.
        """
        self._domains, self._step = {}, 0
        for domain, rows in _by_domain(features):
            if domain in self.prior.domains:
                self._domains[domain] = self._begun(domain, subset(features, rows))
        return self.observe(features, labels)

    def begin(self) -> Self:
        """Scale signals as the prior's sources are in each domain that has not begun: then no call's batch matters."""
        for domain in [name for name in self.prior.domains if name not in self._domains]:
            prior = self.prior.domains[domain]
            self._domains[domain] = _begun_with(domain, prior, prior.scaling)
        return self

    def observe(self, features: Features, labels: NDArray[np.int8], step: int = 0) -> Self:
        """Learn from labelled rollouts of the present policy; older observations fade by `half_life`.

        The experts' weights move by how well each said what the labels say before it was told.

        Args:
            features: n rollouts; all of a query that are given form its pool.
            labels: (n,) 1 right, 0 wrong, -1 unknown.
            step: Of training.
        """
        given = np.asarray(labels)
        elapsed, self._step = max(step - self._step, 0), max(step, self._step)
        for domain, state in self._domains.items():
            start = START_ODDS.get(domain, 0.0)
            state.log_odds = start + (state.log_odds - start) * self._faded(elapsed)
        for domain, rows in _by_domain(features):
            if domain not in self.prior.domains or not (given[rows] >= 0).any():
                continue
            part = subset(features, rows)
            if domain not in self._domains:
                self._domains[domain] = self._begun(domain, part)
            state = self._domains[domain]
            state.like = state.like.given(part, given[rows], vote_share(part).astype(np.float64))
            table = self._table(domain, state, part)
            verdicts = table.verdicts(given[rows])
            judged = np.unique(table.question[verdicts >= 0])
            known = np.isin(table.question, judged)
            told = Observed.whole(table.only(judged), verdicts[known])
            state.log_odds += self._evidence(state.posterior.probabilities(told.table), told)
            state.seen.append((self._step, told))
        self._refit()
        return self

    def beliefs(self, features: Features) -> AnswerBeliefs:
        """Return what the model holds of n rollouts; all of a query that are given form its pool."""
        n = len(features)
        right, vote, several = np.zeros(n), np.zeros(n), np.zeros(n, np.bool_)
        pairs = np.stack([features.group, features.cluster], axis=1)
        answer = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
        size = np.bincount(features.group, minlength=len(features.query_ids))[features.group]
        given = features.cluster >= 0
        vote[given] = (np.bincount(answer)[answer] / np.maximum(size, 1))[given]
        lean = np.zeros(n) if features.lean is None else features.lean
        for domain, rows in _by_domain(features):
            several[rows] = rules_of(domain).several_right
            if domain not in self.prior.domains:
                right[rows] = leaning(vote[rows], lean[rows], given[rows].astype(np.float64), features.group[rows])
                continue
            part = subset(features, rows)
            state = self._domains.get(domain) or self._begun(domain, part)
            table = self._table(domain, state, part)
            both = state.trust * state.posterior.probabilities(table) + (1 - state.trust) * _voted(table)
            believed = state.doubt.beside(both, table, len(state.prior.signals))
            right[rows] = _sharpened(believed, table, SHARPNESS.get(domain, 1.0))[table.answer]
        return AnswerBeliefs(right, vote, answer, features.group, several)

    def predict(self, features: Features) -> Prediction:
        """Return the probability of being right for n rollouts; confidence is |2 p - 1|, nothing abstains."""
        right = self.beliefs(features).right
        confidence = np.abs(2 * right - 1).astype(np.float32)
        return Prediction(right.astype(np.float32), confidence, ("",) * len(features))

    def learned(self) -> set[str]:
        """Ids of the queries whose labels still count."""
        return {name for state in self._domains.values() for _, told in state.seen for name in told.table.query_ids}

    def trust(self) -> dict[str, float]:
        """Domain -> weight of the model beside majority vote, for the domains met so far."""
        return {domain: state.trust for domain, state in self._domains.items()}

    def doubt(self) -> dict[str, float]:
        """Domain -> weight of the expert for which votes mean something else, for the domains met so far.

        Above one half the labels say that the most frequent answer is no sign of being right.
        """
        return {domain: state.doubt.weight for domain, state in self._domains.items()}

    def contributions(self, features: Features, query: int) -> dict[int, tuple[tuple[str, float], ...]]:
        """Say what speaks for each answer of a query: row of its first rollout -> columns with their contributions.

        A contribution is weight times value, less the mean over the query's answers; the strongest come first. Empty
        in a domain without a prior.
        """
        rows = np.flatnonzero(features.group == query)
        domain = DOMAINS[features.domain[query]]
        if domain not in self.prior.domains:
            return {}
        part = subset(features, rows)
        state = self._domains.get(domain) or self._begun(domain, part)
        table = self._table(domain, state, part)
        kept = [*range(len(SHARE) + len(state.prior.signals)), -1]
        names = (*columns_of(state.prior.signals)[: len(kept) - 1], COLUMN)
        moved = table.design[:, kept] * state.posterior.mean[kept]
        moved -= moved.mean(axis=0)
        return {
            int(rows[np.flatnonzero(table.answer == answer)[0]]): tuple(
                (names[j], float(moved[answer, j])) for j in np.argsort(-np.abs(moved[answer]))
            )
            for answer in range(len(table))
        }

    def save(self, path: str | Path, about: Mapping[str, Any] | None = None) -> None:
        """Write prior, scaling, observations and weights to one safetensors file, in place of what may be there.

        Args:
            path: The file.
            about: JSON values to keep beside them.

        Raises:
            StoreError: if it cannot be written.
        """
        header, arrays = packed(self.prior)
        arrays = {f"prior.{name}": value for name, value in arrays.items()}
        domains = {}
        for domain, state in self._domains.items():
            arrays |= {
                f"{domain}.mean": state.scaling.mean,
                f"{domain}.deviation": state.scaling.deviation,
                f"{domain}.weights": state.posterior.mean,
                f"{domain}.covariance": state.posterior.covariance,
            }
            arrays |= {f"{domain}.like.{name}": value for name, value in state.like.arrays().items()}
            doubt = state.doubt.weights
            arrays |= {f"{domain}.doubt.weights": doubt.mean, f"{domain}.doubt.covariance": doubt.covariance}
            for i, (_, told) in enumerate(state.seen):
                table = told.table
                parts: dict[str, NDArray[Any]] = {
                    "question": table.question,
                    "votes": table.votes,
                    "share": table.share,
                    "design": table.design,
                }
                parts |= {"mute": table.mute.astype(np.int8), "verdicts": told.verdicts, "counts": told.counts}
                arrays |= {f"{domain}.{i}.{name}": value for name, value in parts.items()}
            seen = [[step, list(told.table.query_ids)] for step, told in state.seen]
            domains[domain] = {
                "signals": state.prior.signals,
                "count": state.scaling.count,
                "log_odds": state.log_odds,
                "doubt": state.doubt.weight,
                "like": state.like.questions.tolist(),
                "seen": seen,
            }
        record = {"prior": header, "config": {"half_life": self.half_life}, "step": self._step, "domains": domains}
        write_arrays(Path(path), _KIND, VERSION, {**record, "about": dict(about or {})}, arrays)

    @classmethod
    def load(cls, path: str | Path) -> tuple[Self, dict[str, Any]]:
        """Read what `save` wrote: the model, and what was kept beside it.

        Raises:
            StoreError: if the file is absent, damaged, or of another kind.
            SchemaVersionError: if a newer release wrote it.
        """
        header, arrays = read_arrays(Path(path), _KIND, VERSION, _REMEDY)
        try:
            of_prior = {name.removeprefix("prior."): a for name, a in arrays.items() if name.startswith("prior.")}
            made = cls(unpacked(header["prior"], of_prior), float(header["config"]["half_life"]))
            made._step = int(header["step"])
            for domain, record in header["domains"].items():
                made._domains[domain] = _restored(domain, made.prior.domains[domain], record, arrays)
            return made, header["about"]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise unreadable(Path(path), _KIND, _REMEDY, error) from error

    def _begun(self, domain: str, features: Features) -> _Domain:
        added = tuple(name for name in features.evidence_names if name.startswith(OWN))
        prior = self.prior.domains[domain]
        if added:
            prior = prior.beside(Scaling.of(added, evidence_columns(features, added)))
        own = Scaling.of(prior.scaling.names, evidence_columns(features, prior.scaling.names))
        return _begun_with(domain, prior, own.blended(prior.scaling, SCALING_WEIGHT))

    def _table(self, domain: str, state: _Domain, features: Features) -> AnswerTable:
        table = AnswerTable.of(features, domain, state.prior.signals, state.scaling)
        return table.beside(state.like.say(features))

    def _evidence(self, right: Floats, told: Observed) -> float:
        """Tempered log-likelihood of the model less that of majority vote, on what was told."""
        model = question_log_likelihood(told.table, right, told.verdicts)
        vote = question_log_likelihood(told.table, _CERTAIN * _voted(told.table), told.verdicts)
        return TEMPER * float((model - vote).sum())

    def _faded(self, steps: float) -> float:
        return 0.5 ** (steps / self.half_life) if self.half_life else 1.0

    def _refit(self) -> None:
        for state in self._domains.values():
            state.seen = self._kept(state.seen)
            if not state.seen:
                state.posterior, state.doubt = state.start, Doubt.none()
                continue
            observed = self._observed(state)
            state.posterior = state.start.given([observed], state.posterior.mean)
            state.doubt = _doubt(state, observed)

    def _observed(self, state: _Domain) -> Observed:
        """All that was told of a domain, as far as it still counts."""
        told = [one for _, one in state.seen]
        weights = [np.full(len(one.table.query_ids), self._faded(self._step - step)) for step, one in state.seen]
        verdicts = np.concatenate([one.verdicts for one in told])
        return Observed(AnswerTable.joined([one.table for one in told]), verdicts, np.concatenate(weights))

    def _kept(self, seen: list[tuple[int, Observed]]) -> list[tuple[int, Observed]]:
        """The observations that still count: the newest, as many as a refit can take in at every step."""
        present = [(step, told) for step, told in seen if self._faded(self._step - step) > _FADED]
        later = np.cumsum([len(told.table.query_ids) for _, told in reversed(present)])[::-1]
        first = int(np.searchsorted(-later, -_MOST)) if self.half_life else 0
        return present[min(first, max(len(present) - 1, 0)) :]


def advantages_of_values(features: Features, values: NDArray[Any], rows: NDArray[Any]) -> Floats:
    """(n,) expected advantages under any predictor that gives each rollout a probability of being right.

    An answer's probability is the mean of its rollouts'; where at most one answer can be right and they sum to more
    than 1, they are divided by their sum. An abstention (NaN) is 0, and so is every rollout that is not among `rows`.

    Args:
        features: n rollouts.
        values: (n,) probabilities.
        rows: Mask or indices of the rollouts that form the groups.
    """
    expected = np.zeros(len(features))
    index = np.arange(len(features))[rows]
    given = np.clip(np.nan_to_num(np.asarray(values, np.float64)[index]), 0.0, 1.0)
    group = features.group[index]
    answer = np.unique(np.stack([group, features.cluster[index]], axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    votes = np.bincount(answer)
    mean = np.bincount(answer, given) / np.maximum(votes, 1)
    total = np.bincount(group, given / votes[answer], len(features.query_ids)) if len(index) else np.zeros(1)
    domain = features.domain[group]
    for several in (False, True):
        mine = np.isin(domain, [i for i, name in enumerate(DOMAINS) if rules_of(name).several_right == several])
        right = mean[answer] if several else mean[answer] / np.maximum(total[group], 1.0)
        if mine.any():
            expected[index[mine]] = expected_advantages(group[mine], answer[mine], right[mine], several=several)
    return expected


def _voted(table: AnswerTable) -> Floats:
    """(C,) probabilities of majority vote: shares of the question's rollouts, moved by visits and by like solutions."""
    lean = table.design[:, SHARE.index("log_share")] - np.log(table.share)
    share = leaning(table.share, lean, np.where(table.mute, 0.0, table.votes), table.question)
    return corrected(np.where(table.mute, 0.0, share), table)


def _sharpened(right: Floats, table: AnswerTable, power: float) -> Floats:
    """(C,) probabilities raised to a power against what else may be: none of the answers, or each one's being wrong."""
    if power == 1:
        return right
    sharp = right**power
    if table.several:
        total = sharp + (1 - right) ** power
    else:
        count = len(table.query_ids)
        none = np.maximum(1 - np.bincount(table.question, right, count), 0) ** power
        total = (none + np.bincount(table.question, sharp, count))[table.question]
    return np.asarray(sharp / total, np.float64)


def _doubt(state: _Domain, observed: Observed) -> Doubt:
    signals = len(state.prior.signals)
    return Doubt.of(observed, signals, state.start, state.posterior, _CERTAIN * _voted(observed.table), state.doubt)


def _by_domain(features: Features) -> list[tuple[str, IntArray]]:
    """Domains and the rows of their rollouts."""
    of_row = features.domain[features.group]
    return [(DOMAINS[d], np.flatnonzero(of_row == d)) for d in np.unique(of_row)]


def _begun_with(domain: str, prior: DomainPrior, scaling: Scaling) -> _Domain:
    start = with_likeness(prior.weights)
    return _Domain(prior, scaling, start, START_ODDS.get(domain, 0.0), GROWTH.get(domain, 0.0))


def _restored(domain: str, prior: DomainPrior, record: Mapping[str, Any], arrays: Arrays) -> _Domain:
    # Signals that people added are no part of the prior.
    names = (*record.get("signals", prior.signals), prior.scaling.names[-1])
    scaling = Scaling(names, arrays[f"{domain}.mean"], arrays[f"{domain}.deviation"], float(record["count"]))
    if len(names) > len(prior.scaling.names):
        prior = prior.beside(scaling)
    posterior = Gaussian(arrays[f"{domain}.weights"], arrays[f"{domain}.covariance"])
    like = LikeSolutions(
        arrays[f"{domain}.like.outlines"],
        arrays[f"{domain}.like.templates"],
        np.array(record["like"], np.str_),
        arrays[f"{domain}.like.beyond"],
    )
    seen = []
    for i, (step, query_ids) in enumerate(record["seen"]):
        part = {
            name: arrays[f"{domain}.{i}.{name}"]
            for name in ("question", "votes", "share", "mute", "design", "verdicts", "counts")
        }
        start = np.searchsorted(part["question"], np.arange(len(query_ids)))
        table = AnswerTable(
            domain,
            tuple(query_ids),
            np.zeros(0, np.int64),
            part["question"],
            start,
            part["votes"],
            part["share"],
            part["mute"].astype(np.bool_),
            part["design"],
        )
        seen.append((int(step), Observed(table, part["verdicts"], part["counts"])))
    weights = Gaussian(arrays[f"{domain}.doubt.weights"], arrays[f"{domain}.doubt.covariance"])
    doubt = Doubt(weights, float(record["doubt"]))
    growth = GROWTH.get(domain, 0.0)
    return _Domain(prior, scaling, posterior, float(record["log_odds"]), growth, like, doubt, seen)
