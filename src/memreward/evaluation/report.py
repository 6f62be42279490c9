"""An evaluation as one HTML page that needs nothing else."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from memreward.evaluation.page import html_folded, html_page, html_part, html_table
from memreward.evaluation.panels import answer, forest, panels
from memreward.evaluation.results import EvaluationResult

MOST_DRAWN = 7
"""Predictors that curves show at most: as many colours as are told apart with every common colour blindness."""


def write_page(result: EvaluationResult, path: str | Path, *, title: str = "Predicted rewards") -> None:
    """Write one HTML page with every table and picture in it, light or dark as the reader's system is."""
    shown = drawn_predictors(result)
    drawn = {name: panels(result, name, shown) for name in result.files}
    page = html_page(
        title,
        answer(result),
        {"The answer": forest(result)}
        | {name: html_part("file", result, name, result.files.get(name), drawn.get(name)) for name in result.parts()},
        _facts(result),
        contents="Files",
        details=html_folded("Label ledger", html_table(result.ledger_table())),
    )
    Path(path).write_text(page, encoding="utf-8")


def drawn_predictors(result: EvaluationResult) -> list[str]:
    """Choose what the curves show, in the result's order: the references, and the best, seven at most."""
    best: dict[str, list[float]] = {}
    for row in result.rows:
        value = row.figures["group_auc"].value
        best.setdefault(row.predictor, []).append(-1.0 if math.isnan(value) else value)
    references = [name for name in best if any(name in row.differences for row in result.rows)]
    ranked = sorted(best, key=lambda name: -float(np.mean(best[name])))
    chosen = [*references, *(name for name in ranked if name not in references)][:MOST_DRAWN]
    return [name for name in best if name in chosen]


def _facts(result: EvaluationResult) -> dict[str, Any]:
    versions = {f"version of {name}": version for name, version in result.versions.items()}
    failures = result.failures()
    return {**result.config, **versions, **({"failed": "; ".join(failures)} if failures else {})}
