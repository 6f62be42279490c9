"""A benchmark: one fixed protocol over all sources at hand, and one leaderboard. A submission is a file with one class.

Under one version the protocol never changes. What is compared stands on the same sources: their hash is in the result.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from memreward.evaluation.protocol import EvaluationConfig
from memreward.evaluation.results import HEADINGS, EvaluationResult, Row
from memreward.evaluation.summary import short_budget
from memreward.evaluation.tables import ABSENT, Table
from memreward.memory import measured
from memreward.types import ConfigurationError, Group

VERSION = "memreward-suite-1"
CONFIG = EvaluationConfig(labels=("0", "5", "20", "50"), seeds=3)
FEWEST = 100
"""Judged questions that a source needs: fifty may be labelled, and as many must be left to measure."""
ROWS = ("memreward", "majority", "majority_hard", "label_model", "confidence", "entropy")
"""Who always takes part; the paper's network and learned baselines do where they are named."""
METRICS = ("advantage_cosine", "group_auc")
"""What the leaderboard shows; the first one ranks, in the mean of budgets and files."""
_SIGNS = {1: "+", 0: "", -1: "-"}


def suited(files: Mapping[str, Sequence[Group]]) -> tuple[dict[str, Sequence[Group]], list[str]]:
    """Return the sources with enough judged questions, by name in order, and the names of the others."""
    kept = {name: files[name] for name in sorted(files) if _judged(files[name]) >= FEWEST}
    if not kept:
        raise ConfigurationError(
            f"the suite needs sources with at least {FEWEST} judged questions, and none of {', '.join(files)} has: "
            "give more, or leave --suite away"
        )
    return kept, sorted(set(files) - set(kept))


def submitted(result: EvaluationResult, files: Mapping[str, Sequence[Group]]) -> EvaluationResult:
    """Return the result with the protocol's version and a hash of the sources it stands on."""
    digest = hashlib.sha256()
    for name, groups in files.items():
        digest.update(name.encode("utf-8", "surrogatepass"))
        for group in groups:
            texts = "\0".join((group.query.id, *(rollout.text for rollout in group.rollouts)))
            digest.update(texts.encode("utf-8", "surrogatepass"))
        digest.update(repr(sorted(measured(groups).items())).encode())
    return replace(result, config={**result.config, "suite": VERSION, "sources": digest.hexdigest()[:16]})


def leaderboard(result: EvaluationResult) -> tuple[list[str], list[Table]]:
    """Return what the board stands on, and the board, and one a domain where there are several; the first row leads."""
    about = [
        f"{result.config['suite']}, sources {result.config['sources']}: {len(result.files)} files, "
        f"{sum(facts['queries'] for facts in result.files.values())} questions, labelled 0 to 50 of each file;",
        f"+ ahead of {result.reference}, - behind: the paired 95 % interval leaves out 0",
    ]
    return about, [_board(result, name) for name in result.means or result.files]


def _board(result: EvaluationResult, mean: str) -> Table:
    rows = {(row.predictor, row.labels): row for row in result.rows if row.file == mean}
    ranked = sorted(result.predictors, key=lambda name: -_rank(rows, name, result.budgets))
    headings = [HEADINGS[metric] for metric in METRICS]
    columns = [f"{name.split()[-1][:3]} {short_budget(labels)}" for name in headings for labels in result.budgets]
    lines = [
        (str(place), name, *(_cell(rows[name, labels], metric) for metric in METRICS for labels in result.budgets))
        for place, name in enumerate(ranked, start=1)
    ]
    title = f"{mean}: {' and '.join(headings)}, by labelled questions"
    return Table(title, ("", "predictor", *columns), tuple(lines), texts=frozenset({1}))


def _rank(rows: Mapping[tuple[str, float], Row], name: str, budgets: Sequence[float]) -> float:
    """Mean over the budgets; a predictor that could not be fitted at one counts as knowing nothing there."""
    values = [rows[name, labels].figures[METRICS[0]].value for labels in budgets]
    return sum(0.0 if math.isnan(value) else value for value in values) / len(values)


def _cell(row: Row, metric: str) -> str:
    value = row.figures[metric].value
    if math.isnan(value) or not row.figures["coverage"].value:
        return ABSENT
    text = f"{value:.3f}".replace("0.", ".", 1)
    return text + _SIGNS[max((row.stands(metric, reference) for reference in row.differences), default=0)]


def _judged(groups: Sequence[Group]) -> int:
    verdicts = measured(groups)
    return sum(any(rollout.id in verdicts for rollout in group.rollouts) for group in groups)
