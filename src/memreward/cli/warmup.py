"""`memreward warmup`: rollouts and a label budget in, an experience memory and a predictor out."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memreward.cli.common import (
    AsJson,
    FileSettings,
    MemoryUri,
    check_folder,
    learns,
    predictor_folder,
    read_files,
    reads_files,
)
from memreward.cli.errors import ends_well
from memreward.cli.output import Output, Steps
from memreward.evaluation.results import HEADINGS
from memreward.reward.settings import LearningConfig
from memreward.types import Group

if TYPE_CHECKING:
    from memreward.evaluation.held_out import HeldOut
    from memreward.reward.predictor import RewardPredictor

_FEW = 50


@ends_well("What was added to memory is kept: run the same command again to go on.")
@learns()
@reads_files()
def warmup(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Rollout files to add to memory first; none to use memory as it is.", show_default=False),
    ] = None,
    *,
    memory: MemoryUri,
    as_json: AsJson = False,
    learning: LearningConfig,
    reading: FileSettings,
) -> None:
    """Add rollouts to memory, spend the label budget, and let the predictor learn from what it buys.

    Every label that is there is used, unless --labels says less: then those of the questions whose expected advantages
    are most uncertain. A label is a verdict, or a reference by which rollouts are verified (not of code: memreward
    verify). Each one that is used is entered in the ledger.

    Examples:
      memreward warmup rollouts.jsonl.gz --memory runs/memory --labels 20%
      memreward warmup rollouts.jsonl.gz --memory runs/memory --labels 0
      memreward warmup --memory runs/memory --labels 200
      memreward warmup a.jsonl b.parquet --memory runs/memory --prior mine.safetensors
    """
    from memreward.answers.prior import RewardPrior
    from memreward.features.behaviour import runner_for
    from memreward.memory import Budget, ExperienceMemory
    from memreward.reward.predictor import RewardPredictor

    output, budget, known = Output(as_json), Budget.of(learning.labels), RewardPrior.load(learning.prior)
    folder = predictor_folder(memory)
    check_folder(folder)
    started = time.monotonic()
    with output.progress() as steps:
        runner = runner_for(learning.execute, steps)
        store = ExperienceMemory.open(memory, create=bool(files))
        added = store.add(counted(read_files(files or [], output, reading), steps))
        made = RewardPredictor.warmup(store, budget=budget, prior=known, runner=runner, progress=steps)
    made.save(folder)
    report = {
        "predictor": folder,
        "queries_with_labels": len(store.ledger.choose(None)),
        "seconds": round(time.monotonic() - started, 1),
        "added": asdict(added),
    }
    report |= _learned(made)
    _print(output, report, made.held_out, chosen=learning.labels != "all")
    again = [*map(str, files or [Path("FILE")]), *reading.flags]
    output.next(f"score {shlex.join(again)} --memory {shlex.quote(memory)} --out scored.csv")
    output.result(report)


def _learned(made: RewardPredictor) -> dict[str, Any]:
    told, memory = made.provenance, made.memory
    return {
        "memory": {"uri": memory.uri, **memory.counts()},
        "ledger": memory.ledger.totals(),
        "labelled_queries": told.labelled_queries,
        "labels": told.labels,
        "prior": told.prior,
        "sources_left_out": told.left_out,
        "trust": made.model.trust(),
        "doubt": made.model.doubt(),
        "votes_only": sorted({group.query.domain for group in memory.groups()} - made.model.prior.domains.keys()),
        "held_out": [figures.to_dict() for figures in made.held_out],
    }


def _print(output: Output, report: Mapping[str, Any], held_out: Sequence[HeldOut], *, chosen: bool) -> None:
    memory, known, used = report["memory"], report["queries_with_labels"], report["labelled_queries"]
    left_out = report["sources_left_out"]
    prior = report["prior"] + (f", without {left_out} sources that hold some of these questions" if left_out else "")
    facts = {
        "labelled queries": f"{used} of {known} with a label, {memory['queries']} in memory",
        "labels": f"{report['labels']} on {memory['rollouts']} rollouts",
        "prior": prior,
        "seconds": f"{report['seconds']:.0f}",
        "predictor": report["predictor"],
    }
    output.table("Warmup", ("", ""), list(facts.items()))
    if used < known:
        output.note(f"--labels left {known - used} labelled questions unused: --labels all takes them too.")
    if not report["labels"] and (unread := memory["references"] - known) > 0:
        output.note(f"{unread} questions have a reference and no verdict: memreward verify judges by them, code too.")
    if report["votes_only"]:
        output.note(
            f"{', '.join(report['votes_only'])}: no prior knows this domain, so that values are shares of votes, and a "
            "label says of its own answer alone. memreward prior fit learns one from 100 labelled questions or more."
        )
    if not report["labels"]:
        output.note("No label was used, so nothing was checked: the prior and majority vote decide.")
        return
    for domain in (name for name, weight in report["doubt"].items() if weight > 0.5):
        output.note(
            f"{domain}: by these labels the most frequent answer does not tend to be right. Only labels can tell: "
            "label more questions (memreward propose)."
        )
    if not held_out:
        output.note("One labelled question alone cannot be held against others: nothing was checked.")
        return
    measures = ("auc", "group_auc", "accuracy", "ece", "advantage_cosine")
    output.table(
        "On the labelled rollouts, each predicted blind to its label",
        ("domain", "queries", "predictor", *(HEADINGS[name] for name in measures)),
        [
            (part.domain, part.queries, name, *(getattr(metrics, measure) for measure in measures))
            # All domains together say nothing more where there is one.
            for part in (held_out if len(held_out) > 2 else held_out[1:])
            for name, metrics in (("memreward", part.metrics), ("majority vote", part.majority))
        ],
    )
    if chosen:
        output.note("These questions were chosen as the most uncertain ones: on others the figures are better.")
    elif held_out[0].queries < _FEW:
        output.note(f"{held_out[0].queries} questions are few: differences below about .1 say nothing yet.")


def counted(groups: Iterable[Group], steps: Steps) -> Iterator[Group]:
    for number, group in enumerate(groups, start=1):
        steps("adding queries", number)
        yield group
