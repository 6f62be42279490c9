"""The answer model over all domains: what each believes of its answers, and majority vote where nothing is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from memreward.answers.beliefs import AnswerBeliefs
from memreward.answers.domain import DomainModel
from memreward.answers.prior import DEFAULT, RewardPrior
from memreward.answers.table import leaning
from memreward.arrays import load, save
from memreward.domains import rules_of
from memreward.features.subset import distinct_pairs, pool_share, subset
from memreward.types import DOMAINS, Features, IntArray, Prediction

VERSION = 2
_KIND = "predictor"
_REMEDY = "run warmup with this folder"


@dataclass(frozen=True)
class _Saved:
    """What a file of `AnswerModel.save` holds."""

    prior: RewardPrior
    step: int
    domains: dict[str, DomainModel]
    about: dict[str, Any]


class AnswerModel:
    """Probability that each answer is right. A domain that the prior does not know is majority vote exactly.

    Args:
        prior: Where the weights begin; None is the shipped one.

    Attributes:
        domains: What is believed, by the domains met so far that the prior knows.
    """

    name = "memreward"
    threshold = 0.5

    def __init__(self, prior: RewardPrior | None = None) -> None:
        self.prior = RewardPrior.load(DEFAULT) if prior is None else prior
        self.domains: dict[str, DomainModel] = {}
        self._step = 0

    def fit(self, features: Features, labels: NDArray[np.int8]) -> Self:
        """Begin anew: scale the signals by all n rollouts, and learn from (n,) labels, 1 right, 0 wrong, -1 unknown."""
        self.domains, self._step = {}, 0
        for domain, rows in _by_domain(features):
            if domain in self.prior.domains:
                self.domains[domain] = DomainModel.begin(domain, self.prior.domains[domain], subset(features, rows))
        return self.observe(features, labels)

    def begin(self) -> Self:
        """Scale signals as the prior's sources are in each domain that has not begun: then no call's batch matters."""
        for domain in [name for name in self.prior.domains if name not in self.domains]:
            self.domains[domain] = DomainModel.begin(domain, self.prior.domains[domain])
        return self

    def observe(self, features: Features, labels: NDArray[np.int8], step: int = 0, half_life: float = 0.0) -> Self:
        """Learn from labelled rollouts of the present policy, (n,) 1, 0 or -1.

        Observations count half after `half_life` steps of training, since the policy moves; 0 is never. The experts'
        weights move by how well each foretold what the labels say. All rollouts of a query form its pool.
        """
        given = np.asarray(labels)
        self._step = max(step, self._step)
        for domain, rows in _by_domain(features):
            if domain in self.prior.domains and (given[rows] >= 0).any():
                part = subset(features, rows)
                state = self.domains.setdefault(domain, self.at(domain, part))
                state.tell(part, given[rows], self._step)
        for known in self.domains.values():
            known.refit(self._step, half_life)
        return self

    def beliefs(self, features: Features) -> AnswerBeliefs:
        """Return what the model holds of n rollouts; all of a query that are given form its pool."""
        n = len(features)
        right, several, vote = np.zeros(n), np.zeros(n, np.bool_), pool_share(features)
        answer, given = distinct_pairs(features.group, features.cluster)[1], features.cluster >= 0
        lean = np.zeros(n) if features.lean is None else features.lean
        for domain, rows in _by_domain(features):
            several[rows] = rules_of(domain).several_right
            if domain in self.prior.domains:
                part = subset(features, rows)
                right[rows] = self.at(domain, part).right(part)
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

    def at(self, domain: str, features: Features) -> DomainModel:
        """Return what is believed in a domain that the prior knows; begun with these features if it has not begun."""
        return self.domains.get(domain) or DomainModel.begin(domain, self.prior.domains[domain], features)

    def save(self, path: str | Path, about: Mapping[str, Any] | None = None) -> None:
        """Write all of it to one safetensors file, with JSON values `about` it; StoreError if it cannot."""
        save(Path(path), _KIND, VERSION, _Saved(self.prior, self._step, self.domains, dict(about or {})))

    @classmethod
    def load(cls, path: str | Path) -> tuple[Self, dict[str, Any]]:
        """Read what `save` wrote: the model, and what was kept beside it.

        Raises StoreError if the file is absent, damaged, or of another kind, SchemaVersionError if another release
        wrote it.
        """
        saved = load(Path(path), _KIND, VERSION, _Saved, _REMEDY)
        made = cls(saved.prior)
        made._step, made.domains = saved.step, saved.domains
        return made, saved.about


def _by_domain(features: Features) -> list[tuple[str, IntArray]]:
    of_row = features.domain[features.group]
    return [(DOMAINS[d], np.flatnonzero(of_row == d)) for d in np.unique(of_row)]
