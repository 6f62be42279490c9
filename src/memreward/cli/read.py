"""`memreward read`: from the files that people have to one file of rollouts, once and explicitly."""

from pathlib import Path
from typing import Annotated

import typer

from memreward.cli.check import Understood, show
from memreward.cli.common import AsJson, FileSettings, check_file, reads_files
from memreward.cli.errors import ends_well
from memreward.cli.output import Output


@ends_well("No file was written: run the same command again.")
@reads_files()
def read(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Files, folders, or hub:OWNER/NAME/SPLIT; several are joined, as rollouts with their questions.",
            metavar="FILES",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the rollouts go: .jsonl, .jsonl.gz or .parquet.")],
    as_json: AsJson = False,
    reading: FileSettings,
) -> None:
    """Turn what you have into rollouts: tables, batch outputs, dumps of trainers, logs of evaluations.

    Ids default to a hash of the question. Nothing is executed or unpickled. What becomes what: docs/reading.md.

    Examples:
      memreward read mine.csv --question problem --answer solution --completions outs --domain math --out rollouts.jsonl
      memreward read questions.csv output.jsonl --requests input.jsonl --domain math --out rollouts.jsonl
      memreward read hub:openai/gsm8k/main/test --domain math --out questions.jsonl
      memreward read dumps/ --format verl --domain math --out rollouts.jsonl.gz
    """
    from memreward.data import format_of, write_groups

    output = Output(as_json)
    check_file(out)
    format_of(out)
    understood, skipped = Understood([out]), list[str]()
    groups = reading.groups(files, skipped.append)
    write_groups(out, understood.passing(groups))
    for message in skipped:
        output.note(f"skipped: {message}")
    show(output, understood, skipped)
