"""`memreward questions`: what benchmarks there are, and a sample of questions with its split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memreward.cli.common import AsJson, check_file
from memreward.cli.errors import ends_well
from memreward.cli.options import Changes, options_from
from memreward.cli.output import Output
from memreward.data.splits import PARTS, SplitConfig

if TYPE_CHECKING:
    from memreward.data.splits import Split
    from memreward.types import Group


@ends_well("No file was written: run the same command again.")
@options_from("settings", SplitConfig, panel="Splitting")
def questions(
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="Benchmarks, question files, or FAMILY:COUNT; none lists them.", show_default=False),
    ] = None,
    *,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Question file to write: .jsonl, .jsonl.gz or .parquet.")
    ] = None,
    split: Annotated[Path | None, typer.Option(help="File to write the split to, as JSON.")] = None,
    n: Annotated[int, typer.Option(help="Questions of each dataset, at most; 0 takes all.")] = 1500,
    benchmark_split: Annotated[
        str | None, typer.Option(help="Split of the benchmarks that is read.", show_default="of each benchmark")
    ] = None,
    hub: Annotated[
        Path | None, typer.Option(help="Folder with copies of the hub's dataset repositories.", show_default="hub")
    ] = None,
    as_json: AsJson = False,
    settings: Changes[SplitConfig],
) -> None:
    """Sample questions into a file and split them; or list the benchmarks.

    Samples and split depend on the questions' ids and the seed alone.

    Examples:
      memreward questions
      memreward questions gsm8k mmlu --n 1500 --seed 0 --out questions.jsonl.gz --split split.json
      memreward questions data/own.jsonl gcd:200 --out questions.jsonl --split split.json --json
    """
    output = Output(as_json)
    if not sources:
        _list_benchmarks(output)
        return
    if out is None:
        raise typer.BadParameter("say by --out where the questions go", param_hint="--out")
    from memreward.data import format_of, make_split, write_groups, write_split
    from memreward.data.questions import distinct

    config = settings.made()
    for file in (out, split):
        check_file(file)
    format_of(out)
    found = _loaded(sources, output, benchmark_split, n or None, config.seed, hub)
    kept, repeated = distinct(found)
    drawn = make_split(kept, config) if split else None
    write_groups(out, kept)
    if split is not None and drawn is not None:
        write_split(split, drawn)
    _report(output, kept, drawn, {"out": out, "split": split, "repeated": repeated, "seed": config.seed})


def _report(output: Output, kept: Sequence[Group], drawn: Split | None, about: dict[str, Any]) -> None:
    if about["repeated"]:
        output.note(f"{about['repeated']} questions were left out: their text stands before")
    counts = drawn.datasets if drawn else {name: {} for name in sorted({group.query.dataset for group in kept})}
    sizes = Counter(group.query.dataset for group in kept)
    columns = PARTS if drawn else ()
    rows = [(name, sizes[name], *(counts[name][part] for part in columns)) for name in counts]
    output.table(f"Questions in {about['out']}", ("dataset", "questions", *columns), rows)
    datasets = {name: {"questions": sizes[name], **parts} for name, parts in counts.items()}
    output.result({**about, "questions": len(kept), "datasets": datasets})


def _loaded(
    sources: list[str], output: Output, benchmark_split: str | None, n: int | None, seed: int, hub: Path | None
) -> list[Group]:
    from memreward.data import benchmarks, load_questions

    found: list[Group] = []
    with output.progress() as steps:
        for number, source in enumerate(sources):
            steps(f"loading {source}", number, len(sources))
            # Files and families beside a benchmark have no split to be asked for.
            named = benchmark_split if source.partition(":")[0].lower() in benchmarks() else None
            found += load_questions(source, split=named, n=n, seed=seed, root=hub or "")
    return found


def _list_benchmarks(output: Output) -> None:
    from memreward.data import benchmarks

    known = benchmarks().values()
    columns = ("name", "domain", "splits", "repository", "license")
    rows = [(b.name, b.domain, ", ".join(b.splits), b.repository, b.license) for b in known]
    output.table("Benchmarks", columns, rows)
    output.result({"benchmarks": list(known)})
