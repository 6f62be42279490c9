"""What a language model that reads rollouts knows about their correctness.

    python benchmarks/reader.py MODEL FILE --questions 60 --seed 0 --max-tokens 1024 --minutes 45

reads a random sample of a file's questions, exact duplicates within a question dropped, and prints the AUC over all
rollouts and inside the groups of every signal alone, and of cross-validated logistic regressions (five folds by
question) with and without the reader. Readings are kept in the default cache (MEMREWARD_CACHE) under
`Reader(ReaderConfig(MODEL, max_tokens=...)).name`, so a second run, or an evaluation with this reader, reads only
what is new. After --minutes of processor time it stops between two questions and reports on those read; run it again
to go on.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from memreward.data import read_groups
from memreward.evaluation.metrics import group_auc, roc_auc
from memreward.features.evidence import compute_evidence
from memreward.network.encoder import HashingEncoder
from memreward.policy.reader import Reader, ReaderConfig, Reading
from memreward.types import FloatArray, Group, IntArray, Rollout

FOLDS = 5


def main() -> None:
    options = parse_options()
    torch.set_num_threads(options.threads)
    groups = list(read_groups(options.file))
    if options.questions:
        groups = random.Random(options.seed).sample(groups, min(options.questions, len(groups)))
    reader = Reader(ReaderConfig(options.model, max_tokens=options.max_tokens, layer=options.layer))
    rollouts, correct, reading = read(reader, groups, options.minutes)
    if len({rollout.query.id for rollout in rollouts}) < FOLDS:
        raise SystemExit(f"fewer than {FOLDS} questions are read: give it more --minutes")
    report = describe(rollouts, correct, reading)
    report |= {"file": Path(options.file).name, "reader": reader.name, "seed": options.seed}
    print_report(report)
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=1) + "\n")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder of a causal language model")
    parser.add_argument("file", help="rollouts, JSON Lines")
    parser.add_argument("--questions", type=int, default=60, help="sample of questions, 0 for all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layer", type=int, default=None)
    parser.add_argument("--max-tokens", type=int, default=1024, help="of a rollout, from its start")
    parser.add_argument("--minutes", type=float, default=45, help="of processor time, then stop reading")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", help="write the figures here too")
    return parser.parse_args()


def read(reader: Reader, groups: list[Group], minutes: float) -> tuple[list[Rollout], IntArray, Reading]:
    deadline, started = time.process_time() + 60 * minutes, time.monotonic()
    rollouts: list[Rollout] = []
    correct: list[int] = []
    for number, group in enumerate(groups, start=1):
        if time.process_time() > deadline:
            print(f"stopped after {minutes} minutes: {number - 1} of {len(groups)} questions are read", flush=True)
            break
        distinct = {r.text: (r, label) for r, label in zip(group.rollouts, group.truth.correct, strict=True)}
        reader.read([rollout for rollout, _ in distinct.values()])
        rollouts += [rollout for rollout, _ in distinct.values()]
        correct += [-1 if label is None else int(label) for _, label in distinct.values()]
        if number % 5 == 0 or number == len(groups):
            print(f"{number} questions, {len(rollouts)} rollouts, {time.monotonic() - started:.0f} s", flush=True)
    return rollouts, np.array(correct, dtype=np.int64), reader.read(rollouts)


def describe(rollouts: list[Rollout], correct: IntArray, reading: Reading) -> dict[str, object]:
    query_ids = list(dict.fromkeys(rollout.query.id for rollout in rollouts))
    group = np.array([query_ids.index(rollout.query.id) for rollout in rollouts])
    evidence = compute_evidence(rollouts, HashingEncoder().encode([rollout.thinking for rollout in rollouts]))
    agreement = evidence.values[:, [evidence.names.index("agreement_share")]]
    columns = dict(zip(reading.names, reading.values.T, strict=True))
    signals = {"agreement_share": agreement[:, 0], **columns, "coverage": reading.coverage}
    models = {
        "agreement": agreement,
        "reader log-probabilities": reading.values,
        "agreement + log-probabilities": np.c_[agreement, with_group_means(reading.values, group)],
        "evidence": with_group_means(evidence.values, group),
        "evidence + log-probabilities": with_group_means(np.c_[evidence.values, reading.values], group),
    }
    return {
        "questions": len(query_ids),
        "rollouts": len(rollouts),
        "positives": float((correct == 1).sum() / (correct >= 0).sum()),
        "groups_with_both_classes": int(sum(len(set(correct[group == q]) - {-1}) == 2 for q in range(len(query_ids)))),
        "read_whole": float((reading.coverage == 1).mean()),
        "answer_read": float(np.isfinite(reading.values[:, -1]).mean()),
        "single": {name: score(fill(values), correct, group) for name, values in signals.items()},
        "regression": {name: score(held_out(x, correct, group), correct, group) for name, x in models.items()},
    }


def with_group_means(values: FloatArray, group: IntArray) -> FloatArray:
    """Each signal itself, and against the mean of its question."""
    values = np.nan_to_num(values, nan=0.0)
    means = np.array([values[group == q].mean(0) for q in range(group.max() + 1)])
    return np.c_[values, values - means[group]]


def held_out(inputs: FloatArray, correct: IntArray, group: IntArray) -> FloatArray:
    """Log-odds of a logistic regression that saw no rollout of the same question."""
    undefined = np.isnan(inputs)
    inputs = np.c_[np.where(undefined, np.nanmean(inputs, axis=0), inputs), undefined[:, undefined.any(0)]]
    strength = 0.001 if inputs.shape[1] > 200 else 0.1
    predicted = np.zeros(len(inputs), dtype=np.float32)
    for train, test in GroupKFold(FOLDS).split(inputs, groups=group):
        known = train[correct[train] >= 0]
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))
        predicted[test] = model.fit(inputs[known], correct[known]).decision_function(inputs[test])
    return predicted


def fill(values: FloatArray) -> FloatArray:
    """Undefined counts as the worst: an answer that is not there, or comes late, is rarely right."""
    return np.where(np.isnan(values), np.nanmin(values) - 1, values)


def score(values: FloatArray, correct: IntArray, group: IntArray) -> dict[str, float]:
    return {"auc": roc_auc(values, correct), "group_auc": group_auc(values, correct, group)}


def print_report(report: dict[str, object]) -> None:
    for key, value in report.items():
        if not isinstance(value, dict):
            print(f"{key}: {value}")
            continue
        print(f"\n{key:<42} {'AUC':>6} {'group AUC':>10}")
        for name, figures in value.items():
            print(f"{name:<42} {figures['auc']:6.3f} {figures['group_auc']:10.3f}")
        print()


if __name__ == "__main__":
    main()
