"""From an experience memory to a reward and a confidence for every rollout: what most users call."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from memreward.features.encoder import CachedEncoder, load_encoder
from memreward.features.featurizer import Featurizer, RolloutReader, RolloutRunner
from memreward.memory import Budget, ExperienceMemory
from memreward.predict.config import PredictorConfig
from memreward.predict.crossfit import Progress
from memreward.predict.explain import Explanation, explain
from memreward.predict.graph_predictor import GraphPredictor, describe_saved
from memreward.predict.held_out import HeldOut
from memreward.types import (
    PROGRAMMING_ERRORS,
    Encoder,
    Features,
    Group,
    Label,
    LabelError,
    Prediction,
    Rollout,
    Score,
    StoreError,
)

WARMUP = "warmup"
"""The ledger's name for labels that train, calibrate and stop the predictor."""


@dataclass(frozen=True)
class Provenance:
    """How a predictor came to be, written beside it.

    Attributes:
        labelled_queries: Queries whose labels it learned from.
        labels: Verdicts it learned from.
        seed: Of the draw of queries and of training.
        versions: Of memreward, Python and what matters to the numbers.
        encoder: Name of the encoder.
    """

    labelled_queries: int
    labels: int
    seed: int
    encoder: str
    versions: dict[str, str] = field(default_factory=dict)


class RewardPredictor:
    """Scores rollouts with a warmed-up graph network over an experience memory.

    Make one with `warmup` or `load`.

    Attributes:
        memory: Where earlier rollouts of a query are found; `score` never writes to it.
        model: The fitted network.
        provenance: What it was made from.
    """

    def __init__(
        self, memory: ExperienceMemory, featurizer: Featurizer, model: GraphPredictor, provenance: Provenance
    ) -> None:
        self.memory, self.featurizer, self.model, self.provenance = memory, featurizer, model, provenance

    @classmethod
    def warmup(
        cls,
        memory: ExperienceMemory,
        *,
        budget: Budget | None = None,
        seed: int = 0,
        config: PredictorConfig | None = None,
        encoder: str | Encoder | Callable[[list[str]], Any] = "all-MiniLM-L6-v2",
        reader: RolloutReader | None = None,
        runner: RolloutRunner | None = None,
        progress: Progress | None = None,
        queries: Sequence[str] | None = None,
    ) -> Self:
        """Draw labelled queries, release their labels through the ledger, and fit the network on them.

        Args:
            memory: Holds the rollouts and, sealed, the ground truth.
            budget: Most labels to consume; None takes all there are.
            seed: Decides which queries are labelled, folds, weights and dropout.
            config: Settings; None is the default preset.
            encoder: Name of a sentence-transformers model, an Encoder, or a callable.
            reader: A language model that reads the rollouts.
            runner: Runs the solutions of code rollouts; None runs none.
            progress: Told of training steps done and in all.
            queries: Label these, as far as the budget goes, instead of drawing; see `memreward.features.choosing`.

        Raises:
            LabelError: where the labels do not suffice.
            BudgetError: where the ledger already holds more than the budget.
        """
        settings = config or PredictorConfig()
        chosen = memory.ledger.choose(budget, seed, order=queries)
        labels = memory.ledger.release(chosen, use=WARMUP, budget=budget)
        cached = _cached(memory, encoder)
        featurizer = Featurizer(cached, reader, runner)
        groups = memory.groups(sorted({label.query_id for label in labels}))
        rollouts = [rollout for group in groups for rollout in group.rollouts]
        model = GraphPredictor(settings, seed, progress=progress)
        if not rollouts:
            raise LabelError(
                f"{memory.uri} holds no rollout with a label to release: add rollouts with 'correct', or judge some"
            )
        model.fit(featurizer.features(rollouts), label_array(rollouts, labels))
        provenance = Provenance(len(groups), len(labels), seed, cached.name, _versions())
        return cls(memory, featurizer, model, provenance)

    @property
    def threshold(self) -> float:
        """Value from which a rollout is held to be right, chosen on held-out folds."""
        return self.model.threshold

    @property
    def held_out(self) -> tuple[HeldOut, ...]:
        """Figures on the labelled rollouts beside majority vote's, over all domains, then by domain; no label more."""
        return self.model.held_out

    def score(self, rollouts: Iterable[Rollout]) -> list[Score]:
        """Score rollouts, in their order. Agreement counts each query's earlier rollouts in memory too.

        A rollout that cannot be scored is an abstention (value None) with its reason; nothing is looked up in the
        ground truth.

        Raises:
            TypeError: these are no rollouts.
            Exception: any other programming error (`memreward.types.PROGRAMMING_ERRORS`), of an encoder, say.
        """
        rollouts = _rollouts(rollouts)
        if not rollouts:
            return []
        try:
            return self._score_together(rollouts)
        except PROGRAMMING_ERRORS:
            raise
        except Exception as error:  # an RL trainer must not die of one odd rollout: queries are tried one by one
            queries = dict.fromkeys(r.query.id for r in rollouts)
            if len(queries) == 1:
                return [Score(None, 0.0, f"{type(error).__name__}: {error}")] * len(rollouts)
        scores: dict[int, Score] = {}
        for query_id in queries:
            places = [i for i, r in enumerate(rollouts) if r.query.id == query_id]
            scores.update(zip(places, self.score([rollouts[i] for i in places]), strict=True))
        return [scores[i] for i in range(len(rollouts))]

    def _score_together(self, rollouts: Sequence[Rollout]) -> list[Score]:
        prediction = self.model.predict(self.features(self.pool(rollouts)))
        return [_score(prediction, row) for row in range(len(rollouts))]

    def pool(self, rollouts: Sequence[Rollout]) -> list[Rollout]:
        """Return `rollouts` and, after them, the recent other rollouts of their queries in memory."""
        given = Counter(r.id for r in rollouts)
        queries = list(dict.fromkeys(r.query.id for r in rollouts))
        earlier = self.memory.groups(queries, recent=self.model.config.recent)
        return [*rollouts, *(r for group in earlier for r in group.rollouts if r.id not in given)]

    def features(self, rollouts: Sequence[Rollout]) -> Features:
        """Return what the network sees of `rollouts`."""
        return self.featurizer.features(rollouts)

    def explain(self, rollout: Rollout, *, beside: Sequence[Rollout] = ()) -> Explanation:
        """Say what moved the score of one rollout: its neighbours in memory and its evidence.

        Args:
            rollout: The one to explain.
            beside: Its group, with it or without it. The score is the one that `score` gives it among them; without
                its group a rollout that memory does not hold has only memory's rollouts to agree with.
        """
        ids = [other.id for other in beside]
        together = list(beside) if rollout.id in ids else [rollout, *beside]
        row = ids.index(rollout.id) if rollout.id in ids else 0
        features = self.features(self.pool(together))
        return explain(self.model, features, row, _score(self.model.predict(features), row))

    def save(self, folder: str | Path) -> None:
        """Write the predictor and its provenance to a folder; memory stays where it is.

        Raises:
            StoreError: if the folder cannot be written.
        """
        self.model.save(folder, provenance=vars(self.provenance))

    @classmethod
    def load(
        cls,
        folder: str | Path,
        memory: ExperienceMemory,
        *,
        encoder: str | Encoder | Callable[[list[str]], Any] = "all-MiniLM-L6-v2",
        reader: RolloutReader | None = None,
        runner: RolloutRunner | None = None,
    ) -> Self:
        """Read what `save` wrote.

        Raises:
            StoreError: if the files are absent or damaged, or another encoder is given than warmup had.
        """
        try:
            provenance = Provenance(**describe_saved(folder)["provenance"])
        except (KeyError, TypeError) as error:
            raise StoreError(f"{folder} says not how its predictor came to be ({error}); warm up again") from error
        model = GraphPredictor.load(folder)
        cached = _cached(memory, encoder)
        if cached.name != provenance.encoder:
            raise StoreError(
                f"{folder} was warmed up with encoder {provenance.encoder!r}, not {cached.name!r}: "
                "load it with that encoder, or warm up again"
            )
        return cls(memory, Featurizer(cached, reader, runner), model, provenance)


def _rollouts(given: Iterable[Rollout]) -> list[Rollout]:
    """What `score` was given, if it is rollouts."""
    remedy = "score(rollouts) takes rollouts; of groups, give it [r for group in groups for r in group.rollouts]"
    if isinstance(given, Rollout | Group | str) or not isinstance(given, Iterable):
        raise TypeError(f"a {type(given).__name__} is no list of rollouts: {remedy}")
    found = list(given)
    if others := sorted({type(one).__name__ for one in found if not isinstance(one, Rollout)}):
        raise TypeError(f"{', '.join(others)} among what is to be scored: {remedy}")
    return found


def _score(prediction: Prediction, row: int) -> Score:
    value = float(prediction.value[row])
    return Score(None if np.isnan(value) else value, float(prediction.confidence[row]), prediction.reasons[row])


def label_array(rollouts: Sequence[Rollout], labels: Iterable[Label]) -> NDArray[np.int8]:
    """Return (n,) 1 right, 0 wrong, -1 unknown, in the order of `rollouts`."""
    verdict = {label.rollout_id: label.correct for label in labels}
    return np.array([{True: 1, False: 0, None: -1}[verdict.get(r.id)] for r in rollouts], dtype=np.int8)


def _cached(memory: ExperienceMemory, encoder: str | Encoder | Callable[[list[str]], Any]) -> CachedEncoder:
    plain = load_encoder(encoder)
    return plain if isinstance(plain, CachedEncoder) else CachedEncoder(plain, memory.vector_store(plain.name))


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in ("memreward", "torch", "numpy")}
