"""Pictures of an evaluation as HTML and SVG of the page itself: they shrink, print, and tell values on hover."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from memreward.evaluation.results import HEADINGS, EvaluationResult, Row
from memreward.evaluation.summary import SHOWN, short_budget
from memreward.evaluation.tables import signed, with_interval

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 360, 250, 44, 10, 26, 36


def answer(result: EvaluationResult) -> str:
    """Return what was found in one sentence: the first predictor that is not a reference, against the reference."""
    lead, reference = _lead(result), result.reference
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
        found += f" Over {mean if mean != 'mean' else 'all files'}, by labelled questions: {', '.join(told)}."
    return found


def forest(result: EvaluationResult) -> str:
    """Return the forest plot: the lead's difference from the reference with its interval, by file and budget."""
    lead, reference = _lead(result), result.reference
    if lead is None or reference is None:
        return ""
    rows = [row for row in result.rows if row.predictor == lead]
    rows = [row for row in rows if not math.isnan(row.differences[reference][SHOWN].value)]
    rows.sort(key=lambda row: row.file not in result.means)  # the means first
    reach = max((abs(end) for row in rows for end in _ends(row, reference)), default=0.0) * 1.05 or 1.0
    lines, before = [], None
    for row in rows:
        name = "" if row.file == before else html.escape(row.file)
        before = row.file
        low, high = (50 + 50 * end / reach for end in _ends(row, reference))
        figure = row.differences[reference][SHOWN]
        sure = (" behind", "", " ahead")[row.stands(SHOWN, reference) + 1]
        bar = (
            f'<span class="zero"></span><span class="bar" style="left:{low:.2f}%;width:{high - low:.2f}%"></span>'
            f'<span class="dot" style="left:{50 + 50 * figure.value / reach:.2f}%"></span>'
        )
        told = signed(figure) if not sure else f"<strong>{signed(figure)}</strong>"
        said = html.escape(f"{row.file}, {short_budget(row.labels)} labelled: {signed(figure)}")
        lines.append(
            f'<tr class="{sure.strip()}"><th scope="row">{name}</th><td>{short_budget(row.labels)}</td>'
            f'<td class="plot" title="{said}">'
            f"{bar}</td><td>{told}</td></tr>"
        )
    caption = f"{HEADINGS[SHOWN]}: {lead} less {reference}, with the paired 95 % interval. Bold leaves out 0."
    head = "<tr><th>file</th><th>labels</th><th>0</th><th>difference</th></tr>"
    return (
        f'<table class="forest"><caption>{html.escape(caption)}</caption><thead>{head}</thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def panels(result: EvaluationResult, file: str, shown: Sequence[str]) -> str:
    """Return the curves of a file, beside each other where there is room: two figures by budget, and calibration."""
    rows = [row for row in result.rows if row.file == file and row.predictor in shown]
    budgets = list(dict.fromkeys(row.labels for row in rows))
    parts = [_by_budget(rows, budgets, shown, metric, file) for metric in (SHOWN, "advantage_cosine")]
    parts.append(_calibration([row for row in rows if row.labels == budgets[len(budgets) // 2]], shown, file))
    keys = "".join(f'<span class="c{shown.index(name)}">{html.escape(name)}</span>' for name in shown)
    return f'<p class="keys">{keys}</p><div class="panels">{"".join(parts)}</div>'


@dataclass(frozen=True)
class _Curve:
    colour: int
    points: Sequence[tuple[float, float, str]]


def _by_budget(rows: Sequence[Row], budgets: Sequence[float], shown: Sequence[str], metric: str, file: str) -> str:
    curves = [
        _Curve(
            place,
            [
                (
                    float(budgets.index(row.labels)),
                    row.figures[metric].value,
                    f"{name}, {short_budget(row.labels)}: {with_interval(row.figures[metric])}",
                )
                for row in rows
                if row.predictor == name and row.figures["coverage"].value and not math.isnan(row.figures[metric].value)
            ],
        )
        for place, name in enumerate(shown)
    ]
    ticks = [(float(place), short_budget(labels)) for place, labels in enumerate(budgets)]
    return _svg(HEADINGS[metric], "labelled questions", curves, ticks, (-0.2, len(budgets) - 0.8), None, file)


def _calibration(rows: Sequence[Row], shown: Sequence[str], file: str) -> str:
    curves = []
    for row in rows:
        bins = (
            [row.reliability[name] for name in ("predicted", "observed", "count")] if row.reliability else [(), (), ()]
        )
        # A bin with a hundredth of the rollouts or less says nothing and only makes the curve jump.
        kept = [
            (p, o, f"{row.predictor}: {p:.2f} predicted, {o:.2f} right")
            for p, o, n in zip(*bins, strict=True)
            if n > 0.01 * sum(bins[2])
        ]
        curves.append(_Curve(shown.index(row.predictor), kept))
    labels = f", {short_budget(rows[0].labels)} labelled" if rows else ""
    ticks = [(0.0, "0"), (0.5, "0.5"), (1.0, "1")]
    return _svg(f"share right{labels}", "predicted probability", curves, ticks, (0.0, 1.0), (0.0, 1.0), file)


def _svg(
    title: str,
    across: str,
    curves: Sequence[_Curve],
    ticks: Sequence[tuple[float, str]],
    x_range: tuple[float, float],
    y_range: tuple[float, float] | None,
    file: str,
) -> str:
    values = [y for curve in curves for _, y, _ in curve.points] or [0.0, 1.0]
    low, high = y_range or (min(values) - 0.02, max(values) + 0.02)
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            _LEFT + (x - x_range[0]) / (x_range[1] - x_range[0] or 1) * (right - _LEFT),
            bottom - (y - low) / (high - low or 1) * (bottom - _TOP),
        )

    def drawn() -> Iterator[str]:
        yield f'<text x="{_LEFT}" y="14" class="head">{html.escape(title)}</text>'
        for share in (0.0, 0.5, 1.0):
            y = low + share * (high - low)
            height = at(x_range[0], y)[1]
            yield f'<path d="M{_LEFT} {height:.1f}H{right}" class="grid"/>'
            yield f'<text x="{_LEFT - 6}" y="{height + 4:.1f}" class="end">{y:.2f}</text>'
        for x, text in ticks:
            yield f'<text x="{at(x, low)[0]:.1f}" y="{bottom + 16}" class="mid">{text}</text>'
        yield f'<text x="{(right + _LEFT) / 2}" y="{_HEIGHT - 4}" class="mid">{across}</text>'
        for curve in curves:
            places = [at(x, y) for x, y, _ in curve.points]
            path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
            yield f'<path d="M{path}" class="line c{curve.colour}"/>' if places else ""
        for curve in curves:
            for (x, y), (_, _, told) in zip((at(x, y) for x, y, _ in curve.points), curve.points, strict=True):
                yield (
                    f'<g class="point c{curve.colour}" tabindex="0"><circle cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
                    f'<circle cx="{x:.1f}" cy="{y:.1f}" r="11" class="near"/><title>{html.escape(told)}</title>'
                    f'<text x="{right}" y="{_TOP + 2}" class="tip">{html.escape(told)}</text></g>'
                )

    said = html.escape(f"{title} by {across}, file {file}; the table below has the figures.")
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{said}">{"".join(drawn())}</svg>'


def _ends(row: Row, reference: str) -> tuple[float, float]:
    figure = row.differences[reference][SHOWN]
    return figure.low, figure.high


def _lead(result: EvaluationResult) -> str | None:
    return next((name for name in result.predictors if name != result.reference), None)
