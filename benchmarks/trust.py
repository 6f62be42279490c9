"""Predict the starting policy's rollouts on the testbed's unlabelled training questions, under several settings.

    python benchmarks/trust.py examples/testbed --markdown benchmarks/results/training/trust.md

reads ground truth of training questions that no ledger counts: it is how encoder, penalty and `PredictorConfig.trust`
of experiments were chosen, and says nothing of held-out questions. A few minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from memreward.experiments.tables import Table
from memreward.features.choosing import ChoiceRule, label_order
from memreward.features.encoder import load_encoder
from memreward.memory import Budget, ExperienceMemory
from memreward.predict import RewardPredictor
from memreward.predict.config import PredictorConfig
from memreward.predict.metrics import evaluate_predictions
from memreward.testbed.start import EXPERIENCE, Start
from memreward.types import Encoder, FloatArray, Group
from testbed import vote

LABELS: tuple[tuple[ChoiceRule, float], ...] = (("random", 0.2), ("spread", 0.2), ("spread", 0.1))
SETTINGS = (
    ("all-MiniLM-L6-v2", 30.0, 0.0),
    ("ngrams", 30.0, 0.0),
    ("ngrams", 3.0, 0.0),
    ("ngrams", 3.0, 1.0),
    ("ngrams", 3.0, 3.0),
    ("ngrams", 10.0, 3.0),
)
"""Encoder, l2, trust."""
CHOOSER = "ngrams"
SHOWN = ("auc", "group_auc", "advantage_cosine", "accuracy")
NOTE = (
    "All questions that are not labelled, and those of them whose most frequent answer is wrong; mean of five draws of "
    "labels. The learned network is left out: with so few labels it is never heard."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("start", type=Path, help="folder of the starting point")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--markdown", type=Path, help="also write the tables to this file")
    options = parser.parse_args()
    groups = Start(options.start).groups(EXPERIENCE)
    tables = [table(groups, choose, share, options.seeds).markdown().strip() for choose, share in LABELS]
    text = "\n\n".join(
        ["# Settings of the predictor", f"    python benchmarks/trust.py {options.start}", *tables, NOTE]
    )
    print(text)
    if options.markdown is not None:
        options.markdown.write_text(text + "\n", encoding="utf-8")


def table(groups: Sequence[Group], choose: ChoiceRule, share: float, seeds: int) -> Table:
    lines = []
    for encoder, l2, trust in SETTINGS:
        config = PredictorConfig(network="none", l2=(l2,), trust=trust)
        loaded = load_encoder(encoder)
        found = np.mean([list(figures(groups, choose, share, seed, config, loaded)) for seed in range(seeds)], axis=0)
        lines.append((encoder, f"{l2:g}", f"{trust:g}", *(f"{value:.3f}" for value in found)))
    named = [name.replace("_", " ") for name in SHOWN]
    columns = ("encoder", "l2", "trust", *named, *(f"{name}, wrong majority" for name in named[1:3]))
    return Table(f"{share:.0%} labelled, {choose}", columns, tuple(lines))


def figures(
    groups: Sequence[Group], choose: ChoiceRule, share: float, seed: int, config: PredictorConfig, encoder: Encoder
) -> Iterator[float]:
    memory, budget = ExperienceMemory.in_memory(), Budget.of(share)
    memory.add(groups)
    reach = budget.limits(len(groups), 0)[0]
    order = label_order(choose, groups, partial(load_encoder, CHOOSER), seed, reach)
    drawn = memory.ledger.choose(budget, seed, by="references", order=order)
    predictor = RewardPredictor.warmup(memory, budget=budget, seed=seed, config=config, encoder=encoder, queries=drawn)
    others = [group for group in groups if group.query.id not in set(drawn)]
    rollouts = [rollout for group in others for rollout in group.rollouts]
    values = predictor.model.predict(predictor.features(rollouts)).value
    whole = measured(others, values)
    yield from (whole[name] for name in SHOWN)
    misled = np.array([vote(group, [c is True for c in group.truth.correct])[1] for group in others])
    inside = np.repeat(misled, [len(group.rollouts) for group in others])
    part = measured([group for group, wrong in zip(others, misled, strict=True) if wrong], values[inside])
    yield from (part[name] for name in SHOWN[1:3])


def measured(groups: Sequence[Group], values: FloatArray) -> dict[str, float]:
    correct = np.array([c is True for group in groups for c in group.truth.correct], np.int8)
    return evaluate_predictions(
        values, correct, np.repeat(range(len(groups)), [len(g.rollouts) for g in groups])
    ).to_dict()


if __name__ == "__main__":
    main()
