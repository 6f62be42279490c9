"""Tell, by kind of question, where the testbed's policies end, and which kinds had a label.

    python -m lab.kinds examples/testbed runs/training --markdown benchmarks/results/training/kinds.md

reads what `make training` trained (nothing is trained here), for labels drawn and labels chosen. A kind whose majority
is wrong and that has no label is where a predictor can know nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from lab.look_at_testbed import vote
from lab.testbed.start import EXPERIENCE, TEST, Start
from lab.trainings.config import ExperimentConfig
from lab.trainings.experiment import run
from lab.trainings.outcome import TEST as TESTED
from lab.trainings.outcome import Outcome
from memreward.evaluation.tables import Table
from memreward.features.choosing import ChoiceRule, label_order
from memreward.memory import Budget
from memreward.memory.ledger import LabelLedger
from memreward.network.encoder import load_encoder
from memreward.types import Group

ARMS = ("labelled", "no-prior", "memreward", "oracle")
BY_SEED = ("no-prior", "memreward")
SETTINGS: tuple[tuple[ChoiceRule, float], ...] = (("spread", 0.2), ("random", 0.2), ("spread", 0.1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("start", type=Path, help="folder of the starting point")
    parser.add_argument("trainings", type=Path, help="--out of the experiments")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--markdown", type=Path, help="also write the tables to this file")
    options = parser.parse_args()
    start = Start(options.start)
    tables = [table(start, options.trainings, options.seeds, *setting).markdown() for setting in SETTINGS]
    command = f"    python -m lab.kinds {options.start} {options.trainings}"
    text = "\n\n".join(["# By kind of question", command, *map(str.strip, tables), NOTE]) + "\n"
    print(text)
    if options.markdown is not None:
        options.markdown.write_text(text, encoding="utf-8")


NOTE = (
    "Wrong majority: share of the kind's training questions whose most frequent answer is wrong before training. "
    "Labelled: questions of the kind with a label, mean of the seeds, and seeds in which there was none. Then accuracy "
    "on held-out questions of the kind, mean of the seeds; for two arms by seed too, those without a label in brackets."
)


@dataclass(frozen=True)
class Labels:
    """Of one kind: labelled questions by seed."""

    by_seed: tuple[int, ...]

    def __str__(self) -> str:
        return f"{np.mean(self.by_seed):.1f} ({self.by_seed.count(0)})"


def table(start: Start, trainings: Path, seeds: int, choose: ChoiceRule, share: float) -> Table:
    config = ExperimentConfig(arms=ARMS, labels=(share,), choose=choose, seeds=seeds)
    outcomes = run(config, trainings, only_taken_over, start=start.folder)
    experience = start.groups(EXPERIENCE)
    kinds = {group.query.id: kind_of(group) for group in start.groups(TEST)}
    wrong = by_kind(
        experience, {g.query.id: float(vote(g, [c is True for c in g.truth.correct])[1]) for g in experience}
    )
    labels = labelled(experience, config, share)
    lines = []
    for kind in dict.fromkeys(kinds.values()):
        of = {arm: list(accuracies(outcomes, arm, kinds, kind)) for arm in ("start", *ARMS)}
        seeds_of = (seed_by_seed(of[arm], labels[kind]) for arm in BY_SEED)
        means = (f"{np.mean(of[arm]):.2f}" for arm in ("start", *ARMS))
        lines.append((kind, f"{wrong[kind]:.2f}", str(labels[kind]), *means, *seeds_of))
    how = {"random": "drawn at random", "spread": "chosen by `spread`", "contested": "chosen by `contested`"}[choose]
    columns = ("kind", "wrong majority", "labelled", "start", *ARMS, *(f"{arm} by seed" for arm in BY_SEED))
    return Table(f"{share:.0%} labelled, {how}", columns, tuple(lines))


def seed_by_seed(values: Sequence[float], labels: Labels) -> str:
    shown = (f"{value:.2f}" for value in values)
    return " ".join(text if count else f"({text})" for text, count in zip(shown, labels.by_seed, strict=True))


def only_taken_over(stage: str, done: int, of: int) -> None:
    if stage == "training" and done < of:
        raise SystemExit(f"{of - done} of {of} trainings are missing: run `make training` first")


def kind_of(group: Group) -> str:
    return str(group.provenance["kind"])


def by_kind(groups: Sequence[Group], figures: Mapping[str, float]) -> dict[str, float]:
    members: dict[str, list[float]] = {}
    for group in groups:
        members.setdefault(kind_of(group), []).append(figures[group.query.id])
    return {kind: float(np.mean(values)) for kind, values in members.items()}


def labelled(groups: Sequence[Group], config: ExperimentConfig, share: float) -> dict[str, Labels]:
    """By kind, as the trainings chose them."""
    ledger, budget = LabelLedger.detached(groups), Budget(queries=share)
    reach = budget.limits(len(groups), 0)[0]
    encoder = partial(load_encoder, config.encoder)
    found: dict[str, list[int]] = {kind_of(group): [0] * config.seeds for group in groups}
    kinds = {group.query.id: kind_of(group) for group in groups}
    for seed in range(config.seeds):
        order = label_order(config.choose, groups, encoder, seed, reach)
        for query_id in ledger.choose(budget, seed, by="references", order=order):
            found[kinds[query_id]][seed] += 1
    return {kind: Labels(tuple(counts)) for kind, counts in found.items()}


def accuracies(outcomes: Sequence[Outcome], arm: str, kinds: Mapping[str, str], kind: str) -> Iterator[float]:
    """One a seed."""
    for outcome in outcomes:
        if outcome.arm == arm:
            yield float(np.mean([value for query, value in outcome.accuracy[TESTED].items() if kinds[query] == kind]))


if __name__ == "__main__":
    main()
