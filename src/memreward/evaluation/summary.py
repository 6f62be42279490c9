"""What an evaluation found, on one screen: against the reference, file by file, and where it is behind."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from memreward.evaluation.results import HEADINGS, NO_CONTEST, EvaluationResult, Row
from memreward.evaluation.tables import ABSENT, Table, fixed, share_text, signed

SHOWN = "group_auc"
"""The figure that the summary is of: the order inside a question is what GRPO uses."""
MARKS = {1: "ahead", 0: "", -1: "BEHIND"}
_LOSSES = 6


def summary(result: EvaluationResult) -> tuple[list[Table], list[str]]:
    """Return tables with a line a file and budget, and then what stands out, in sentences."""
    lead, reference = result.lead, result.reference
    if lead is None or reference is None:
        return [_values(result)], []
    others = [name for name in result.predictors if name != reference]
    tables = [_against(result, lead, reference), _all(result, others, reference)]
    return tables[: len(others)], list(_counted(result, lead, reference))


def short_budget(labels: float) -> str:
    """Return a budget as short as it was asked for: "0", "20", "20%"."""
    return f"{labels:.0%}" if 0 < labels < 1 else f"{labels:.0f}"


def _named_once(file: str, rows: Sequence[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    for place, row in enumerate(rows):
        yield ("" if place else file, *row)


def _against(result: EvaluationResult, lead: str, reference: str) -> Table:
    rows: list[tuple[str, ...]] = []
    for file, part in result.parts().items():
        own, other = ([row for row in part if row.predictor == name] for name in (lead, reference))
        rows += _named_once(file, [_line(row, vote, reference) for row, vote in zip(own, other, strict=True)])
    title = f"{HEADINGS[SHOWN]}, {lead} against {reference} (95 % interval of the paired difference over questions)"
    return Table(title, ("file", "labels", reference, lead, "difference", ""), tuple(rows))


def _line(row: Row, vote: Row, reference: str) -> tuple[str, ...]:
    values = (fixed(each.figures[SHOWN].value) for each in (vote, row))
    mark = MARKS[row.stands(SHOWN, reference)]
    return (short_budget(row.labels), *values, signed(row.differences[reference][SHOWN]), mark)


def _all(result: EvaluationResult, others: Sequence[str], reference: str) -> Table:
    """Every predictor in the means, or in the one file, over the budgets."""
    rows: list[tuple[str, ...]] = []
    for file, part in result.parts().items():
        if (file in result.means) == bool(result.means):
            rows += _named_once(file, [(name, *_starred(part, name, result.budgets, reference)) for name in others])
    title = f"All predictors, difference from {reference} (* its interval leaves out 0)"
    return Table(title, ("", "labels", *map(short_budget, result.budgets)), tuple(rows))


def _starred(part: Sequence[Row], name: str, budgets: Sequence[float], reference: str) -> Iterator[str]:
    for budget in budgets:
        row = next(row for row in part if (row.predictor, row.labels) == (name, budget))
        found = row.differences[reference][SHOWN].value
        yield ABSENT if math.isnan(found) else f"{found:+.3f}{'*' if row.stands(SHOWN, reference) else ''}"


def _counted(result: EvaluationResult, lead: str, reference: str) -> Iterator[str]:
    """How often it is ahead and behind, and by how much it is behind in any figure."""
    rows = [row for row in result.rows if row.predictor == lead and row.file in result.files]
    count = Counter(row.stands(SHOWN, reference) for row in rows)
    told = f"{lead} is ahead of {reference} in {count[1]} of {len(rows)}, behind in {count[-1]}"
    yield f"{told}; in the others the interval holds 0."
    lost = [
        (row, metric)
        for row in rows
        for metric in HEADINGS
        if metric not in NO_CONTEST and row.stands(metric, reference) < 0
    ]
    if lost:
        yield "Behind in:"
    for row, metric in lost[:_LOSSES]:
        difference = signed(row.differences[reference][metric])
        yield f"- {row.file}, {share_text(row.labels)}, {HEADINGS[metric]}: {difference}"
    if len(lost) > _LOSSES:
        yield f"- {len(lost) - _LOSSES} more: --full shows all."


def _values(result: EvaluationResult) -> Table:
    rows: list[tuple[str, ...]] = []
    for file, part in result.parts().items():
        cells = [(short_budget(row.labels), row.predictor, fixed(row.figures[SHOWN].value)) for row in part]
        rows += _named_once(file, cells)
    return Table(HEADINGS[SHOWN], ("file", "labels", "predictor", HEADINGS[SHOWN]), tuple(rows))
