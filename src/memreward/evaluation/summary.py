"""What an evaluation found, on one screen: against the reference, file by file, and where it is behind."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from memreward.evaluation.results import HEADINGS, NO_CONTEST, EvaluationResult, Row
from memreward.evaluation.tables import ABSENT, Table, fixed, share_text, signed

SHOWN = "group_auc"
"""The figure that the summary is of: the order inside a question is what GRPO uses."""
MARKS = {1: "ahead", 0: "", -1: "BEHIND"}
_LOSSES = 6
Line = tuple[str, ...]


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


def _by_file(result: EvaluationResult, lines: Callable[[list[Row]], Iterable[Line]]) -> Iterator[Line]:
    """The lines of every file, and of the means; a file is named once."""
    for file, part in result.parts().items():
        yield from (("" if place else file, *line) for place, line in enumerate(lines(part)))


def _against(result: EvaluationResult, lead: str, reference: str) -> Table:
    def lines(part: list[Row]) -> Iterator[Line]:
        own, other = ([row for row in part if row.predictor == name] for name in (lead, reference))
        for row, vote in zip(own, other, strict=True):
            values = (fixed(each.figures[SHOWN].value) for each in (vote, row))
            mark = MARKS[row.stands(SHOWN, reference)]
            yield short_budget(row.labels), *values, signed(row.differences[reference][SHOWN]), mark

    title = f"{HEADINGS[SHOWN]}, {lead} against {reference} (95 % interval of the paired difference over questions)"
    columns = ("file", "labels", reference, lead, "difference", "")
    return Table(title, columns, tuple(_by_file(result, lines)))


def _all(result: EvaluationResult, others: Sequence[str], reference: str) -> Table:
    """Every predictor in the means, or in the one file, over the budgets."""

    def lines(part: list[Row]) -> Iterator[Line]:
        if (part[0].file in result.means) == bool(result.means):
            for name in others:
                yield name, *(_starred(row, reference) for row in part if row.predictor == name)

    title = f"All predictors, difference from {reference} (* its interval leaves out 0)"
    columns = ("", "labels", *map(short_budget, result.budgets))
    return Table(title, columns, tuple(_by_file(result, lines)))


def _starred(row: Row, reference: str) -> str:
    found = row.differences[reference][SHOWN].value
    return ABSENT if math.isnan(found) else f"{found:+.3f}{'*' if row.stands(SHOWN, reference) else ''}"


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
    def lines(part: list[Row]) -> Iterator[Line]:
        return ((short_budget(row.labels), row.predictor, fixed(row.figures[SHOWN].value)) for row in part)

    columns = ("file", "labels", "predictor", HEADINGS[SHOWN])
    return Table(HEADINGS[SHOWN], columns, tuple(_by_file(result, lines)))
