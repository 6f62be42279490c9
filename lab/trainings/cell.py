"""Train one arm once, and measure it: what the policy gets right, and how good its rewards were."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lab.arms import ARMS, valuers
from lab.decoding.rollouts import group_trainer
from lab.testbed import start as testbed
from lab.testbed.config import LONGEST
from lab.testbed.measure import accuracy, mean_by_domain, sample_groups
from lab.testbed.policy import load_policy
from lab.testbed.start import Start
from lab.trainings.outcome import FOREIGN, TEST, TrainingOutcome
from lab.valuers import corrected_first
from memreward.answers.prior import RewardPrior
from memreward.data.draw import Count
from memreward.domains import VerdictCache, Verifiers
from memreward.evaluation.metrics import evaluate_predictions
from memreward.evaluation.parts import part_key
from memreward.features.cache import default_cache_folder
from memreward.features.featurizer import Featurizer
from memreward.integrations.trl import questions
from memreward.memory import measured, sealed_verdicts
from memreward.policy.settings import SamplingConfig
from memreward.reward.judged import ABSTAINED, Judged
from memreward.reward.truth import SPENT, groups_of
from memreward.reward.valuers import Majority
from memreward.training.config import ChoiceRule, TrainConfig
from memreward.training.history import history, mean_reward
from memreward.training.prepare import prepare
from memreward.training.quiet import quiet_libraries
from memreward.training.run import make_trainer
from memreward.training.settings import GrpoSettings
from memreward.types import Group, Rollout, silent

if TYPE_CHECKING:
    from transformers import TrainerCallback

START = "start"
"""In place of an arm: the policy before training."""
_PARTS = {TEST: testbed.TEST, FOREIGN: testbed.FOREIGN}
_OUTCOME = "outcome.json"
_LOGGED = ("truth", "predicted", "abstained", "seconds", "alarm", "groups_in_doubt", "advantage_mean_abs", *SPENT)
_LIVE = ("cosine", "cosine_vote", "predicted", "true")


@dataclass(frozen=True)
class Training:
    """One training: everything that a process needs.

    Attributes:
        start: Folder of the starting point.
        arm: Name of the arm, or `START`.
        labels: Training questions that are labelled: a share below 1, or a whole number.
        choose: How these are chosen.
        seed: Of the draw of labels, of sampling and of the order of the questions.
        grpo: The training.
        sampling: What is sampled in it, but for model and seed.
        trl: Further settings of TRL's.
        prior: Where the answer model begins.
        encoder: Name of the encoder that the paper's network reads with where the arm names no other.
        answers: Answers sampled for each held-out question.
        measure_every: Steps between two measurements of the policy; 0 measures it in the end alone.
    """

    start: Path
    arm: str
    labels: Count
    choose: ChoiceRule
    seed: int
    grpo: GrpoSettings
    sampling: SamplingConfig
    trl: Mapping[str, Any]
    prior: str
    encoder: str
    answers: int
    measure_every: int

    @property
    def name(self) -> str:
        """Names its folder."""
        return f"{self.arm}_{self.labels:g}_{self.seed}"


def run_cell(cell: Training, folder: Path) -> TrainingOutcome:
    """Train and measure, unless the folder holds the outcome already."""
    done = folder / _OUTCOME
    if done.exists():
        return TrainingOutcome.load(done)
    # What an interrupted training left is a few minutes' work; beginning anew is the simpler way to the same end.
    quiet_libraries()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    outcome = _measured_start(cell) if cell.arm == START else _trained(cell, folder)
    outcome.save(done)
    return outcome


def is_done(folder: Path) -> bool:
    """Whether the folder of a cell holds its outcome."""
    return (folder / _OUTCOME).exists()


def _measured_start(cell: Training) -> TrainingOutcome:
    measure = _Measure(cell)
    return TrainingOutcome(START, 0.0, cell.seed, measure(*load_policy(Start(cell.start).policy)), measure.domains)


def _trained(cell: Training, folder: Path) -> TrainingOutcome:
    from trl.trainer.grpo_trainer import GRPOTrainer

    started = time.monotonic()
    start, measure, arm = Start(cell.start), _Measure(cell), ARMS[cell.arm]
    config = TrainConfig(
        output=str(folder),
        experience=(str(start.experience),),
        labels=str(cell.labels),
        prior=cell.prior,
        sampling=replace(cell.sampling, model=str(start.policy), seed=cell.seed),
        grpo=cell.grpo,
        trl=cell.trl,
    )
    order = _corrected_first(start) if arm.name == "care" else None
    encoder = arm.encoder or cell.encoder
    others = valuers(cell.seed)
    prepared = prepare(config, encoder, silent, arm=arm, others=others, order=order, choose=cell.choose)
    rewarded = _Rewarded()
    prepared.reward.observer = rewarded.see
    model, tokenizer = load_policy(start.policy)
    asked = questions(prepared.groups)
    curve: list[dict[str, Any]] = []
    trainer = make_trainer(
        model,
        tokenizer,
        prepared.reward,
        asked,
        config.grpo,
        config.sampling,
        folder,
        trl=config.trl,
        callbacks=[_measuring(cell, measure, curve)],
        trainer=group_trainer(GRPOTrainer, cell.seed),
    )
    trainer.train()
    seconds = time.monotonic() - started
    final = measure(model, tokenizer)
    curve.append({"step": cell.grpo.steps, **measure.by_domain(final)})
    experience = {group.query.id: group for group in start.groups(testbed.EXPERIENCE)}
    steps = _joined(history(folder), rewarded.judged(experience, measure.verifiers))
    labels = {"all": 1.0, "share": float(cell.labels), "none": 0.0}[arm.labels]
    ledger = prepared.memory.ledger.totals()
    return TrainingOutcome(cell.arm, labels, cell.seed, final, measure.domains, curve, steps, ledger, round(seconds, 1))


def _corrected_first(start: Start) -> list[str]:
    rollouts = [rollout for group in start.groups(testbed.EXPERIENCE) for rollout in group.rollouts]
    features = Featurizer().features(rollouts)
    return corrected_first(Majority().beliefs(features), features.query_ids)


class _Measure:
    """Samples answers to the held-out questions and judges them."""

    def __init__(self, cell: Training) -> None:
        self.answers, self.seed = cell.answers, cell.seed
        self.verifiers = Verifiers(cache=VerdictCache(default_cache_folder()))
        self.parts = {part: Start(cell.start).groups(file) for part, file in _PARTS.items()}
        self.domains = {group.query.id: group.query.domain for part in self.parts.values() for group in part}

    def __call__(self, model: Any, tokenizer: Any, answers: int = 0) -> dict[str, dict[str, float]]:
        """Accuracy by part and query id, over as many answers as the cell asks for, or over `answers`."""
        sampling = SamplingConfig("", answers or self.answers, 1.0, 1.0, LONGEST, self.seed)
        sampled = {part: sample_groups(model, tokenizer, groups, sampling) for part, groups in self.parts.items()}
        return {part: accuracy(sealed_verdicts(groups, self.verifiers)) for part, groups in sampled.items()}

    def by_domain(self, measured: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
        return {part: mean_by_domain(by_query, self.domains) for part, by_query in measured.items()}


def _measuring(cell: Training, measure: _Measure, curve: list[dict[str, Any]]) -> TrainerCallback:
    from transformers import TrainerCallback

    class Measuring(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:  # noqa: ARG002
            step = state.global_step
            if cell.measure_every and step % cell.measure_every == 0 and step < cell.grpo.steps:
                # One answer a question: a curve has many points, and training waits.
                found = measure(given["model"], given["processing_class"], answers=1)
                curve.append({"step": step, **measure.by_domain(found)})

    return Measuring()


class _Rewarded:
    """Keeps what was rewarded, to hold it against ground truth after training."""

    def __init__(self) -> None:
        self.steps: list[_Step] = []

    def see(self, rollouts: Sequence[Rollout], judged: Judged) -> None:
        self.steps.append(_Step(rollouts, judged))

    def judged(self, experience: Mapping[str, Group], verifiers: Verifiers) -> list[dict[str, float]]:
        return [step.judged(experience, verifiers) for step in self.steps]


@dataclass(frozen=True)
class _Step:
    """Rollouts of one step, and what came of them."""

    rollouts: Sequence[Rollout]
    rewarded: Judged

    def judged(self, experience: Mapping[str, Group], verifiers: Verifiers) -> dict[str, float]:
        groups = [experience[group.query.id].answered(group.rollouts, {}) for group in groups_of(self.rollouts)]
        right = measured(groups, verifiers)
        correct = np.array([right.get(rollout.id, False) for rollout in self.rollouts], np.int8)
        group = np.unique([rollout.query.id for rollout in self.rollouts], return_inverse=True)[1]
        told = self.rewarded
        silent = np.array([source == ABSTAINED for source in told.source])
        values = np.where(silent, np.nan, np.where(told.correct >= 0, told.correct, told.probability))
        metrics = evaluate_predictions(values, correct, group, expected=told.advantage).to_dict()
        return {
            "reward_accuracy": metrics["accuracy"],
            "group_auc": metrics["group_auc"],
            "advantage_cosine": metrics["advantage_cosine"],
        }


def _joined(rows: Sequence[Mapping[str, Any]], judged: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """One record a step; what was logged and what was found afterwards come in the same order."""
    joined = []
    for row, found in zip(rows, judged, strict=True):
        own = {name: row[f"memreward/{name}"] for name in _LOGGED if f"memreward/{name}" in row}
        own |= {f"live_{name}": row[f"memreward/live/{name}"] for name in _LIVE if f"memreward/live/{name}" in row}
        figures = {name: None if np.isnan(value) else round(float(value), 5) for name, value in found.items()}
        joined.append({"step": row["step"], "reward": mean_reward(row), **figures, **own})
    return joined


def cell_key(cell: Training) -> str:
    """Name a training by what it heeds: the settings, those of the arm, and what the starting point holds.

    Code is not among it, since a training takes long: whoever changes what an arm does begins a new output folder.
    """
    settings = {field.name: getattr(cell, field.name) for field in fields(cell) if field.name != "start"}
    decides = {**settings, "grpo": asdict(cell.grpo), "sampling": asdict(cell.sampling), **_of_arm(cell)}
    return part_key({**decides, "start": Start(cell.start).fingerprint()})


def _of_arm(cell: Training) -> dict[str, Any]:
    """What the arm is, and those settings that it heeds; others do not decide its outcome."""
    if cell.arm == START:
        return {"arm": "", "prior": "", "encoder": ""}
    arm = ARMS[cell.arm]
    encoded = cell.encoder if arm.valuer == "paper" and not arm.encoder else ""
    prior = RewardPrior.load(cell.prior).digest() if arm.valuer == "answers" or cell.choose != "random" else ""
    return {"arm": {**asdict(arm), "says": ""}, "prior": prior, "encoder": encoded}
