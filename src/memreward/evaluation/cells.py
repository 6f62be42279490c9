"""One cell of an evaluation: a predictor, fitted on the labelled queries of a split, predicts all others.

A cell gets no truth that was not released for warmup. Finished cells are files, named by a hash of all that went in.
"""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreward.answers.model import AnswerModel
from memreward.answers.prior import RewardPrior
from memreward.arrays import load, save
from memreward.evaluation.own import adapted
from memreward.evaluation.parts import code_hash, part_key
from memreward.features.subset import rows_of_queries, subset
from memreward.plugins import fingerprint
from memreward.temporary import write_whole
from memreward.types import Features, LabelError, Predictor, Query

_CODE = ("types.py", "features/columns.py", "features/subset.py", "answers", "network", "evaluation/baselines")
"""What decides a predictor's values; changed comments and docstrings do not."""

PredictorFactory = Callable[[int], Predictor]
"""Makes an unfitted predictor from a seed. Must pickle where worker processes are used."""


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


@dataclass(frozen=True)
class Cell:
    """What a worker needs; `labels` (n,) are 1 right, 0 wrong, -1 but on rollouts of `labelled` queries."""

    features: Path
    labels: NDArray[np.int8]
    labelled: frozenset[str]
    predictor: PredictorFactory
    seed: int
    key: str


@dataclass(frozen=True)
class Outcome:
    """What a predictor said: (n,) values, NaN for labelled queries and abstentions, or why it was not fitted."""

    values: NDArray[np.float32]
    threshold: float
    seconds: float
    failure: str = ""

    def save(self, path: Path) -> None:
        # The shortest text of a float32 reads back as the same float32; ties stay ties.
        values = [None if np.isnan(value) else float(str(value)) for value in self.values]
        record = {"values": values, "threshold": self.threshold, "seconds": self.seconds, "failure": self.failure}
        write_whole(path, json.dumps(record))

    @classmethod
    def load(cls, path: Path) -> Outcome:
        record = json.loads(path.read_text(encoding="utf-8"))
        values = np.array([np.nan if value is None else value for value in record.pop("values")], np.float32)
        return cls(values=values, **record)


def run_cell(cell: Cell) -> Outcome:
    """Fit on all queries and some labels, predict the others; too few labels are an outcome, other errors raise."""
    features = load_features(cell.features)
    unlabelled = ~rows_of_queries(features, cell.labelled)
    started = time.perf_counter()
    values = np.full(len(features), np.nan, np.float32)
    predictor = adapted(cell.predictor, cell.seed)
    try:
        predictor.fit(features, cell.labels)
    except LabelError as error:
        return Outcome(values, 0.5, time.perf_counter() - started, str(error))
    values[unlabelled] = predictor.predict(subset(features, unlabelled)).value
    threshold = float(getattr(predictor, "threshold", 0.5))
    return Outcome(values, threshold, time.perf_counter() - started)


def save_features(features: Features, path: Path) -> None:
    save(path, "features", 1, features)


@functools.lru_cache(maxsize=1)
def load_features(path: Path) -> Features:
    """Read what `save_features` wrote; the last file stays in the process."""
    return load(path, "features", 1, Features, "evaluate again")


def cell_key(features_hash: str, labels: NDArray[np.int8], predictor: PredictorFactory, seed: int) -> str:
    """Name a cell by what it heeds: features, labels, settings, seed, and the code that predicts."""
    heeds = {
        "features": features_hash,
        "labels": hashlib.sha256(labels.tobytes()).hexdigest(),
        "predictor": describe(predictor),
        "seed": seed,
        "code": code_hash(*_CODE),
    }
    return part_key(heeds)[:32]


def hash_features(features: Features) -> str:
    """SHA-256 of every id and number."""
    digest = hashlib.sha256()
    for field in fields(features):
        value = getattr(features, field.name)
        digest.update(field.name.encode())
        if isinstance(value, tuple):
            digest.update("\0".join(value).encode("utf-8", "surrogatepass"))
        elif value is not None:
            digest.update(str(value.shape).encode() + np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def describe(factory: Any) -> str:
    """Name a factory and its settings the same way in every process: no addresses."""
    if isinstance(factory, functools.partial):
        settings = [*map(describe, factory.args), *(f"{key}={describe(v)}" for key, v in factory.keywords.items())]
        return f"{describe(factory.func)}({', '.join(settings)})"
    if hasattr(factory, "describe"):
        return str(factory.describe())
    if hasattr(factory, "__qualname__"):
        own = "" if factory.__module__.startswith("memreward.") else f" {fingerprint(factory)}"
        return f"{factory.__module__}.{factory.__qualname__}{own}"
    return repr(factory)
