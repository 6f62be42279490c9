"""Warmup: K models by cross-fitting over labelled queries, each blind to its fold.

The held-out folds give early stopping, the linear part's penalty, the weight of the graph's correction, calibration,
threshold and error rates, so that no label beyond the budget is ever read.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from memreward.evaluation.folds import assign_folds, check_classes
from memreward.evaluation.scaler import EvidenceScaler
from memreward.features.subset import settled_together, subset
from memreward.network import schema
from memreward.network.build import similarity_edges, structural_edges
from memreward.network.config import PredictorConfig
from memreward.network.inputs import UNKNOWN, Inputs, text_dims
from memreward.network.linear import LinearModel, ranking_pairs, reward_loss
from memreward.network.model import RewardNetwork
from memreward.network.neighbours import NeighbourIndex
from memreward.network.propagate import (
    ANYWHERE,
    LIKE_REASONING,
    NEARBY,
    LabelledRollouts,
    mean_over_equivalent,
    propagate,
)
from memreward.network.schema import Relation
from memreward.types import Features, LabelError

CANDIDATES = 3
"""Training keeps this many times k neighbours, since those whose labels are hidden in a step drop out."""
MAJORITY = "agreement_share"
MAJORITY_PENALTY = 0.3
"""Evidence that is shrunk less than the rest: where labels say little, the prediction falls back to majority vote."""
EVALUATE_EVERY = 4
"""Training steps between two looks at the held-out fold."""

Progress = Callable[[int, int], None]
"""Called with steps done and steps in all."""


@dataclass(frozen=True)
class Alone:
    """What some queries are without memory, hence the same for every member.

    Attributes:
        inputs, edges: Tensors of the rollouts, and their structural edges.
    """

    inputs: Inputs
    edges: dict[Relation, Tensor]

    @classmethod
    def of(cls, features: Features, scaler: EvidenceScaler, config: PredictorConfig, *, edges: bool = True) -> Alone:
        """Build it; without `edges` no network can be run."""
        inputs = Inputs.of(features, scaler, read_states=config.read_states)
        return cls(inputs, structural_edges(features, config.graph) if edges else {})


@dataclass(frozen=True)
class Part:
    """Some queries with everything that one forward pass over them needs. One builder, `of`, serves warmup and scoring.

    Attributes:
        features, inputs, edges: The rollouts, their tensors, their structural edges.
        label: (n,) 1 right, 0 wrong, 2 unknown.
        neighbours, cosine: (q, c) rows of memory and their cosines, nearest first.
    """

    features: Features
    inputs: Inputs
    edges: dict[Relation, Tensor]
    label: Tensor
    neighbours: Tensor
    cosine: Tensor

    @classmethod
    def of(
        cls,
        features: Features,
        label: Tensor,
        found: tuple[Tensor, Tensor],
        memory: LabelledRollouts,
        scaler: EvidenceScaler,
        config: PredictorConfig,
        alone: Alone | None = None,
    ) -> Part:
        """Join rollouts with what they hear from memory.

        `found` are (q, c) neighbours and cosines, nearest first; `alone` what they are without it, where that is known.
        """
        neighbours, cosine = found
        near = neighbours[:, : config.graph.neighbours]
        propagated = torch.zeros(len(label), 0)
        if config.listens_to_labels:
            kernel = NEARBY if config.trust else ANYWHERE
            propagated = propagate(features, near, cosine[:, : config.graph.neighbours], memory, kernel)
        alone = alone or Alone.of(features, scaler, config)
        return cls(features, alone.inputs.hearing(propagated), alone.edges, label, neighbours, cosine)

    def forward(
        self, network: RewardNetwork, label: Tensor, neighbours: Tensor, memory: list[Tensor] | None
    ) -> tuple[Tensor, list[Tensor]]:
        """Run `network` with these label inputs and usable neighbours; see `RewardNetwork.forward`."""
        edges, cosine = self.edges, None
        if schema.SIMILAR_TO in network.config.graph.relations():
            similar, cosine = similarity_edges(neighbours, self.cosine, network.config.graph.neighbours)
            edges = {**edges, schema.SIMILAR_TO: similar}
        logits: tuple[Tensor, list[Tensor]] = network(self.inputs, label, edges, cosine, memory)
        return logits


@dataclass(frozen=True)
class Member:
    """One model of the ensemble: linear part and network, blind to the labels of `fold`."""

    linear: LinearModel
    network: RewardNetwork
    fold: int


@dataclass(frozen=True)
class CrossFit:
    """What warmup learned, before calibration.

    Attributes:
        members: K models.
        folds: (q,) fold of each labelled query.
        scaler: Evidence scaling that all members share.
        l2: Penalty chosen for the linear parts.
        correction: Weight in [0, 1] of the network's output beside the linear part's.
        best_step: Training step that all members went back to.
        held_out: (n,) logits of labelled rollouts, each from the member that is blind to it; one value for equivalent
            answers where the graph has `agrees_with`.
    """

    members: tuple[Member, ...]
    folds: Tensor
    scaler: EvidenceScaler
    l2: float
    correction: float
    best_step: int
    held_out: Tensor


def crossfit(
    features: Features, label: Tensor, config: PredictorConfig, seed: int, progress: Progress | None = None
) -> CrossFit:
    """Fit the ensemble on labelled queries.

    Args:
        features: n rollouts of q queries, each with at least one label.
        label: (n,) 1 right, 0 wrong, 2 unknown.
        config: Settings.
        seed: Decides folds, initial weights, dropout and masks.
        progress: Told of steps done.

    Raises:
        LabelError: where the labels do not suffice.
    """
    check_classes(label.numpy().astype(np.int8))
    queries = len(features.query_ids)
    if queries < config.folds:
        raise LabelError(
            f"{queries} labelled queries cannot fill {config.folds} folds: label more, or set folds={queries}"
        )
    folds = torch.from_numpy(assign_folds(features.query_ids, config.folds, seed))
    scaler = EvidenceScaler.fit(features.evidence)
    splits = [_Split.cut(features, label, folds, fold, scaler, config) for fold in range(config.folds)]
    linears, l2 = _fit_linear(splits, config)
    trained = [_Training(split, linear, config, seed) for split, linear in zip(splits, linears, strict=True)]
    best_step = _train_together(trained, config, seed, progress)
    base, residual = torch.zeros(len(label)), torch.zeros(len(label))
    for member in trained:
        base[member.split.held_rows] = member.held_offset
        residual[member.split.held_rows] = member.predict_held_out()
    if config.graph.agreement:
        together = torch.from_numpy(settled_together(features))
        base, residual = mean_over_equivalent(base, together), mean_over_equivalent(residual, together)
    correction = 1.0
    if config.head == "residual" and config.evidence:
        correction = choose_correction(base, residual, label, torch.from_numpy(features.group))
    members = tuple(Member(m.linear, m.network.eval(), fold) for fold, m in enumerate(trained))
    return CrossFit(members, folds, scaler, l2, correction, best_step, base + correction * residual)


@dataclass(frozen=True)
class _Split:
    """The queries one member learns from, and those of the fold it is blind to."""

    train: Part
    held: Part
    held_rows: Tensor

    @classmethod
    def cut(
        cls,
        features: Features,
        label: Tensor,
        folds: Tensor,
        fold: int,
        scaler: EvidenceScaler,
        config: PredictorConfig,
    ) -> _Split:
        inside = (folds == fold)[torch.from_numpy(features.group)]
        train, held = subset(features, ~inside.numpy()), subset(features, inside.numpy())
        vectors = torch.from_numpy(train.query_vectors)
        index = NeighbourIndex(vectors, torch.zeros(len(vectors), dtype=torch.int64), 1)
        memory = LabelledRollouts.of(train, label[~inside])

        def part(chosen: Features, chosen_label: Tensor, own: Tensor | None) -> Part:
            count = CANDIDATES * config.graph.neighbours
            rows, cosine = index.search(torch.from_numpy(chosen.query_vectors), count, own)
            return Part.of(chosen, chosen_label, (rows[0], cosine[0]), memory, scaler, config)

        own = torch.arange(len(vectors))
        return cls(part(train, label[~inside], own), part(held, label[inside], None), inside.nonzero().squeeze(1))


def _fit_linear(splits: list[_Split], config: PredictorConfig) -> tuple[list[LinearModel], float]:
    if config.head != "residual" or not config.evidence:
        return [_constant(split, config) for split in splits], 0.0
    fits = {l2: [_fit_one(split.train, l2, config) for split in splits] for l2 in config.l2}
    losses = {
        l2: np.mean([_held_out_loss(s, m(s.held.inputs.evidence), config) for s, m in zip(splits, models, strict=True)])
        for l2, models in fits.items()
    }
    best = min(losses, key=lambda l2: losses[l2])
    return fits[best], best


def _fit_one(part: Part, l2: float, config: PredictorConfig) -> LinearModel:
    inputs = part.inputs
    penalty = torch.ones(inputs.evidence.shape[1])
    if MAJORITY in part.features.evidence_names:
        penalty[part.features.evidence_names.index(MAJORITY)] = MAJORITY_PENALTY
    prior = torch.zeros_like(penalty)
    if config.trust and config.listens_to_labels:
        prior[LIKE_REASONING] = config.trust
    weight = config.rank_weight
    return LinearModel.fit(
        inputs.evidence, inputs.group, part.label, l2=l2, rank_weight=weight, penalty=penalty, prior=prior
    )


def _constant(split: _Split, config: PredictorConfig) -> LinearModel:
    known = split.train.label[split.train.label != UNKNOWN]
    rate = known.float().mean().clamp(1e-3, 1 - 1e-3)
    bias = torch.logit(rate) if config.head == "residual" else torch.zeros(())
    return LinearModel(torch.zeros(split.train.inputs.evidence.shape[1]), bias)


def _held_out_loss(split: _Split, logits: Tensor, config: PredictorConfig) -> float:
    known, pairs = split.held.label != UNKNOWN, ranking_pairs(split.held.inputs.group, split.held.label)
    return float(reward_loss(logits, split.held.label, known, pairs, config.rank_weight))


class _Training:
    """One member while it is trained."""

    def __init__(self, split: _Split, linear: LinearModel, config: PredictorConfig, seed: int) -> None:
        self.split, self.linear, self.config = split, linear, config
        self.train, self.held = split.train, split.held
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            dims = text_dims(self.train.features, config.read_states)
            self.network = RewardNetwork(config, dims, self.train.inputs.evidence.shape[1])
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.offset, self.held_offset = linear(self.train.inputs.evidence), linear(self.held.inputs.evidence)

    def predict_held_out(self) -> Tensor:
        with torch.no_grad():
            network = self.network.eval()
            _, memory = self.train.forward(network, self.train.label, self.train.neighbours, None)
            unknown = torch.full_like(self.held.label, UNKNOWN)
            logits, _ = self.held.forward(network, unknown, self.held.neighbours, memory)
        return logits

    def held_out_loss(self) -> float:
        return _held_out_loss(self.split, self.held_offset + self.predict_held_out(), self.config)

    def step(self) -> None:
        loss = self._loss()
        if loss is not None:
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()

    def _loss(self) -> Tensor | None:
        part, group = self.train, self.train.inputs.group
        hidden = torch.ones(len(part.features.query_ids), dtype=torch.bool)
        label, neighbours = part.label, part.neighbours
        if self.config.labels:
            hidden = torch.rand(len(hidden)) < self.config.mask_share
            hidden[torch.randint(len(hidden), ())] = True
            label = torch.where(hidden[group], UNKNOWN, part.label)
            neighbours = torch.where(hidden[neighbours.clamp(min=0)], -1, neighbours)
        target = hidden[group] & (part.label != UNKNOWN)
        if not bool(target.any()):
            return None
        logits, _ = part.forward(self.network.train(), label, neighbours, None)
        pairs = ranking_pairs(group, torch.where(target, part.label, UNKNOWN))
        return reward_loss(self.offset + logits, part.label, target, pairs, self.config.rank_weight)


def _train_together(members: list[_Training], config: PredictorConfig, seed: int, progress: Progress | None) -> int:
    """Train all members step by step; stop, and go back, by the mean loss of their held-out folds.

    One step for all is one choice made on all labels; a step for each fold would fit that fold's few labels.
    """
    if config.network == "none":
        return 0
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
                elif step - best_step >= config.patience:
                    break
            for member in members:
                member.step()
            if progress is not None:
                progress(step, config.epochs)
    for member, state in zip(members, best, strict=True):
        member.network.load_state_dict(state)
    if progress is not None:
        progress(config.epochs, config.epochs)
    return best_step


def choose_correction(base: Tensor, residual: Tensor, label: Tensor, group: Tensor) -> float:
    """Return the least weight of the network's output that held-out labels cannot tell from the best one.

    The folds that stopped training speak for the network more than new queries will, so the best weight must beat a
    lesser one by a standard error over queries (the one-standard-error rule of Breiman et al. 1984) to be taken.

    Args:
        base: (n,) held-out logits of the linear parts.
        residual: (n,) held-out outputs of the networks.
        label: (n,) 1 right, 0 wrong, 2 unknown.
        group: (n,) query of each rollout.
    """
    known = label != UNKNOWN
    right = label[known].float()
    weights = torch.linspace(0, 1, 5)
    logits = base[known] + weights.unsqueeze(1) * residual[known]
    loss = binary_cross_entropy_with_logits(logits, right.expand_as(logits), reduction="none")
    _, query = torch.unique(group[known], return_inverse=True)
    by_query = torch.zeros(len(weights), int(query.max()) + 1).index_add(1, query, loss)
    worse = by_query - by_query[by_query.sum(1).argmin()]
    error = worse.std(dim=1, correction=0) * worse.shape[1] ** 0.5
    return float(weights[worse.sum(1) <= error][0])
