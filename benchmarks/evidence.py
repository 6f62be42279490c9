"""What each signal of the evidence knows on its own, and what it costs.

    python benchmarks/evidence.py FOLDER [--files NAME ...] [--limit 400] [--execute] [--json OUT]

prints one row per signal: for each rollout file of the folder the group AUC and the AUC over all rollouts of the bare
signal (below one half: it speaks against a rollout; "-": defined nowhere), then what logistic regressions on all
signals and on the agreement share alone reach with 20 % of the queries for training, and the seconds that 1,024
rollouts cost the first time and with warm caches. With
--execute code is run in the sandbox; the runs are kept in the cache folder and are not in the seconds.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from memreward.data import read_groups
from memreward.evaluation.metrics import group_auc, roc_auc
from memreward.features.behaviour import NAMESPACE, Behaviour, CodeRunner
from memreward.features.cache import VectorStore
from memreward.features.evidence import Evidence, compute_evidence
from memreward.memory import measured
from memreward.types import Rollout

SEEDS = 5
TRAINED_SHARE = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of rollout files")
    parser.add_argument("--files", nargs="*", help="only files whose name starts so")
    parser.add_argument("--limit", type=int, help="first questions of each file only")
    parser.add_argument("--execute", action="store_true", help="run code, and measure the signals of running too")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    paths = sorted(p for p in options.folder.iterdir() if p.name.endswith((".jsonl", ".jsonl.gz", ".parquet")))
    if options.files:
        paths = [p for p in paths if p.name.startswith(tuple(options.files))]
    reports = {
        path.name.partition(".jsonl")[0]: measure(path, options.limit, execute=options.execute) for path in paths
    }
    print_table(reports)
    if options.json:
        options.json.write_text(json.dumps(reports, indent=1) + "\n")


def measure(path: Path, limit: int | None, *, execute: bool) -> dict[str, Any]:
    """Evidence of one file against its labels."""
    groups = list(islice(read_groups(path, drop_copies=True), limit))
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    right = measured(groups)
    known = np.array([rollout.id in right for rollout in rollouts])
    correct = np.array([right.get(rollout.id, False) for rollout in rollouts])
    behaviours = CodeRunner(store=VectorStore(NAMESPACE)).observe(rollouts) if execute else None
    first, evidence = timed(rollouts, behaviours)
    again, _ = timed(rollouts, behaviours)
    values = evidence.values.astype(np.float64)
    signals = {
        name: alone(column[known], correct[known], evidence.group[known])
        for name, column in zip(evidence.names, values.T, strict=True)
    }
    share = evidence.names.index("agreement_share")
    return {
        "rollouts": len(rollouts),
        "seconds_per_1024": {"first": first * 1024 / len(rollouts), "cached": again * 1024 / len(rollouts)},
        "signals": signals,
        "all": trained(evidence, values, known, correct),
        "agreement": trained(evidence, values[:, [share]], known, correct),
    }


def timed(rollouts: list[Rollout], behaviours: list[Behaviour | None] | None) -> tuple[float, Evidence]:
    start = time.process_time()
    evidence = compute_evidence(rollouts, behaviours=behaviours)
    return time.process_time() - start, evidence


def alone(column: np.ndarray, correct: np.ndarray, group: np.ndarray) -> dict[str, float] | None:
    """AUCs of a bare signal, an undefined value counting as the mean of the defined ones."""
    if not np.isfinite(column).any():
        return None
    filled = np.where(np.isfinite(column), column, np.nanmean(column))
    return {"group_auc": float(group_auc(filled, correct, group)), "auc": float(roc_auc(filled, correct))}


def trained(evidence: Evidence, values: np.ndarray, known: np.ndarray, correct: np.ndarray) -> dict[str, float]:
    """Mean over seeds of what a logistic regression reaches on the queries it has not seen."""
    from sklearn.linear_model import LogisticRegression

    scores = []
    for seed in range(SEEDS):
        order = np.random.default_rng(seed).permutation(len(evidence.query_ids))
        training = np.isin(evidence.group, order[: int(TRAINED_SHARE * len(order))])
        scaled = standardised(values, training)
        model = LogisticRegression(C=0.3, max_iter=1000).fit(scaled[training & known], correct[training & known])
        held_out = ~training & known
        predicted = scaled[held_out] @ model.coef_[0]
        scores.append(alone(predicted, correct[held_out], evidence.group[held_out]))
    return {key: float(np.mean([score[key] for score in scores if score])) for key in ("group_auc", "auc")}


def standardised(values: np.ndarray, training: np.ndarray) -> np.ndarray:
    defined = values[:, np.isfinite(values[training]).any(0)]
    mean, deviation = np.nanmean(defined[training], 0), np.nanstd(defined[training], 0)
    return np.nan_to_num((defined - mean) / np.where(deviation > 0, deviation, 1.0))


def print_table(reports: dict[str, dict[str, Any]]) -> None:
    files = list(reports)
    names = list(next(iter(reports.values()))["signals"])
    print("| signal | " + " | ".join(files) + " |")
    print("|---|" + "---|" * len(files))
    for name in names:
        print(f"| `{name}` | " + " | ".join(cell(reports[f]["signals"][name]) for f in files) + " |")
    for row in ("agreement", "all"):
        print(f"| trained: {row} | " + " | ".join(cell(reports[f][row]) for f in files) + " |")
    for kind in ("first", "cached"):
        seconds = (f"{reports[f]['seconds_per_1024'][kind]:.2f} s" for f in files)
        print(f"| 1,024 rollouts, {kind} | " + " | ".join(seconds) + " |")


def cell(figures: dict[str, float] | None) -> str:
    return "-" if figures is None else f"{figures['group_auc']:.3f} / {figures['auc']:.3f}"


if __name__ == "__main__":
    main()
