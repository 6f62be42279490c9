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

from memreward.graph import schema
from memreward.graph.build import similarity_edges, structural_edges
from memreward.graph.neighbours import NeighbourIndex
from memreward.graph.schema import Relation
from memreward.predict.config import PredictorConfig
from memreward.predict.inputs import UNKNOWN, EvidenceScaler, Inputs
from memreward.predict.linear import LinearModel, ranking_pairs, reward_loss
from memreward.predict.network import RewardNetwork
from memreward.predict.subset import subset
from memreward.types import Features, LabelError

CANDIDATES = 3
"""Training keeps this many times k neighbours, since those whose labels are hidden in a step drop out."""
EVALUATE_EVERY = 4
"""Training steps between two looks at the held-out fold."""

Progress = Callable[[int, int], None]
"""Called with steps done and steps in all."""


@dataclass(frozen=True)
class Part:
    """Some queries with everything that one forward pass over them needs.

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
    best_step: int


@dataclass(frozen=True)
class CrossFit:
    """What warmup learned, before calibration.

    Attributes:
        members: K models.
        folds: (q,) fold of each labelled query.
        scaler: Evidence scaling that all members share.
        l2: Penalty chosen for the linear parts.
        correction: Weight in [0, 1] of the network's output beside the linear part's.
        held_out: (n,) logits of labelled rollouts, each from the member that is blind to it.
    """

    members: tuple[Member, ...]
    folds: Tensor
    scaler: EvidenceScaler
    l2: float
    correction: float
    held_out: Tensor


def assign_folds(query_ids: tuple[str, ...], count: int, seed: int) -> Tensor:
    """Cut queries into folds of equal size at random; independent of the order in which they are given."""
    ranked = sorted(range(len(query_ids)), key=lambda i: query_ids[i])
    shuffled = np.random.default_rng(seed).permutation(len(ranked))
    folds = np.empty(len(ranked), dtype=np.int64)
    folds[np.array(ranked)[shuffled]] = np.arange(len(ranked)) % count
    return torch.from_numpy(folds)


def check_labels(label: np.ndarray, queries: int, folds: int) -> None:
    """Raise LabelError unless both classes occur and every fold gets a query."""
    right, wrong = int((label == 1).sum()), int((label == 0).sum())
    if right + wrong == 0:
        raise LabelError("no rollout is labelled, so there is nothing to learn from: release labels, or raise the budget")
    if not right or not wrong:
        raise LabelError(
            f"all {right + wrong} labelled rollouts are {'right' if right else 'wrong'}: warmup needs both classes; "
            "label more queries, or ones whose answers disagree"
        )
    if queries < folds:
        raise LabelError(f"{queries} labelled queries cannot fill {folds} folds: label more, or set folds={queries}")


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
    check_labels(label.numpy(), len(features.query_ids), config.folds)
    folds = assign_folds(features.query_ids, config.folds, seed)
    scaler = EvidenceScaler.fit(features.evidence)
    of_rollout = folds[torch.from_numpy(features.group)]
    linears, l2 = _fit_linear(features, label, of_rollout, scaler, config)
    base = torch.zeros(len(label))
    for fold, linear in enumerate(linears):
        rows = of_rollout == fold
        base[rows] = linear(scaler.apply(features.evidence[rows.numpy()]))
    members, residual = [], torch.zeros(len(label))
    for fold, linear in enumerate(linears):
        told = None if progress is None else _shifted(progress, fold * config.epochs, config.folds * config.epochs)
        member, held_out = _fit_member(features, label, folds, fold, linear, scaler, config, seed, told)
        members.append(member)
        residual[of_rollout == fold] = held_out
    correction = _choose_correction(base, residual, label, features, config)
    return CrossFit(tuple(members), folds, scaler, l2, correction, base + correction * residual)


def _shifted(progress: Progress, start: int, total: int) -> Progress:
    return lambda done, _: progress(start + done, total)


def _fit_linear(
    features: Features, label: Tensor, fold: Tensor, scaler: EvidenceScaler, config: PredictorConfig
) -> tuple[list[LinearModel], float]:
    evidence, group = scaler.apply(features.evidence), torch.from_numpy(features.group)
    if config.head != "residual" or not config.evidence:
        rate = (label[label != UNKNOWN]).float().mean().clamp(1e-3, 1 - 1e-3)
        bias = torch.logit(rate) if config.head == "residual" else torch.zeros(())
        return [LinearModel(torch.zeros(evidence.shape[1]), bias)] * config.folds, 0.0
    known, pairs = label != UNKNOWN, ranking_pairs(group, label)
    best: tuple[float, list[LinearModel], float] | None = None
    for l2 in config.l2:
        held_out, models = torch.zeros(len(label)), []
        for f in range(config.folds):
            seen = fold != f
            model = LinearModel.fit(
                evidence[seen], group[seen], label[seen], l2=l2, rank_weight=config.rank_weight
            )
            held_out[~seen] = model(evidence[~seen])
            models.append(model)
        loss = float(reward_loss(held_out, label, known, pairs, config.rank_weight))
        if best is None or loss < best[0]:
            best = (loss, models, l2)
    assert best is not None
    return best[1], best[2]


def _part(features: Features, label: Tensor, queries: Tensor, scaler: EvidenceScaler, config: PredictorConfig, index: NeighbourIndex, own: bool) -> Part:
    rows = np.flatnonzero(queries.numpy()[features.group])
    chosen = subset(features, rows)
    inputs = Inputs.of(chosen, scaler)
    mine = torch.arange(len(chosen.query_ids)) if own else None
    neighbours, cosine = index.search(inputs.query_vectors, CANDIDATES * config.graph.neighbours, mine)
    return Part(chosen, inputs, structural_edges(chosen, config.graph), label[rows], neighbours[0], cosine[0])


def _fit_member(
    features: Features,
    label: Tensor,
    folds: Tensor,
    fold: int,
    linear: LinearModel,
    scaler: EvidenceScaler,
    config: PredictorConfig,
    seed: int,
    progress: Progress | None,
) -> tuple[Member, Tensor]:
    vectors = torch.from_numpy(features.query_vectors)[folds != fold]
    index = NeighbourIndex(vectors, torch.zeros(len(vectors), dtype=torch.int64), 1)
    train = _part(features, label, folds != fold, scaler, config, index, own=True)
    held = _part(features, label, folds == fold, scaler, config, index, own=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed * 1000 + fold)
        network = RewardNetwork(config, text_dims(train.inputs), train.inputs.evidence.shape[1])
        if config.network == "none":
            return Member(linear, network.eval(), fold, 0), torch.zeros(len(held.label))
        best_step = _train(network, train, held, linear, config, progress)
    network.eval()
    with torch.no_grad():
        residual = _predict_held_out(network, train, held)
    return Member(linear, network, fold, best_step), residual


def text_dims(inputs: Inputs) -> dict[str, int]:
    """Width of the text vectors of each node type."""
    return {
        schema.QUERY: inputs.query_vectors.shape[1],
        schema.THINKING: inputs.thinking_vectors.shape[1],
        schema.ANSWER: inputs.answer_vectors.shape[1],
    }


def _train(
    network: RewardNetwork, train: Part, held: Part, linear: LinearModel, config: PredictorConfig, progress: Progress | None
) -> int:
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    offset, held_offset = linear(train.inputs.evidence), linear(held.inputs.evidence)
    held_known, held_pairs = held.label != UNKNOWN, ranking_pairs(held.inputs.group, held.label)
    best_loss, best_step, best_state = float("inf"), 0, copy.deepcopy(network.state_dict())
    for step in range(config.epochs + 1):
        if step % EVALUATE_EVERY == 0 and bool(held_known.any()):
            with torch.no_grad():
                logits = held_offset + _predict_held_out(network.eval(), train, held)
                loss = float(reward_loss(logits, held.label, held_known, held_pairs, config.rank_weight))
            if loss < best_loss - 1e-5:
                best_loss, best_step, best_state = loss, step, copy.deepcopy(network.state_dict())
            elif step - best_step >= config.patience:
                break
        _training_step(network.train(), train, offset, optimizer, config)
        if progress is not None:
            progress(step, config.epochs)
    network.load_state_dict(best_state)
    if progress is not None:
        progress(config.epochs, config.epochs)
    return best_step


def _training_step(
    network: RewardNetwork, part: Part, offset: Tensor, optimizer: torch.optim.Optimizer, config: PredictorConfig
) -> None:
    group, hidden = part.inputs.group, torch.ones(len(part.features.query_ids), dtype=torch.bool)
    label, neighbours = part.label, part.neighbours
    if config.labels:
        hidden = torch.rand(len(hidden)) < config.mask_share
        hidden[torch.randint(len(hidden), ())] = True
        label = torch.where(hidden[group], UNKNOWN, part.label)
        neighbours = torch.where(hidden[neighbours.clamp(min=0)], -1, neighbours)
    target = hidden[group] & (part.label != UNKNOWN)
    if not bool(target.any()):
        return
    logits, _ = part.forward(network, label, neighbours, None)
    pairs = ranking_pairs(group, torch.where(target, part.label, UNKNOWN))
    loss = reward_loss(offset + logits, part.label, target, pairs, config.rank_weight)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _predict_held_out(network: RewardNetwork, train: Part, held: Part) -> Tensor:
    _, memory = train.forward(network, train.label, train.neighbours, None)
    logits, _ = held.forward(network, torch.full_like(held.label, UNKNOWN), held.neighbours, memory)
    return logits


def _choose_correction(
    base: Tensor, residual: Tensor, label: Tensor, features: Features, config: PredictorConfig
) -> float:
    if config.head == "dot" or not config.evidence:
        return 1.0
    known, pairs = label != UNKNOWN, ranking_pairs(torch.from_numpy(features.group), label)
    weights = [0.0, 0.25, 0.5, 0.75, 1.0]
    losses = [float(reward_loss(base + w * residual, label, known, pairs, config.rank_weight)) for w in weights]
    return weights[int(np.argmin(losses))]
