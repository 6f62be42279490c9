"""An evaluation as one HTML page that needs nothing else."""

from pathlib import Path

import numpy as np

from memreward.evaluation.page import html_page, html_part, html_table
from memreward.evaluation.panels import answer, forest, panels
from memreward.evaluation.results import EvaluationResult

MOST_DRAWN = 7
"""Predictors that curves show at most: as many colours as are told apart with every common colour blindness."""


def write_page(result: EvaluationResult, path: str | Path, *, title: str = "Predicted rewards") -> None:
    """Write one HTML page with every table and picture in it, light or dark as the reader's system is."""
    shown, failures = drawn_predictors(result), result.failures()
    versions = {f"version of {name}": version for name, version in result.versions.items()}
    drawn = {name: panels(result, name, shown) for name in result.files}
    page = html_page(
        title,
        answer(result),
        {"The answer": forest(result)}
        | {name: html_part("file", result, name, result.files.get(name), drawn.get(name)) for name in result.parts()},
        {**result.config, **versions, **({"failed": "; ".join(failures)} if failures else {})},
        contents="Files",
        details=html_part("folded", "Label ledger", html_table(result.ledger_table())),
    )
    Path(path).write_text(page, encoding="utf-8")


def drawn_predictors(result: EvaluationResult) -> list[str]:
    """Choose what the curves show, in the result's order: the reference, and the best, seven at most."""

    def rank(name: str) -> tuple[bool, float]:
        values = [row.figures["group_auc"].value for row in result.rows if row.predictor == name]
        return name != result.reference, -float(np.mean(np.nan_to_num(values, nan=-1.0)))

    chosen = sorted(result.predictors, key=rank)[:MOST_DRAWN]
    return [name for name in result.predictors if name in chosen]
