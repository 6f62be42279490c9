"""Which shaping of predicted values gives advantages nearest to the true ones.

    python benchmarks/shaping.py FILE... [--queries 300] [--seeds 3] [--out benchmarks/results/shaping.md]

A fifth of the queries is labelled, the rest predicted; rewards are shaped, and standardised in their groups as TRL does
(standard deviation + 1e-4). The figure is the cosine with the true standardised advantages over all predicted ones.
To be quick it scores with the predictor's linear part on evidence, and hashed texts.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np

from memreward import Budget, ExperienceMemory, PredictorConfig, RewardPredictor, read_groups
from memreward.features.encoder import HashingEncoder
from memreward.reward.growth import FollowingPredictor, GrowthConfig
from memreward.reward.shaping import ShapingConfig, shape, threshold_for

CONFIG = PredictorConfig(network="none")
RULES = {
    "soft, no gate": ShapingConfig(gate=0.0),
    "soft, gate .05": ShapingConfig(gate=0.05),
    "soft, gate .1": ShapingConfig(gate=0.1),
    "soft, gate .15": ShapingConfig(gate=0.15),
    "soft, gate .2": ShapingConfig(gate=0.2),
    "soft, gate .3": ShapingConfig(gate=0.3),
    "threshold, fitted, no gate": ShapingConfig(rule="threshold", gate=0.0),
    "threshold, fitted, gate .1": ShapingConfig(rule="threshold", gate=0.1),
    "threshold .5 (paper)": ShapingConfig.paper(),
    "precision (F .5), no gate": ShapingConfig(rule="precision", gate=0.0),
    "precision (F .25), no gate": ShapingConfig(rule="precision", beta=0.25, gate=0.0),
}


def standardised(rewards: np.ndarray, group: np.ndarray) -> np.ndarray:
    count = np.bincount(group)
    centred = rewards - (np.bincount(group, rewards) / count)[group]
    spread = np.sqrt(np.bincount(group, centred**2) / np.maximum(count - 1, 1))
    return centred / (spread[group] + 1e-4)


def measure(path: Path, queries: int, seed: int) -> dict[str, float]:
    memory = ExperienceMemory.in_memory()
    everything = [group for group in read_groups(path) if len(group.rollouts) > 1 and None not in group.truth.correct]
    groups = random.Random(seed).sample(everything, min(queries, len(everything)))
    memory.add(groups)
    predictor = RewardPredictor.warmup(
        memory, budget=Budget(queries=0.2), seed=seed, config=CONFIG, encoder=HashingEncoder()
    )
    used = {label.query_id for label in memory.ledger.labels()}
    rest = [group for group in groups if group.query.id not in used]
    values = np.array([s.value for s in predictor.score([r for g in rest for r in g.rollouts])], float)
    correct = np.array([c for g in rest for c in g.truth.correct], float)
    index = np.repeat(np.arange(len(rest)), [len(g.rollouts) for g in rest])
    blind = FollowingPredictor.following(predictor, GrowthConfig()).blind_rows()
    true = standardised(correct, index)
    found = {}
    for name, config in RULES.items():
        threshold = threshold_for(config, [b.value for b in blind], [b.correct for b in blind], predictor.threshold)
        guessed = standardised(shape(values, index, config, threshold), index)
        found[name] = float(true @ guessed / (np.linalg.norm(true) * np.linalg.norm(guessed) + 1e-12))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/shaping.md"))
    options = parser.parse_args()
    columns = {}
    for path in options.files:
        runs = [measure(path, options.queries, seed) for seed in range(options.seeds)]
        columns[path.name.split(".jsonl")[0]] = {name: [run[name] for run in runs] for name in RULES}
        print(
            path.name, {name: round(float(np.mean(v)), 3) for name, v in columns[path.name.split(".jsonl")[0]].items()}
        )
    lines = [
        "# Shaping of predicted rewards",
        "",
        "Cosine of predicted and true advantages, both standardised in the group as TRL does; 20 % of the queries",
        f"labelled, the rest predicted, {options.queries} queries, mean over {options.seeds} seeds (least, greatest).",
        "Scored with the predictor's linear part on evidence and hashed texts.",
        "",
        f"    python benchmarks/shaping.py FILE... --queries {options.queries} --seeds {options.seeds}",
        "",
        f"| shaping | {' | '.join(columns)} | mean |",
        f"|---|{'---|' * (len(columns) + 1)}",
    ]
    for name in RULES:
        cells = [f"{np.mean(v[name]):.3f} ({min(v[name]):.3f}, {max(v[name]):.3f})" for v in columns.values()]
        mean = np.mean([np.mean(v[name]) for v in columns.values()])
        lines.append(f"| {name} | {' | '.join(cells)} | {mean:.3f} |")
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
