"""The answer model over all domains: what each believes of its answers, and majority vote where nothing is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from memreward.answers.beliefs import AnswerBeliefs
from memreward.answers.domain import DomainModel
from memreward.answers.files import read_arrays, unreadable, write_arrays
from memreward.answers.prior import DEFAULT, RewardPrior, packed, unpacked
from memreward.answers.table import leaning
from memreward.domains import rules_of
from memreward.features.subset import subset
from memreward.types import DOMAINS, ConfigurationError, Features, IntArray, Prediction, Query

VERSION = 1
_KIND = "predictor"
_REMEDY = "run warmup with this folder"


@dataclass(frozen=True)
class AnswerModels:
    """Makes answer models that start at one prior, for an evaluation over many files."""

    prior: RewardPrior

    def __call__(self, seed: int) -> AnswerModel:  # noqa: ARG002  nothing is drawn
        return AnswerModel(self.prior)

    def blind_to(self, queries: Sequence[Query]) -> AnswerModels:
        """Return the same without the sources of the prior that share a question with `queries`."""
        return AnswerModels(self.prior.without(queries))

    def describe(self) -> str:
        """Name what decides the outcome: a hash of the prior's numbers."""
        return f"AnswerModels({self.prior.digest()})"


class AnswerModel:
    """Probability that each answer is right. A domain that the prior does not know is majority vote exactly.

    Args:
        prior: Where the weights begin; None is the shipped one.
        half_life: Steps of training after which an observation counts half, since the policy moves; 0 is never.

    Attributes:
        domains: What is believed, by the domains met so far that the prior knows.
    """

    name = "memreward"
    threshold = 0.5

    def __init__(self, prior: RewardPrior | None = None, half_life: float = 0.0) -> None:
        if not 0 <= half_life < np.inf:
            raise ConfigurationError(f"half_life={half_life} must be a number of at least 0")
        self.prior = RewardPrior.load(DEFAULT) if prior is None else prior
        self.half_life = half_life
        self.domains: dict[str, DomainModel] = {}
        self._step = 0

    def fit(self, features: Features, labels: NDArray[np.int8]) -> Self:
        """Begin anew: scale the signals by all n rollouts, and learn from (n,) labels, 1 right, 0 wrong, -1 unknown."""
        self.domains, self._step = {}, 0
        for domain, rows in _by_domain(features):
            if domain in self.prior.domains:
                self.domains[domain] = self._begun(domain, subset(features, rows))
        return self.observe(features, labels)

    def begin(self) -> Self:
        """Scale signals as the prior's sources are in each domain that has not begun: then no call's batch matters."""
        for domain in [name for name in self.prior.domains if name not in self.domains]:
            self.domains[domain] = self._begun(domain)
        return self

    def observe(self, features: Features, labels: NDArray[np.int8], step: int = 0) -> Self:
        """Learn from labelled rollouts of the present policy, (n,) 1, 0 or -1; older observations fade by `half_life`.

        The experts' weights move by how well each foretold what the labels say. All rollouts of a query form its pool.
        """
        given = np.asarray(labels)
        self._step = max(step, self._step)
        for domain, rows in _by_domain(features):
            if domain in self.prior.domains and (given[rows] >= 0).any():
                part = subset(features, rows)
                state = self.domains.setdefault(domain, self._at(domain, part))
                state.tell(part, given[rows], self._step)
        for known in self.domains.values():
            known.refit(self._step, self.half_life)
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
            if domain in self.prior.domains:
                part = subset(features, rows)
                right[rows] = self._at(domain, part).right(part)
            else:
                right[rows] = leaning(vote[rows], lean[rows], given[rows].astype(np.float64), features.group[rows])
        return AnswerBeliefs(right, vote, answer, features.group, several)

    def predict(self, features: Features) -> Prediction:
        """Return the probability of being right for n rollouts; confidence is |2 p - 1|, nothing abstains."""
        right = self.beliefs(features).right
        confidence = np.abs(2 * right - 1).astype(np.float32)
        return Prediction(right.astype(np.float32), confidence, ("",) * len(features))

    def learned(self) -> set[str]:
        """Ids of the queries whose labels still count."""
        return {name for state in self.domains.values() for _, told in state.seen for name in told.table.query_ids}

    def trust(self) -> dict[str, float]:
        """Domain -> weight of the model beside majority vote, for the domains met so far."""
        return {domain: state.trust for domain, state in self.domains.items()}

    def doubt(self) -> dict[str, float]:
        """Domain -> weight of the expert for which votes mean something else; above .5 the labels say so."""
        return {domain: state.doubt.weight for domain, state in self.domains.items()}

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
        table, names, moved = self._at(domain, part).contributions(part)
        return {
            int(rows[np.flatnonzero(table.answer == answer)[0]]): tuple(
                (names[j], float(moved[answer, j])) for j in np.argsort(-np.abs(moved[answer]))
            )
            for answer in range(len(table))
        }

    def save(self, path: str | Path, about: Mapping[str, Any] | None = None) -> None:
        """Write all of it to one safetensors file, with JSON values `about` it; StoreError if it cannot."""
        header, arrays = packed(self.prior)
        arrays = {f"prior.{name}": value for name, value in arrays.items()}
        domains = {}
        for domain, state in self.domains.items():
            domains[domain], own = state.packed()
            arrays |= own
        record = {"prior": header, "config": {"half_life": self.half_life}, "step": self._step, "domains": domains}
        write_arrays(Path(path), _KIND, VERSION, {**record, "about": dict(about or {})}, arrays)

    @classmethod
    def load(cls, path: str | Path) -> tuple[Self, dict[str, Any]]:
        """Read what `save` wrote: the model, and what was kept beside it.

        Raises StoreError if the file is absent, damaged, or of another kind, SchemaVersionError if a newer release
        wrote it.
        """
        header, arrays = read_arrays(Path(path), _KIND, VERSION, _REMEDY)
        try:
            of_prior = {name.removeprefix("prior."): a for name, a in arrays.items() if name.startswith("prior.")}
            made = cls(unpacked(header["prior"], of_prior), float(header["config"]["half_life"]))
            made._step = int(header["step"])
            for domain, record in header["domains"].items():
                prior = made.prior.domains[domain]
                made.domains[domain] = DomainModel.unpacked(domain, prior, record, arrays)
            return made, header["about"]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise unreadable(Path(path), _KIND, _REMEDY, error) from error

    def _at(self, domain: str, features: Features) -> DomainModel:
        return self.domains.get(domain) or self._begun(domain, features)

    def _begun(self, domain: str, features: Features | None = None) -> DomainModel:
        return DomainModel.begin(domain, self.prior.domains[domain], features)


def _by_domain(features: Features) -> list[tuple[str, IntArray]]:
    of_row = features.domain[features.group]
    return [(DOMAINS[d], np.flatnonzero(of_row == d)) for d in np.unique(of_row)]
