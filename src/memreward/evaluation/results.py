"""What an evaluation found, as plain data, as JSON, and as tables."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from memreward.arrays import rebuilt
from memreward.evaluation.metrics import METRICS
from memreward.evaluation.tables import Figure, Table, fixed, plain, share_text, signed, with_interval
from memreward.types import DataError

HEADINGS: Mapping[str, str] = {
    "auc": "AUC",
    "group_auc": "group AUC",
    "accuracy": "accuracy",
    "ece": "ECE",
    "best_of_n": "best of n",
    "oracle_of_n": "oracle",
    "advantage_cosine": "advantage cosine",
    "coverage": "coverage",
}
SMALLER_IS_BETTER = frozenset({"ece"})
NO_CONTEST = frozenset({"oracle_of_n", "coverage"})
MEAN = "mean"


@dataclass(frozen=True)
class Row:
    """One predictor on one file (or in the mean of several) at one label share.

    Attributes:
        labels: Share (at most 1) or number of labelled queries.
        figures: Metric -> figure.
        differences: Reference predictor -> metric -> paired difference to it.
        seeds: Metric -> figure of every seed; empty for a mean.
        seconds: Fit and prediction time of every seed; no part of the file, so that equal runs write equal files.
        failures: Why it could not be fitted, by seed; empty if it always was.
        reliability: "predicted", "observed", "count": the calibration curve over all seeds.
    """

    file: str
    labels: float
    predictor: str
    figures: Mapping[str, Figure]
    differences: Mapping[str, Mapping[str, Figure]]
    seeds: tuple[Mapping[str, float], ...] = ()
    seconds: tuple[float, ...] = field(default=(), compare=False)
    failures: Mapping[str, str] = field(default_factory=dict)
    reliability: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def stands(self, metric: str, reference: str) -> int:
        """Return 1 where it is surely better than the reference, -1 where surely worse, else 0.

        Surely: the whole 95 % interval of the paired difference lies on one side of 0.
        """
        found = self.differences[reference][metric]
        side = 1 if found.low > 0 else -1 if found.high < 0 else 0
        return -side if metric in SMALLER_IS_BETTER else side


@dataclass(frozen=True)
class EvaluationResult:
    """Everything an evaluation found.

    Attributes:
        files: File -> "queries", "rollouts", "judged", "right".
        ledger: One entry a split: file, labels, seed, and what its two ledgers released for which use.
        rows: Every predictor on every file and label share, then the means.
    """

    config: Mapping[str, Any]
    versions: Mapping[str, str]
    files: Mapping[str, Mapping[str, int]]
    ledger: tuple[Mapping[str, Any], ...]
    rows: tuple[Row, ...]

    def row(self, file: str, predictor: str, *, labels: float | None = None) -> Row:
        found = [
            row for row in self.rows if (row.file, row.predictor) == (file, predictor) and labels in (None, row.labels)
        ]
        if len(found) != 1:
            raise DataError(f"{len(found)} rows for {predictor!r} on {file!r} at labels={labels}: name one")
        return found[0]

    def tables(self, file: str | None = None) -> list[Table]:
        """Return one table for each file (or for one) and label share, with every predictor."""
        return [_table(*key, rows) for key, rows in self._parts(file).items()]

    def differences(self, file: str | None = None) -> list[Table]:
        """Return the paired differences to each reference, with their intervals, in the figures that rank."""
        shown = ("auc", "group_auc", "accuracy", "best_of_n", "ece", "advantage_cosine")
        return [
            Table(
                f"{_title(*key)}: difference to {reference}",
                ("predictor", *(HEADINGS[name] for name in shown)),
                tuple(
                    (row.predictor, *(signed(row.differences[reference][name]) for name in shown))
                    for row in rows
                    if row.predictor != reference
                ),
            )
            for key, rows in self._parts(file).items()
            for reference in rows[0].differences
        ]

    def ledger_table(self) -> Table:
        """Return what was released, for which use, one line a split."""
        lines = tuple(
            (
                *(str(entry["file"]), share_text(entry["labels"]), str(entry["seed"])),
                *(str(entry[use][unit]) for use in ("warmup", "evaluation") for unit in ("queries", "judgements")),
            )
            for entry in self.ledger
        )
        columns = ("file", "labels", "seed", "labelled queries", "labelled rollouts", "held-out queries")
        return Table("Label ledger", (*columns, "held-out rollouts"), lines)

    def failures(self) -> list[str]:
        """Return what could not be fitted and why, one line a predictor and reason."""
        found: dict[tuple[str, str], tuple[dict[str, None], dict[str, None]]] = {}
        for row in self.rows:
            for reason in dict.fromkeys(row.failures.values()):
                budgets, files = found.setdefault((row.predictor, reason), ({}, {}))
                budgets[share_text(row.labels)] = files[row.file] = None
        return [
            f"{predictor}, {', '.join(budgets)} labelled, "
            f"{', '.join(files) if len(files) < 4 else f'{len(files)} files'}: {reason}"
            for (predictor, reason), (budgets, files) in found.items()
        ]

    @property
    def reference(self) -> str | None:
        """The first predictor that others are compared with."""
        return next(iter(self.config["references"]), None)

    @property
    def lead(self) -> str | None:
        """The first predictor that is compared with the reference; None where there is none, or no reference."""
        return next((name for name in self.predictors if name != self.reference), None) if self.reference else None

    @property
    def budgets(self) -> list[float]:
        return list(dict.fromkeys(row.labels for row in self.rows))

    @property
    def predictors(self) -> list[str]:
        return list(dict.fromkeys(row.predictor for row in self.rows))

    @property
    def means(self) -> list[str]:
        return [name for name in dict.fromkeys(row.file for row in self.rows) if name not in self.files]

    def markdown(self) -> str:
        """Return all tables as Markdown; bold is what is surely better than a reference (`Row.stands`)."""
        tables = [*self.tables(), *self.differences()]
        return "\n".join(table.markdown() for table in tables)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; NaN is null."""
        record: dict[str, Any] = plain(asdict(self))
        for row in record["rows"]:
            del row["seconds"]
        return record

    def save(self, path: str | Path) -> None:
        Path(path).write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        try:
            made: Self = rebuilt(cls, json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path} is not a result of an evaluation ({error!r}): run memreward evaluate again"
            ) from error
        return made

    def parts(self) -> dict[str, list[Row]]:
        return {file: [row for row in self.rows if row.file == file] for file in (*self.files, *self.means)}

    def _parts(self, file: str | None) -> dict[tuple[str, float], list[Row]]:
        parts: dict[tuple[str, float], list[Row]] = {}
        for row in self.rows:
            if file in (None, row.file):
                parts.setdefault((row.file, row.labels), []).append(row)
        return parts


def _table(file: str, labels: float, rows: Sequence[Row]) -> Table:
    """One line a predictor; a figure that is the same for all of them has no column and stands in the title."""
    cells = {name: [fixed(row.figures[name].value) for row in rows] for name in METRICS}
    cells["group_auc"] = [with_interval(row.figures["group_auc"]) for row in rows]
    constant = {name for name, shown in cells.items() if len(rows) > 1 and len(set(shown)) == 1}
    columns = [name for name in METRICS if name not in constant]
    same = ", ".join(f"{HEADINGS[name]} {cells[name][0]}" for name in METRICS if name in constant)
    lines = tuple((row.predictor, *(cells[name][line] for name in columns)) for line, row in enumerate(rows))
    bold = frozenset(
        (line, place)
        for line, row in enumerate(rows)
        for place, name in enumerate(columns, start=1)
        if name not in NO_CONTEST and any(row.stands(name, reference) > 0 for reference in row.differences)
    )
    title = _title(file, labels) + (f"; the same for all: {same}" if same else "")
    return Table(title, ("predictor", *(HEADINGS[name] for name in columns)), lines, bold)


def _title(file: str, labels: float) -> str:
    return f"{file}, {share_text(labels)} labelled"
