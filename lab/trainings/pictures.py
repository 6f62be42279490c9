"""An experiment as pictures and as one HTML page that needs nothing else."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lab.trainings.drawing import Draw, Theme, html_picture, picture
from lab.trainings.outcome import TEST
from lab.trainings.results import (
    LABELLED,
    LEDGER_HEADINGS,
    MEAN,
    METHOD,
    ORACLE,
    OURS,
    PARTS,
    REWARD_HEADINGS,
    START,
    ArmRow,
    Curve,
    TrainingResult,
)
from memreward.evaluation.report import html_page, html_part, html_table
from memreward.evaluation.tables import Figure, flat, share_text

_SHOWN_REWARDS = (
    *("group_auc", "advantage_cosine", "reward_accuracy", "abstained"),
    *("live_cosine", "live_cosine_vote", "advantage_mean_abs", "judgements"),
)
_HEADINGS = {**REWARD_HEADINGS, **LEDGER_HEADINGS}
_LEAST_GAP, _MOST_GAP = -0.75, 1.75
"""Ends of the axis of gaps closed; what lies beyond is drawn as an arrow."""
_SMOOTHED_OVER = 15
"""Parts of a training that one running mean covers one of."""


_NAMES_IN_A_LINE = 8
_LEAST_HEIGHT = 0.1
"""Of a panel of rewards, so that noise looks like noise."""


@dataclass(frozen=True)
class Drawing:
    """One picture.

    Attributes:
        name: Of its file, without suffix.
        labels: Label share that it shows; None for all.
        caption: What it shows.
        size: Width and height in inches.
        draw: Draws it.
    """

    name: str
    labels: float | None
    caption: str
    size: tuple[float, float]
    draw: Draw


@dataclass(frozen=True)
class _Look:
    """How an arm is drawn, everywhere; no colour is the ink of the theme."""

    colour: str
    line: Any = "-"
    marker: str = "o"
    width: float = 1.6

    def of(self, theme: Theme) -> dict[str, Any]:
        colour = {"": theme.ink, "faint": theme.faint}.get(self.colour, self.colour)
        return {"color": colour, "linestyle": self.line, "linewidth": self.width}


_DASHED = (0, (4, 2))
_DOTTED = (0, (1, 1.2))
# Okabe and Ito's colours. Ours has one to itself; the ends of the gap have the ink; what is ours with a part changed is
# dashed.
_LOOKS = {
    OURS: _Look("#D55E00", width=2.8),
    ORACLE: _Look("", marker="^", width=2.0),
    LABELLED: _Look("", _DASHED, "v", 2.0),
    "paper": _Look("#0072B2", marker="s"),
    "paper-ngrams": _Look("#0072B2", _DOTTED, "s"),
    "majority+labels": _Look("#009E73", marker="D"),
    "majority": _Look("#56B4E9", marker="P"),
    "format": _Look("#CC79A7", marker="X"),
    "random": _Look("faint", _DOTTED, "x"),
    "memreward-probability": _Look("#0072B2", _DASHED, "s"),
    "memreward-threshold": _Look("#CC79A7", _DASHED, "X"),
    "no-prior": _Look("#E69F00", _DASHED, "P"),
}
_OTHER = _Look("faint")
_ENDS = (ORACLE, LABELLED)


def drawings(result: TrainingResult) -> list[Drawing]:
    """Return the pictures of an experiment, the one to see first at the top."""
    found: list[Drawing] = []
    for labels in result.shares:
        of = f"{labels:.0%}".rstrip("%") if labels <= 1 else f"{labels:.0f}q"
        found += [
            Drawing(f"{kind}_{of}", labels, caption, size, draw)
            for kind, caption, size, draw in _of_share(result, labels)
        ]
    if len(result.shares) > 1:
        caption = (
            f"Accuracy {PARTS[TEST]} and share of the gap closed, mean of the domains, over the share of the training "
            "questions that is labelled; 95 % intervals. Ablations are in the table."
        )
        found.append(Drawing("labels", None, caption, (13.5, 5.2), partial(_draw_labels, result)))
    return found


def write_pictures(result: TrainingResult, folder: str | Path) -> list[Path]:
    """Write every picture as a PNG; return where.

    Raises:
        MissingExtraError: without matplotlib.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for drawing in drawings(result):
        written.append(folder / f"{drawing.name}.png")
        written[-1].write_bytes(picture(drawing.draw, drawing.size))
    return written


def picture_links(result: TrainingResult, folder: str) -> dict[float | None, str]:
    """Return Markdown that shows the pictures of a folder, by label share."""
    links: dict[float | None, str] = {}
    for drawing in drawings(result):
        link = f"![{drawing.caption}]({folder}/{drawing.name}.png)\n\n{drawing.caption}"
        links[drawing.labels] = "\n\n".join(filter(None, (links.get(drawing.labels, ""), link)))
    return links


def write_page(result: TrainingResult, path: str | Path, *, title: str = "Training with hybrid rewards") -> None:
    """Write one HTML page with every table and picture in it, light or dark as the reader's system is.

    Raises:
        MissingExtraError: without matplotlib.
    """
    drawn = drawings(result)
    sections = {
        f"{share_text(labels)} labelled": _section(result, labels, [d for d in drawn if d.labels == labels])
        for labels in result.shares
    }
    if len(result.shares) > 1:
        pictures = "".join(_shown(drawing) for drawing in drawn if drawing.labels is None)
        sections["Over the label shares"] = pictures + html_table(result.label_curve())
    versions = {f"version of {name}": version for name, version in result.versions.items()}
    page = html_page(
        title,
        _summary(result),
        sections,
        {"intervals": METHOD, **flat(result.config), **versions},
        contents="Label shares",
    )
    Path(path).write_text(page, encoding="utf-8")


def _summary(result: TrainingResult) -> str:
    arms = {row.arm for row in result.rows} - {START}
    seeds = {seed for row in result.rows for seed in row.seeds}
    shares = ", ".join(map(share_text, result.shares))
    return (
        f"One policy, trained with {len(arms)} kinds of rewards from the same start: {shares} of the "
        f"training questions labelled, {len(seeds)} seeds. Figures are of held-out questions. The share of the gap "
        "that is closed says how far an arm gets from the labelled questions alone (0) to ground truth for all (1)."
    )


def _section(result: TrainingResult, labels: float, drawn: Sequence[Drawing]) -> str:
    first, *others = result.tables(labels)
    said = f"<ul>{''.join(f'<li>{html.escape(text)}</li>' for text in result.standing(labels))}</ul>"
    noted = "".join(f'<p class="faint">{html.escape(text)}</p>' for text in result.notes(labels))
    folded = "".join(html_part("folded", table.title, html_table(table)) for table in others)
    overview, *pictures = (_shown(drawing) for drawing in drawn)
    return "".join([html_table(first), said, noted, overview, folded, *pictures])


def _shown(drawing: Drawing) -> str:
    return html_picture(drawing.draw, drawing.size, drawing.caption)


Part = tuple[str, str, tuple[float, float], Draw]
"""Kind, caption, size and how to draw it."""


def _of_share(result: TrainingResult, labels: float) -> list[Part]:
    rows = result.at(labels)
    rivals = [row for row in rows if not row.ablation and row.arm != START]
    ablations = [row for row in rows if row.ablation]
    said = f"{share_text(labels)} labelled"
    start = _starting(rows)
    found: list[Part] = [
        (
            "overview",
            f"{said}: accuracy {PARTS[TEST]} over training, mean of the domains, with the range of the seeds; and the "
            "share of the gap that each arm closes in the end, with its 95 % interval.",
            (13.5, 5.6),
            partial(_draw_overview, rivals, rows, start),
        ),
        (
            "domains",
            f"{said}: accuracy over training by domain, mean of the seeds.",
            (13.5, 7.2),
            partial(_draw_domains, result, labels, rivals, start),
        ),
    ]
    if ablations and any(row.arm == OURS for row in rows):
        caption = (
            f"{said}: {OURS} beside itself with one part changed. Right: {OURS} minus the arm, paired, 95 % interval."
        )
        kept = [row for row in rows if row.ablation or row.arm in (OURS, *_ENDS)]
        found.append(("ablations", caption, (13.5, 4.6), partial(_draw_ablations, kept, ablations, start)))
    predicting = [row for row in rows if row.rewarding and row.arm not in _ENDS]
    if predicting:
        caption = (
            f"{said}: the rewards over training, mean of the seeds: against ground truth, as the labelled questions "
            "show it live, and what the ledger has counted so far. Running means, but for the ledger."
        )
        found.append(("reward", caption, (17.5, 7.2), partial(_draw_rewards, predicting)))
    return found


def _starting(rows: Sequence[ArmRow]) -> Mapping[str, Mapping[str, Figure]]:
    """Accuracy before training, by part and domain; empty if it was not measured."""
    return next((row.accuracy for row in rows if row.arm == START), {})


def _look(row: ArmRow) -> _Look:
    return _LOOKS.get(row.arm, _OTHER)


def _draw_overview(rivals: Sequence[ArmRow], rows: Sequence[ArmRow], start: Any, figure: Any, theme: Theme) -> None:
    left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
    _learning(left, rivals, TEST, MEAN, start, theme, bands=True)
    left.set(xlabel="step", ylabel=f"accuracy {PARTS[TEST]}")
    _label_ends(left, theme)
    trained = [row for row in rows if row.arm != START]
    if any(not math.isnan(row.gap_closed[TEST][MEAN].value) for row in trained):
        _bars(right, trained, theme)
    else:
        _dots(right, [(row, row.accuracy[TEST][MEAN]) for row in trained], theme, "{:.3f}")
        right.set_xlabel(f"accuracy {PARTS[TEST]}, 95 % interval")


def _draw_domains(
    result: TrainingResult, labels: float, rows: Sequence[ArmRow], start: Any, figure: Any, theme: Theme
) -> None:
    columns = max(len(result.domains(labels, part)) for part in PARTS)
    panels = figure.subplots(len(PARTS), columns, squeeze=False, sharex=True)
    for axes_of_part, (part, name) in zip(panels, PARTS.items(), strict=True):
        domains = result.domains(labels, part)
        for axes, domain in zip(axes_of_part, domains, strict=False):
            _learning(axes, rows, part, domain, start, theme)
            axes.set_title(f"{domain}, {name}", loc="left", fontweight="bold", fontsize=10.5)
        for axes in axes_of_part[len(domains) :]:
            axes.set_visible(False)
        axes_of_part[0].set_ylabel("accuracy")
    for axes in panels[-1]:
        axes.set_xlabel("step")
    _legend(figure, panels.flat)


def _draw_ablations(rows: Sequence[ArmRow], ablations: Sequence[ArmRow], start: Any, figure: Any, theme: Theme) -> None:
    left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
    _learning(left, rows, TEST, MEAN, start, theme)
    left.set(xlabel="step", ylabel=f"accuracy {PARTS[TEST]}")
    _label_ends(left, theme)
    _dots(right, [(row, row.ours_ahead[TEST][MEAN]) for row in ablations], theme, "{:+.3f}")
    right.axvline(0, color=theme.faint, linewidth=1)
    right.set_xlabel(f"accuracy of {OURS} minus the arm's, 95 % interval")


def _draw_rewards(rows: Sequence[ArmRow], figure: Any, theme: Theme) -> None:
    panels = figure.subplots(2, 4, sharex=True)
    for axes, name in zip(panels.flat, _SHOWN_REWARDS, strict=True):
        for row in rows:
            curve = row.rewarding.get(name)
            if curve is not None:
                values = curve.mean if name in LEDGER_HEADINGS else _smoothed(curve)
                axes.plot(curve.steps, values, label=row.arm, **_look(row).of(theme))
        axes.set_title(_HEADINGS[name], loc="left", fontweight="bold", fontsize=10.5)
        axes.margins(x=0.01)
        low, high = axes.get_ylim()
        missing = max(_LEAST_HEIGHT - (high - low), 0) / 2
        foot = low - missing
        if min((min(line.get_ydata()) for line in axes.get_lines()), default=-1.0) >= 0:
            # What is never negative has its 0 at the foot of the panel.
            foot = max(foot, -0.03 * (high - low + 2 * missing))
        axes.set_ylim(foot, high + missing)
    for axes in panels[-1]:
        axes.set_xlabel("step")
    _legend(figure, panels.flat)


def _draw_labels(result: TrainingResult, figure: Any, theme: Theme) -> None:
    accuracy, gap = figure.subplots(1, 2)
    lines: dict[str, list[ArmRow]] = {}
    for row in result.rows:
        if row.arm != START and not row.ablation:
            lines.setdefault(row.arm, []).append(row)
    for place, rows in enumerate(lines.values()):
        # Side by side, so that no interval hides another.
        aside = 1.012 ** (place - len(lines) / 2)
        _over_labels(accuracy, rows, [row.accuracy[TEST][MEAN] for row in rows], aside, theme)
        if rows[0].tied and rows[0].arm != LABELLED:
            _over_labels(gap, rows, [row.gap_closed[TEST][MEAN] for row in rows], aside, theme)
    for axes, name in ((accuracy, f"accuracy {PARTS[TEST]}"), (gap, "share of the gap closed")):
        axes.set_xscale("log")
        axes.set_xticks(result.shares, [share_text(share) for share in result.shares])
        axes.set_xticks([], minor=True)
        axes.set(xlabel="labelled training questions", ylabel=name)
    for height in (0, 1):
        gap.axhline(height, color=theme.faint, linewidth=1)
    drawn = [row for rows in lines.values() for row in rows if row.tied]
    gap.set_ylim(*_gap_limits(row.gap_closed[TEST][MEAN] for row in drawn))
    _label_ends(accuracy, theme)
    _label_ends(gap, theme)


def _over_labels(axes: Any, rows: Sequence[ArmRow], figures: Sequence[Figure], aside: float, theme: Theme) -> None:
    look, shares = _look(rows[0]), [row.labels * aside for row in rows]
    values, low, high = (np.array([getattr(f, end) for f in figures]) for end in ("value", "low", "high"))
    axes.plot(shares, values, marker=look.marker, label=rows[0].arm, **look.of(theme))
    axes.vlines(shares, low, high, color=look.of(theme)["color"], linewidth=1.1, alpha=0.7)


def _learning(
    axes: Any, rows: Sequence[ArmRow], part: str, domain: str, start: Any, theme: Theme, *, bands: bool = False
) -> None:
    """Accuracy over training, from what it was before; the arms that stand out are drawn last."""
    for row in sorted(rows, key=lambda row: _look(row).width):
        curve = row.learning[part].get(domain)
        if curve is None:
            continue
        steps, lines = _from_start(curve, start[part][domain].value if start else math.nan)
        look, marker = _look(row).of(theme), _look(row).marker  # which stands at each measurement
        axes.plot(steps, lines[0], label=row.arm, marker=marker, markersize=5.5, **look)
        if bands:
            axes.fill_between(steps, lines[1], lines[2], color=look["color"], alpha=0.1, linewidth=0)
    axes.margins(x=0.01)


def _from_start(curve: Curve, before: float) -> tuple[list[int], list[list[float]]]:
    lines = [list(curve.mean), list(curve.least), list(curve.greatest)]
    if math.isnan(before) or 0 in curve.steps:
        return list(curve.steps), lines
    return [0, *curve.steps], [[before, *line] for line in lines]


def _bars(axes: Any, rows: Sequence[ArmRow], theme: Theme) -> None:
    """Share of the gap closed, least at the bottom."""
    ranked = sorted(
        (row for row in rows if not math.isnan(row.gap_closed[TEST][MEAN].value)),
        key=lambda row: row.gap_closed[TEST][MEAN].value,
    )
    low, high = _gap_limits(row.gap_closed[TEST][MEAN] for row in ranked)
    for height, row in enumerate(ranked):
        figure, colour = row.gap_closed[TEST][MEAN], _look(row).of(theme)["color"]
        ours_or_end = row.arm in (OURS, *_ENDS)
        axes.barh(height, figure.value, height=0.62, color=colour, alpha=0.85 if ours_or_end else 0.45, linewidth=0)
        if row.arm not in _ENDS and not math.isnan(figure.low):
            axes.plot([figure.low, figure.high], [height, height], color=theme.ink, linewidth=1.4)
        text = f"{'◂ ' if figure.value < low else ''}{figure.value:.2f}"
        place = ("axes fraction", "data")
        axes.annotate(text, (1.02, height), xycoords=place, va="center", fontweight=_weight(row.arm))
    _name_lines(axes, ranked)
    axes.set_xlim(low, high)
    axes.axvline(0, color=theme.faint, linewidth=1)
    axes.axvline(1, color=theme.faint, linewidth=1)
    axes.set_xlabel("share of the gap closed, 95 % interval")


def _gap_limits(figures: Iterable[Figure]) -> tuple[float, float]:
    ends = [end for figure in figures for end in (figure.value, figure.low, figure.high) if not math.isnan(end)]
    return max(min(ends, default=0.0) - 0.05, _LEAST_GAP), min(max([1.05, *(end + 0.05 for end in ends)]), _MOST_GAP)


def _dots(axes: Any, lines: Sequence[tuple[ArmRow, Figure]], theme: Theme, form: str) -> None:
    """A figure and its interval for each arm, least at the bottom."""
    ranked = sorted((line for line in lines if not math.isnan(line[1].value)), key=lambda line: line[1].value)
    for height, (row, figure) in enumerate(ranked):
        look = _look(row)
        colour = look.of(theme)["color"]
        axes.plot([figure.low, figure.high], [height, height], color=colour, linewidth=2.2, solid_capstyle="butt")
        axes.plot(figure.value, height, marker=look.marker, color=colour, markersize=7)
        right = figure.value if math.isnan(figure.high) else figure.high
        text = form.format(figure.value)
        axes.annotate(text, (right, height), (6, 0), textcoords="offset points", va="center")
    _name_lines(axes, [row for row, _ in ranked])
    axes.margins(x=0.16, y=0.12)


def _name_lines(axes: Any, rows: Sequence[ArmRow]) -> None:
    axes.set_yticks(range(len(rows)), [row.arm for row in rows])
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontweight(_weight(row.arm))
    axes.grid(axis="y", visible=False)


def _weight(arm: str) -> str:
    return "bold" if arm == OURS else "normal"


def _smoothed(curve: Curve) -> list[float]:
    """Running mean, over fewer steps at both ends."""
    values, reach = np.array(curve.mean), max(len(curve.mean) // (2 * _SMOOTHED_OVER), 0)
    return [float(values[max(i - reach, 0) : i + reach + 1].mean()) for i in range(len(values))]


def _legend(figure: Any, panels: Iterable[Any]) -> None:
    handles: dict[str, Any] = {}
    for axes in panels:
        for line, name in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, line)
    order = sorted(handles, key=lambda name: list(_LOOKS).index(name) if name in _LOOKS else len(_LOOKS))
    shown = [handles[name] for name in order]
    lines = math.ceil(len(order) / _NAMES_IN_A_LINE)
    columns = math.ceil(len(order) / lines)
    figure.legend(shown, order, loc="outside upper left", ncols=columns, frameon=False, handlelength=5)


def _label_ends(axes: Any, theme: Theme) -> None:
    """Write each line's name beside its end, moved apart where names would overlap."""
    lines = sorted(
        (line for line in axes.get_lines() if not line.get_label().startswith("_") and len(line.get_ydata())),
        key=lambda line: line.get_ydata()[-1],
    )
    if not lines:
        return
    axes.figure.draw_without_rendering()
    low, high = axes.get_ylim()
    points = axes.get_window_extent().height * 72 / axes.figure.dpi
    ends = [float(np.clip(line.get_ydata()[-1], low, high)) for line in lines]
    for line, end, place in zip(lines, ends, _apart(ends, (high - low) * 13 / points, low, high), strict=True):
        colour = line.get_color()
        axes.annotate(
            line.get_label(),
            xy=(line.get_xdata()[-1], end),
            xytext=(1.05, (place - low) / (high - low)),
            textcoords="axes fraction",
            va="center",
            color=colour if colour != theme.faint else theme.ink,
            fontweight=_weight(line.get_label()),
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkA": 2, "relpos": (0, 0.5)},
        )


def _apart(places: Sequence[float], least: float, low: float, high: float) -> list[float]:
    """Move ascending places apart to a least distance, each as little as it takes, between low and high."""
    groups: list[tuple[float, int]] = []
    for place in places:
        groups.append((place, 1))
        # Two groups that would overlap become one, centred on their common mean.
        while len(groups) > 1 and groups[-1][0] - groups[-2][0] < least * (groups[-1][1] + groups[-2][1]) / 2:
            (a, n), (b, m) = groups[-2:]
            groups[-2:] = [((a * n + b * m) / (n + m), n + m)]
    found = [mean + least * (i - (count - 1) / 2) for mean, count in groups for i in range(count)]
    shift = max(low - found[0], 0.0) or min(high - found[-1], 0.0)
    return [place + shift for place in found]
