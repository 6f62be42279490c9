"""`python -m lab`: the same policy trained with different rewards, and what their rewards could have known."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.trainings.config import ExperimentConfig
from memreward.cli.common import AsJson
from memreward.cli.errors import ends_well
from memreward.cli.options import options_from
from memreward.cli.output import Output, markdown_report

if TYPE_CHECKING:
    from lab.trainings.results import TrainingResult

PACKAGES = ("memreward", "torch", "transformers", "trl", "torch-geometric", "numpy")
_LEFT_OUT = ("sampling.model", "sampling.seed", "grpo.lora_rank", "trl")
"""What an experiment decides itself."""


@ends_well("Finished trainings are kept in --out: run the same command again to go on from there.")
@options_from(
    "settings",
    ExperimentConfig,
    panel="Experiment",
    leave_out=_LEFT_OUT,
    names={"workers": "jobs", "grpo": "", "sampling": ""},
)
def experiment(
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the result and for finished trainings.")] = Path(
        "runs/experiment"
    ),
    start: Annotated[
        Path | None,
        typer.Option(
            "--start",
            help="Folder of the starting policy and questions; made there where it is missing.",
            show_default="in the cache",
            metavar="FOLDER",
        ),
    ] = None,
    page: Annotated[
        bool, typer.Option("--page", help="Also write a page and the pictures on it (extra: report).")
    ] = False,
    markdown: Annotated[
        Path | None,
        typer.Option(
            help="Also write the tables, with the command, to this Markdown file; with --page, pictures in a folder "
            "of its name beside it.",
            metavar="FILE",
        ),
    ] = None,
    as_json: AsJson = False,
    settings: ExperimentConfig,
) -> None:
    """Train a small policy with every kind of reward, and tell how far each closes the gap to full ground truth.

    All arms begin with the same policy. Figures are of held-out questions, with intervals over seeds and questions.

    Examples:
      python -m lab experiment --out runs/experiment --page
      python -m lab experiment --arms oracle,labelled,memreward --labels 20%,70% --seeds 3 --jobs 2
      python -m lab experiment --steps 60 --seeds 1 --json
    """
    from lab.trainings.experiment import run
    from lab.trainings.measure import measure
    from memreward.evaluation.parts import installed_versions

    output = Output(as_json)
    with output.progress() as steps:
        outcomes = run(settings, out, steps, start=start)
    result = measure(outcomes, config=asdict(settings), versions=installed_versions(PACKAGES))
    for labels in result.shares:
        for table in result.tables(labels):
            output.table(table.title, table.columns, table.rows)
        for said in [*result.standing(labels), *result.notes(labels)]:
            output.note(said)
    output.note(f"written: {', '.join(map(str, _written(result, out, page=page, markdown=markdown)))}")
    output.result(result.to_dict())


def _written(result: TrainingResult, out: Path, *, page: bool, markdown: Path | None) -> list[Path]:
    """Write the result in every form that was asked for; return where."""
    # Experiments that share a folder of trainings keep a result each.
    name = "experiment" if markdown is None else markdown.stem
    written = [out / f"{name}.json"]
    result.save(written[0])
    links: dict[float | None, str] = {}
    if page:
        from lab.trainings.pictures import picture_links, write_page, write_pictures

        written.append(out / f"{name}.html")
        write_page(result, written[-1])
        beside = out if markdown is None else markdown.with_suffix("")
        written += write_pictures(result, beside)
        links = picture_links(result, beside.name)
    if markdown is not None:
        markdown.parent.mkdir(parents=True, exist_ok=True)
        text = markdown_report("Training with hybrid rewards", result.versions, result.markdown(links))
        markdown.write_text(text, encoding="utf-8")
        written.append(markdown)
    return written


@ends_well("Nothing was written.")
def replay(
    trainings: Annotated[
        list[Path], typer.Argument(help="Folders of trainings, each with its memory: OUT/cells/* of an experiment.")
    ],
    *,
    start: Annotated[Path, typer.Option("--start", help="Folder of the starting policy and questions.")],
    markdown: Annotated[
        Path | None,
        typer.Option(help="Also write the tables to this Markdown file.", metavar="FILE"),
    ] = None,
) -> None:
    """Say what earlier visits, labels of like solutions and their age do to the rewards of recorded trainings.

    Cosine of expected with true advantages on the unlabelled questions, of all and by visit of a question.
    """
    from lab.replay import HALF_LIVES, LIKE, PAST, cosines, recorded, table
    from lab.testbed.start import EXPERIENCE, Start
    from memreward.answers.prior import RewardPrior

    output, begun = Output(False), Start(start)
    prior = RewardPrior.load("default").without(group.query for group in begun.groups(EXPERIENCE))
    names = [folder.name for folder in trainings]
    with output.progress() as shown:
        read = []
        for done, folder in enumerate(trainings, start=1):
            read.append(recorded(folder, begun))
            shown("reading trainings", done, len(trainings))
        by_past = {weight: [cosines(each, prior, past=weight) for each in read] for weight in PAST}
        alone = {weight: [cosines(each, prior, past=weight, like=0.0) for each in read] for weight in PAST}
        by_like = {weight: [cosines(each, prior, like=weight) for each in read] for weight in LIKE}
        by_age = {steps: [cosines(each, prior, half_life=steps) for each in read] for steps in HALF_LIVES}
    tables = [
        table("weight of like solutions", by_like, names),
        table("weight of earlier visits, no like solutions", alone, names),
        table("weight of earlier visits beside like solutions", by_past, names),
        table("steps after which a label counts half (0: never)", by_age, names),
    ]
    print("\n\n".join(tables))
    if markdown is not None:
        command = f"python -m lab replay {' '.join(map(str, trainings))} --start {start} --markdown {markdown}"
        parts = ["# Recorded trainings, predicted again", f"    {command}", _REPLAYED, *tables]
        markdown.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


_REPLAYED = """\
Cosine of expected with true advantages on the unlabelled questions of each training, and by visit of a question (mean
of the trainings). The answer model predicts each step before it learns from the step's labelled groups."""
