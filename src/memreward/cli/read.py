"""`memreward read`: from the files that people have to one file of rollouts, once and explicitly."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from memreward.cli.check import Understood, show
from memreward.cli.common import AnswerPatternText, AsJson, SkipBad, check_file
from memreward.cli.errors import ends_well
from memreward.cli.output import Output

FormatName = Literal["rollouts", "openai-batch", "lm-eval", "inspect", "verl", "trl", "table"]


@ends_well("No file was written: run the same command again.")
def read(
    files: Annotated[
        list[Path],
        typer.Argument(help="Files or folders; several are joined, as rollouts with their questions.", metavar="FILES"),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the rollouts go: .jsonl, .jsonl.gz or .parquet.")],
    question: Annotated[
        str | None, typer.Option(help="Column of the question.", metavar="COLUMN", show_default="usual names")
    ] = None,
    answer: Annotated[
        str | None, typer.Option(help="Column of the reference.", metavar="COLUMN", show_default="usual names")
    ] = None,
    completions: Annotated[
        str | None,
        typer.Option(
            help="Column of the completion or of lists of them.", metavar="COLUMN", show_default="usual names"
        ),
    ] = None,
    domain: Annotated[
        str | None,
        typer.Option(help="math, qa, code, other, or a column that says so.", metavar="DOMAIN", show_default="domain"),
    ] = None,
    id_: Annotated[
        str | None,
        typer.Option("--id", help="Column of the question's id.", metavar="COLUMN", show_default="a hash of its text"),
    ] = None,
    correct: Annotated[
        str | None,
        typer.Option(help="Column, metric or scorer whose verdicts count.", metavar="COLUMN", show_default="correct"),
    ] = None,
    requests: Annotated[
        Path | None, typer.Option(help="Requests of a batch, whose custom ids its output names.", metavar="FILE")
    ] = None,
    format_: Annotated[
        FormatName | None, typer.Option("--format", help="What the files are.", show_default="seen from the first row")
    ] = None,
    skip_bad: SkipBad = False,
    answer_pattern: AnswerPatternText = None,
    as_json: AsJson = False,
) -> None:
    """Turn what you have into rollouts: tables, batch outputs, dumps of trainers, logs of evaluations.

    Ids default to a hash of the question. Nothing is executed or unpickled. What becomes what: docs/reading.md.

    Examples:
      memreward read mine.csv --question problem --answer solution --completions outs --domain math --out rollouts.jsonl
      memreward read questions.csv output.jsonl --requests input.jsonl --domain math --out rollouts.jsonl
      memreward read dumps/ --format verl --domain math --out rollouts.jsonl.gz
    """
    from memreward.data import format_of, read_groups, write_groups
    from memreward.data.formats import Reading

    output = Output(as_json)
    check_file(out)
    format_of(out)
    reading = Reading(format_, question, answer, completions, domain, id_, correct, requests)
    understood, skipped = Understood(out), list[str]()
    groups = read_groups(
        files, reading=reading, skip_bad=skip_bad, on_skip=skipped.append, answer_pattern=answer_pattern
    )
    write_groups(out, understood.passing(groups))
    for message in skipped:
        output.note(f"skipped: {message}")
    show(output, understood, skipped)
