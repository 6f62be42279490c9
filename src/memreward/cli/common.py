"""Arguments that several commands share, and how they read rollout files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from memreward.cli.models import chosen_models, recorded_models
from memreward.cli.output import Output, Steps
from memreward.types import ConfigurationError, DataError, Group

if TYPE_CHECKING:
    from memreward.predict.reward_predictor import RewardPredictor

Files = Annotated[list[Path], typer.Argument(help="Rollout files: .jsonl, .jsonl.gz or .parquet.", metavar="FILES")]
MemoryUri = Annotated[
    str, typer.Option("--memory", "-m", help="Folder or object-store address of the experience memory.")
]
PredictorFolder = Annotated[
    Path | None,
    typer.Option("--predictor", help="Folder of the predictor.", show_default="MEMORY/predictor", metavar="FOLDER"),
]
SkipBad = Annotated[
    bool,
    typer.Option("--skip-bad", help="Leave out lines that break the schema, and say how many, instead of stopping."),
]
DuplicateTexts = Annotated[
    Literal["keep", "drop", "auto"],
    typer.Option(
        "--duplicates", help="Equal texts of one question: keep them, drop them, or drop only long ones (auto)."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on stdout.")]


def read_files(
    files: Sequence[Path], output: Output, *, skip_bad: bool, duplicates: Literal["keep", "drop", "auto"]
) -> Iterator[Group]:
    """Stream the groups of several files; with `skip_bad`, what is left out is named and counted on stderr.

    Raises:
        DataError: a line breaks the schema and `skip_bad` is False, or two files use one rollout id.
    """
    from memreward.data import read_groups

    skipped = 0

    def report(message: str) -> None:
        nonlocal skipped
        skipped += 1
        output.note(f"skipped: {message}")

    homes: dict[str, Path] = {}
    for file in files:
        for group in read_groups(file, skip_bad=skip_bad, on_skip=report, duplicates=duplicates):
            _refuse_shared_ids(group, file, homes)
            yield group
    if skipped:
        output.note(f"{skipped} entries were skipped")


def _refuse_shared_ids(group: Group, file: Path, homes: dict[str, Path]) -> None:
    for rollout in group.rollouts:
        home = homes.setdefault(rollout.id, file)
        if home != file:
            raise DataError(
                f"{file}: rollout id {rollout.id!r} stands also in {home}; give each rollout its own 'id', or give the "
                "files to separate commands"
            )


def predictor_folder(memory: str, folder: Path | None) -> Path:
    """Return where the predictor of a memory is kept.

    Raises:
        ConfigurationError: no folder was named and the memory is no local one.
    """
    if folder is not None:
        return folder
    if "://" in memory:
        raise ConfigurationError(
            f"the memory {memory} is not a local folder; say by --predictor where the predictor is"
        )
    return Path(memory) / "predictor"


def load_predictor(memory: str, folder: Path | None, reader: str | None, steps: Steps) -> RewardPredictor:
    """Load the predictor of a memory that must exist: a mistyped path makes no empty one.

    Raises:
        ConfigurationError: no folder was named and the memory is no local one.
        StoreError: there is no such memory or no predictor, or one of them cannot be read.
    """
    from memreward.memory import ExperienceMemory
    from memreward.predict.reward_predictor import RewardPredictor

    store = ExperienceMemory.open(memory, create=False)
    source = predictor_folder(memory, folder)
    models = chosen_models(None, reader, recorded_models(source))
    return RewardPredictor.load(
        source,
        store,
        reader=models.load_reader(steps),
        runner=models.load_runner(steps),
    )
