"""Warmup: K networks by cross-fitting over labelled queries, each blind to its fold.

The held-out folds say when to stop, and give the scores that calibration and threshold are fitted on, so that no label
beyond the budget is ever read.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from memreward.evaluation.folds import assign_folds, check_classes
from memreward.features.subset import subset
from memreward.network.config import NEIGHBOURS, NetworkConfig
from memreward.network.graph import SIMILAR_TO, NeighbourIndex, Relation, similarity_edges, structural_edges
from memreward.network.model import RewardNetwork
from memreward.types import Features, LabelError, Progress, silent

LEARNING_RATE, WEIGHT_DECAY = 1e-3, 5e-2
"""Of AdamW."""
PATIENCE = 40
"""Steps without a better held-out fold before training stops."""
EVALUATE_EVERY = 4
"""Training steps between two looks at the held-out fold."""


@dataclass(frozen=True)
class Part:
    """Some queries with all that a forward pass over them needs; `cosine` (m, 1) are attributes of `similar_to`.

    One builder, `of`, serves warmup and scoring.
    """

    features: Features
    edges: dict[Relation, Tensor]
    cosine: Tensor

    @classmethod
    def of(cls, features: Features, found: tuple[Tensor, Tensor]) -> Part:
        """Join rollouts with memory; `found` are (q, k) rows of it and cosines, nearest first, -1 for none."""
        similar, cosine = similarity_edges(*found, NEIGHBOURS)
        return cls(features, {**structural_edges(features), SIMILAR_TO: similar}, cosine)

    def forward(self, network: RewardNetwork, memory: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        """Run `network`; see `RewardNetwork.forward`."""
        logits: tuple[Tensor, list[Tensor]] = network(self.features, self.edges, self.cosine, memory)
        return logits


@dataclass(frozen=True)
class CrossFit:
    """What warmup learned, before calibration.

    Attributes:
        members: K networks, each blind to the labels of the fold of its number.
        folds: (q,) fold of each labelled query.
        held_out: (n,) logits of labelled rollouts, each from the member that is blind to it.
    """

    members: tuple[RewardNetwork, ...]
    folds: Tensor
    held_out: Tensor


def crossfit(
    features: Features, labels: Tensor, config: NetworkConfig, seed: int, progress: Progress = silent
) -> CrossFit:
    """Fit the ensemble on n rollouts of q queries, each with at least one label of (n,): 1 right, 0 wrong, -1 unknown.

    The seed decides folds, initial weights and dropout. LabelError where the labels do not suffice.
    """
    check_classes(labels.numpy().astype(np.int8))
    queries = len(features.query_ids)
    if queries < config.folds:
        raise LabelError(
            f"{queries} labelled queries cannot fill {config.folds} folds: label more, or set folds={queries}"
        )
    folds = torch.from_numpy(assign_folds(features.query_ids, config.folds, seed))
    trained = [_Training(features, labels, folds, fold, config, seed) for fold in range(config.folds)]
    _train_together(trained, config, seed, progress)
    held_out = torch.zeros(len(labels))
    for member in trained:
        held_out[member.held_rows] = member.predict_held_out()
    return CrossFit(tuple(member.network.eval() for member in trained), folds, held_out)


class _Training:
    """One member while it is trained: the queries it learns from, and those of the fold it is blind to."""

    def __init__(
        self, features: Features, labels: Tensor, folds: Tensor, fold: int, config: NetworkConfig, seed: int
    ) -> None:
        inside = (folds == fold)[torch.from_numpy(features.group)]
        train, held = subset(features, ~inside.numpy()), subset(features, inside.numpy())
        vectors = torch.from_numpy(train.query_vectors)
        index = NeighbourIndex(vectors, torch.zeros(len(vectors), dtype=torch.int64), 1)

        def part(chosen: Features, own: Tensor | None) -> Part:
            rows, cosine = index.search(torch.from_numpy(chosen.query_vectors), NEIGHBOURS, own)
            return Part.of(chosen, (rows[0], cosine[0]))

        self.train, self.held = part(train, torch.arange(len(vectors))), part(held, None)
        self.labels, self.held_labels = labels[~inside], labels[inside]
        self.held_rows = inside.nonzero().squeeze(1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = RewardNetwork(config, features.query_vectors.shape[1])
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)

    def predict_held_out(self) -> Tensor:
        with torch.no_grad():
            network = self.network.eval()
            _, memory = self.train.forward(network, None)
            logits, _ = self.held.forward(network, memory)
        return logits

    def held_out_loss(self) -> float:
        return float(_loss(self.predict_held_out(), self.held_labels))

    def step(self) -> None:
        logits, _ = self.train.forward(self.network.train(), None)
        self.optimizer.zero_grad()
        _loss(logits, self.labels).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy over the known labels."""
    known = labels >= 0
    return binary_cross_entropy_with_logits(logits[known], labels[known].to(logits.dtype))


def _train_together(members: list[_Training], config: NetworkConfig, seed: int, progress: Progress) -> None:
    """Train all members step by step; stop, and go back, by the mean loss of their held-out folds.

    One step for all is one choice made on all labels; a step for each fold would fit that fold's few labels.
    """
    best_loss, best_step = float("inf"), 0
    best = [copy.deepcopy(m.network.state_dict()) for m in members]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for step in range(config.epochs + 1):
            if step % EVALUATE_EVERY == 0:
                loss = float(np.mean([m.held_out_loss() for m in members]))
                if loss < best_loss - 1e-5:
                    best_loss, best_step = loss, step
                    best = [copy.deepcopy(m.network.state_dict()) for m in members]
                elif step - best_step >= PATIENCE:
                    break
            for member in members:
                member.step()
            progress("training the network", step, config.epochs)
    for member, state in zip(members, best, strict=True):
        member.network.load_state_dict(state)
    progress("training the network", config.epochs, config.epochs)
