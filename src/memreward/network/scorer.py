"""The paper's network as one of the learned baselines: trained on labelled rollouts, scoring over frozen memory.

Messages flow from memory to new nodes and never back, so the states of memory's queries are computed once, in `fit`;
scoring a batch equals the forward pass over the whole graph.
"""

import copy
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from memreward.evaluation.baselines import CrossFitted
from memreward.evaluation.held_out import assign_folds
from memreward.features.subset import subset
from memreward.network.graph import RELATIONS, SIMILAR_TO, Relation, nearest, similarity_edges, structural_edges
from memreward.network.model import HIDDEN, RewardNetwork
from memreward.types import ConfigurationError, Features, LabelError

NEIGHBOURS = 7
"""Labelled memory queries that each query gets messages from (k)."""
EPOCHS = 200
"""Training steps at most (full batch)."""
LEARNING_RATE, WEIGHT_DECAY = 1e-3, 5e-2
"""Of AdamW."""
STOP_SHARE = 5
"""One labelled query in so many is not trained on, and says when to stop."""
PATIENCE = 40
"""Steps without a lower loss on those before training stops."""
EVALUATE_EVERY = 4
"""Training steps between two looks at them."""


MESSAGES: Mapping[str, tuple[Relation, ...]] = {
    "paper": RELATIONS,
    "no_propagation": tuple(relation for relation in RELATIONS if relation != SIMILAR_TO),
    "no_network": (),
}
"""The network and its ablations, by what sends messages: without memory's, and without any, the head alone."""


def paper(seed: int, name: str = "paper", *, hidden: int = HIDDEN, epochs: int = EPOCHS) -> CrossFitted:
    """Return the paper's network, or one of its ablations, as a predictor; the seed decides folds, weights, dropout."""
    return CrossFitted(name, lambda: GraphScorer(seed, MESSAGES[name], hidden=hidden, epochs=epochs), seed=seed)


class _Batch(NamedTuple):
    """Rollouts with their edges and the cosines of `similar_to`, which no training step changes."""

    features: Features
    edges: dict[Relation, Tensor]
    cosine: Tensor


class GraphScorer:
    """A graph network and the memory of labelled queries that it looks at.

    Scores are logits, standardised by those of the labelled rollouts: networks that stopped at different steps share
    one calibration.
    """

    def __init__(
        self,
        seed: int = 0,
        messages: Collection[Relation] = RELATIONS,
        *,
        hidden: int = HIDDEN,
        epochs: int = EPOCHS,
    ) -> None:
        self.seed, self.messages, self.hidden, self.epochs = seed, messages, hidden, epochs

    def fit(self, features: Features, labels: NDArray[np.int8]) -> None:
        """Train on n rollouts, (n,) labels 1 right, 0 wrong, -1 unknown; LabelError with fewer than two queries."""
        queries = len(features.query_ids)
        if queries < 2:
            raise LabelError(f"{queries} labelled queries are too few for the paper's network: label at least 2")
        held = (assign_folds(features.query_ids, min(STOP_SHARE, queries), self.seed) == 0)[features.group]
        train, stop = subset(features, ~held), subset(features, held)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.network = RewardNetwork(features.query_vectors.shape[1], self.hidden)
            self._look_at(train)
            parts = (
                self._batch(train),
                torch.from_numpy(labels[~held]),
                self._batch(stop),
                torch.from_numpy(labels[held]),
            )
            self._train(*parts)
        self._look_at(features)
        self.network.eval()
        with torch.no_grad():
            self._states = self.network(*self._batch(features))[1]
        logits = self._logits(features)
        self._mean, self._spread = float(logits.mean()), float(logits.std()) or 1.0

    def scores(self, features: Features) -> NDArray[np.float64]:
        """(n,) scores of n rollouts, each query getting messages from its nearest labelled ones, never from itself."""
        width, given = self._vectors.shape[1], features.query_vectors.shape[1]
        if given != width:
            raise ConfigurationError(
                f"text vectors of width {given} do not fit this predictor, which learned from {width}: score with the "
                "encoder of warmup, or warm up again"
            )
        logits = self._logits(features)
        return np.where(np.isfinite(logits), (logits - self._mean) / self._spread, np.nan)

    def _logits(self, features: Features) -> NDArray[np.float64]:
        with torch.no_grad():
            logits: NDArray[np.float64] = self.network(*self._batch(features), self._states)[0].double().numpy()
        return logits

    def _train(self, train: _Batch, labels: Tensor, stop: _Batch, stop_labels: Tensor) -> None:
        """Full-batch steps; go back to the one with the least loss on the queries that are not trained on."""
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        best_loss, best_step, best = float("inf"), 0, copy.deepcopy(self.network.state_dict())
        for step in range(self.epochs + 1):
            if step % EVALUATE_EVERY == 0:
                loss = self._stop_loss(train, stop, stop_labels)
                if loss < best_loss - 1e-5:
                    best_loss, best_step, best = loss, step, copy.deepcopy(self.network.state_dict())
                elif step - best_step >= PATIENCE:
                    break
            self.network.train()
            optimizer.zero_grad()
            _loss(self.network(*train)[0], labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        self.network.load_state_dict(best)

    def _stop_loss(self, train: _Batch, stop: _Batch, labels: Tensor) -> float:
        self.network.eval()
        with torch.no_grad():
            _, states = self.network(*train)
            return float(_loss(self.network(*stop, states)[0], labels))

    def _look_at(self, memory: Features) -> None:
        self._vectors = torch.from_numpy(memory.query_vectors)
        self._row = {query_id: row for row, query_id in enumerate(memory.query_ids)}

    def _batch(self, features: Features) -> _Batch:
        own = torch.tensor([self._row.get(query_id, -1) for query_id in features.query_ids])
        found = nearest(torch.from_numpy(features.query_vectors), self._vectors, NEIGHBOURS, own)
        similar, cosine = similarity_edges(*found)
        edges = {**structural_edges(features), SIMILAR_TO: similar}
        return _Batch(features, {each: edges[each] for each in self.messages}, cosine)


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy over the known labels; 0 where there is none."""
    known = labels >= 0
    if not known.any():
        return logits.sum() * 0.0
    return binary_cross_entropy_with_logits(logits[known], labels[known].to(logits.dtype))
