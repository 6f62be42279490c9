"""Arguments that several commands share, and how they read rollout files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memreward.cli.options import Command, options_from
from memreward.cli.output import Output, Steps
from memreward.data.formats import Reading
from memreward.reward.settings import LearningConfig
from memreward.types import ConfigurationError, DataError, Group, MissingExtraError, Rollout

if TYPE_CHECKING:
    from memreward.reward.predictor import RewardPredictor

Files = Annotated[list[Path], typer.Argument(help="Rollout files, or what memreward read can read.", metavar="FILES")]
MemoryUri = Annotated[str, typer.Option("--memory", "-m", help="Folder of the experience memory.")]
HostAndPort = Annotated[
    str,
    typer.Option(
        metavar="HOST[:PORT]",
        help="Where to listen; what others can reach needs a token. Port 0 is any that is free.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on stdout.")]


@dataclass(frozen=True)
class FileSettings:
    """How files of rollouts are read.

    Attributes:
        skip_bad: Leave out lines that break the schema, and say how many, instead of stopping.
        answer_pattern: Regular expression that finds answers, in place of the built-in rules, for your own formats; of
            its last match, the group named 'answer' is the answer, else the first group, else all of it.
        layout: What is where in files of another layout.
    """

    skip_bad: bool = False
    answer_pattern: str | None = None
    layout: Reading = field(default_factory=Reading)

    def __post_init__(self) -> None:
        from memreward.domains.shared.answer_pattern import AnswerPattern

        try:
            if self.answer_pattern is not None:
                AnswerPattern(self.answer_pattern)
        except ConfigurationError as error:
            raise typer.BadParameter(str(error)) from error

    @property
    def flags(self) -> list[str]:
        """The options that say the layout again."""
        named = {each.name: getattr(self.layout, each.name) for each in fields(self.layout)}
        return [word for name, value in named.items() if value is not None for word in (f"--{name}", str(value))]

    def groups(
        self, files: Path | Sequence[Path], on_skip: Callable[[str], None], *, drop_copies: bool = False
    ) -> Iterator[Group]:
        """Stream the groups of a file, or of several that are joined; see `memreward.data.read_groups`."""
        from memreward.data import read_groups

        return read_groups(
            files,
            reading=self.layout,
            skip_bad=self.skip_bad,
            on_skip=on_skip,
            drop_copies=drop_copies,
            answer_pattern=self.answer_pattern,
        )


def reads_files(*leave_out: str, base: FileSettings | None = None) -> Callable[[Command], Command]:
    return options_from(
        "reading", FileSettings, panel="Reading files", leave_out=leave_out, names={"layout": ""}, base=base
    )


def learns(*only: str, labels: str = "all") -> Callable[[Command], Command]:
    """Give a command the options of a `LearningConfig`, or only some, as `learning`."""
    base = LearningConfig(labels=labels)
    return options_from("learning", LearningConfig, panel="Learning", only=only, base=base)


_MUCH = 0.2
_EXAMPLES = 3
_SHOWN = 100


def read_files(
    files: Sequence[Path], output: Output, reading: FileSettings, drop_copies: bool = False
) -> Iterator[Group]:
    """Stream the groups of several files; what is left out is named and counted on stderr.

    Where more than a fifth of a file's rollouts have no answer, stderr says so. Raises DataError for a bad line or a
    shared rollout id.
    """
    skipped = 0

    def report(message: str) -> None:
        nonlocal skipped
        skipped += 1
        output.note(f"skipped: {message}")

    homes: dict[str, Path] = {}
    for file in files:
        rollouts, unread, examples = 0, 0, list[Rollout]()
        for group in reading.groups(file, report, drop_copies=drop_copies):
            for rollout in group.rollouts:
                if (home := homes.setdefault(rollout.id, file)) != file:
                    raise DataError(
                        f"{file}: rollout id {rollout.id!r} stands also in {home}; give each rollout its own 'id', or "
                        "give the files to separate commands"
                    )
                if rollout.answer is None:
                    unread, examples = unread + 1, [*examples, rollout][:_EXAMPLES]
            rollouts += len(group.rollouts)
            yield group
        if unread > _MUCH * rollouts:
            _say_unread(file, unread, rollouts, examples, output)
    if skipped:
        output.note(f"{skipped} entries were skipped")


def _say_unread(file: Path, unread: int, rollouts: int, examples: Sequence[Rollout], output: Output) -> None:
    output.note(
        f"{file}: no answer was found in {unread} of {rollouts} rollouts. If they have one, say by --answer-pattern "
        "where it stands. Some of them, by their ends:"
    )
    for rollout in examples:
        cut = "..." if len(rollout.text) > _SHOWN else ""
        # As a literal: what a model wrote must not reach the terminal as it is.
        output.note(f"  {rollout.id!r}: {cut}{rollout.text[-_SHOWN:]!r}")


def check_file(path: Path | None) -> None:
    """Refuse a file that could not be written, before work or labels are spent on what goes there; makes nothing."""
    if path is None:
        return
    if not path.name or path.is_dir():
        raise ConfigurationError(f"{str(path)!r} is a folder: name a file in it")
    check_folder(path.parent)


def check_folder(folder: Path) -> None:
    """Refuse a folder in which nothing could be written; makes nothing."""
    above = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not above.is_dir():
        raise ConfigurationError(f"{folder} cannot be written: {above} is a file; choose another folder")
    try:
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        said = f"{folder} cannot be written: {above} takes no file ({error.strerror}); choose another folder"
        raise ConfigurationError(said) from None


def check_extra(package: str, extra: str, purpose: str) -> None:
    """Refuse to begin what an optional dependency is missing for; imports nothing."""
    if find_spec(package) is None:
        raise MissingExtraError(package, extra, purpose)


def predictor_folder(memory: str) -> Path:
    return Path(memory) / "predictor"


def load_predictor(memory: str, steps: Steps) -> RewardPredictor:
    """Load the predictor of a memory that must exist; StoreError where there is none, or one cannot be read."""
    from memreward.memory import ExperienceMemory
    from memreward.reward.predictor import RewardPredictor

    store = ExperienceMemory.open(memory, create=False)
    return RewardPredictor.load(predictor_folder(memory), store, progress=steps)
