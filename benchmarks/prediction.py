"""The summary of an evaluation: differences from majority vote by domain and by file, and where we lose.

python benchmarks/prediction.py runs/prediction/all/evaluation.json > benchmarks/results/prediction/summary.md
python benchmarks/prediction.py runs/prediction/own/evaluation.json --own > benchmarks/results/prediction/own.md
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from memreward.evaluation.results import MEAN, EvaluationResult
from memreward.evaluation.tables import Figure, Table, share_text, signed

OURS, VOTE = "memreward", "majority"
SHOWN = {
    "group_auc": "group AUC",
    "advantage_cosine": "advantage cosine",
    "auc": "AUC",
    "accuracy": "accuracy",
    "ece": "ECE (less is better)",
}
SMALLER = {"ece"}
TITLES = {f"{MEAN} of math": "mathematics", f"{MEAN} of qa": "choice", f"{MEAN} of code": "code"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path)
    parser.add_argument("--own", action="store_true", help="one table, of files of our own sampling")
    options = parser.parse_args()
    result = EvaluationResult.load(options.result)
    if options.own:
        print("# Files of our own sampling\n")
        print("    python benchmarks/prediction.py runs/prediction/own/evaluation.json --own\n")
        print("printed this page of what `make prediction` evaluates: 8 rollouts of one policy a question.\n")
        print(own_table(result).markdown())
        return
    means = [name for name in result.means if name != MEAN]
    budgets = list(dict.fromkeys(row.labels for row in result.rows))
    print("# Predicted rewards against majority vote\n")
    print("    python benchmarks/prediction.py runs/prediction/all/evaluation.json\n")
    print("printed this page of the result of `make prediction`; [all.md](all.md) has every predictor on every file.\n")
    for name in means:
        print(domain_table(result, name, budgets).markdown())
    for name in means:
        print(predictor_table(result, name, budgets).markdown())
    for metric, heading in SHOWN.items():
        print(file_table(result, budgets, metric, heading).markdown())
    print(losses(result, budgets))


def _title(mean: str) -> str:
    return TITLES.get(mean, mean)


def predictor_table(result: EvaluationResult, name: str, budgets: list[float]) -> Table:
    """Group AUC and advantage cosine of every predictor in the mean of a domain; without labels some have nothing."""
    rows = {(row.predictor, row.labels): row.figures for row in result.rows if row.file == name}
    lines = []
    for predictor in dict.fromkeys(row.predictor for row in result.rows):
        found = ([rows[predictor, budget][m].value for m in ("group_auc", "advantage_cosine")] for budget in budgets)
        cells = ("–" if math.isnan(auc) else f"{auc:.3f} / {cosine:.3f}" for auc, cosine in found)
        lines.append((predictor, *cells))
    return Table(
        f"Every predictor, {_title(name)}: group AUC / advantage cosine",
        ("predictor", *map(share_text, budgets)),
        lines,
    )


def domain_table(result: EvaluationResult, name: str, budgets: list[float]) -> Table:
    """Absolute figures of the vote and of ours, with the paired difference, in the mean of a domain."""
    lines = []
    for budget in budgets:
        ours, vote = (result.row(name, predictor, labels=budget) for predictor in (OURS, VOTE))
        cells = [
            f"{vote.figures[m].value:.3f} → {ours.figures[m].value:.3f}, {signed(ours.differences[VOTE][m])}"
            for m in SHOWN
        ]
        lines.append((share_text(budget), *cells))
    return Table(
        f"Mean of {_title(name)}: majority vote → ours, difference",
        ("labelled", *SHOWN.values()),
        tuple(lines),
    )


def file_table(result: EvaluationResult, budgets: list[float], metric: str, heading: str) -> Table:
    """Paired differences on every file."""
    lines = tuple(
        (file, *(signed(result.row(file, OURS, labels=budget).differences[VOTE][metric]) for budget in budgets))
        for file in result.files
    )
    return Table(f"{heading}: difference from majority vote", ("file", *map(share_text, budgets)), lines)


def own_table(result: EvaluationResult) -> Table:
    """Figures of the vote and of ours on every file, with their paired differences."""
    shown, lines = ("group_auc", "advantage_cosine", "accuracy"), []
    for file in result.files:
        for budget in dict.fromkeys(row.labels for row in result.rows if row.file == file):
            vote, ours = (result.row(file, predictor, labels=budget) for predictor in (VOTE, OURS))
            figures = (", ".join(f"{row.figures[m].value:.3f}" for m in shown) for row in (vote, ours))
            lines.append((file, share_text(budget), *figures, *(signed(ours.differences[VOTE][m]) for m in shown[:2])))
    heads = ("majority: group AUC, advantage, accuracy", "ours", "difference in group AUC", "in advantage cosine")
    return Table("Majority vote and ours", ("file", "labelled", *heads), tuple(lines))


def losses(result: EvaluationResult, budgets: list[float]) -> str:
    """Where ours is surely behind majority vote: the whole interval on the wrong side of 0."""
    found = [
        f"- {file}, {share_text(budget)} labelled, {SHOWN[metric]}: {signed(figure)}"
        for file in result.files
        for budget in budgets
        for metric in SHOWN
        if behind(figure := result.row(file, OURS, labels=budget).differences[VOTE][metric], metric)
    ]
    listed = "\n".join(found) if found else "Nowhere."
    return f"### Where it is surely behind majority vote\n\n{listed}\n"


def behind(figure: Figure, metric: str) -> bool:
    return figure.low > 0 if metric in SMALLER else figure.high < 0


if __name__ == "__main__":
    main()
