"""Recorded trainings, predicted again: what earlier visits of a question and labels of like solutions are worth.

Nothing is trained. The rollouts of a training lie in its memory, step by step; the answer model is warmed up on what
lay there before, predicts each step and then learns from its labelled groups, as it did in the training. Truth of all
others is read for measuring alone.
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
from memreward.features.behaviour import runner_for
from memreward.features.featurizer import Featurizer
from memreward.memory import ExperienceMemory, measured
from memreward.reward import visits
from memreward.reward.truth import groups_of
from memreward.reward.valuers import HALF_LIFE
from memreward.types import Features, Rollout

PAST = (0.0, 0.1, 0.2, 0.3, 0.4)
"""Weights of earlier visits that are tried (`visits.WEIGHT`)."""
LIKE = (0.0, 4.0, 6.0, 8.0, 10.0)
"""Where the weight of like solutions begins (`likeness.WEIGHT`); at 0 labels do not move it."""
HALF_LIVES = (5.0, 10.0, 25.0, 50.0, 100.0, 0.0)
"""Steps after which a label counts half (`valuers.HALF_LIFE`); 0 is never."""
LAST = 9
"""Visits from this one on are one row."""
_STEP = "step-"
_BEFORE = -1
_NAILED = 1e-9
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Recorded:
    """One step of a training: its rollouts, what they are, whether each is right and whether its query is labelled."""

    rollouts: Sequence[Rollout]
    features: Features
    right: NDArray[np.int8]
    labelled: NDArray[np.bool_]

    @property
    def labels(self) -> NDArray[np.int8]:
        """(n,) what the training was told: 1 right, 0 wrong, -1 nothing."""
        return np.where(self.labelled, self.right, -1).astype(np.int8)


@dataclass(frozen=True)
class Training:
    """What memory held before the first step, and the steps, oldest first."""

    before: Recorded
    steps: Sequence[Recorded]


def recorded(folder: Path, start: Start) -> Training:
    """Read one training of `lab experiment`."""
    memory = ExperienceMemory.open(folder / "memory", create=False)
    labelled = set(memory.ledger.labelled())
    experience = {group.query.id: group for group in start.groups(EXPERIENCE)}
    by_step: dict[int, list[Rollout]] = defaultdict(list)
    for group in memory.groups():
        for rollout in group.rollouts:
            sampled = rollout.policy_version.startswith(_STEP)
            by_step[int(rollout.policy_version.removeprefix(_STEP)) if sampled else _BEFORE].append(rollout)
    featurizer, verifiers = Featurizer(runner=runner_for("auto")), Verifiers()

    def looked_at(rollouts: Sequence[Rollout]) -> Recorded:
        groups = [experience[group.query.id].answered(group.rollouts, {}) for group in groups_of(rollouts)]
        found = measured(groups, verifiers)
        right = np.array([found.get(rollout.id, False) for rollout in rollouts], np.int8)
        known = np.array([rollout.query.id in labelled for rollout in rollouts])
        return Recorded(rollouts, featurizer.features(rollouts), right, known)

    before = looked_at(by_step.pop(_BEFORE))
    return Training(before, [looked_at(by_step[step]) for step in sorted(by_step)])


def replayed(
    training: Training, prior: RewardPrior, *, past: float = visits.WEIGHT, half_life: float = HALF_LIFE
) -> Iterator[tuple[Recorded, Floats, Floats]]:
    """Yield each step with the (n,) expected advantages of its rollouts and how often their queries were visited."""
    model, earlier, seen = AnswerModel(prior), visits.EarlierVisits(), defaultdict[str, int](int)
    model.fit(training.before.features, training.before.labels)
    earlier.add(training.before.rollouts, 0)
    for step, one in enumerate(training.steps):
        features = replace(one.features, lean=earlier.lean(one.rollouts) * (past / visits.WEIGHT))
        visit = np.array([seen[rollout.query.id] for rollout in one.rollouts], np.float64)
        yield one, model.beliefs(features).advantages(), visit
        model.observe(features, one.labels, step, half_life)
        earlier.add(one.rollouts, step)
        for query in {rollout.query.id for rollout in one.rollouts}:
            seen[query] += 1


def cosines(
    training: Training,
    prior: RewardPrior,
    *,
    past: float = visits.WEIGHT,
    like: float = likeness.WEIGHT,
    half_life: float = HALF_LIFE,
) -> dict[str, float]:
    """Cosine of expected and true advantages of the unlabelled rollouts, of all and by visit."""
    expected, true, visit = list[Floats](), list[Floats](), list[Floats]()
    with patch.multiple(likeness, WEIGHT=like, VARIANCE=likeness.VARIANCE if like else _NAILED):
        for one, held, visits_so_far in replayed(training, prior, past=past, half_life=half_life):
            unlabelled = ~one.labelled
            expected.append(held[unlabelled])
            true.append(advantages(one.right.astype(np.float64), one.features.group, scaled=True)[unlabelled])
            visit.append(visits_so_far[unlabelled])
    return _by_visit(np.concatenate(expected), np.concatenate(true), np.concatenate(visit))


def _by_visit(expected: Floats, true: Floats, visit: Floats) -> dict[str, float]:
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
