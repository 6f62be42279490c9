"""What says how probable it is that an unlabelled rollout is right: the answer model, or what it is compared with.

What one has learned is in a folder: written whole or not at all, and told from what older releases wrote.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreward.answers.beliefs import AnswerBeliefs
from memreward.answers.model import AnswerModel
from memreward.answers.prior import RewardPrior
from memreward.temporary import write_whole
from memreward.types import Features, Predictor, StoreError

MODEL = "reward.safetensors"
HALF_LIFE = 50.0
"""Steps of training after which a label counts half; 5 to never measured alike (benchmarks/results/replay.md)."""
FILE = "reward.json"
_OF_RELEASE_1 = ("live", "rows_seen")


class Valuer(ABC):
    """Values rollouts; learns nothing, unless it says otherwise."""

    name: str

    @abstractmethod
    def beliefs(self, features: Features) -> AnswerBeliefs:
        """Return what is held of n rollouts; all of a query that are given form its pool, NaN abstains."""

    def observe(self, features: Features, labels: NDArray[np.int8], step: int) -> None:  # noqa: B027  optional
        """Learn from (n,) labels, 1 right, 0 wrong, -1 unknown, of rollouts of the present policy."""

    def learned(self) -> Collection[str] | None:
        """Ids of the queries that were learned from; None of who learns nothing."""
        return None

    def trust(self) -> Mapping[str, float]:
        """Weight beside majority vote, by domain, if that is learned."""
        return {}

    def doubt(self) -> Mapping[str, float]:
        """Weight of the belief that votes mean something else, by domain, if that is learned."""
        return {}

    def save(self, folder: Path, state: Mapping[str, Any]) -> None:
        """Write what was learned, and JSON values beside it, whole or not at all."""
        write_state(folder, state)

    def restore(self, folder: Path) -> dict[str, Any]:
        """Go on from what `save` wrote; returns the JSON values.

        Raises:
            StoreError: it is absent, damaged, or of an older format.
        """
        return read_state(folder)


class Answers(Valuer):
    """The answer model, which learns at every step; its observations fade by `HALF_LIFE`, since the policy moves."""

    name = "memreward"

    def __init__(self, model: AnswerModel) -> None:
        self.model = model

    def beliefs(self, features: Features) -> AnswerBeliefs:
        return self.model.beliefs(features)

    def observe(self, features: Features, labels: NDArray[np.int8], step: int) -> None:
        self.model.observe(features, labels, step, HALF_LIFE)

    def learned(self) -> Collection[str]:
        return self.model.learned()

    def trust(self) -> Mapping[str, float]:
        return self.model.trust()

    def doubt(self) -> Mapping[str, float]:
        return self.model.doubt()

    def save(self, folder: Path, state: Mapping[str, Any]) -> None:
        self.model.save(folder / MODEL, state)

    def restore(self, folder: Path) -> dict[str, Any]:
        with named_errors(folder):
            self.model, state = AnswerModel.load(folder / MODEL)
        return state


class Majority(Valuer):
    """The share of the group that gives an equivalent answer, as a probability."""

    name = "share"

    def __init__(self) -> None:
        self._votes = AnswerModel(RewardPrior())

    def beliefs(self, features: Features) -> AnswerBeliefs:
        return self._votes.beliefs(features)


class Certain(Majority):
    """Holds each rollout to be right or wrong for sure, whatever the others are: no answer rules out another."""

    def beliefs(self, features: Features) -> AnswerBeliefs:
        votes, n = self._votes.beliefs(features), len(features)
        right = self._right(features, votes).astype(np.float64)
        return votes._replace(right=right, answer=np.arange(n), several=np.ones(n, np.bool_))

    @abstractmethod
    def _right(self, features: Features, votes: AnswerBeliefs) -> NDArray[np.generic]: ...


class HardMajority(Certain):
    """Right is the most frequent answer, of several all: how label-free reinforcement learning rewards."""

    name = "majority"

    def _right(self, features: Features, votes: AnswerBeliefs) -> NDArray[np.generic]:
        top = np.zeros(len(features.query_ids))
        np.maximum.at(top, features.group, votes.vote)
        return (votes.vote > 0) & (votes.vote >= top[features.group] - 1e-9)


class Nothing(Certain):
    """Abstains."""

    name = "nothing"

    def _right(self, features: Features, votes: AnswerBeliefs) -> NDArray[np.generic]:  # noqa: ARG002
        return np.full(len(features), np.nan)


class Graph(Certain):
    """The paper's network as warmup left it: each rollout has a value of its own.

    Args:
        predictor: Fitted; its features need an encoder.
    """

    name = "paper"

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.predictor = predictor

    def _right(self, features: Features, votes: AnswerBeliefs) -> NDArray[np.generic]:  # noqa: ARG002
        return self.predictor.predict(features).value


def write_state(folder: str | Path, state: Mapping[str, Any]) -> None:
    target = Path(folder)
    try:
        write_whole(target / FILE, json.dumps(state))
    except OSError as error:
        raise StoreError(f"cannot write the reward's state to {target}: {error}; free space") from error


def read_state(folder: str | Path) -> dict[str, Any]:
    with named_errors(folder):
        state: dict[str, Any] = json.loads((Path(folder) / FILE).read_text(encoding="utf-8"))
    return state


@contextmanager
def named_errors(folder: str | Path) -> Iterator[None]:
    """Run a block that reads a reward's state, and say of what goes wrong which folder is meant.

    Raises:
        StoreError: the state is absent or damaged, lacks what the block looks for, or an older release wrote it.
    """
    source = Path(folder)
    _refuse_older(source)
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, StoreError) as error:
        raise StoreError(
            f"no state of a reward can be read from {source} ({error!r}); name a folder that `save` wrote"
        ) from error


def _refuse_older(folder: Path) -> None:
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if isinstance(found, dict) and any(name in found for name in _OF_RELEASE_1):
        raise StoreError(
            f"{folder} holds the state of a reward of release 0.1, whose predictor this release does not have: train "
            "from the beginning in another folder; the labels that the ledger holds cost nothing again"
        )
