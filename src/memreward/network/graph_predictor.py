"""The graph network behind the `Predictor` protocol: fit by cross-fitting, predict over frozen memory, save, load."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from memreward.evaluation.calibration import Calibration, fit_calibration
from memreward.evaluation.held_out import HeldOut, held_out_figures
from memreward.evaluation.scaler import EvidenceScaler
from memreward.features.subset import settled_together, subset
from memreward.network.config import PredictorConfig
from memreward.network.crossfit import Member, Progress, crossfit
from memreward.network.inputs import UNKNOWN, text_dims
from memreward.network.linear import LinearModel
from memreward.network.model import RewardNetwork
from memreward.network.propagate import LabelledRollouts, mean_over_equivalent
from memreward.network.scorer import FrozenMemory, Scorer
from memreward.threads import single_threaded
from memreward.types import ConfigurationError, Features, Prediction, SchemaVersionError, StoreError

FORMAT = 2
"""Version of the saved form."""
TENSORS = "tensors-"
"""How the names of files of tensors begin."""


@dataclass(frozen=True)
class Shape:
    """What features must look like for a fitted predictor.

    Attributes:
        evidence_names: Columns of evidence, in order.
        text_dims: Width of the text vectors by node type.
    """

    evidence_names: tuple[str, ...]
    text_dims: dict[str, int]

    @classmethod
    def of(cls, features: Features, config: PredictorConfig) -> Self:
        """Read the shape off `features`."""
        return cls(features.evidence_names, text_dims(features, config.read_states))

    def check(self, features: Features, config: PredictorConfig) -> None:
        """Raise ConfigurationError unless `features` have this shape."""
        other = Shape.of(features, config)
        if other != self:
            changed = sorted(set(self.evidence_names) ^ set(other.evidence_names)) or [f"{other.text_dims}"]
            raise ConfigurationError(
                f"these features do not fit this predictor, which differs in {', '.join(changed)} from them: "
                "score with the encoder and reader of warmup, or warm up again"
            )


class GraphPredictor:
    """Cross-fitted graph networks over frozen memory.

    Args:
        config: Settings.
        seed: Decides folds, weights, dropout and masks.
        name: Shown in tables.
        progress: Told of training steps done and in all.

    Attributes:
        scorer: The K models and their memory, after `fit` or `load`.
        calibration: From held-out logits to probabilities, with the threshold.
        correction: Weight of the network's output beside the linear part's, chosen on held-out folds.
        held_out: Figures on the labelled rollouts, each predicted blind to its query: over all domains, then by domain.
    """

    scorer: Scorer
    calibration: Calibration
    correction: float
    shape: Shape
    held_out: tuple[HeldOut, ...]

    def __init__(
        self,
        config: PredictorConfig | None = None,
        seed: int = 0,
        name: str = "memreward",
        progress: Progress | None = None,
    ) -> None:
        self.config, self.seed, self.name, self._progress = config or PredictorConfig(), seed, name, progress

    @single_threaded()
    def fit(self, features: Features, labels: NDArray[np.int8]) -> Self:
        """Learn from `labels` (n,): 1 right, 0 wrong, -1 unknown. Queries without a label are left out of memory.

        Raises:
            LabelError: where the labels do not suffice.
        """
        labelled = np.unique(features.group[labels >= 0])
        rows = np.flatnonzero(np.isin(features.group, labelled))
        known = subset(features, rows)
        verdicts = labels[rows]
        label = torch.from_numpy(np.where(verdicts < 0, UNKNOWN, verdicts).astype(np.int64))
        fitted = crossfit(known, label, self.config, self.seed, self._progress)
        self.shape = Shape.of(features, self.config)
        self.correction, self.best_step = fitted.correction, fitted.best_step
        self.calibration = fit_calibration(fitted.held_out.numpy(), verdicts, known.group)
        values = self.calibration.apply(fitted.held_out.numpy()).astype(np.float32)
        self.held_out = held_out_figures(known, verdicts, values, self.threshold)
        self.scorer = Scorer.freeze(fitted, known, label, self.config)
        return self

    @property
    def threshold(self) -> float:
        """Value from which a rollout is held to be right, chosen on held-out folds."""
        return self.calibration.threshold

    def predict(self, features: Features) -> Prediction:
        """Predict n rollouts. A query that is labelled in memory is scored by the one member blind to its labels.

        The confidence is the calibrated probability that the verdict is right, less the members' spread.
        """
        self.shape.check(features, self.config)
        found = self.scorer.neighbours(features)
        linear, network = self.scorer.logits(features, found, run_networks=self.correction > 0)
        logits = linear + self.correction * network
        if self.config.graph.agreement:
            logits = mean_over_equivalent(logits, torch.from_numpy(settled_together(features)))
        allowed = self.scorer.blind_members(features)
        mean = (logits * allowed).sum(0) / allowed.sum(0)
        value = self.calibration.apply(mean.numpy())
        each = np.ma.masked_array(self.calibration.apply(logits.numpy()), ~allowed.numpy())
        confidence = np.clip(np.maximum(value, 1 - value) - each.std(axis=0).filled(0.0), 0, 1)
        failed = ~np.isfinite(value)
        unsure = ~failed & (confidence < self.config.abstain_below)
        nearest = self.scorer.nearest(features, found).numpy()
        alone = ~failed & (nearest < self.config.least_similarity)
        reasons = np.where(failed, "the network's output is not a finite number", "").astype(object)
        reasons[unsure] = [f"confidence {c:.3f} is below {self.config.abstain_below:g}" for c in confidence[unsure]]
        reasons[alone] = [
            f"the nearest labelled query has cosine {c:.3f}, below {self.config.least_similarity:g}"
            for c in nearest[alone]
        ]
        return Prediction(
            np.where(failed | unsure | alone, np.nan, value).astype(np.float32),
            np.where(failed, 0.0, confidence).astype(np.float32),
            tuple(reasons.tolist()),
        )

    def save(self, folder: str | Path, *, provenance: Mapping[str, Any] | None = None) -> None:
        """Write the predictor; the folder is made if absent.

        A process that is killed here leaves the predictor that was there before, whole: `predictor.json` names the file
        of tensors that it belongs to, and is replaced in one step after that file is written.

        Args:
            folder: Holds one predictor.
            provenance: How it came to be, as JSON values; kept in `predictor.json`.

        Raises:
            StoreError: if the folder cannot be written.
        """
        target = Path(folder)
        about = self._describe() | {"provenance": dict(provenance or {})}
        try:
            target.mkdir(parents=True, exist_ok=True)
            about["tensors"] = _write_tensors(target, self._tensors())
            unfinished = target / "predictor.json.partial"
            unfinished.write_text(json.dumps(about, indent=1), encoding="utf-8")
            unfinished.replace(target / "predictor.json")
            for path in target.glob(f"{TENSORS}*"):
                if path.name != about["tensors"]:
                    path.unlink(missing_ok=True)
        except (OSError, SafetensorError) as error:
            raise StoreError(
                f"cannot write the predictor to {target}: {error}; free space or choose another folder"
            ) from error

    def _tensors(self) -> dict[str, Tensor]:
        memory = self.scorer.memory
        tensors = {"memory.vectors": memory.vectors, "memory.folds": memory.folds}
        tensors |= {f"memory.labelled.{key}": value for key, value in vars(memory.labelled).items()}
        for number, (member, states) in enumerate(zip(self.scorer.members, memory.states, strict=True)):
            tensors |= {f"{number}.linear.weight": member.linear.weight, f"{number}.linear.bias": member.linear.bias}
            tensors |= {f"{number}.network.{key}": value for key, value in member.network.state_dict().items()}
            tensors |= {f"{number}.states.{layer}": state for layer, state in enumerate(states)}
        return {key: value.detach().cpu().clone().contiguous() for key, value in tensors.items()}

    def _describe(self) -> dict[str, Any]:
        scaler = self.scorer.scaler
        return {
            "format": FORMAT,
            "name": self.name,
            "seed": self.seed,
            "config": self.config.to_dict(),
            "correction": self.correction,
            "calibration": self.calibration.to_dict(),
            "scaler": {key: getattr(scaler, key).tolist() for key in ("median", "mean", "scale", "missing")},
            "shape": {"evidence_names": self.shape.evidence_names, "text_dims": self.shape.text_dims},
            "members": [m.fold for m in self.scorer.members],
            "query_ids": self.scorer.memory.query_ids,
            "held_out": [figures.to_dict() for figures in self.held_out],
        }

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote. Nothing is unpickled.

        Raises:
            StoreError: if the files are absent or damaged, or of an older format.
            SchemaVersionError: if a newer release wrote them.
        """
        source = Path(folder)
        about = describe_saved(source)
        try:
            tensors = load_file(source / about["tensors"])
        except (OSError, SafetensorError) as error:
            raise _unreadable(source, error) from error
        predictor = cls(PredictorConfig.from_dict(about["config"]), about["seed"], about["name"])
        predictor.correction = about["correction"]
        predictor.calibration = Calibration.from_dict(about["calibration"])
        predictor.held_out = tuple(HeldOut.from_dict(figures) for figures in about["held_out"])
        predictor.shape = Shape(tuple(about["shape"]["evidence_names"]), about["shape"]["text_dims"])
        predictor.scorer = _rebuild_scorer(about, tensors, predictor.config, predictor.shape)
        return predictor


def describe_saved(folder: str | Path) -> dict[str, Any]:
    """Return what `GraphPredictor.save` wrote to `predictor.json`.

    Raises:
        StoreError: if the file is absent or damaged, or of an older format.
        SchemaVersionError: if a newer release wrote it.
    """
    try:
        about: dict[str, Any] = json.loads((Path(folder) / "predictor.json").read_text(encoding="utf-8"))
        written = int(about["format"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _unreadable(folder, error) from error
    if written > FORMAT:
        raise SchemaVersionError(
            f"{folder} holds a predictor of format {written}, this release reads {FORMAT}: update memreward"
        )
    if written < FORMAT:
        raise StoreError(
            f"{folder} holds a predictor of format {written}, this release reads {FORMAT}: run warmup again; the "
            "labels that the ledger holds cost nothing again"
        )
    return about


def _unreadable(folder: str | Path, error: Exception) -> StoreError:
    return StoreError(f"no predictor can be read from {folder}: {error}; run warmup with this folder")


def _write_tensors(folder: Path, tensors: dict[str, Tensor]) -> str:
    """Write a file named by its content, so that it never takes the place of another predictor's; return its name."""
    unfinished = folder / "tensors.partial"
    save_file(tensors, unfinished)
    with unfinished.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return unfinished.rename(folder / f"{TENSORS}{digest[:16]}.safetensors").name


def _rebuild_scorer(about: dict[str, Any], tensors: dict[str, Tensor], config: PredictorConfig, shape: Shape) -> Scorer:
    kept = about["scaler"]
    median, mean, scale = (np.asarray(kept[key], dtype=np.float32) for key in ("median", "mean", "scale"))
    scaler = EvidenceScaler(median, mean, scale, np.asarray(kept["missing"], dtype=np.int64))
    members, states = [], []
    for number, fold in enumerate(about["members"]):
        own = {key.removeprefix(f"{number}."): value for key, value in tensors.items() if key.startswith(f"{number}.")}
        network = RewardNetwork(config, shape.text_dims, tensors[f"{number}.linear.weight"].shape[0])
        network.load_state_dict({key[8:]: value for key, value in own.items() if key.startswith("network.")})
        linear = LinearModel(own["linear.weight"], own["linear.bias"])
        members.append(Member(linear, network.eval(), fold))
        states.append(tuple(own[f"states.{layer}"] for layer in range(sum("states." in key for key in own))))
    memory = FrozenMemory(
        tuple(about["query_ids"]),
        tensors["memory.vectors"],
        tensors["memory.folds"],
        tuple(states),
        LabelledRollouts(*(tensors[f"memory.labelled.{key}"] for key in ("start", "outline", "right"))),
    )
    return Scorer(tuple(members), scaler, config, memory)
