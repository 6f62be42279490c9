"""Simpler predictors behind the same interface as the graph network: what it has to beat.

Every learned one is a `RolloutScorer` inside `CrossFitted`, so all get the same folds, the same calibration and the
same way to choose their threshold as the graph predictor, from the same labels.

| name | what it is |
|---|---|
| `majority` | share of the query's pool that agrees with the answer; needs no label |
| `majority_calibrated` | the same through Platt's sigmoid |
| `logistic_embeddings` | logistic regression on the text vectors of query, thinking and answer |
| `logistic_evidence` | logistic regression on the evidence |
| `logistic` | logistic regression on both |
| `boosting` | gradient-boosted trees on the evidence |
| `mlp` | one hidden layer on evidence and text vectors |
| `neighbours` | labels of the rollouts with the nearest text vectors, queries of their own excluded |
| `label_spreading` | label spreading over labelled rollouts and the batch (transductive) |
| `format` | whether the rollout commits to an answer at all |
| `random` | a number drawn from the rollout's id |
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from memreward.evaluation.calibration import Calibration, fit_calibration, logit
from memreward.evaluation.folds import assign_folds, check_classes
from memreward.evaluation.metrics import nanmean
from memreward.evaluation.scaler import EvidenceScaler
from memreward.features.subset import subset, vote_share
from memreward.threads import single_threaded
from memreward.types import Features, LabelError, MissingExtraError, Prediction, Predictor

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]

FOLDS = 5
EMBEDDING_WEIGHT = 0.1
"""Scale of a standardised text column beside a standardised evidence column: text has hundreds of columns, evidence
some dozens, and one ridge penalty serves both."""


class RolloutScorer(Protocol):
    """Orders rollouts; `CrossFitted` turns the order into probabilities."""

    def fit(self, features: Features, labels: Labels) -> None:
        """Learn from `labels` (n,): 1 right, 0 wrong, -1 unknown; both classes occur."""
        ...

    def scores(self, features: Features) -> Floats:
        """Return (n,) real numbers, higher for a rollout more likely right."""
        ...


class CrossFitted:
    """A `Predictor` from any `RolloutScorer`, cross-fitted by query.

    K scorers, each blind to its fold of the labelled queries, give held-out scores; on these calibration and
    threshold are fitted. A scorer trained on all labels predicts new queries. A query that was labelled in `fit` is
    predicted by the scorer that is blind to it. Queries without a label are not used in `fit`.

    Attributes:
        name: Shown in tables.
        calibration: Fitted by `fit`; holds the threshold and what it was fitted on.
        fold_of_query: Query id -> fold, of the labelled queries.
        blind_folds: Folds that gave no held-out scores because the others held one class only.
    """

    def __init__(self, name: str, scorer: Callable[[], RolloutScorer], *, seed: int = 0, folds: int = FOLDS) -> None:
        self.name = name
        self.calibration: Calibration | None = None
        self.fold_of_query: dict[str, int] = {}
        self.blind_folds: tuple[int, ...] = ()
        self._make, self._seed, self._folds = scorer, seed, folds
        self._fold_scorers: dict[int, RolloutScorer] = {}
        self._final: RolloutScorer | None = None

    @property
    def threshold(self) -> float:
        """Probability from which a rollout is held to be right; one half before `fit`."""
        return 0.5 if self.calibration is None else self.calibration.threshold

    @single_threaded()
    def fit(self, features: Features, labels: NDArray[np.int8]) -> Self:
        """Fit scorers, calibration and threshold.

        Raises:
            LabelError: if no rollout is labelled, all are in one class, or one query holds all that is needed.
        """
        check_classes(labels)
        known = np.bincount(features.group, labels >= 0, len(features.query_ids)) > 0
        rows = known[features.group]
        labelled, labels = subset(features, rows), labels[rows]
        count = min(self._folds, len(labelled.query_ids))
        folds = assign_folds(labelled.query_ids, count, self._seed)
        self.fold_of_query = dict(zip(labelled.query_ids, folds.tolist(), strict=True))
        held_out = self._fit_folds(labelled, labels, folds[labelled.group], count)
        try:
            self.calibration = fit_calibration(held_out, labels, labelled.group)
        except LabelError as error:
            raise LabelError(
                f"{self.name}: {len(labelled.query_ids)} labelled queries do not hold right and wrong rollouts on "
                "both sides of a fold: label more queries, or ones whose answers disagree"
            ) from error
        self._final = self._make()
        self._final.fit(labelled, labels)
        return self

    def predict(self, features: Features) -> Prediction:
        """Predict; labelled queries are scored blind to their own labels.

        Raises:
            LabelError: if `fit` was not called.
        """
        if self._final is None or self.calibration is None:
            raise LabelError(f"{self.name} has seen no labels: call fit(features, labels) first")
        fold = np.array([self.fold_of_query.get(query, -1) for query in features.query_ids], np.int64)
        fold_of_row = fold[features.group]
        scores = np.full(len(features), np.nan)
        for present in np.unique(fold_of_row):
            rows = fold_of_row == present
            scorer = self._final if present < 0 else self._fold_scorers.get(int(present))
            if scorer is not None:
                scores[rows] = scorer.scores(subset(features, rows))
        reason = "without its own query the labels hold one class only: label more queries"
        return as_prediction(self.calibration.apply(scores), reason)

    def _fit_folds(self, features: Features, labels: Labels, fold_of_row: NDArray[np.int64], count: int) -> Floats:
        held_out, blind = np.full(len(features), np.nan), []
        self._fold_scorers = {}
        for fold in range(count):
            rows = fold_of_row != fold
            if not {0, 1} <= set(labels[rows].tolist()):
                blind.append(fold)
                continue
            scorer = self._make()
            scorer.fit(subset(features, rows), labels[rows])
            held_out[~rows] = scorer.scores(subset(features, ~rows))
            self._fold_scorers[fold] = scorer
        self.blind_folds = tuple(blind)
        return held_out


class MajorityVote:
    """Share of the query's pool that gives an equivalent answer, as it is; learns nothing.

    Args:
        hard: 1 for the most frequent answer, 0 for all others, as label-free training rewards it; of several that are
            equally frequent, each gets an equal part.
    """

    threshold = 0.5

    def __init__(self, *, hard: bool = False) -> None:
        self.name, self._hard = "majority_hard" if hard else "majority", hard

    def fit(self, features: Features, labels: NDArray[np.int8]) -> Self:  # noqa: ARG002  nothing is learned
        """Learn nothing."""
        return self

    def predict(self, features: Features) -> Prediction:
        """Return the shares."""
        share = vote_share(features).astype(np.float64)
        return as_prediction(_hardened(share, features) if self._hard else share, "")


def _hardened(share: Floats, features: Features) -> Floats:
    top = np.zeros(len(features.query_ids))
    np.maximum.at(top, features.group, share)
    is_top = (share > 0) & (share >= top[features.group] - 1e-9)
    pairs = np.unique(np.stack([features.group, features.cluster], axis=1)[is_top], axis=0)
    tied = np.bincount(pairs[:, 0], minlength=len(top))
    return np.where(is_top, 1.0 / np.maximum(tied, 1)[features.group], 0.0)


class LabelModel:
    """Signals as labelling functions, no label: naive Bayes over them, fitted by EM that starts at majority vote.

    The label model of weak supervision (Ratner et al. 2016; Dawid and Skene 1979): each signal votes "right" where it
    is above its mean over the rollouts at hand, with a rate of its own among right and among wrong rollouts. The base
    rate stays at the mean vote share, as the little that agreement knows of it.
    """

    name, threshold = "label_model", 0.5
    _ROUNDS = 20

    def fit(self, features: Features, labels: NDArray[np.int8]) -> Self:  # noqa: ARG002  labels are not read
        """Run EM on all rollouts given, labelled or not."""
        self._centre = np.nan_to_num(nanmean(features.evidence.astype(np.float64)))
        above, known = self._signals(features)
        right = np.clip(vote_share(features).astype(np.float64), 0.05, 0.95)
        self._base = float(np.log(right.mean() / (1 - right.mean())))
        for _ in range(self._ROUNDS):
            rates = [(1 + (p[:, None] * above).sum(0)) / (2 + (p[:, None] * known).sum(0)) for p in (right, 1 - right)]
            self._yes, self._no = np.log(rates[0] / rates[1]), np.log((1 - rates[0]) / (1 - rates[1]))
            right = self._right(above, known)
        return self

    def predict(self, features: Features) -> Prediction:
        """Weigh the signals' votes.

        Raises:
            LabelError: if `fit` was not called.
        """
        if not hasattr(self, "_yes"):
            raise LabelError(f"{self.name} has seen no rollouts: call fit(features, labels) first")
        return as_prediction(self._right(*self._signals(features)), "")

    def _signals(self, features: Features) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        known = np.isfinite(features.evidence)
        return (np.nan_to_num(features.evidence) > self._centre) & known, known

    def _right(self, above: NDArray[np.bool_], known: NDArray[np.bool_]) -> Floats:
        # Signals repeat each other: dividing by a root keeps naive Bayes from being sure of itself.
        votes = np.where(above, self._yes, np.where(known, self._no, 0.0)).sum(1)
        odds: Floats = self._base + votes / np.sqrt(np.maximum(known.sum(1), 1))
        return 1 / (1 + np.exp(-odds))


def as_prediction(probabilities: Floats, reason: str) -> Prediction:
    """Wrap probabilities; confidence is |2 p - 1|, and `reason` goes to NaN ones."""
    abstained = np.isnan(probabilities)
    return Prediction(
        value=probabilities.astype(np.float32),
        confidence=np.where(abstained, 0.0, np.abs(2 * probabilities - 1)).astype(np.float32),
        reasons=tuple(reason if absent else "" for absent in abstained),
    )


class VoteScorer:
    """`vote_share`, to be calibrated."""

    def fit(self, features: Features, labels: Labels) -> None:
        """Learn nothing."""

    def scores(self, features: Features) -> Floats:
        """Return the vote shares."""
        return vote_share(features).astype(np.float64)


class FormatScorer:
    """1 where the rollout commits to an answer, 0 elsewhere."""

    def fit(self, features: Features, labels: Labels) -> None:
        """Learn nothing."""

    def scores(self, features: Features) -> Floats:
        """Return whether there is an answer."""
        return (features.cluster >= 0).astype(np.float64)


class RandomScorer:
    """A uniform number from seed and rollout id: chance level, and the same whatever else is in the batch."""

    def __init__(self, seed: int) -> None:
        self._key = seed.to_bytes(8, "little", signed=True)

    def fit(self, features: Features, labels: Labels) -> None:
        """Learn nothing."""

    def scores(self, features: Features) -> Floats:
        """Return (n,) numbers in [0, 1)."""
        return np.array([self._draw(rollout) for rollout in features.rollout_ids], np.float64)

    def _draw(self, rollout_id: str) -> float:
        text = rollout_id.encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(text, digest_size=6, key=self._key).digest(), "little") / 2**48


class Design:
    """The columns that the learned baselines see: text vectors, evidence, or both, filled in and scaled.

    Evidence goes through `EvidenceScaler`. Text vectors are centred and divided by one scale a block, which keeps their
    geometry.
    """

    def __init__(self, *, text: bool, evidence: bool) -> None:
        self._text, self._evidence = text, evidence
        self._scaler: EvidenceScaler | None = None
        self._centres: list[tuple[NDArray[np.float32], float]] = []

    def fit(self, features: Features) -> Self:
        """Learn medians, means and scales; no labels."""
        if self._evidence:
            self._scaler = EvidenceScaler.fit(features.evidence)
        self._centres = []
        for block in text_blocks(features) if self._text else ():
            spread = float(block.std(axis=0).mean())
            self._centres.append((block.mean(axis=0), EMBEDDING_WEIGHT / spread if spread > 0 else 0.0))
        return self

    def apply(self, features: Features) -> NDArray[np.float32]:
        """Return (n, columns)."""
        columns = [] if self._scaler is None else [self._scaler.apply(features.evidence)]
        blocks = text_blocks(features) if self._text else ()
        columns += [(block - mean) * scale for block, (mean, scale) in zip(blocks, self._centres, strict=True)]
        return np.concatenate(columns, axis=1)


def text_blocks(features: Features) -> tuple[NDArray[np.float32], ...]:
    """Text vectors a rollout: its query's, its thinking's and its answer's."""
    return features.query_vectors[features.group], features.thinking_vectors, features.answer_vectors


class EstimatorScorer:
    """A scikit-learn classifier on a `Design`; its score is the decision function or the log-odds."""

    def __init__(self, estimator: Callable[[], Any], *, text: bool, evidence: bool) -> None:
        self._estimator, self._design = estimator(), Design(text=text, evidence=evidence)

    def fit(self, features: Features, labels: Labels) -> None:
        """Fit on the labelled rows."""
        rows = labels >= 0
        columns = self._design.fit(features).apply(features)
        self._estimator.fit(columns[rows], labels[rows])

    def scores(self, features: Features) -> Floats:
        """Return log-odds."""
        columns = self._design.apply(features)
        return np.asarray(self._estimator.decision_function(columns), np.float64)


class PerceptronScorer:
    """One hidden layer on a `Design`, trained for a fixed number of passes: no row is held back to stop it."""

    def __init__(self, seed: int, *, hidden: int = 64, passes: int = 30) -> None:
        from_neural = require_sklearn("neural_network")
        self._network = from_neural.MLPClassifier((hidden,), alpha=1.0, learning_rate_init=2e-3, random_state=seed)
        self._design, self._passes = Design(text=True, evidence=True), passes

    def fit(self, features: Features, labels: Labels) -> None:
        """Make the passes over the labelled rows."""
        rows = labels >= 0
        columns = self._design.fit(features).apply(features)[rows]
        for _ in range(self._passes):
            self._network.partial_fit(columns, labels[rows], classes=[0, 1])

    def scores(self, features: Features) -> Floats:
        """Return log-odds."""
        return logit(self._network.predict_proba(self._design.apply(features))[:, 1])


class NeighbourScorer:
    """Mean label of the k labelled rollouts whose text vectors are nearest by cosine, weighted by the cosine."""

    def __init__(self, neighbours: int = 30, chunk: int = 2048) -> None:
        self._neighbours, self._chunk = neighbours, chunk

    def fit(self, features: Features, labels: Labels) -> None:
        """Keep the labelled rollouts."""
        rows = labels >= 0
        self._vectors, self._labels = _joint_vectors(features)[rows], labels[rows].astype(np.float64)

    def scores(self, features: Features) -> Floats:
        """Return the weighted means, in [0, 1]."""
        vectors = _joint_vectors(features)
        parts = [self._of(vectors[start : start + self._chunk]) for start in range(0, len(vectors), self._chunk)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _of(self, vectors: NDArray[np.float32]) -> Floats:
        cosine = vectors @ self._vectors.T
        count = min(self._neighbours, cosine.shape[1])
        nearest = np.argpartition(-cosine, count - 1, axis=1)[:, :count]
        weight = np.maximum(np.take_along_axis(cosine, nearest, axis=1), 1e-6).astype(np.float64)
        mean: Floats = (weight * self._labels[nearest]).sum(1) / weight.sum(1)
        return mean


class SpreadingScorer:
    """Label spreading (Zhou et al. 2004) over the k-nearest-neighbour graph of labelled rollouts and the batch.

    Works on the columns of `logistic`. The graph is quadratic, so the labelled rollouts are capped by dropping
    queries at random and the batch is worked on in pieces of whole queries.
    """

    def __init__(self, seed: int, *, labelled: int = 2000, batch: int = 2000, neighbours: int = 15) -> None:
        self._seed, self._labelled, self._batch, self._neighbours = seed, labelled, batch, neighbours
        self._design = Design(text=True, evidence=True)

    def fit(self, features: Features, labels: Labels) -> None:
        """Keep the labelled rollouts, at most `labelled` of them."""
        self._design.fit(features)
        rows = np.flatnonzero(labels >= 0)
        if len(rows) > self._labelled:
            shuffled = np.random.default_rng(self._seed).permutation(len(features.query_ids))
            rows = rows[np.argsort(shuffled[features.group[rows]], kind="stable")][: self._labelled]
        self._columns, self._labels = self._design.apply(subset(features, rows)), labels[rows]

    def scores(self, features: Features) -> Floats:
        """Spread to the batch; one half where no label reaches a rollout."""
        columns, scores = self._design.apply(features), np.empty(len(features))
        for rows in _whole_queries(features, self._batch):
            scores[rows] = self._spread(columns[rows])
        return scores

    def _spread(self, columns: NDArray[np.float32]) -> Floats:
        model = require_sklearn("semi_supervised").LabelSpreading(
            kernel="knn", n_neighbors=min(self._neighbours, len(self._labels)), alpha=0.5, max_iter=100
        )
        hidden = np.full(len(columns), -1, self._labels.dtype)
        model.fit(np.concatenate([self._columns, columns]), np.concatenate([self._labels, hidden]))
        right = np.asarray(model.label_distributions_[len(self._labels) :, 1], np.float64)
        return np.nan_to_num(right, nan=0.5)


def require_sklearn(module: str) -> Any:
    """Import a module of scikit-learn.

    Raises:
        MissingExtraError: if it is not installed.
    """
    import importlib

    try:
        return importlib.import_module(f"sklearn.{module}")
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "baselines", "this baseline") from error


def _joint_vectors(features: Features) -> NDArray[np.float32]:
    vectors = np.concatenate(text_blocks(features), axis=1)
    length = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.asarray(vectors / length, np.float32)


def _whole_queries(features: Features, limit: int) -> Iterator[NDArray[np.int64]]:
    order = np.argsort(features.group, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(features.group[order])) + 1, len(order))
    start, end = 0, 0
    for query_end in ends:
        if query_end - start > limit and end > start:
            yield order[start:end]
            start = end
        end = int(query_end)
    if end > start:
        yield order[start:end]


def _logistic(strength: float) -> Any:
    return require_sklearn("linear_model").LogisticRegression(C=strength, max_iter=1000)


def _boosting(seed: int) -> Any:
    return require_sklearn("ensemble").HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=150,
        max_leaf_nodes=8,
        min_samples_leaf=20,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )


def _learned(name: str, estimator: Callable[[], Any], text: bool, evidence: bool, seed: int) -> Predictor:
    return CrossFitted(name, partial(EstimatorScorer, estimator, text=text, evidence=evidence), seed=seed)


def _majority(seed: int) -> Predictor:  # noqa: ARG001 - a factory takes a seed
    return MajorityVote()


def _majority_hard(seed: int) -> Predictor:  # noqa: ARG001 - a factory takes a seed
    return MajorityVote(hard=True)


def _label_model(seed: int) -> Predictor:  # noqa: ARG001 - a factory takes a seed
    return LabelModel()


def _majority_calibrated(seed: int) -> Predictor:
    return CrossFitted("majority_calibrated", VoteScorer, seed=seed)


def _logistic_embeddings(seed: int) -> Predictor:
    return _learned("logistic_embeddings", partial(_logistic, 1.0), True, False, seed)


def _logistic_evidence(seed: int) -> Predictor:
    return _learned("logistic_evidence", partial(_logistic, 0.1), False, True, seed)


def _logistic_both(seed: int) -> Predictor:
    return _learned("logistic", partial(_logistic, 0.1), True, True, seed)


def _boosted(seed: int) -> Predictor:
    return _learned("boosting", partial(_boosting, seed), False, True, seed)


def _mlp(seed: int) -> Predictor:
    return CrossFitted("mlp", partial(PerceptronScorer, seed), seed=seed)


def _neighbours(seed: int) -> Predictor:
    return CrossFitted("neighbours", NeighbourScorer, seed=seed)


def _label_spreading(seed: int) -> Predictor:
    return CrossFitted("label_spreading", partial(SpreadingScorer, seed), seed=seed)


def _format(seed: int) -> Predictor:
    return CrossFitted("format", FormatScorer, seed=seed)


def _random(seed: int) -> Predictor:
    return CrossFitted("random", partial(RandomScorer, seed), seed=seed)


UNSUPERVISED = ("majority", "majority_hard", "label_model")
"""Baselines that read no label."""

READ_TEXT = frozenset({"logistic_embeddings", "logistic", "mlp", "neighbours", "label_spreading"})
"""Baselines that read text vectors, and hence need an encoder."""

BASELINES: Mapping[str, Callable[[int], Predictor]] = MappingProxyType(
    {
        "majority": _majority,
        "majority_hard": _majority_hard,
        "label_model": _label_model,
        "majority_calibrated": _majority_calibrated,
        "logistic_embeddings": _logistic_embeddings,
        "logistic_evidence": _logistic_evidence,
        "logistic": _logistic_both,
        "boosting": _boosted,
        "mlp": _mlp,
        "neighbours": _neighbours,
        "label_spreading": _label_spreading,
        "format": _format,
        "random": _random,
    }
)
"""Name -> factory that takes a seed."""
