"""`memreward score`: rollouts in, a reward with a confidence for each out."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memreward.cli.common import (
    AsJson,
    Files,
    FileSettings,
    MemoryUri,
    check_file,
    load_predictor,
    read_files,
    reads_files,
)
from memreward.cli.errors import Exit, ends_well
from memreward.cli.options import comma_separated
from memreward.cli.output import Output, Steps
from memreward.cli.shards import Engine, score_shards
from memreward.data.files import check_table, write_table
from memreward.domains import cluster_answers
from memreward.reward.scores import COLUMNS
from memreward.types import Group, Rollout, Score

if TYPE_CHECKING:
    from memreward.reward.predictor import RewardPredictor

_QUERIES_AT_ONCE = 64
# Values are written and read with three decimals.
_SAME_VALUE = 0.001
_MOST = 0.5


@ends_well("No file was written: run the same command again.")
@reads_files()
def score(
    files: Files,
    *,
    memory: MemoryUri,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the scores go: .csv, .parquet or .jsonl.")],
    engine: Annotated[
        Engine, typer.Option(help="'ray' scores each file by itself on a Ray cluster; --out is a folder then.")
    ] = "process",
    keep: Annotated[str, typer.Option(help="More columns, with commas between: question, text.", metavar="NAMES")] = "",
    as_json: AsJson = False,
    reading: FileSettings,
) -> None:
    """Give every rollout a predicted reward in [0, 1] and an expected advantage, or abstain and say why.

    A row a rollout: query_id, rollout_id, value (empty is an abstention), advantage among the question's rollouts in
    the file, source ("true" where the memory's ledger has a label, else "predicted"), answer, confidence in words,
    reason.
    Labels in the files are not read. Where most questions have one value for all their answers, the exit code is 4.

    Examples:
      memreward score new.jsonl --memory runs/memory --out scored.csv
      memreward score new.jsonl --memory runs/memory --out scored.parquet --keep question,text
      memreward score parts/*.jsonl.gz --memory /shared/memory --out /shared/scores --engine ray
    """
    output = Output(as_json)
    scorer = partial(_scored, memory, comma_separated(_keepable, keep), reading)
    if engine == "ray":
        tally = sum(score_shards(files, out, scorer), _Tally())
        if not tally.queries:
            output.note(f"{out} has the scores of all these files: nothing was left to do")
            return
    else:
        check_file(out)
        check_table(out)
        tally = scorer(output, files, out)
    found = tally.as_dict() | {"predicted": tally.scored - tally.labelled}
    shown = ("queries", "rollouts", "labelled", "predicted", "abstained", "mean_value")
    output.table(f"Scores in {out}", [name.replace("_", " ") for name in shown], [[found[name] for name in shown]])
    if tally.reasons:
        output.table("Abstentions", ("reason", "rollouts"), tally.reasons.most_common())
    output.result({"out": out, **found})
    if tally.scored and not tally.labelled:
        output.next(f"propose --memory {shlex.quote(memory)}")
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


def _scored(
    memory: str, keep: Sequence[str], reading: FileSettings, output: Output, files: Sequence[Path], out: Path
) -> _Tally:
    tally = _Tally()
    with output.progress() as steps:
        made = load_predictor(memory, steps)
        rows = _rows(made, read_files(files, output, reading), tally, steps, keep)
        write_table(out, rows, COLUMNS | {name: "text" for name in keep if name not in COLUMNS})
    return tally


@dataclass
class _Tally:
    """Counts over all scores; those of several files add up."""

    queries: int = 0
    rollouts: int = 0
    scored: int = 0
    labelled: int = 0
    mixed_groups: int = 0
    flat_groups: int = 0
    sum_of_values: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: _Tally) -> _Tally:
        return _Tally(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def add_group(self, group: Group, scores: Sequence[Score]) -> None:
        """Count a group's scores; note whether its rollouts answer differently and have one value all the same."""
        known: list[tuple[Rollout, float]] = []
        for rollout, score in zip(group.rollouts, scores, strict=True):
            if score.value is None:
                self.reasons[score.reason] += 1
            else:
                self.sum_of_values += score.value
                known.append((rollout, score.value))
        self.queries += 1
        self.rollouts += len(scores)
        self.scored += len(known)
        if len(known) > 1 and _answers_differ([rollout for rollout, _ in known]):
            values = [value for _, value in known]
            self.mixed_groups += 1
            self.flat_groups += max(values) - min(values) < _SAME_VALUE

    @property
    def constant(self) -> bool:
        return self.flat_groups > _MOST * self.mixed_groups

    def as_dict(self) -> dict[str, Any]:
        mean = self.sum_of_values / self.scored if self.scored else None
        counts = {name: count for name, count in vars(self).items() if name != "sum_of_values"}
        return {**counts, "abstained": self.rollouts - self.scored, "mean_value": mean}


def _answers_differ(rollouts: Sequence[Rollout]) -> bool:
    """Whether rollouts of one question give more than one answer; a text without an answer is one of its own."""
    classes = cluster_answers(
        [rollout.answer for rollout in rollouts], rollouts[0].query.domain, query_text=rollouts[0].query.text
    )
    given = {place if place >= 0 else rollout.text for place, rollout in zip(classes, rollouts, strict=True)}
    return len(given) > 1


def _rows(
    predictor: RewardPredictor, groups: Iterable[Group], tally: _Tally, steps: Steps, keep: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Score whole groups, some at a time: a group that is cut loses the agreement of its rollouts."""
    groups = iter(groups)
    while batch := list(islice(groups, _QUERIES_AT_ONCE)):
        scores = predictor.score(batch, labels=True)
        tally.labelled += len(scores.known)
        yield from scores.rows(keep)
        each = iter(scores)
        for group in batch:
            tally.add_group(group, list(islice(each, len(group.rollouts))))
        steps("scoring queries", tally.queries)


def _keepable(name: str) -> str:
    if name not in ("question", "text", "answer"):
        raise ValueError("use question, text")
    return name
