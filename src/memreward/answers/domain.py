"""What is believed in one domain: the prior's model moved by its labels, beside majority vote and doubt in votes."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from memreward.answers.doubt import Doubt
from memreward.answers.likeness import LikeSolutions, corrected, with_likeness
from memreward.answers.posterior import Gaussian, Observed
from memreward.answers.prior import DomainPrior
from memreward.answers.table import SHARE, AnswerTable, Floats, leaning
from memreward.features.columns import Scaling, evidence_columns
from memreward.features.subset import vote_share
from memreward.types import OWN, Features

START_ODDS = {"math": 0.6, "qa": 0.2, "code": 1.4, "other": 0.0}
"""Log-odds of the model against majority vote before any label, by domain; chosen by leaving sources out: what code
does says much that votes do not, and in choice the prior cannot know how strong a new policy is."""

SHARPNESS = {"math": 1.15, "code": 1.15}
"""Power of the experts' mean: a mean of probabilities is less sure than what it is made of (Ranjan and Gneiting, 2010).
Chosen by leaving sources out: in choice, where experts are too sure themselves, 1 is best."""

TEMPER = 0.3
"""Power of the experts' evidence by which their weights move, chosen by leaving sources out; 1 is Bayes' rule, which is
too sure of itself: neither expert is the truth."""

SCALING_WEIGHT = 50.0
"""Rollouts that the prior's own scaling of the signals counts as, beside those at hand; chosen in the same way."""

_CERTAIN = 0.95
"""Majority vote's shares are scaled by this where its likelihood is asked for, so that it rules nothing out."""
_FADED = 1e-3
_MOST = 2048
"""Labelled questions, at most, that a model whose observations fade refits on at every step."""
_LARGEST_ODDS = 30.0


@dataclass
class DomainModel:
    """The experts of one domain and their weights.

    Attributes:
        prior: Where the weights began.
        posterior: Where they stand.
        log_odds: Of the model against majority vote.
        like: Labelled solutions that speak for those like them.
        doubt: The expert for which votes mean something else.
        seen: What was told, with the step of training.
    """

    name: str
    prior: DomainPrior
    scaling: Scaling
    posterior: Gaussian
    log_odds: float
    like: LikeSolutions = field(default_factory=LikeSolutions.none)
    doubt: Doubt = field(default_factory=Doubt.none)
    seen: list[tuple[int, Observed]] = field(default_factory=list)

    @classmethod
    def begin(cls, name: str, prior: DomainPrior, features: Features | None = None) -> Self:
        """Begin before any label, signals scaled by the domain's rollouts; without any as the prior's sources are."""
        scaling = prior.scaling
        if features is not None:
            added = tuple(name for name in features.evidence_names if name.startswith(OWN))
            if added:
                prior = prior.beside(Scaling.of(added, evidence_columns(features, added)))
            own = Scaling.of(prior.scaling.names, evidence_columns(features, prior.scaling.names))
            scaling = own.blended(prior.scaling, SCALING_WEIGHT)
        return cls(name, prior, scaling, with_likeness(prior.weights), START_ODDS.get(name, 0.0))

    @property
    def start(self) -> Gaussian:
        return with_likeness(self.prior.weights)

    @property
    def trust(self) -> float:
        """Weight of the model; what is left is majority vote's."""
        return float(1 / (1 + np.exp(-np.clip(self.log_odds, -_LARGEST_ODDS, _LARGEST_ODDS))))

    def right(self, features: Features) -> Floats:
        table = self.table(features)
        both = self.trust * self.posterior.probabilities(table) + (1 - self.trust) * _voted(table)
        believed = self.doubt.beside(both, table, len(self.prior.signals))
        return sharpened(believed, table, SHARPNESS.get(self.name, 1.0))[table.answer]

    def table(self, features: Features) -> AnswerTable:
        return AnswerTable.of(features, self.name, self.prior.signals, self.scaling).beside(self.like.say(features))

    def tell(self, features: Features, labels: NDArray[np.int8], step: int) -> None:
        """Take in (n,) labels, some of them known; `refit` learns from them."""
        self.like = self.like.given(features, labels, vote_share(features).astype(np.float64))
        table = self.table(features)
        verdicts = table.verdicts(labels)
        judged = np.unique(table.question[verdicts >= 0])
        told = Observed.whole(table.only(judged), verdicts[np.isin(table.question, judged)])
        self.seen.append((step, told))

    def refit(self, step: int, half_life: float) -> None:
        """Fit all that was told, as far as it still counts at a step of training by `half_life`; 0 is wholly.

        The model's weight beside majority vote moves by its evidence: how probable its prior made what the labels say.
        """
        self.seen = self._kept(step, half_life)
        self.log_odds = START_ODDS.get(self.name, 0.0)
        if not self.seen:
            self.posterior, self.doubt = self.start, Doubt.none()
            return
        told = [one for _, one in self.seen]
        weights = [np.full(len(one.table.query_ids), _faded(step - since, half_life)) for since, one in self.seen]
        verdicts = np.concatenate([one.verdicts for one in told])
        observed = Observed(AnswerTable.joined([one.table for one in told]), verdicts, np.concatenate(weights))
        self.posterior = self.start.given([observed], self.posterior.mean)
        model = self.start.log_evidence(observed, self.posterior)
        vote = observed.log_likelihood(_CERTAIN * _voted(observed.table))
        self.log_odds += TEMPER * (model - vote)
        self.doubt = Doubt.of(observed, len(self.prior.signals), max(model, vote), self.doubt)

    def _kept(self, step: int, half_life: float) -> list[tuple[int, Observed]]:
        """The observations that still count: the newest, as many as a refit can take in at every step."""
        present = [(since, told) for since, told in self.seen if _faded(step - since, half_life) > _FADED]
        later = np.cumsum([len(told.table.query_ids) for _, told in reversed(present)])[::-1]
        first = int(np.searchsorted(-later, -_MOST)) if half_life else 0
        return present[min(first, max(len(present) - 1, 0)) :]


def sharpened(right: Floats, table: AnswerTable, power: float) -> Floats:
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


def _faded(steps: float, half_life: float) -> float:
    return 0.5 ** (steps / half_life) if half_life else 1.0


def _voted(table: AnswerTable) -> Floats:
    """(C,) probabilities of majority vote: shares of the question's rollouts, moved by visits and by like solutions."""
    lean = table.design[:, SHARE.index("log_share")] - np.log(table.share)
    share = leaning(table.share, lean, np.where(table.mute, 0.0, table.votes), table.question)
    return corrected(np.where(table.mute, 0.0, share), table)
