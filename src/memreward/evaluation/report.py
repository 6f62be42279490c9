"""HTML pages that load nothing, made of the templates beside this file; an evaluation's, with its pictures."""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from memreward.evaluation.results import HEADINGS, MEAN, EvaluationResult, Row
from memreward.evaluation.summary import SHOWN, short_budget
from memreward.evaluation.tables import Table, signed, with_interval

MOST_DRAWN = 7
"""Predictors that curves show at most: as many colours as are told apart with every common colour blindness."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 350, 26, 214
Plot = dict[str, Any]
Curves = dict[int, list[tuple[float, float, str]]]
"""Colour -> points: across, up, and what is told of one."""


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


def answer(result: EvaluationResult) -> str:
    """Return what was found in one sentence: the first predictor that is not a reference, against the reference."""
    lead, reference = result.lead, result.reference
    if lead is None or reference is None:
        return "There is nothing to compare: one predictor, or no reference."
    rows = [row for row in result.rows if row.predictor == lead and row.file in result.files]
    stands = [row.stands(SHOWN, reference) for row in rows]
    found = (
        f"{lead} orders the rollouts of a question surely better than {reference} in {stands.count(1)} of {len(rows)} "
        f"comparisons, surely worse in {stands.count(-1)}."
    )
    for mean in result.means[:1]:
        over = [row for row in result.rows if row.predictor == lead and row.file == mean]
        told = (f"{signed(row.differences[reference][SHOWN])} at {short_budget(row.labels)}" for row in over)
        found += f" Over {'all files' if mean == MEAN else mean}, by labelled questions: {', '.join(told)}."
    return found


def forest(result: EvaluationResult) -> str:
    """Return the forest plot: the lead's difference from the reference with its interval, by file and budget."""
    lead, reference = result.lead, result.reference
    if lead is None or reference is None:
        return ""
    rows = [row for row in result.rows if row.predictor == lead]
    rows = [row for row in rows if not math.isnan(row.differences[reference][SHOWN].value)]
    rows.sort(key=lambda row: row.file not in result.means)  # the means first
    figures = [row.differences[reference][SHOWN] for row in rows]
    reach = max((abs(end) for each in figures for end in (each.low, each.high)), default=0.0) * 1.05 or 1.0
    lines, before = [], None
    for row, figure in zip(rows, figures, strict=True):
        low, at, high = (50 + 50 * end / reach for end in (figure.low, figure.value, figure.high))
        lines.append(
            {
                "file": "" if row.file == before else row.file,
                "labels": short_budget(row.labels),
                "sure": ("behind", "", "ahead")[row.stands(SHOWN, reference) + 1],
                "said": f"{row.file}, {short_budget(row.labels)} labelled: {signed(figure)}",
                "told": signed(figure).split(" ", 1),
                **{"low": low, "at": at, "high": high},
            }
        )
        before = row.file
    caption = f"{HEADINGS[SHOWN]}: {lead} less {reference}, with the paired 95 % interval. Bold leaves out 0."
    outermost = nice_ticks(-reach, reach, 5)[-1]  # of at most three there may be 0 alone, which is no scale
    ticks = [(f"{tick:+g}" if tick else "0", 50 + 50 * tick / reach) for tick in (-outermost, 0, outermost)]
    return html_part("forest", caption, lines, ticks)


def panels(result: EvaluationResult, file: str, shown: Sequence[str]) -> str:
    """Return the curves of a file, beside each other where there is room: two figures by budget, and calibration."""
    rows = [row for row in result.rows if row.file == file and row.predictor in shown]
    budgets = list(dict.fromkeys(row.labels for row in rows))
    parts = [_by_budget(rows, budgets, shown, metric, file) for metric in (SHOWN, "advantage_cosine")]
    parts.append(_calibration([row for row in rows if row.labels == budgets[len(budgets) // 2]], shown, file))
    return html_part("panels", shown, parts)


def _by_budget(rows: Sequence[Row], budgets: Sequence[float], shown: Sequence[str], metric: str, file: str) -> Plot:
    curves: Curves = {place: [] for place in range(len(shown))}
    for row in rows:
        if row.figures["coverage"].value and not math.isnan(row.figures[metric].value):
            told = f"{row.predictor}, {short_budget(row.labels)}: {with_interval(row.figures[metric])}"
            point = (float(budgets.index(row.labels)), row.figures[metric].value, told)
            curves[shown.index(row.predictor)].append(point)
    values = [y for points in curves.values() for _, y, _ in points] or [0.0, 1.0]
    ticks = [(float(place), short_budget(labels)) for place, labels in enumerate(budgets)]
    across, up = (-0.2, len(budgets) - 0.8), (min(values) - 0.02, max(values) + 0.02)
    return _plot(HEADINGS[metric], "labelled questions", file, curves, ticks, across, up)


def _calibration(rows: Sequence[Row], shown: Sequence[str], file: str) -> Plot:
    curves: Curves = {}
    for row in rows:
        bins = [row.reliability[name] for name in ("predicted", "observed", "count")]
        # A bin with a hundredth of the rollouts or less says nothing and only makes the curve jump.
        curves[shown.index(row.predictor)] = [
            (p, o, f"{row.predictor}: {p:.2f} predicted, {o:.2f} right")
            for p, o, n in zip(*bins, strict=True)
            if n > 0.01 * sum(bins[2])
        ]
    title, ticks = f"share right, {short_budget(rows[0].labels)} labelled", [(0.0, "0"), (0.5, "0.5"), (1.0, "1")]
    return _plot(title, "predicted probability", file, curves, ticks, (0.0, 1.0), (0.0, 1.0)) | {"diagonal": True}


def _plot(
    title: str,
    across: str,
    file: str,
    curves: Curves,
    ticks: Sequence[tuple[float, str]],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
) -> Plot:
    def x_of(x: float) -> float:
        return _LEFT + (x - x_range[0]) / (x_range[1] - x_range[0]) * (_RIGHT - _LEFT)

    def y_of(y: float) -> float:
        return _BOTTOM - (y - y_range[0]) / (y_range[1] - y_range[0]) * (_BOTTOM - _TOP)

    return {
        **{"title": title, "across": across, "file": file, "diagonal": False},
        "heights": [(f"{y:g}", y_of(y)) for y in nice_ticks(*y_range, 5)],
        "ticks": [(text, x_of(x)) for x, text in ticks],
        "curves": [(colour, [(x_of(x), y_of(y), told) for x, y, told in points]) for colour, points in curves.items()],
    }


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most `most` round numbers (1, 2 or 5 times a power of ten apart) that lie between two others."""
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for step in (factor * power for factor in (1, 2, 5, 10, 20, 50)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    return [round(place * step, 10) for place in range(first, last + 1)]


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("memreward.evaluation"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


def html_part(name: str, *given: Any) -> Markup:
    """Return what a macro of templates/parts.html makes of some values."""
    return Markup(getattr(_templates().get_template("parts.html").module, name)(*given))


def html_table(table: Table) -> Markup:
    return html_part("table", table)


def html_page(
    title: str, summary: str, sections: Mapping[str, str], facts: Mapping[str, Any], *, contents: str, details: str = ""
) -> str:
    """Return the page: light or dark as the reader's system is, and loading nothing. `sections` are HTML by heading."""
    return (
        _templates()
        .get_template("page.html")
        .render(
            title=title,
            summary=summary,
            sections={name: Markup(section) for name, section in sections.items()},
            facts={k: ", ".join(map(str, v)) if isinstance(v, list | tuple) else v for k, v in facts.items()},
            contents=contents,
            details=Markup(details),
        )
    )
