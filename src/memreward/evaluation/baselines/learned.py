"""Learned baselines on evidence and text vectors: logistic regression, one hidden layer, nearest neighbours."""

from importlib import import_module
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from memreward.evaluation.baselines.crossfit import Floats, Labels, logit
from memreward.types import Features, MissingExtraError

EMBEDDING_WEIGHT = 0.1
"""Scale of a standardised text column beside a standardised evidence column: text has hundreds of columns, evidence
some dozens, and one ridge penalty serves both."""
CLIP = 5.0
"""Standardised evidence is clipped here: one odd rollout must not carry a prediction."""
_HIDDEN, _PASSES = 64, 30
_NEIGHBOURS, _CHUNK = 30, 2048


class Design:
    """The columns that the learned baselines see: evidence, and text vectors beside it, filled in and scaled.

    Missing evidence is the median, beside a column that says so. A block of text vectors is centred and has one scale.
    """

    def __init__(self, *, text: bool) -> None:
        self._text = text

    def fit(self, features: Features) -> Self:
        self._scaler = _evidence_scaler().fit(features.evidence)
        self._centres: list[tuple[NDArray[np.float32], float]] = []
        for block in text_blocks(features) if self._text else ():
            spread = float(block.std(axis=0).mean())
            self._centres.append((block.mean(axis=0), EMBEDDING_WEIGHT / spread if spread > 0 else 0.0))
        return self

    def apply(self, features: Features) -> NDArray[np.float32]:
        blocks = text_blocks(features) if self._text else ()
        text = [(block - mean) * scale for block, (mean, scale) in zip(blocks, self._centres, strict=True)]
        return np.concatenate([self._scaler.transform(features.evidence), *text], axis=1)


def _evidence_scaler() -> Any:
    impute, scale, pipeline = map(require_sklearn, ("impute", "preprocessing", "pipeline"))
    filled = impute.SimpleImputer(strategy="median", keep_empty_features=True)
    clipped = scale.FunctionTransformer(np.clip, kw_args={"a_min": -CLIP, "a_max": CLIP})
    missing = impute.MissingIndicator(error_on_new=False)
    return pipeline.make_union(pipeline.make_pipeline(filled, scale.StandardScaler(), clipped), missing)


def text_blocks(features: Features) -> tuple[NDArray[np.float32], ...]:
    """Text vectors a rollout: its query's, its thinking's and its answer's."""
    return features.query_vectors[features.group], features.thinking_vectors, features.answer_vectors


class LogisticScorer:
    """Logistic regression on a `Design`; its score is the log-odds."""

    def __init__(self, *, text: bool) -> None:
        self._model = require_sklearn("linear_model").LogisticRegression(C=0.1, max_iter=1000)
        self._design = Design(text=text)

    def fit(self, features: Features, labels: Labels) -> None:
        rows = labels >= 0
        self._model.fit(self._design.fit(features).apply(features)[rows], labels[rows])

    def scores(self, features: Features) -> Floats:
        return np.asarray(self._model.decision_function(self._design.apply(features)), np.float64)


class PerceptronScorer:
    """One hidden layer on a `Design`, trained for a fixed number of passes: no row is held back to stop it."""

    def __init__(self, seed: int) -> None:
        from_neural = require_sklearn("neural_network")
        self._network = from_neural.MLPClassifier((_HIDDEN,), alpha=1.0, learning_rate_init=2e-3, random_state=seed)
        self._design = Design(text=True)

    def fit(self, features: Features, labels: Labels) -> None:
        rows = labels >= 0
        columns = self._design.fit(features).apply(features)[rows]
        for _ in range(_PASSES):
            self._network.partial_fit(columns, labels[rows], classes=[0, 1])

    def scores(self, features: Features) -> Floats:
        return logit(self._network.predict_proba(self._design.apply(features))[:, 1])


class NeighbourScorer:
    """Mean label of the k labelled rollouts whose text vectors are nearest by cosine, weighted by the cosine."""

    def fit(self, features: Features, labels: Labels) -> None:
        rows = labels >= 0
        self._vectors, self._labels = _joint_vectors(features)[rows], labels[rows].astype(np.float64)

    def scores(self, features: Features) -> Floats:
        """Return the weighted means, in [0, 1]."""
        vectors = _joint_vectors(features)
        parts = [self._of(vectors[start : start + _CHUNK]) for start in range(0, len(vectors), _CHUNK)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _of(self, vectors: NDArray[np.float32]) -> Floats:
        cosine = vectors @ self._vectors.T
        count = min(_NEIGHBOURS, cosine.shape[1])
        nearest = np.argpartition(-cosine, count - 1, axis=1)[:, :count]
        weight = np.maximum(np.take_along_axis(cosine, nearest, axis=1), 1e-6).astype(np.float64)
        mean: Floats = (weight * self._labels[nearest]).sum(1) / weight.sum(1)
        return mean


def require_sklearn(module: str) -> Any:
    try:
        return import_module(f"sklearn.{module}")
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "baselines", "this baseline") from error


def _joint_vectors(features: Features) -> NDArray[np.float32]:
    vectors = np.concatenate(text_blocks(features), axis=1)
    length = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.asarray(vectors / length, np.float32)
