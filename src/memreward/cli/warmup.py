"""`memreward warmup`: rollouts and a label budget in, an experience memory and a predictor out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from memreward.cli.common import (
    AnswerPatternText,
    AsJson,
    DuplicateTexts,
    MemoryUri,
    PredictorFolder,
    SkipBad,
    predictor_folder,
    read_files,
)
from memreward.cli.errors import ends_well
from memreward.cli.models import EncoderName, ExecuteCode, ReaderName, chosen_models, write_record
from memreward.cli.options import Changes, options_from
from memreward.cli.output import Output, Steps
from memreward.experiments.results import HEADINGS
from memreward.predict.config import PredictorConfig
from memreward.types import Group

if TYPE_CHECKING:
    from memreward.memory import Budget, ExperienceMemory
    from memreward.predict.held_out import HeldOut

OTHER_NAMES = {"labels": "label-inputs", "evidence": "evidence-inputs", "text": "text-inputs"}


@ends_well("What was added to memory is kept: run the same command again to go on.")
@options_from("settings", PredictorConfig, panel="Predictor (defaults of --preset default)", names=OTHER_NAMES)
def warmup(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Rollout files to add to memory first (.jsonl, .jsonl.gz, .parquet); none to use memory as it is.",
            metavar="FILES",
            show_default=False,
        ),
    ] = None,
    *,
    memory: MemoryUri,
    labels: Annotated[
        str, typer.Option(help="Label budget in queries: a share with a point (0.2), or a whole number (100).")
    ] = "0.2",
    judgements: Annotated[
        int | None, typer.Option(help="Label budget in judged rollouts, in place of --labels.", min=1)
    ] = None,
    choose: Annotated[
        Literal["random", "contested", "spread"],
        typer.Option(
            help="Which queries are labelled: drawn, those whose answers disagree most, or of these each next unlike "
            "those before."
        ),
    ] = "random",
    seed: Annotated[int, typer.Option(help="Decides which queries are labelled, the folds and the weights.")] = 0,
    preset: Annotated[
        Literal["default", "paper"], typer.Option(help="Settings to start from; options below change them.")
    ] = "default",
    encoder: EncoderName = None,
    reader: ReaderName = None,
    execute: ExecuteCode = None,
    predictor: PredictorFolder = None,
    skip_bad: SkipBad = False,
    duplicates: DuplicateTexts = "keep",
    answer_pattern: AnswerPatternText = None,
    as_json: AsJson = False,
    settings: Changes[PredictorConfig],
) -> None:
    """Add rollouts to memory, spend the label budget, and train the predictor on what it buys.

    Labels are taken from the files for the labelled share only, and every one is entered in the ledger.

    Examples:
      memreward warmup rollouts.jsonl.gz --memory runs/memory --labels 0.2
      memreward warmup --memory runs/memory --labels 200 --seed 1 --preset paper
      memreward warmup --memory runs/memory --labels 0.1 --choose spread --encoder ngrams
      memreward warmup a.jsonl b.parquet --memory runs/memory --no-graph-similarity
    """
    from memreward.features.choosing import label_order
    from memreward.memory import ExperienceMemory
    from memreward.predict.reward_predictor import RewardPredictor

    output = Output(as_json)
    config = settings.made(PredictorConfig.preset(preset))
    budget = budget_from(labels, judgements)
    folder = predictor_folder(memory, predictor)
    models = chosen_models(encoder, reader, execute=execute)
    started = time.monotonic()
    with output.progress() as steps:
        runner = models.load_runner(steps)
        store = ExperienceMemory.open(memory, create=bool(files))
        groups = read_files(
            files or [], output, skip_bad=skip_bad, duplicates=duplicates, answer_pattern=answer_pattern
        )
        added = store.add(counted(groups, steps, "adding queries"))
        vectors = models.load_encoder(steps)
        asked = [] if choose == "random" else labelable(store)
        made = RewardPredictor.warmup(
            store,
            budget=budget,
            seed=seed,
            config=config,
            encoder=vectors,
            queries=label_order(choose, asked, lambda: vectors, seed, budget.limits(store.counts()["queries"], 0)[0]),
            reader=models.load_reader(steps),
            runner=runner,
            progress=partial(steps, "training steps"),
        )
    spent = store.ledger.totals()
    models = replace(models, execute="off" if runner is None else "on")  # auto must not change its mind when scoring
    write_record(folder, models, {"files": list(map(str, files or [])), "budget": asdict(budget), "ledger": spent})
    made.save(folder)
    report = {
        "memory": {"uri": memory, **store.counts()},
        "added": asdict(added),
        "predictor": folder,
        "labelled_queries": made.provenance.labelled_queries,
        "labels": made.provenance.labels,
        "seed": seed,
        "threshold": made.threshold,
        "held_out": [figures.to_dict() for figures in made.held_out],
        "seconds": round(time.monotonic() - started, 1),
        "ledger": spent,
    }
    _print(output, report, made.held_out)
    output.result(report)


def _print(output: Output, report: Mapping[str, Any], held_out: Sequence[HeldOut]) -> None:
    shown = ("labelled_queries", "labels", "threshold", "seconds", "predictor")
    counts = [(f"{name} in memory", report["memory"][name]) for name in ("queries", "rollouts")]
    output.table("Warmup", ("", ""), [*counts, *((name.replace("_", " "), report[name]) for name in shown)])
    measures = ("auc", "group_auc", "accuracy", "ece")
    output.table(
        "On the labelled rollouts, each predicted blind to its label",
        ("domain", "queries", "rollouts", "predictor", *(HEADINGS[name] for name in measures)),
        [
            (part.domain, part.queries, part.rollouts, name, *(getattr(metrics, measure) for measure in measures))
            # All domains together say nothing more where there is one.
            for part in (held_out if len(held_out) > 2 else held_out[1:])
            for name, metrics in (("memreward", part.metrics), ("majority vote", part.majority))
        ],
    )


def labelable(memory: ExperienceMemory) -> list[Group]:
    """Return the groups of memory that have something to release."""
    without = set(memory.ledger.ineligible())
    return [group for group in memory.groups() if group.query.id not in without]


def budget_from(labels: str, judgements: int | None) -> Budget:
    """Read `--labels` and `--judgements`.

    Raises:
        typer.BadParameter: `labels` is no number.
        ConfigurationError: it is neither a share in (0, 1] nor a count of at least one.
    """
    from memreward.memory import Budget

    if judgements is not None:
        return Budget(judgements=judgements)
    try:
        return Budget(queries=float(labels) if "." in labels else int(labels))
    except ValueError as error:
        raise typer.BadParameter(
            f"--labels {labels}: give a share such as 0.2, or a whole number such as 100"
        ) from error


def counted(groups: Iterable[Group], steps: Steps, stage: str) -> Iterator[Group]:
    """Pass groups on and show how many have passed."""
    for number, group in enumerate(groups, start=1):
        steps(stage, number)
        yield group
