"""What an evaluation found, on one screen of text: against the reference, file by file, and where it is behind."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from memreward.evaluation.results import HEADINGS, NO_CONTEST, EvaluationResult, Row
from memreward.evaluation.tables import ABSENT, Figure, share_text, signed

WIDTH = 80
SHOWN = "group_auc"
"""The figure that the summary is of: the order inside a question is what GRPO uses."""
MARKS = {1: "ahead", 0: "", -1: "BEHIND"}
_LOSSES = 6
_NARROW, _NARROWEST = 72, 50


def summary(result: EvaluationResult, width: int = WIDTH) -> str:
    """Return lines of at most `width` characters, 36 at least: one a file and budget, then what stands out."""
    width = max(min(width, WIDTH), 36)
    reference = result.reference
    others = [name for name in result.predictors if name != reference]
    if reference is None or not others:
        return "\n".join(_values(result, width))
    lead = others[0]
    parts = [_against(result, lead, reference, width)]
    if len(others) > 1:
        parts.append(_all(result, others, reference, width))
    parts.append(_counted(result, lead, reference, width))
    return "\n\n".join("\n".join(part) for part in parts)


def short_budget(labels: float) -> str:
    """Return a budget as short as it was asked for: "0", "20", "20%"."""
    return f"{labels:.0%}" if 0 < labels < 1 else f"{labels:.0f}"


def elided(text: str, width: int) -> str:
    """Return text of at most `width` characters, its middle left out: files differ at either end."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return text[: width - 1 - tail] + "…" + (text[-tail:] if tail else "")


def aligned(rows: Sequence[Sequence[str]], width: int, left: frozenset[int] = frozenset({0})) -> list[str]:
    """Return rows as lines with columns two blanks apart; the first column gives way where they are too wide."""
    sizes = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sizes[0] = min(sizes[0], max(width - sum(sizes[1:]) - 2 * (len(sizes) - 1), 6))
    lines = []
    for row in rows:
        cells = (
            elided(cell, size).ljust(size) if place in left else elided(cell, size).rjust(size)
            for place, (cell, size) in enumerate(zip(row, sizes, strict=True))
        )
        lines.append("  ".join(cells).rstrip()[:width])
    return lines


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    import textwrap

    return textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=True, break_on_hyphens=False)


def _named_once(file: str, rows: Sequence[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    for place, row in enumerate(rows):
        yield ("" if place else file, *row)


def _against(result: EvaluationResult, lead: str, reference: str, width: int) -> list[str]:
    told = "95 % interval of the paired difference over questions"
    lines = _wrapped(f"{HEADINGS[SHOWN]}, {lead} against {reference} ({told})", width)
    head = ("file", "labels", elided(reference, 10), elided(lead, 10), "difference", "")
    rows: list[tuple[str, ...]] = [head]
    for file, part in _parts(result).items():
        own, other = ([row for row in part if row.predictor == name] for name in (lead, reference))
        cells = [_line(row, vote, reference) for row, vote in zip(own, other, strict=True)]
        rows += _named_once(file, cells)
    if width < _NARROW:
        rows = [(*row[:4], row[4].split(" ")[0], row[5]) for row in rows]
    if width < _NARROWEST:
        rows = [(*row[:2], *row[4:]) for row in rows]
    return lines + aligned(rows, width, frozenset({0, len(rows[0]) - 1}))


def _line(row: Row, vote: Row, reference: str) -> tuple[str, ...]:
    values = (_plain(each.figures[SHOWN]) for each in (vote, row))
    mark = MARKS[row.stands(SHOWN, reference)]
    return (short_budget(row.labels), *values, signed(row.differences[reference][SHOWN]), mark)


def _all(result: EvaluationResult, others: Sequence[str], reference: str, width: int) -> list[str]:
    """Every predictor in the means, or in the one file, over the budgets."""
    budgets = result.budgets
    lines = _wrapped(f"all predictors, difference from {reference} (* its interval leaves out 0)", width)
    rows: list[tuple[str, ...]] = [("", "labels", *map(short_budget, budgets))]
    for file, part in _parts(result).items():
        if (file in result.means) == bool(result.means):
            cells = [(name, *_starred(part, name, budgets, reference)) for name in others]
            rows += _named_once(file, cells)
    room = max(min(width - 9 * len(budgets) - 12, 20), 8)
    rows = [(row[0], elided(row[1], room), *row[2:]) for row in rows]
    return lines + aligned(rows, width, frozenset({0, 1}))


def _starred(part: Sequence[Row], name: str, budgets: Sequence[float], reference: str) -> Iterator[str]:
    for budget in budgets:
        row = next(row for row in part if (row.predictor, row.labels) == (name, budget))
        found = row.differences[reference][SHOWN].value
        yield ABSENT if math.isnan(found) else f"{found:+.3f}{'*' if row.stands(SHOWN, reference) else ' '}"


def _counted(result: EvaluationResult, lead: str, reference: str, width: int) -> list[str]:
    """How often it is ahead and behind, and by how much it is behind in any figure."""
    rows = [row for row in result.rows if row.predictor == lead and row.file in result.files]
    count = Counter(row.stands(SHOWN, reference) for row in rows)
    lines = _wrapped(
        f"{lead} is ahead of {reference} in {count[1]} of {len(rows)}, behind in {count[-1]}; in the others the "
        "interval holds 0.",
        width,
    )
    lost = [
        (row, metric)
        for row in rows
        for metric in HEADINGS
        if metric not in NO_CONTEST and row.stands(metric, reference) < 0
    ]
    if lost:
        lines.append("Behind in:")
    for row, metric in lost[:_LOSSES]:
        difference = signed(row.differences[reference][metric])
        told = f"- {row.file}, {share_text(row.labels)}, {HEADINGS[metric]}: {difference}"
        lines += _wrapped(told, width, "  ")
    if len(lost) > _LOSSES:
        lines.append(f"- {len(lost) - _LOSSES} more: --full shows all.")
    return lines


def _values(result: EvaluationResult, width: int) -> list[str]:
    """Figures alone, where there is nothing to compare with."""
    rows: list[tuple[str, ...]] = [("file", "labels", "predictor", HEADINGS[SHOWN])]
    for file, part in _parts(result).items():
        cells = [(short_budget(row.labels), row.predictor, _plain(row.figures[SHOWN])) for row in part]
        rows += _named_once(file, cells)
    return aligned(rows, width, frozenset({0, 2}))


def _parts(result: EvaluationResult) -> dict[str, list[Row]]:
    parts: dict[str, list[Row]] = {}
    for row in result.rows:
        parts.setdefault(row.file, []).append(row)
    return parts


def _plain(figure: Figure) -> str:
    return ABSENT if math.isnan(figure.value) else f"{figure.value:.3f}"
