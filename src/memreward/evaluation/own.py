"""Predictors that people write: a class or a function in one file, plain arrays in and out.

| what it has | what it is |
|---|---|
| `predict(features)` | probabilities in [0, 1], one a rollout; NaN abstains. `fit(features, labels)` where it learns |
| `scores(features)` | numbers that order rollouts; calibrated on the labelled questions, cross-fitted (`CrossFitted`) |
| neither: a function of `features` | as `predict` |

A package adds one by an entry point of the group "memreward.predictors".
"""

import inspect
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from memreward.evaluation.baselines import CrossFitted, as_prediction
from memreward.plugins import absolute, called, fingerprint, installed, load_named, numbers
from memreward.types import ConfigurationError, DataError, Features, Prediction, Predictor

GROUP = "memreward.predictors"


@dataclass(frozen=True)
class OwnPredictor:
    """Makes the predictor that "mine.py:Name" names, in whatever process it is asked to."""

    named: str

    def __call__(self, seed: int) -> Predictor:
        return adapted(load_named(self.named, "predictor"), seed, _short(self.named))

    def describe(self) -> str:
        return f"{self.named} {fingerprint(load_named(self.named, 'predictor'))}"

    @property
    def name(self) -> str:
        made = load_named(self.named, "predictor")
        return str(getattr(made, "name", None) or self.named.rpartition(":")[2])


def own_predictor(named: str) -> OwnPredictor:
    """Return the predictor of a file or module, made once to see that it can be; else ConfigurationError."""
    found = OwnPredictor(absolute(named))
    found(0)
    return found


def installed_predictors() -> dict[str, OwnPredictor]:
    return {name: OwnPredictor(value) for name, value in installed(GROUP).items()}


def adapted(made: Any, seed: int, source: str = "") -> Predictor:
    """Return a predictor of what somebody wrote: a class, a function of features, or a factory that takes a seed.

    A class is given a seed if it takes one. ConfigurationError where it cannot be made, or neither predicts nor scores.
    """
    source = source or f"{getattr(made, '__module__', '')}:{getattr(made, '__qualname__', made)}"
    if inspect.isfunction(made) and "features" in inspect.signature(made).parameters:
        return _Own(SimpleNamespace(name=made.__name__, predict=made), source)

    def make() -> Any:
        takes_seed = not isinstance(made, type) or "seed" in inspect.signature(made).parameters
        return called(made, *((seed,) if takes_seed else ()), name=f"predictor {source}", doing="as it was made")

    one = make()
    if type(one).__module__.startswith("memreward."):
        return one  # type: ignore[no-any-return]
    if callable(getattr(one, "predict", None)):
        return _Own(one, source)
    if callable(getattr(one, "scores", None)):
        return CrossFitted(_name(one), lambda: _Own(make(), source), seed=seed)
    raise ConfigurationError(
        f"predictor {source} neither predicts nor scores: give it predict(features), which returns a probability a "
        "rollout, or scores(features), which returns a number a rollout"
    )


def _name(one: Any) -> str:
    return str(getattr(one, "name", None) or type(one).__name__)


class _Own:
    """What somebody wrote as a `Predictor`, or as a `RolloutScorer`: it returns plain arrays, and may have no `fit`."""

    def __init__(self, one: Any, source: str) -> None:
        self.name, self._one, self._source = _name(one), one, f"predictor {source}"

    @property
    def threshold(self) -> float:
        return float(getattr(self._one, "threshold", 0.5))

    def fit(self, features: Features, labels: NDArray[np.int8]) -> Self:
        if callable(fit := getattr(self._one, "fit", None)):
            called(fit, features, labels, name=self._source, doing="in fit")
        return self

    def predict(self, features: Features) -> Prediction:
        given = called(self._one.predict, features, name=self._source, doing="in predict")
        if isinstance(given, Prediction):
            return given
        values = numbers(given, len(features), name=self._source)
        outside = values[(values < 0) | (values > 1)]
        if len(outside):
            raise DataError(
                f"{self._source} predicted {outside[0]:g}, not a probability: return numbers in [0, 1] "
                "(NaN abstains), or name the method scores, whose numbers are calibrated on the labels"
            )
        return as_prediction(values, "it abstained")

    def scores(self, features: Features) -> NDArray[np.float64]:
        given = called(self._one.scores, features, name=self._source, doing="in scores")
        return numbers(given, len(features), name=self._source)


def _short(named: str) -> str:
    place, _, name = named.rpartition(":")
    return f"{Path(place).name}:{name}" if place.endswith(".py") else named
