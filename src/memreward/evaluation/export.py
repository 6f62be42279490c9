"""An evaluation as a CSV file, for any program, and as LaTeX tables, for a paper."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from itertools import product

from memreward.evaluation.metrics import METRICS
from memreward.evaluation.results import HEADINGS, EvaluationResult
from memreward.evaluation.tables import ABSENT, fixed, share_text

IN_PAPERS = ("group_auc", "advantage_cosine", "accuracy", "ece")
"""The figures that the LaTeX tables show."""

_LATEX = r"""\begin{{table}}
\centering
\caption{{{caption}}}
\begin{{tabular}}{{l{columns}}}
\toprule
{head} \\
\midrule
{lines}
\bottomrule
\end{{tabular}}
\end{{table}}
"""
_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    sign: f"\\{sign}" for sign in "&%$#_{}"
}


def as_csv(result: EvaluationResult) -> str:
    """Return one line a file, budget, predictor and metric; what is not defined is empty.

    Columns: file, labels, predictor, metric, value, low, high (95 % interval), and for each reference R the paired
    difference: R_difference, R_low, R_high.
    """
    references = result.config["references"]
    compared = [f"{reference}_{part}" for reference in references for part in ("difference", "low", "high")]
    lines: list[Sequence[object]] = [("file", "labels", "predictor", "metric", "value", "low", "high", *compared)]
    for row, metric in product(result.rows, METRICS):
        figures = [row.figures[metric], *(row.differences[reference][metric] for reference in references)]
        numbers = [number for each in figures for number in (each.value, each.low, each.high)]
        shown = ("" if math.isnan(number) else f"{number:.6g}" for number in numbers)
        lines.append((row.file, f"{row.labels:g}", row.predictor, metric, *shown))
    return _csv(lines)


def as_timings(result: EvaluationResult) -> str:
    """Return one CSV line a file, budget, predictor and seed: seconds to fit and predict."""
    lines: list[Sequence[object]] = [("file", "labels", "predictor", "seed", "seconds")]
    for row in result.rows:
        each = zip(result.config["seeds"], row.seconds, strict=False)  # a mean has none
        lines += [(row.file, f"{row.labels:g}", row.predictor, seed, seconds) for seed, seconds in each]
    return _csv(lines)


def _csv(lines: Iterable[Sequence[object]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def as_latex(result: EvaluationResult) -> str:
    """Return one booktabs table a metric and budget; bold is surely better than the reference."""
    return "\n".join(_latex_table(result, metric, budget) for metric in IN_PAPERS for budget in result.budgets)


def _latex_table(result: EvaluationResult, metric: str, budget: float) -> str:
    reference = result.reference
    cells = {}
    for row in result.rows:
        if row.labels == budget:
            text = fixed(row.figures[metric].value).replace(ABSENT, "--")
            better = reference and row.stands(metric, reference) > 0
            cells[row.file, row.predictor] = f"\\textbf{{{text}}}" if better else text
    files = list(dict.fromkeys(file for file, _ in cells))
    if len(files) <= len(result.predictors):
        head = ["predictor", *files]
        lines = [[_latex(name), *(cells[file, name] for file in files)] for name in result.predictors]
    else:
        head = ["file", *result.predictors]
        lines = [[_latex(file), *(cells[file, name] for name in result.predictors)] for file in files]
    bold = f" Bold: better than {_latex(reference)}, paired 95\\,\\% interval." if reference else ""
    return _LATEX.format(
        caption=f"{_latex(HEADINGS[metric])}, {_latex(share_text(budget))} labelled.{bold}",
        columns="r" * (len(head) - 1),
        head=" & ".join(map(_latex, head)),
        lines="\n".join(rf"{' & '.join(line)} \\" for line in lines),
    )


def _latex(text: str) -> str:
    return "".join(_SPECIAL.get(sign, sign) for sign in text).replace(ABSENT, "--")
