"""`memreward inspect`: why one rollout has its score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memreward.cli.common import AnswerPatternText, AsJson, MemoryUri, PredictorFolder, load_predictor, read_files
from memreward.cli.errors import ends_well
from memreward.cli.models import EncoderName, ReaderName
from memreward.cli.output import Output
from memreward.types import DataError, Group, Rollout

if TYPE_CHECKING:
    from memreward.memory import ExperienceMemory
    from memreward.predict.explain import Explanation

_TEXT_SHOWN = 100


@ends_well("Nothing was changed: run the same command again.")
def inspect(
    rollout_id: Annotated[str, typer.Argument(help="Id of the rollout, as in the output of score.", metavar="ROLLOUT")],
    *,
    memory: MemoryUri,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="Rollout file that holds it.", show_default="the memory itself"),
    ] = None,
    predictor: PredictorFolder = None,
    encoder: EncoderName = None,
    reader: ReaderName = None,
    answer_pattern: AnswerPatternText = None,
    top: Annotated[int, typer.Option(help="How many neighbours and signals to show.", min=1)] = 10,
    as_json: AsJson = False,
) -> None:
    """Show one rollout's score, the neighbours in memory it listened to, and the evidence that moved it.

    Examples:
      memreward inspect q17/3 --memory runs/memory
      memreward inspect q17/3 --memory runs/memory --file new.jsonl --json
    """
    output = Output(as_json)
    with output.progress() as steps:
        made = load_predictor(memory, predictor, encoder, reader, steps)
        rollout, group = _found(rollout_id, file, made.memory, output, answer_pattern)
        explanation = made.explain(rollout, beside=group.rollouts)
    texts = {
        group.query.id: group.query.text for group in made.memory.groups([n.query_id for n in explanation.neighbours])
    }
    _print(output, rollout, explanation, texts, top)
    neighbours = [asdict(n) | {"text": texts[n.query_id]} for n in explanation.neighbours]
    evidence = [{"name": n, "value": value, "contribution": moved} for n, value, moved in explanation.evidence]
    output.result(
        {
            "rollout_id": rollout.id,
            "query_id": rollout.query.id,
            "query": rollout.query.text,
            "answer": rollout.answer,
            **asdict(explanation.score),
            "neighbours": neighbours,
            "evidence": evidence,
            "network": explanation.network,
        }
    )


def _found(
    rollout_id: str, file: Path | None, memory: ExperienceMemory, output: Output, answer_pattern: str | None
) -> tuple[Rollout, Group]:
    """Return the rollout and its group, from a file or from memory."""
    groups = (
        read_files([file], output, skip_bad=True, duplicates="keep", answer_pattern=answer_pattern)
        if file
        else memory.groups()
    )
    for group in groups:
        for rollout in group.rollouts:
            if rollout.id == rollout_id:
                return rollout, group
    where = f"the file {file}" if file else f"the memory {memory.uri}"
    raise DataError(
        f"rollout {rollout_id!r} is not in {where}; give an id as score writes it, or name its file by --file"
    )


def _print(output: Output, rollout: Rollout, explanation: Explanation, texts: Mapping[str, str], top: int) -> None:
    score = explanation.score
    output.table(
        f"Rollout {rollout.id}",
        ("", ""),
        [
            ("question", _short(rollout.query.text)),
            ("answer", rollout.answer),
            ("value", score.value),
            ("confidence", score.confidence),
            *([("reason", score.reason)] if score.reason else []),
        ],
    )
    output.table(
        "Labelled neighbours in memory",
        ("query", "cosine", "weight", "right", "text"),
        (
            (n.query_id, n.cosine, n.weight, n.right_share, _short(texts[n.query_id]))
            for n in explanation.neighbours[:top]
        ),
    )
    moved = [*explanation.evidence[:top], ("(graph network)", None, explanation.network)]
    output.table("What moved the score (in log-odds)", ("signal", "value", "contribution"), moved)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _TEXT_SHOWN else f"{text[: _TEXT_SHOWN - 1]}…"
