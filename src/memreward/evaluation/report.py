"""An evaluation as a picture and as one HTML page that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from memreward.evaluation.page import Draw, Theme, html_folded, html_page, html_table, picture
from memreward.evaluation.panels import answer, forest, panels
from memreward.evaluation.results import EvaluationResult, Row
from memreward.evaluation.tables import share_text
from memreward.types import DataError

# Okabe and Ito's colours, told apart with every common colour blindness; black or white stands for the first one.
COLOURS = ("", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
STYLES: tuple[Any, ...] = ("-", "-", "-", "-", (0, (5, 1.5)), (0, (5, 1.5)), (0, (5, 1.5)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SHARE = 0.2


def write_picture(result: EvaluationResult, path: str | Path) -> None:
    """Write a PNG with one line of panels a file: calibration, and group AUC by predictor or label share.

    Raises:
        MissingExtraError: without matplotlib.
        DataError: if the result has no rows.
    """
    Path(path).write_bytes(picture(*_drawing(result, _files(result), titles=True)))


def write_page(result: EvaluationResult, path: str | Path, *, title: str = "Predicted rewards") -> None:
    """Write one HTML page with every table and picture in it, light or dark as the reader's system is.

    Raises:
        DataError: if the result has no rows.
    """
    page = html_page(
        title,
        f"{answer(result)} {_summary(result)}",
        {"The answer": forest(result)}
        | {name: _section(result, name) for name in dict.fromkeys(row.file for row in result.rows)},
        _facts(result),
        contents="Files",
        details=html_folded("Label ledger", html_table(result.ledger_table())),
    )
    Path(path).write_text(page, encoding="utf-8")


def drawn_predictors(result: EvaluationResult) -> list[str]:
    """Choose the predictors that the curves show: the references, and the best by mean group AUC, seven at most.

    The order is that of the result, so a predictor keeps its colour in every panel.
    """
    best: dict[str, list[float]] = {}
    for row in result.rows:
        value = row.figures["group_auc"].value
        best.setdefault(row.predictor, []).append(-1.0 if math.isnan(value) else value)
    references = [name for name in best if any(name in row.differences for row in result.rows)]
    ranked = sorted(best, key=lambda name: -float(np.mean(best[name])))
    chosen = [*references, *(name for name in ranked if name not in references)][: len(COLOURS)]
    return [name for name in best if name in chosen]


def _drawing(result: EvaluationResult, files: Sequence[str], *, titles: bool) -> tuple[Draw, tuple[float, float]]:
    """How to draw the panels of some files, and their size."""
    shown = drawn_predictors(result)

    def draw(figure: Any, theme: Theme) -> None:
        panels = figure.subplots(len(files), 2, squeeze=False, width_ratios=(1, 1.25))
        for axes, file in zip(panels, files, strict=True):
            rows = [row for row in result.rows if row.file == file]
            rows = [row for row in rows if row.pool == rows[0].pool]
            _draw_calibration(axes[0], _at_share(rows), shown, theme)
            if len({row.labels for row in rows}) > 1:
                _draw_label_curve(axes[1], rows, shown, theme)
            else:
                _draw_intervals(axes[1], rows, shown, theme)
            if titles:
                axes[0].set_title(file, loc="left", fontweight="bold", pad=10)
        handles = panels[0][0].get_lines()[1:]
        figure.legend(handles=handles, labels=shown, loc="outside upper left", ncols=len(shown), frameon=False)

    return draw, (13.5, 4.1 * len(files) + 0.7)


def _look(shown: Sequence[str], name: str, theme: Theme) -> dict[str, Any]:
    place = shown.index(name)
    return {"color": COLOURS[place] or theme.ink, "linestyle": STYLES[place], "linewidth": 1.8}


def _draw_calibration(axes: Any, rows: Sequence[Row], shown: Sequence[str], theme: Theme) -> None:
    axes.plot([0, 1], [0, 1], color=theme.faint, linewidth=0.8)
    for row in _in_order(rows, shown):
        curve = {name: np.array(values) for name, values in row.reliability.items()}
        # A bin with a hundredth of the rollouts or less says nothing and only makes the curve jump.
        kept = curve["count"] > 0.01 * curve["count"].sum()
        look = _look(shown, row.predictor, theme)
        marker = MARKERS[shown.index(row.predictor)]
        axes.plot(curve["predicted"][kept], curve["observed"][kept], marker=marker, markersize=4, **look)
    axes.set(xlabel="predicted probability", ylabel="share right", xlim=(0, 1), ylim=(0, 1.01), aspect="equal")


def _draw_intervals(axes: Any, rows: Sequence[Row], shown: Sequence[str], theme: Theme) -> None:
    ranked = sorted(
        (row for row in rows if not math.isnan(row.figures["group_auc"].value)),
        key=lambda row: row.figures["group_auc"].value,
    )
    for height, row in enumerate(ranked):
        figure, drawn = row.figures["group_auc"], row.predictor in shown
        colour = _look(shown, row.predictor, theme)["color"] if drawn else theme.faint
        axes.plot([figure.low, figure.high], [height, height], color=colour, linewidth=2.2, solid_capstyle="butt")
        marker = MARKERS[shown.index(row.predictor)] if drawn else "o"
        axes.plot(figure.value, height, marker=marker, color=colour, markersize=6)
        axes.annotate(f"{figure.value:.3f}", (figure.high, height), (6, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(ranked)), [row.predictor for row in ranked])
    axes.axvline(0.5, color=theme.faint, linewidth=0.8)
    axes.margins(x=0.12)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"group AUC, 95 % interval, {_budget(rows[0].labels)} labelled" if rows else "group AUC")


def _draw_label_curve(axes: Any, rows: Sequence[Row], shown: Sequence[str], theme: Theme) -> None:
    """Group AUC over the label budgets, evenly spaced in the order they were asked for: 0 is one of them."""
    budgets = list(dict.fromkeys(row.labels for row in rows))
    for name in shown:
        line = [row for row in rows if row.predictor == name]
        place = [budgets.index(row.labels) for row in line]
        figures = [row.figures["group_auc"] for row in line]
        look = _look(shown, name, theme)
        axes.plot(place, [figure.value for figure in figures], marker=MARKERS[shown.index(name)], markersize=5, **look)
        low, high = [figure.low for figure in figures], [figure.high for figure in figures]
        axes.fill_between(place, low, high, color=look["color"], alpha=0.1, linewidth=0)
    axes.set_xticks(range(len(budgets)), [_budget(labels) for labels in budgets])
    axes.set(xlabel="labelled queries", ylabel="group AUC, 95 % interval")


def _in_order(rows: Sequence[Row], shown: Sequence[str]) -> list[Row]:
    return sorted((row for row in rows if row.predictor in shown), key=lambda row: shown.index(row.predictor))


def _at_share(rows: Sequence[Row]) -> list[Row]:
    """The rows of one label budget: the share nearest to `SHARE`, or where there is none the middle number."""
    budgets = sorted({row.labels for row in rows})
    shares = [labels for labels in budgets if 0 < labels < 1]
    chosen = min(shares, key=lambda labels: abs(labels - SHARE)) if shares else budgets[len(budgets) // 2]
    return [row for row in rows if row.labels == chosen]


def _files(result: EvaluationResult) -> list[str]:
    files = [name for name in dict.fromkeys(row.file for row in result.rows) if name in result.files]
    if not files:
        raise DataError("the evaluation has no rows to draw: evaluate at least one file and predictor")
    return files


def _section(result: EvaluationResult, file: str) -> str:
    parts = []
    if file in result.files:
        facts = result.files[file]
        rate = facts["right"] / max(facts["judged"], 1)
        parts.append(
            f'<p class="faint">{facts["queries"]} queries, {facts["rollouts"]} rollouts, {facts["judged"]} of them '
            f"with a trustworthy verdict, {rate:.0%} right.</p>"
        )
        parts.append(panels(result, file, drawn_predictors(result)))
    parts += [html_table(table) for table in result.tables(file)]
    differences = "".join(html_table(table) for table in result.differences(file))
    if differences:
        parts.append(html_folded("Paired differences", differences, unfolded=True))
    return "".join(parts)


def _summary(result: EvaluationResult) -> str:
    shares = ", ".join(share_text(labels) for labels in dict.fromkeys(row.labels for row in result.rows))
    return (
        f"{len(result.config['predictors'])} predictors on {len(result.files)} "
        f"{'file' if len(result.files) == 1 else 'files'} of rollouts. Labelled: {shares}; all other "
        f"queries are predicted. {_seeds(result)} seeds, {result.config['resamples']} bootstrap resamples of "
        "the queries. Group AUC, the order inside a query, is what GRPO uses. What is surely better than "
        "a reference stands out."
    )


def _seeds(result: EvaluationResult) -> int:
    seeds = result.config["seeds"]
    return len(seeds) if isinstance(seeds, list) else int(seeds)


def _facts(result: EvaluationResult) -> dict[str, Any]:
    versions = {f"version of {name}": version for name, version in result.versions.items()}
    failures = result.failures()
    return {**result.config, **versions, **({"failed": "; ".join(failures)} if failures else {})}


def _budget(labels: float) -> str:
    return f"{labels:.0%}" if 0 < labels < 1 else f"{labels:.0f}"
