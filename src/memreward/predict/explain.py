"""What moved one score: neighbours in memory with their weights, and evidence with its contribution."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from memreward.predict.graph_predictor import GraphPredictor
from memreward.types import Features, Score


@dataclass(frozen=True)
class Neighbour:
    """A labelled query that the scored query listened to.

    Attributes:
        query_id: Its id.
        cosine: Similarity of the two query texts.
        weight: Share of the ensemble's members that listened to it, in (0, 1].
        right_share: Share of right rollouts among its labelled ones.
    """

    query_id: str
    cosine: float
    weight: float
    right_share: float


@dataclass(frozen=True)
class Explanation:
    """Why a rollout was scored as it was.

    Attributes:
        score: The score.
        neighbours: Labelled neighbours, nearest first.
        evidence: Name, value (None where undefined) and contribution to the logit of the linear part, mean over
            members, strongest first.
        network: Contribution of the graph network to the logit, mean over members.
    """

    score: Score
    neighbours: tuple[Neighbour, ...]
    evidence: tuple[tuple[str, float | None, float], ...]
    network: float


def explain(model: GraphPredictor, features: Features, row: int, score: Score) -> Explanation:
    """Explain the score of rollout `row` of `features`."""
    found = model.scorer.neighbours(features)
    _, network = model.scorer.logits(features, found)
    allowed = model.scorer.blind_members(features)[:, row]
    return Explanation(
        score,
        _neighbours(model, found, int(features.group[row])),
        _contributions(model, features, row, allowed),
        float(model.correction * network[allowed, row].mean()),
    )


def _neighbours(model: GraphPredictor, found: tuple[torch.Tensor, torch.Tensor], query: int) -> tuple[Neighbour, ...]:
    memory, (rows, cosine) = model.scorer.memory, (found[0][:, query], found[1][:, query])
    used = rows[rows >= 0]
    similarity = dict(zip(used.tolist(), cosine[rows >= 0].tolist(), strict=True))
    listeners = torch.bincount(used, minlength=1)
    ordered = sorted(similarity, key=lambda r: -similarity[r])
    return tuple(
        Neighbour(memory.query_ids[r], similarity[r], int(listeners[r]) / len(rows), float(memory.right_share[r]))
        for r in ordered
    )


def _contributions(
    model: GraphPredictor, features: Features, row: int, allowed: torch.Tensor
) -> tuple[tuple[str, float | None, float], ...]:
    scaler = model.scorer.scaler
    weight = torch.stack([m.linear.weight for m in model.scorer.members])[allowed].mean(0)
    parts = (weight * scaler.apply(features.evidence[row : row + 1])[0]).tolist()
    names = features.evidence_names
    totals = dict(zip(names, parts, strict=False))
    for column, part in zip(scaler.missing.tolist(), parts[len(names) :], strict=True):
        totals[names[column]] += part
    values = {n: None if v != v else float(v) for n, v in zip(names, features.evidence[row].tolist(), strict=True)}
    return tuple((n, values[n], totals[n]) for n in sorted(names, key=lambda n: -abs(totals[n])))
