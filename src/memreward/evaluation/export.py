"""An evaluation as a CSV file, for any program, and as LaTeX tables, for a paper."""

import csv
import io
import math
from collections.abc import Iterator, Sequence

from memreward.evaluation.metrics import METRICS
from memreward.evaluation.results import HEADINGS, EvaluationResult, Row
from memreward.evaluation.tables import ABSENT, Figure, share_text

IN_PAPERS = ("group_auc", "advantage_cosine", "accuracy", "ece")
"""The figures that the LaTeX tables show."""

_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    sign: f"\\{sign}" for sign in "&%$#_{}"
}


def as_csv(result: EvaluationResult) -> str:
    """Return one line a file, budget, predictor and metric; what is not defined is empty.

    Columns: file, labels, predictor, metric, value, low, high (95 % interval), and for each reference R the paired
    difference: R_difference, R_low, R_high.
    """
    references = list(result.config["references"])
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    compared = [f"{reference}_{part}" for reference in references for part in ("difference", "low", "high")]
    writer.writerow(("file", "labels", "predictor", "metric", "value", "low", "high", *compared))
    for row in result.rows:
        for metric in METRICS:
            figures = [row.figures[metric], *(row.differences[reference][metric] for reference in references)]
            numbers = [number for figure in figures for number in _numbers(figure)]
            writer.writerow((row.file, f"{row.labels:g}", row.predictor, metric, *numbers))
    return text.getvalue()


def as_timings(result: EvaluationResult) -> str:
    """Return one CSV line a file, budget, predictor and seed: seconds to fit and predict."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "labels", "predictor", "seed", "seconds"))
    for row in result.rows:
        for seed, seconds in zip(result.config["seeds"], row.seconds, strict=False):
            writer.writerow((row.file, f"{row.labels:g}", row.predictor, seed, seconds))
    return text.getvalue()


def as_latex(result: EvaluationResult) -> str:
    """Return one booktabs table a metric and budget; bold is surely better than the reference."""
    return "\n".join(_latex_table(result, metric, budget) for metric in IN_PAPERS for budget in result.budgets)


def _latex_table(result: EvaluationResult, metric: str, budget: float) -> str:
    cells = {(row.file, row.predictor): _latex_cell(result, row, metric) for row in result.rows if row.labels == budget}
    files = list(dict.fromkeys(file for file, _ in cells))
    if len(files) <= len(result.predictors):
        head = ["predictor", *files]
        lines = [[name, *(cells[file, name] for file in files)] for name in result.predictors]
    else:
        head = ["file", *result.predictors]
        lines = [[file, *(cells[file, name] for name in result.predictors)] for file in files]
    reference = result.reference
    bold = f" Bold: better than {_latex(reference)}, paired 95\\,\\% interval." if reference else ""
    caption = f"{_latex(HEADINGS[metric])}, {_latex(share_text(budget))} labelled.{bold}"
    body = "\n".join(_latex_lines(head, lines))
    return f"\\begin{{table}}\n\\centering\n\\caption{{{caption}}}\n{body}\n\\end{{table}}\n"


def _latex_lines(head: Sequence[str], lines: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}"
    yield "\\toprule"
    yield " & ".join(map(_latex, head)) + r" \\"
    yield "\\midrule"
    for first, *cells in lines:
        yield " & ".join([_latex(first), *cells]) + r" \\"
    yield "\\bottomrule"
    yield "\\end{tabular}"


def _latex_cell(result: EvaluationResult, row: Row, metric: str) -> str:
    figure = row.figures[metric]
    if math.isnan(figure.value):
        return "--"
    text = f"{figure.value:.3f}"
    reference = result.reference
    return f"\\textbf{{{text}}}" if reference and row.stands(metric, reference) > 0 else text


def _latex(text: str) -> str:
    return "".join(_SPECIAL.get(sign, sign) for sign in text).replace(ABSENT, "--")


def _numbers(figure: Figure) -> Iterator[str]:
    yield from ("" if math.isnan(number) else f"{number:.6g}" for number in (figure.value, figure.low, figure.high))
