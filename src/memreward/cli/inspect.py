"""`memreward inspect`: why a rollout, or the answers of a question, have their scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memreward.cli.common import AsJson, FileSettings, MemoryUri, load_predictor, read_files, reads_files
from memreward.cli.errors import ends_well
from memreward.cli.output import Output, short
from memreward.types import DataError, Group, Rollout

if TYPE_CHECKING:
    from memreward.reward.explain import AnswerShown, Explanation

_TEXT_SHOWN = 100
_ANSWERS, _EXPLAINED, _REASONS = 10, 3, 5


@ends_well("Nothing was changed: run the same command again.")
@reads_files("skip_bad", base=FileSettings(skip_bad=True))
def inspect(
    name: Annotated[
        str, typer.Argument(help="Id of a rollout or of a question, as in the output of score.", metavar="ID")
    ],
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Rollout files that hold it; none looks in the memory itself.", show_default=False),
    ] = None,
    *,
    memory: MemoryUri,
    as_json: AsJson = False,
    reading: FileSettings,
) -> None:
    """Show a rollout's score, or a question's answers: how probable each is, and what speaks for it.

    Examples:
      memreward inspect q17 --memory runs/memory
      memreward inspect q17/3 --memory runs/memory
      memreward inspect q17/3 new.jsonl --memory runs/memory --json
    """
    output = Output(as_json)
    with output.progress() as steps:
        made = load_predictor(memory, steps)
        groups = read_files(files, output, reading) if files else made.memory.groups()
        rollout, group = _found(name, groups, ", ".join(map(str, files)) if files else f"the memory {memory}")
        explanation = made.explain(rollout, beside=group.rollouts)
    whole = name == rollout.query.id
    _print(output, rollout, explanation, whole=whole)
    output.result(
        {
            "rollout_id": None if whole else rollout.id,
            "query_id": rollout.query.id,
            "query": rollout.query.text,
            "answer": None if whole else rollout.answer,
            **asdict(explanation),
        }
    )


def _found(name: str, groups: Iterable[Group], where: str) -> tuple[Rollout, Group]:
    """Return the rollout and its group; of a question its first rollout."""
    for group in groups:
        for rollout in group.rollouts:
            if name in (rollout.id, group.query.id):
                return rollout, group
    raise DataError(
        f"rollout or question {name!r} is not in {where}; give an id as score writes it, or name its file too"
    )


def _print(output: Output, rollout: Rollout, explanation: Explanation, *, whole: bool) -> None:
    about: list[tuple[str, object]] = [("question", short(rollout.query.text, _TEXT_SHOWN))]
    if not whole:
        score = explanation.score
        about += [("answer", rollout.answer), ("value", score.value), ("expected advantage", score.advantage)]
    about.append(("weight beside the vote", explanation.trust))
    output.table(f"Question {rollout.query.id}" if whole else f"Rollout {rollout.id}", ("", ""), about)
    answers, marked = explanation.answers, None if whole else explanation.own
    columns = ("answer", "rollouts", "probability", "vote")
    rows = [
        (f"{_named(each)}{' <' if place == marked else ''}", each.votes, each.right, each.vote_share)
        for place, each in enumerate(answers[:_ANSWERS])
    ]
    output.table("Answers of the question", columns, rows)
    if len(answers) == 1:
        output.note("All rollouts give one answer: nothing speaks for one against another.")
    elif not any(answer.reasons for answer in answers):
        output.note("No prior knows this domain: the probabilities are shares of votes.")
    elif whole:
        for answer in answers[:_EXPLAINED]:
            title = f"What speaks for {_named(answer)} (log-odds)"
            output.table(title, ("signal", "contribution"), answer.reasons[:_REASONS])
    else:
        title = "What speaks for its answer, against the others (log-odds)"
        output.table(title, ("signal", "contribution"), answers[explanation.own].reasons[: 2 * _REASONS])


def _named(answer: AnswerShown) -> str:
    return short(answer.text or "(none)", _TEXT_SHOWN)
