"""`memreward inspect`: why a rollout, or the answers of a question, have their scores."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memreward.cli.common import (
    AnswerPatternText,
    AsJson,
    ColumnsText,
    MemoryUri,
    PredictorFolder,
    load_predictor,
    read_files,
)
from memreward.cli.errors import ends_well
from memreward.cli.output import Output, short
from memreward.evaluation.tables import plain
from memreward.types import DataError, Group, Rollout

if TYPE_CHECKING:
    from memreward.answers.explain import AnswerShown, Explanation
    from memreward.memory import ExperienceMemory

_TEXT_SHOWN = 100
_EXPLAINED, _REASONS = 3, 5


@ends_well("Nothing was changed: run the same command again.")
def inspect(
    name: Annotated[
        str, typer.Argument(help="Id of a rollout or of a question, as in the output of score.", metavar="ID")
    ],
    *,
    memory: MemoryUri,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="Rollout file that holds it.", show_default="the memory itself"),
    ] = None,
    predictor: PredictorFolder = None,
    answer_pattern: AnswerPatternText = None,
    columns: ColumnsText = None,
    top: Annotated[int, typer.Option(help="How many answers, and reasons of each, to show.", min=1)] = 10,
    as_json: AsJson = False,
) -> None:
    """Show a rollout's score, or a question's answers: how probable each is, and what speaks for it.

    Examples:
      memreward inspect q17 --memory runs/memory
      memreward inspect q17/3 --memory runs/memory
      memreward inspect q17/3 --memory runs/memory --file new.jsonl --json
    """
    output = Output(as_json)
    with output.progress() as steps:
        made = load_predictor(memory, predictor, steps)
        rollout, group = _found(name, file, made.memory, output, answer_pattern, columns)
        explanation = made.explain(rollout, beside=group.rollouts)
    whole = name == rollout.query.id
    (_print_question if whole else _print)(output, rollout, explanation, top)
    output.result(
        {
            "rollout_id": None if whole else rollout.id,
            "query_id": rollout.query.id,
            "query": rollout.query.text,
            "answer": None if whole else rollout.answer,
            **plain(asdict(explanation)),
        }
    )


def _found(
    name: str,
    file: Path | None,
    memory: ExperienceMemory,
    output: Output,
    answer_pattern: str | None,
    columns: str | None,
) -> tuple[Rollout, Group]:
    """Return the rollout and its group, from a file or from memory; of a question its first rollout."""
    groups = (
        read_files([file], output, skip_bad=True, answer_pattern=answer_pattern, columns=columns)
        if file
        else memory.groups()
    )
    for group in groups:
        for rollout in group.rollouts:
            if name in (rollout.id, group.query.id):
                return rollout, group
    where = f"the file {file}" if file else f"the memory {memory.uri}"
    raise DataError(
        f"rollout or question {name!r} is not in {where}; give an id as score writes it, or name its file by --file"
    )


def _print(output: Output, rollout: Rollout, explanation: Explanation, top: int) -> None:
    score = explanation.score
    output.table(
        f"Rollout {rollout.id}",
        ("", ""),
        [
            ("question", short(rollout.query.text, _TEXT_SHOWN)),
            ("answer", rollout.answer),
            ("value", score.value),
            ("expected advantage", score.advantage),
            ("weight of the model beside majority vote", explanation.trust),
        ],
    )
    _print_answers(output, explanation, top, mark=True)
    own = explanation.answers[explanation.own]
    _print_reasons(output, "What speaks for its answer, against the others (log-odds)", explanation, own, top)


def _print_question(output: Output, rollout: Rollout, explanation: Explanation, top: int) -> None:
    output.table(
        f"Question {rollout.query.id}",
        ("", ""),
        [
            ("question", short(rollout.query.text, _TEXT_SHOWN)),
            ("weight of the model beside majority vote", explanation.trust),
        ],
    )
    _print_answers(output, explanation, top, mark=False)
    for answer in explanation.answers[: min(top, _EXPLAINED)]:
        title = f"What speaks for {short(answer.text or '(none)', _TEXT_SHOWN)} (log-odds)"
        _print_reasons(output, title, explanation, answer, _REASONS)
        if not _compares(explanation):
            break


def _compares(explanation: Explanation) -> bool:
    """Whether there are reasons: several answers, in a domain that the prior knows."""
    return len(explanation.answers) > 1 and any(answer.reasons for answer in explanation.answers)


def _print_reasons(output: Output, title: str, explanation: Explanation, answer: AnswerShown, top: int) -> None:
    if _compares(explanation):
        output.table(title, ("signal", "contribution"), answer.reasons[:top])
    elif len(explanation.answers) == 1:
        output.note("All rollouts give one answer: nothing speaks for one against another.")
    else:
        output.note("No prior knows this domain: the probabilities are shares of votes.")


def _print_answers(output: Output, explanation: Explanation, top: int, *, mark: bool) -> None:
    output.table(
        "Answers of the question",
        ("answer", "rollouts", "probability", "vote"),
        [
            (
                f"{short(a.text or '(none)', _TEXT_SHOWN)}{' <' if mark and i == explanation.own else ''}",
                a.votes,
                a.right,
                a.vote_share,
            )
            for i, a in enumerate(explanation.answers[:top])
        ],
    )
