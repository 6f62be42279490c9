"""The paper's network behind the `Predictor` protocol: cross-fitted, scoring over frozen memory, saved and loaded.

Messages flow from memory to new nodes and never back, so the states of memory's queries before each round are computed
once, in `fit`. Scoring a batch then costs its own nodes and their k neighbours. It equals the forward pass over the
whole graph, memory and batch together.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memreward.answers.files import read_arrays, unreadable, write_arrays
from memreward.evaluation.calibration import Calibration, fit_calibration
from memreward.features.subset import subset
from memreward.network.config import NEIGHBOURS, NetworkConfig
from memreward.network.crossfit import CrossFit, Part, crossfit
from memreward.network.graph import NeighbourIndex
from memreward.network.model import RewardNetwork
from memreward.threads import single_threaded
from memreward.types import ConfigurationError, Features, Prediction, Progress, StoreError, silent

FILE = "network.safetensors"
_OLD_FILE = "predictor.json"
_KIND, _VERSION = "network of the paper", 1
_REMEDY = "run warmup again; the labels that the ledger holds cost nothing again"


@dataclass(frozen=True)
class FrozenMemory:
    """Labelled queries as scoring needs them.

    Attributes:
        query_ids: m ids.
        vectors: (m, d) query vectors.
        folds: (m,) fold of each query.
        states: Per member, per round, (m, hidden) query states before that round; rows of the member's own fold are 0.
    """

    query_ids: tuple[str, ...]
    vectors: Tensor
    folds: Tensor
    states: tuple[tuple[Tensor, ...], ...]

    @classmethod
    def freeze(cls, fit: CrossFit, features: Features, config: NetworkConfig) -> Self:
        """Compute the states of the n labelled rollouts' queries."""
        vectors, own = torch.from_numpy(features.query_vectors), torch.arange(len(features.query_ids))
        rows, cosine = NeighbourIndex(vectors, fit.folds, config.folds).search(vectors, NEIGHBOURS, own)
        states = []
        for fold, network in enumerate(fit.members):
            with torch.no_grad():
                _, kept = Part.of(features, (rows[fold], cosine[fold])).forward(network, None)
            outside = (fit.folds != fold).unsqueeze(1)
            states.append(tuple((state * outside).clone() for state in kept))
        return cls(features.query_ids, vectors, fit.folds, tuple(states))


class GraphPredictor:
    """Cross-fitted graph networks over frozen memory; the seed decides folds, weights and dropout.

    After `fit` or `load` it has K members, the memory that they look at, and the calibration from held-out logits to
    probabilities, with the threshold.
    """

    members: tuple[RewardNetwork, ...]
    memory: FrozenMemory
    calibration: Calibration

    def __init__(
        self, config: NetworkConfig | None = None, seed: int = 0, name: str = "paper", progress: Progress = silent
    ) -> None:
        self.config, self.seed, self.name, self._progress = config or NetworkConfig(), seed, name, progress

    @single_threaded()
    def fit(self, features: Features, labels: NDArray[np.int8]) -> Self:
        """Learn from `labels` (n,): 1 right, 0 wrong, -1 unknown. Queries without a label are left out of memory."""
        rows = np.flatnonzero(np.isin(features.group, np.unique(features.group[labels >= 0])))
        known, verdicts = subset(features, rows), labels[rows]
        fitted = crossfit(known, torch.from_numpy(verdicts.astype(np.int64)), self.config, self.seed, self._progress)
        self.calibration = fit_calibration(fitted.held_out.numpy(), verdicts, known.group)
        self._remember(fitted.members, FrozenMemory.freeze(fitted, known, self.config))
        return self

    def _remember(self, members: tuple[RewardNetwork, ...], memory: FrozenMemory) -> None:
        self.members, self.memory = members, memory
        self._row = {query_id: row for row, query_id in enumerate(memory.query_ids)}
        self._index = NeighbourIndex(memory.vectors, memory.folds, self.config.folds)

    @property
    def threshold(self) -> float:
        """Value from which a rollout is held to be right, chosen on held-out folds."""
        return self.calibration.threshold

    def logits(self, features: Features) -> Tensor:
        """(K, n) logits of n rollouts by every member, each getting messages from labelled queries of other folds."""
        rows, cosine = self._index.search(
            torch.from_numpy(features.query_vectors), NEIGHBOURS, self._own_rows(features)
        )
        with torch.no_grad():
            return torch.stack(
                [
                    Part.of(features, (rows[fold], cosine[fold])).forward(network, list(states))[0]
                    for fold, (network, states) in enumerate(zip(self.members, self.memory.states, strict=True))
                ]
            )

    def blind_members(self, features: Features) -> Tensor:
        """(K, n) which members may score which rollouts: all, or only the blind one where the query is labelled."""
        own = self._own_rows(features)[features.group]
        member = torch.arange(len(self.members)).unsqueeze(1)
        return (own < 0) | (self.memory.folds[own.clamp(min=0)] == member)

    def _own_rows(self, features: Features) -> Tensor:
        return torch.tensor([self._row.get(query_id, -1) for query_id in features.query_ids])

    def predict(self, features: Features) -> Prediction:
        """Predict n rollouts. A query that is labelled in memory is scored by the one member blind to its labels.

        The confidence is the calibrated probability that the verdict is right, less the members' spread.
        """
        width, given = self.memory.vectors.shape[1], features.query_vectors.shape[1]
        if given != width:
            raise ConfigurationError(
                f"text vectors of width {given} do not fit this predictor, which learned from {width}: score with the "
                "encoder of warmup, or warm up again"
            )
        logits, allowed = self.logits(features), self.blind_members(features)
        value = self.calibration.apply(((logits * allowed).sum(0) / allowed.sum(0)).numpy())
        each = np.ma.masked_array(self.calibration.apply(logits.numpy()), ~allowed.numpy())
        confidence = np.clip(np.maximum(value, 1 - value) - each.std(axis=0).filled(0.0), 0, 1)
        failed = ~np.isfinite(value)
        return Prediction(
            np.where(failed, np.nan, value).astype(np.float32),
            np.where(failed, 0.0, confidence).astype(np.float32),
            tuple("the network's output is not a finite number" if each else "" for each in failed.tolist()),
        )

    def save(self, folder: str | Path) -> None:
        """Write the predictor, whole or not at all, in the place of one that may be there."""
        memory = self.memory
        tensors = {"memory.vectors": memory.vectors, "memory.folds": memory.folds}
        for fold, (network, states) in enumerate(zip(self.members, memory.states, strict=True)):
            tensors |= {f"{fold}.network.{key}": value for key, value in network.state_dict().items()}
            tensors |= {f"{fold}.states.{layer}": state for layer, state in enumerate(states)}
        about = {
            "name": self.name,
            "seed": self.seed,
            "config": asdict(self.config),
            "calibration": self.calibration.to_dict(),
            "query_ids": memory.query_ids,
        }
        arrays = {key: value.detach().cpu().numpy() for key, value in tensors.items()}
        write_arrays(Path(folder) / FILE, _KIND, _VERSION, about, arrays)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote; StoreError where it is absent, damaged or of a release before 0.2."""
        path = Path(folder) / FILE
        if not path.exists() and (Path(folder) / _OLD_FILE).exists():
            raise StoreError(f"{folder} holds a network of release 0.1, which this one cannot read: {_REMEDY}")
        about, arrays = read_arrays(path, _KIND, _VERSION, _REMEDY)
        try:
            return cls._restored(about, {key: torch.from_numpy(value.copy()) for key, value in arrays.items()})
        except (KeyError, TypeError, RuntimeError) as error:
            raise unreadable(path, _KIND, _REMEDY, error) from error

    @classmethod
    def _restored(cls, about: dict[str, Any], tensors: dict[str, Tensor]) -> Self:
        config = NetworkConfig(**about["config"])
        predictor = cls(config, about["seed"], about["name"])
        predictor.calibration = Calibration.from_dict(about["calibration"])
        members, states = [], []
        for fold in range(config.folds):
            network = RewardNetwork(config, tensors["memory.vectors"].shape[1])
            network.load_state_dict({key: tensors[f"{fold}.network.{key}"] for key in network.state_dict()})
            members.append(network.eval())
            states.append(tuple(tensors[f"{fold}.states.{layer}"] for layer in range(len(network.rounds))))
        memory = FrozenMemory(
            tuple(about["query_ids"]), tensors["memory.vectors"], tensors["memory.folds"], tuple(states)
        )
        predictor._remember(tuple(members), memory)
        return predictor
