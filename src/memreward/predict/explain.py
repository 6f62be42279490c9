"""What moved one score: neighbours in memory with their weights, and evidence with its contribution."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from memreward.features.subset import settled_together
from memreward.graph.propagate import COLUMNS
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
            members and over rollouts with an equivalent answer, which share one score; strongest first.
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
    together = _scored_together(model, features, row)
    return Explanation(
        score,
        _neighbours(model, found, int(features.group[row])),
        _contributions(model, features, row, together, found, allowed),
        float(model.correction * network[allowed][:, together].mean()),
    )


def _neighbours(model: GraphPredictor, found: tuple[torch.Tensor, torch.Tensor], query: int) -> tuple[Neighbour, ...]:
    memory, (rows, cosine) = model.scorer.memory, (found[0][:, query], found[1][:, query])
    used = rows[rows >= 0]
    similarity = dict(zip(used.tolist(), cosine[rows >= 0].tolist(), strict=True))
    listeners = torch.bincount(used, minlength=1)
    ordered = sorted(similarity, key=lambda r: -similarity[r])
    start, right = memory.labelled.start, memory.labelled.right.float()
    return tuple(
        Neighbour(
            memory.query_ids[r],
            similarity[r],
            int(listeners[r]) / len(rows),
            float(right[start[r] : start[r + 1]].mean()),
        )
        for r in ordered
    )


def _scored_together(model: GraphPredictor, features: Features, row: int) -> torch.Tensor:
    """The rollouts whose mean logit is that of `row`: those with an equivalent answer."""
    cluster = torch.from_numpy(settled_together(features))
    if not model.config.graph.agreement or cluster[row] < 0:
        return torch.tensor([row])
    return (cluster == cluster[row]).nonzero().squeeze(1)


def _contributions(
    model: GraphPredictor,
    features: Features,
    row: int,
    together: torch.Tensor,
    found: tuple[torch.Tensor, torch.Tensor],
    allowed: torch.Tensor,
) -> tuple[tuple[str, float | None, float], ...]:
    scorer, names = model.scorer, list(features.evidence_names)
    columns = [*names, *(names[j] for j in scorer.scaler.missing.tolist()), *COLUMNS]
    values: dict[str, float | None] = dict(zip(names, _defined(features.evidence[row].tolist()), strict=True))
    totals = dict.fromkeys(names, 0.0)
    used = [m for m, may in zip(scorer.members, allowed.tolist(), strict=True) if may]
    for member in used:
        evidence = scorer.part(features, member, found).inputs.evidence[together].mean(0)
        for name, part in zip(columns, (member.linear.weight * evidence).tolist(), strict=False):
            totals[name] = totals.get(name, 0.0) + part / len(used)
        for name, value in zip(COLUMNS, evidence[len(columns) - len(COLUMNS) :].tolist(), strict=False):
            values[name] = (values.get(name) or 0.0) + value / len(used)
    return tuple((name, values[name], totals[name]) for name in sorted(totals, key=lambda name: -abs(totals[name])))


def _defined(values: list[float]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values]
