"""`memreward review`: where scores were wrong, what was believed beside what is right."""

from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from memreward.cli.common import AsJson, FileSettings, check_file, read_files, reads_files
from memreward.cli.errors import ends_well
from memreward.cli.output import Output, short
from memreward.temporary import write_whole

_ID, _ANSWER = 16, 15


@ends_well("Nothing was changed: run the same command again.")
@reads_files("skip_bad")
def review(
    files: Annotated[list[Path], typer.Argument(help="What memreward score wrote.", metavar="FILES")],
    *,
    against: Annotated[
        Path, typer.Option(help="The truth: verdicts on the same rollouts, or references of the same questions.")
    ],
    worst: Annotated[int, typer.Option(help="How many questions to show.", min=1)] = 20,
    page: Annotated[
        Path | None, typer.Option(help="Where a page goes that shows the texts side by side: .html.", metavar="FILE")
    ] = None,
    as_json: AsJson = False,
    reading: FileSettings,
) -> None:
    """Show where predictions were wrong: the most believed answer beside the right one, the worst question first.

    The labels are used to measure, and teach nothing. Rollouts that a label had scored are left out.

    Examples:
      memreward review scored.parquet --against labelled.jsonl --worst 20
      memreward review scored.csv --against labelled.jsonl --page review.html
    """
    from memreward.data.containers import rows_of
    from memreward.evaluation import review as scored

    output = Output(as_json)
    check_file(page)
    found = scored.review(chain.from_iterable(map(rows_of, files)), list(read_files([against], output, reading)))
    shown = found.questions[:worst]
    output.table(
        f"The most believed answer is right in {found.believed_right} of {len(found.questions)} questions; the worst",
        ("question", "believed", "value", "right answer", "its value"),
        [
            (
                *(short(each.id, _ID), short(each.believed.name, _ANSWER), each.believed.value),
                short(each.right.name if each.right else "(no rollout)", _ANSWER),
                each.right.value if each.right else None,
            )
            for each in shown
        ],
    )
    output.show(found.by_confidence)
    if found.unknown:
        output.note(f"{found.unknown} predicted rollouts have no label in {against}.")
    if page is not None:
        facts = {"scores": files, "labels": against, "predicted rollouts with a label": found.rollouts}
        write_whole(page, scored.review_page(found, worst, facts))
        output.note(f"page: {page}")
    if shown:
        output.next(f"inspect {shown[0].id} --memory MEMORY")
    output.result(
        {
            "questions": len(found.questions),
            "believed_right": found.believed_right,
            "rollouts": found.rollouts,
            "without_a_label": found.unknown,
            "confidence": {word: {"rollouts": n, "right": right} for word, (n, right) in found.words.items()},
            "worst": shown,
        }
    )
