"""`memreward score`: rollouts in, a reward with a confidence for each out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memreward.cli.common import (
    AnswerPatternText,
    AsJson,
    ColumnsText,
    DuplicateTexts,
    Files,
    MemoryUri,
    PredictorFolder,
    SkipBad,
    check_file,
    load_predictor,
    read_files,
)
from memreward.cli.errors import Exit, ends_well
from memreward.cli.output import Output, Steps
from memreward.domains import cluster_answers
from memreward.evaluation.tables import plain
from memreward.temporary import replacing
from memreward.types import Group, Rollout

if TYPE_CHECKING:
    from memreward.reward.predictor import RewardPredictor

_QUERIES_AT_ONCE = 64
# Values are written and read with three decimals.
_SAME_VALUE = 0.001
_MOST = 0.5


@ends_well("No file was written: run the same command again.")
def score(
    files: Files,
    *,
    memory: MemoryUri,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the scores go, one JSON object a rollout.")],
    predictor: PredictorFolder = None,
    skip_bad: SkipBad = False,
    duplicates: DuplicateTexts = "keep",
    answer_pattern: AnswerPatternText = None,
    columns: ColumnsText = None,
    as_json: AsJson = False,
) -> None:
    """Give every rollout a predicted reward in [0, 1] with a confidence, or abstain and say why.

    Labels in the files are not read. Where most questions have one value for all their answers, the exit code is 4.
    Each line of the output holds query_id, rollout_id, value (null is an abstention), confidence, reason, and the
    expected advantage within the question's rollouts in the file.

    Examples:
      memreward score new.jsonl --memory runs/memory --out scored.jsonl
      memreward score new.jsonl --memory runs/memory --out scored.jsonl --json
    """
    output = Output(as_json)
    check_file(out)
    tally = _Tally()
    with output.progress() as steps:
        made = load_predictor(memory, predictor, steps)
        groups = read_files(
            files, output, skip_bad=skip_bad, duplicates=duplicates, answer_pattern=answer_pattern, columns=columns
        )
        _write_lines(out, _lines(made, groups, tally, steps))
    output.table(
        f"Scores in {out}",
        ("queries", "rollouts", "scored", "abstained", "mean value", "mean confidence"),
        [(tally.queries, tally.rollouts, tally.scored, tally.abstained, tally.mean_value, tally.mean_confidence)],
    )
    if tally.reasons:
        output.table("Abstentions", ("reason", "rollouts"), sorted(tally.reasons.items(), key=lambda item: -item[1]))
    output.result({"out": out, **tally.as_dict()})
    if not tally.scored:
        output.note("Nothing could be scored: every rollout was abstained from; the reasons stand in the output.")
        raise typer.Exit(Exit.NOTHING_SCORED)
    if tally.constant:
        output.note(
            f"These scores order nothing: in {tally.flat_groups} of {tally.mixed_groups} questions whose rollouts "
            "answer differently, all have the same value, and training on them would learn nothing. See by memreward "
            "inspect what the predictor knows of such questions, and warm up on labelled ones that resemble them."
        )
        raise typer.Exit(Exit.CONSTANT_SCORES)


class _Tally:
    """Counts over all scores."""

    def __init__(self) -> None:
        self.queries = self.rollouts = self.scored = 0
        self.sum_of_values = self.sum_of_confidences = 0.0
        self.reasons: dict[str, int] = {}
        self.mixed_groups = self.flat_groups = 0

    def add_group(self, group: Group, values: Sequence[float | None]) -> None:
        """Note whether a group whose rollouts answer differently has one value for all of them."""
        scored = [(rollout, value) for rollout, value in zip(group.rollouts, values, strict=True) if value is not None]
        flat = [value for _, value in scored]
        if len(scored) < 2 or not _answers_differ([rollout for rollout, _ in scored]):
            return
        self.mixed_groups += 1
        self.flat_groups += max(flat) - min(flat) < _SAME_VALUE

    def add(self, value: float | None, confidence: float, reason: str) -> None:
        self.rollouts += 1
        self.sum_of_confidences += confidence
        if value is None:
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
        else:
            self.scored += 1
            self.sum_of_values += value

    @property
    def abstained(self) -> int:
        return self.rollouts - self.scored

    @property
    def constant(self) -> bool:
        """Whether most groups that could be ordered are not."""
        return self.flat_groups > _MOST * self.mixed_groups

    @property
    def mean_value(self) -> float | None:
        return self.sum_of_values / self.scored if self.scored else None

    @property
    def mean_confidence(self) -> float | None:
        return self.sum_of_confidences / self.rollouts if self.rollouts else None

    def as_dict(self) -> dict[str, Any]:
        return {
            "queries": self.queries,
            "rollouts": self.rollouts,
            "scored": self.scored,
            "abstained": self.abstained,
            "mean_value": self.mean_value,
            "mean_confidence": self.mean_confidence,
            "reasons": self.reasons,
            "mixed_groups": self.mixed_groups,
            "flat_groups": self.flat_groups,
        }


def _answers_differ(rollouts: Sequence[Rollout]) -> bool:
    """Whether rollouts of one question give more than one answer; a text without an answer is one of its own."""
    classes = cluster_answers(
        [rollout.answer for rollout in rollouts], rollouts[0].query.domain, query_text=rollouts[0].query.text
    )
    given = {place if place >= 0 else rollout.text for place, rollout in zip(classes, rollouts, strict=True)}
    return len(given) > 1


def _lines(predictor: RewardPredictor, groups: Iterable[Group], tally: _Tally, steps: Steps) -> Iterator[str]:
    """Score whole groups, some at a time: a group that is cut loses the agreement of its rollouts."""
    groups = iter(groups)
    while batch := list(islice(groups, _QUERIES_AT_ONCE)):
        rollouts = [rollout for group in batch for rollout in group.rollouts]
        scores = predictor.score(rollouts) if rollouts else []
        for rollout, given in zip(rollouts, scores, strict=True):
            tally.add(given.value, given.confidence, given.reason)
            line = {"query_id": rollout.query.id, "rollout_id": rollout.id, **plain(given)}
            yield json.dumps(line, ensure_ascii=True, allow_nan=False)
        values = iter([given.value for given in scores])
        for group in batch:
            tally.add_group(group, list(islice(values, len(group.rollouts))))
        tally.queries += len(batch)
        steps("scoring queries", tally.queries)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a file that appears whole or not at all."""
    with replacing(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
