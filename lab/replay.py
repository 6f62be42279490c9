"""Recorded trainings, predicted again: what earlier visits of a question and labels of like solutions are worth.

Nothing is trained. The rollouts of a training lie in its memory, step by step; the answer model predicts each step and
then learns from its labelled groups, as it did in the training. Truth of all others is read for measuring alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from lab.testbed.start import EXPERIENCE, Start
from memreward.answers import likeness
from memreward.answers.model import AnswerModel
from memreward.answers.prior import RewardPrior
from memreward.domains import Verifiers
from memreward.evaluation.metrics import advantages
from memreward.features.featurizer import Featurizer
from memreward.memory import ExperienceMemory, measured
from memreward.reward import visits
from memreward.reward.truth import groups_of
from memreward.types import Features, Rollout

PAST = (0.0, 0.1, 0.2, 0.3, 0.4)
"""Weights of earlier visits that are tried (`visits.WEIGHT`)."""
LIKE = (0.0, 4.0, 6.0, 8.0, 10.0)
"""Where the weight of like solutions begins (`likeness.WEIGHT`); at 0 labels do not move it."""
LAST = 9
"""Visits from this one on are one row."""
_STEP = "step-"
_NAILED = 1e-9
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Recorded:
    """One step of a training: its rollouts, what they are, whether each is right and whether its query is labelled."""

    rollouts: Sequence[Rollout]
    features: Features
    right: NDArray[np.int8]
    labelled: NDArray[np.bool_]


def recorded(folder: Path, start: Start) -> list[Recorded]:
    """Read the steps of one training (`lab experiment`), oldest first."""
    memory = ExperienceMemory.open(folder / "memory", create=False)
    labelled = set(memory.ledger.labelled())
    experience = {group.query.id: group for group in start.groups(EXPERIENCE)}
    by_step: dict[int, list[Rollout]] = defaultdict(list)
    for group in memory.groups():
        for rollout in group.rollouts:
            if rollout.policy_version.startswith(_STEP):
                by_step[int(rollout.policy_version.removeprefix(_STEP))].append(rollout)
    featurizer, verifiers = Featurizer(), Verifiers()
    steps = []
    for step in sorted(by_step):
        rollouts = by_step[step]
        groups = [experience[group.query.id].answered(group.rollouts, {}) for group in groups_of(rollouts)]
        found = measured(groups, verifiers)
        right = np.array([found.get(rollout.id, False) for rollout in rollouts], np.int8)
        known = np.array([rollout.query.id in labelled for rollout in rollouts])
        steps.append(Recorded(rollouts, featurizer.features(rollouts), right, known))
    return steps


def replayed(steps: Sequence[Recorded], prior: RewardPrior, past: float) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Yield of each step the (n,) expected and true advantages and visits so far of its unlabelled rollouts."""
    model, before, seen = AnswerModel(prior), visits.EarlierVisits(), defaultdict[str, int](int)
    for step, one in enumerate(steps):
        lean = before.lean(one.rollouts) * (past / visits.WEIGHT)
        features = replace(one.features, lean=lean)
        expected = model.beliefs(features).advantages()
        true = advantages(one.right.astype(np.float64), features.group, scaled=True)
        visit = np.array([seen[rollout.query.id] for rollout in one.rollouts], np.float64)
        yield expected[~one.labelled], true[~one.labelled], visit[~one.labelled]
        model.observe(features, np.where(one.labelled, one.right, -1).astype(np.int8), step)
        before.add(one.rollouts, step)
        for query in {rollout.query.id for rollout in one.rollouts}:
            seen[query] += 1


def cosines(
    steps: Sequence[Recorded], prior: RewardPrior, *, past: float = visits.WEIGHT, like: float = likeness.WEIGHT
) -> dict[str, float]:
    """Cosine of expected and true advantages of the unlabelled rollouts, of all and by visit."""
    with patch.multiple(likeness, WEIGHT=like, VARIANCE=likeness.VARIANCE if like else _NAILED):
        expected, true, visit = (np.concatenate(each) for each in zip(*replayed(steps, prior, past), strict=True))
    rows = {"all": visit >= 0} | {str(k + 1): visit == k for k in range(LAST)} | {f"{LAST + 1}+": visit >= LAST}
    return {name: _cosine(expected[of], true[of]) for name, of in rows.items()}


def table(what: str, found: Mapping[float, Sequence[Mapping[str, float]]], names: Sequence[str]) -> str:
    """Lay out cosines by weight: mean over the trainings, all of them, and by visit."""
    first = next(iter(found.values()))[0]
    reached = [k for k in first if k != "all" and not np.isnan([one[k] for one in next(iter(found.values()))]).all()]
    lines = [
        f"| {what} | " + " | ".join(["mean", *names, *(f"visit {k}" for k in reached)]) + " |",
        "|---:" * (2 + len(names) + len(reached)) + "|",
    ]
    for weight, each in found.items():
        values = [float(np.mean([one["all"] for one in each])), *(one["all"] for one in each)]
        values += [float(np.nanmean([one[k] for one in each])) for k in reached]
        lines.append(f"| {weight:g} | " + " | ".join(f"{value:.3f}" for value in values) + " |")
    return "\n".join(lines)


def _cosine(a: Floats, b: Floats) -> float:
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length else float("nan")
