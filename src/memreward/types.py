"""The nouns of the project: queries, rollouts, labels, scores, features, protocols and errors.

Nothing here computes. Every other module imports from this one; it imports none of them.

Exceptions::

    MemRewardError
    ├── DataError            a file or record that breaks the schema
    │   └── UnknownDomainError   a domain that is none of `DOMAINS`
    ├── BudgetError          a label was asked for that the budget does not hold
    ├── LabelError           too few labels, or labels of one class only
    ├── StoreError           an experience memory that cannot be opened, read or written
    │   └── SchemaVersionError   it was written by a newer release
    ├── ConfigurationError   a setting that cannot be used
    ├── EndpointError        a model server cannot be reached, or keeps failing
    ├── SandboxError         model-written code cannot be contained on this system
    ├── NoRewardError        no rollout of a training step got a reward, for one cause
    └── MissingExtraError    an optional dependency is not installed
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Domain = str
"""Name of a domain, one of `DOMAINS`."""
DOMAINS: list[Domain] = ["math", "qa", "code", "other"]
"""Names of the domains there are; `memreward.domains.register` adds to them."""

OWN = "own:"
"""Begins the names of signals that people add."""

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

Execute = Literal["on", "auto", "off"]
"""Whether the solutions of code rollouts are run; "auto" runs them where the system can contain them."""

Progress = Callable[[str, int, int], None]
"""Told of a stage, what is done of it, and of how much."""


def silent(stage: str, done: int, of: int) -> None:
    """Show no progress."""


class MemRewardError(Exception):
    """Base of every error this library raises on purpose. Its message says what, why, and what to change."""


class DataError(MemRewardError):
    """A file or record breaks the schema; the message names file, line, field and remedy."""


class UnknownDomainError(DataError):
    """A query names a domain that is none of `DOMAINS`; `other` takes questions of any kind."""


class BudgetError(MemRewardError):
    """A ground truth was asked for that the label budget no longer holds."""


class LabelError(MemRewardError):
    """Warmup cannot work with the labels there are: none, too few queries, or one class only."""


class StoreError(MemRewardError):
    """An experience memory cannot be opened, read or written."""


class SchemaVersionError(StoreError):
    """An experience memory or a saved predictor was written by a newer release of memreward."""


class ConfigurationError(MemRewardError):
    """A setting has a value that cannot be used."""


class EndpointError(MemRewardError):
    """A model server cannot be reached, or went on failing for as many attempts as it was given."""


class SandboxError(MemRewardError):
    """Model-written code cannot be contained here, so none of it is run."""


class FaultError(MemRewardError):
    """A reward service met a bug while it scored a group: asking again does not help, and nobody may train on it."""


class NoRewardError(MemRewardError):
    """No rollout of a training step got a reward, all of them for one cause; training on would be on nothing."""


class MissingExtraError(MemRewardError):
    """An optional dependency is needed and not installed; the message holds the command that installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}, which is not installed: pip install 'memreward[{extra}]'")
        self._given = package, extra, purpose

    def __reduce__(self) -> tuple[type[Self], tuple[str, str, str]]:
        # Worker processes hand their errors on, and an exception pickles by its message.
        return type(self), self._given


PROGRAMMING_ERRORS: tuple[type[Exception], ...] = (
    AssertionError,
    AttributeError,
    ImportError,
    NameError,
    NotImplementedError,
    SyntaxError,
    TypeError,
)
"""Errors that say that code is wrong, not that a rollout is odd: they are raised, and never become an abstention."""


def add_domain(name: Domain) -> None:
    if name not in DOMAINS:
        DOMAINS.append(name)


def content_hash(text: str) -> str:
    """SHA-256 of a text in hexadecimal; lone surrogates hash too, so no string is refused."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def unknown_domain(name: object) -> str:
    """Say that a domain is unknown, which one is nearest, and which there are."""
    from difflib import get_close_matches

    said = str(name).strip().lower()
    near = [domain for domain in DOMAINS if said.startswith(domain)] or get_close_matches(said, DOMAINS, 1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    return (
        f"domain {name!r} is unknown; {meant}use one of {', '.join(DOMAINS)} "
        "(other: free text), or name your own by memreward --domain FILE.py:CLASS"
    )


@dataclass(frozen=True, slots=True)
class Query:
    """One question put to the policy.

    Attributes:
        id: Names the question; splits are by this id, and a question in two files has one id.
        text: The full question, multiple choice with its options as "(A) ...".
        domain: Decides the parser's and the evidence's rules.
        dataset: Where the question is from; free text, used to stratify and to report, never as a feature.

    Raises:
        UnknownDomainError: if `domain` is none of `DOMAINS`.
    """

    id: str
    text: str
    domain: Domain
    dataset: str = ""

    def __post_init__(self) -> None:
        if self.domain not in DOMAINS:
            raise UnknownDomainError(f"query {self.id!r}: {unknown_domain(self.domain)}")


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sample of the policy for a query, already parsed (make it with `memreward.domains.parse_rollout`).

    Attributes:
        query: The question that was asked.
        text: The full completion, as sampled.
        thinking: The thinking process; the whole text where the parser found no separate part.
        answer: The final answer as written, or None where the completion commits to none.
        id: Unique in a memory. Two equal texts sampled twice are two rollouts with two ids.
        policy_version: Step or name of the policy that sampled it; "" if unknown.
        token_logprobs: Log-probability of each sampled token under the policy that sampled it, if known.
        truncated: True if the sampler stopped at its length limit; None if unknown.
    """

    query: Query
    text: str
    thinking: str
    answer: str | None
    id: str
    policy_version: str = ""
    token_logprobs: tuple[float, ...] | None = None
    truncated: bool | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    """Ground truth that exists for a group but has not been paid for.

    Only `memreward.memory.label` opens it, and enters what it releases. Nothing else may read it: what has to be done
    with a group whose truth stays sealed is a method of `Group`.

    Attributes:
        reference: Final answer, option letter, or JSON list of tests; None if there is none.
        correct: One verdict a rollout, in the order of the group; None where no trustworthy label exists.
    """

    reference: str | None = None
    correct: tuple[bool | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """A query, its rollouts, and the sealed ground truth: one line of a rollout file.

    Attributes:
        query: The question.
        rollouts: Any number of them, also none.
        truth: Sealed; see `Truth`.
        provenance: Every other key of the line (model, source, licence, ...). Never read by a predictor.
        rollout_provenance: The same per rollout, in the order of `rollouts`.
    """

    query: Query
    rollouts: tuple[Rollout, ...]
    truth: Truth = field(default_factory=Truth)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    rollout_provenance: tuple[Mapping[str, Any], ...] = ()

    @property
    def labellable(self) -> bool:
        """Whether there is any ground truth, without a look at what it says."""
        return self.truth.reference is not None or any(verdict is not None for verdict in self.truth.correct)

    @property
    def sealed_counts(self) -> tuple[int, int]:
        """How many references (0 or 1) and verdicts there are, without a look at what they say."""
        return int(self.truth.reference is not None), sum(verdict is not None for verdict in self.truth.correct)

    def unlabelled(self) -> Group:
        return replace(self, truth=Truth())

    def question(self) -> Group:
        """Return the question alone, with its reference still sealed."""
        return replace(self, rollouts=(), truth=Truth(self.truth.reference), rollout_provenance=())

    def answered(self, rollouts: Sequence[Rollout], provenance: Mapping[str, Any]) -> Group:
        """Return the question with these rollouts, its reference still sealed."""
        return Group(self.query, tuple(rollouts), Truth(self.truth.reference), provenance)

    def judged(self, correct: Sequence[bool | None]) -> Group:
        """Return the group with one verdict a rollout in place of those that it had."""
        return replace(self, truth=Truth(self.truth.reference, tuple(correct)))

    def only(self, kept: Sequence[int]) -> Group:
        """Return the group with some of its rollouts, by index; each keeps its verdict, still sealed."""

        def pick(items: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(items[index] for index in kept) if items else ()

        truth = Truth(self.truth.reference, pick(self.truth.correct))
        return Group(self.query, pick(self.rollouts), truth, self.provenance, pick(self.rollout_provenance))


@dataclass(frozen=True, slots=True)
class Label:
    """A released ground truth: who decided ("file", "math-verify", a name), when (epoch), and for what use."""

    query_id: str
    rollout_id: str
    correct: bool
    source: str
    use: str
    time: float


@dataclass(frozen=True, slots=True)
class Claim:
    """What a verifier decides on: whether this rollout answers its query as the reference asks (see `Truth`)."""

    rollout: Rollout
    reference: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verifier's decision.

    Attributes:
        correct: True or False where the verifier can tell, else None: a crash, a time-out that the rollout did not
            cause and a reference that cannot be read are never "wrong".
        reason: Why it cannot tell, or what decided; never "" where `correct` is None.
        source: The verifier that decided, for the ledger; "" is the one that was asked.
    """

    correct: bool | None
    reason: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """A predicted reward.

    Attributes:
        value: Probability in [0, 1] that the rollout is right; None is an abstention.
        confidence: In [0, 1]; 0 for a failure.
        reason: Why there is no value; "" where there is one.
        advantage: Expected advantage within the rollouts of the query that were scored together, as a trainer would
            standardise it; 0 where there is no value.
    """

    value: float | None
    confidence: float
    reason: str = ""
    advantage: float = 0.0


@dataclass(frozen=True)
class Features:
    """What predictors see of n rollouts to q queries: numbers only, no text, no label.

    All of a query's rollouts that are given together form its pool: agreement is taken over the whole pool.

    Attributes:
        rollout_ids: n ids.
        query_ids: q ids, in order of first appearance.
        group: (n,) index of each rollout's query.
        domain: (q,) index into `DOMAINS`.
        query_vectors: (q, d) unit vectors.
        thinking_vectors: (n, d) unit vectors.
        answer_vectors: (n, d) unit vectors; all zeros where a rollout has no answer.
        cluster: (n,) index of the class of equivalent answers, unique across queries; -1 without an answer.
        evidence: (n, e) signals that need no label; NaN where one is not defined for this rollout.
        evidence_names: e names.
        outline_vectors: (n, o) unit vectors of each thinking's outline (its steps with numbers replaced by where they
            come from), comparable across queries of one kind; zeros where a thinking has none.
        template_vectors: (q, t) unit vectors of each query's words with all numbers alike.
        lean: (n,) what earlier visits add to ln of the share of each rollout's answer, or None where there were none.
    """

    rollout_ids: tuple[str, ...]
    query_ids: tuple[str, ...]
    group: IntArray
    domain: IntArray
    query_vectors: FloatArray
    thinking_vectors: FloatArray
    answer_vectors: FloatArray
    cluster: IntArray
    evidence: FloatArray
    evidence_names: tuple[str, ...]
    outline_vectors: FloatArray | None = None
    template_vectors: FloatArray | None = None
    lean: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.rollout_ids)

    def signal(self, name: str) -> FloatArray:
        """Return the (n,) values of a signal of docs/evidence.md, or of one's own; NaN where it is not defined.

        Raises:
            DataError: there is none of that name.
        """
        for known in (name, OWN + name):
            if known in self.evidence_names:
                return self.evidence[:, self.evidence_names.index(known)]
        from difflib import get_close_matches

        near = get_close_matches(name, self.evidence_names, 3, 0.0)
        raise DataError(f"there is no signal {name!r} here; near it are {', '.join(near) or 'none'}")


@dataclass(frozen=True)
class Prediction:
    """A predictor's answer for n rollouts.

    Attributes:
        value: (n,) probability in [0, 1] of being right, or any score that orders rollouts; NaN abstains.
        confidence: (n,) in [0, 1].
        reasons: n strings, "" where there is a value.
    """

    value: FloatArray
    confidence: FloatArray
    reasons: tuple[str, ...]


@runtime_checkable
class Encoder(Protocol):
    """Turns texts into unit vectors."""

    @property
    def name(self) -> str:
        """Identifies model and settings; vectors of two encoders with one name are interchangeable."""
        ...

    @property
    def dimension(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Return (n, d) float32 unit vectors in the order of `texts`."""
        ...


@runtime_checkable
class Predictor(Protocol):
    """Learns from labelled rollouts, predicts the rewards of others. Baselines and the graph network alike."""

    name: str

    def fit(self, features: Features, labels: NDArray[np.int8]) -> Self:
        """Learn from `labels` (n,): 1 right, 0 wrong, -1 unknown. Raises LabelError where they do not suffice."""
        ...

    def predict(self, features: Features) -> Prediction:
        """Predict rollouts of queries, whether seen in `fit` or not; a query's own labels are never used."""
        ...


@runtime_checkable
class Verifier(Protocol):
    """Decides with ground truth at hand. Safe from threads, event loops and spawned processes."""

    @property
    def name(self) -> str:
        """Identifies rules and version; verdicts are cached under it."""
        ...

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        """Return one verdict a claim, in order, each within the verifier's time limit. Never raises for a claim."""
        ...
