"""`memreward evaluate`: every predictor on labelled files, side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memreward.cli.common import (
    AsJson,
    Files,
    FileSettings,
    check_extra,
    check_file,
    check_folder,
    learns,
    read_files,
    reads_files,
)
from memreward.cli.errors import ends_well
from memreward.cli.options import Changes, options_from
from memreward.cli.output import Output, markdown_report
from memreward.cli.shards import Engine, spread
from memreward.evaluation.protocol import REFERENCE, EvaluationConfig
from memreward.evaluation.suite import CONFIG as PROTOCOL
from memreward.evaluation.suite import ROWS as SUITE
from memreward.plugins import absolute
from memreward.reward.settings import LearningConfig
from memreward.temporary import write_whole
from memreward.types import ConfigurationError, Execute

if TYPE_CHECKING:
    from memreward.evaluation.cells import PredictorFactory
    from memreward.evaluation.results import EvaluationResult
    from memreward.types import Group, Predictor

OURS = "memreward"
NETWORKS = ("paper", "no_propagation", "no_network")
"""The paper's network, and what is left of it without memory's messages, and without any."""
DEFAULT = f"{OURS},majority,majority_hard"


@dataclass(frozen=True)
class Comparison:
    """What is compared, and in which forms the result is shown and written.

    Attributes:
        predictors: Which to compare, with commas between: names; baselines or all for many; FILE.py:NAME for your own
            (docs/own_method.md). Without it: memreward, majority, majority_hard.
        suite: Run the fixed protocol over all FILES and print one leaderboard.
        judge: Compare with a judge's verdicts, a key of the rollouts.
        signals: Your own signals, FILE.py:NAME, with commas between.
        page: Also write a page: the answer, a forest plot, curves, tables.
        csv: Also write a row a file, budget, predictor and metric.
        latex: Also write LaTeX tables (booktabs).
        full: Print every table, and the ledger, instead of the summary.
    """

    predictors: str | None = None
    suite: bool = False
    judge: str | None = None
    signals: tuple[str, ...] = ()
    page: bool = False
    csv: Path | None = None
    latex: Path | None = None
    full: bool = False


@ends_well("Finished parts are kept in --out: run the same command again to go on from there.")
@reads_files()
@learns("prior", "execute")
@options_from("what", Comparison, panel="Options")
@options_from("settings", EvaluationConfig, panel="Evaluation")
def evaluate(
    files: Files,
    *,
    engine: Annotated[
        Engine, typer.Option(help="'ray' evaluates each file on a Ray cluster, with the same result.")
    ] = "process",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the result and for finished parts.")] = Path(
        "runs/evaluation"
    ),
    as_json: AsJson = False,
    what: Comparison,
    settings: Changes[EvaluationConfig],
    learning: LearningConfig,
    reading: FileSettings,
) -> None:
    """Label some of the queries, predict the rest with every predictor, and compare.

    Splits are by query id; copies of a long text count once. It prints a summary, and with --full every table and the
    ledger of the labels that were used. For each file, sources of the prior that share a question with it are left out.

    Examples:
      memreward evaluate rollouts.jsonl --labels 0,5,20,50 --seeds 5
      memreward evaluate a.jsonl b.jsonl --predictors memreward,baselines --out runs/evaluation --page
      memreward evaluate rollouts.jsonl --labels 20,20% --seeds 5-9 --csv figures.csv --latex tables.tex
      memreward evaluate rollouts.jsonl --predictors memreward,majority,mine.py:LengthVote --signals mine.py:log_length
      memreward evaluate rollouts/ --suite --predictors mine.py:LengthVote
      memreward evaluate /shared/rollouts --suite --engine ray --out /shared/evaluation
      memreward evaluate rollouts.jsonl --prior none --json
    """
    from memreward.evaluation.suite import FEWEST, submitted, suited

    output = Output(as_json)
    config = _protocol(settings) if what.suite else settings.made()
    check_folder(out)
    for file in (what.csv, what.latex):
        check_file(file)
    own = [absolute(name) for name in what.signals]
    chosen = chosen_predictors(_names(what.predictors, suite=what.suite), learning.prior)
    if what.judge is not None:
        from memreward.evaluation.baselines import JudgeColumn

        chosen["judge"] = JudgeColumn(what.judge)
    named: Mapping[str, Sequence[Group]] = _read(files, output, reading)
    if what.suite:
        named, left_out = suited(named)
        for name in left_out:
            output.note(f"{name} is left out: fewer than {FEWEST} judged questions")
    run = partial(_evaluated, chosen, own, learning.execute, (out / "cells").absolute())
    if engine == "ray":
        places = {name: file.absolute() for name, file in file_names(files).items() if name in named}

        def finish(name: str) -> None:
            quiet = Output(True)
            run(quiet, {name: list(read_files([places[name]], quiet, reading, drop_copies=True))}, config, 1)

        list(spread(list(places), finish))  # what is finished is taken over here
    result = run(output, named, config)
    if what.suite:
        result = submitted(result, named)
    _show(output, result, _written(result, out, what), full=what.full)


def _evaluated(
    predictors: Mapping[str, PredictorFactory],
    signals: Sequence[str],
    execute: Execute,
    parts: Path,
    output: Output,
    named: Mapping[str, Sequence[Group]],
    config: EvaluationConfig,
    processes: int = 0,
) -> EvaluationResult:
    """Evaluate in this process and its workers; what is finished in `parts` is taken over."""
    from memreward.evaluation.protocol import evaluate as run_evaluation
    from memreward.features.behaviour import runner_for
    from memreward.features.featurizer import Featurizer
    from memreward.features.own import use_signals

    encoder = None
    if signals:
        use_signals(signals)
    if reads_text(predictors):
        from memreward.network.encoder import NgramEncoder

        encoder = NgramEncoder()  # beside the evidence as good as sentence vectors, which take 35 times as long
    with output.progress() as steps:
        featurizer = Featurizer(encoder, runner_for(execute, steps))
        return run_evaluation(named, predictors, featurizer, config, out=parts, processes=processes, progress=steps)


def _read(files: Sequence[Path], output: Output, reading: FileSettings) -> dict[str, list[Group]]:
    places = file_names(files)
    found: dict[str, list[Group]] = {}
    with output.progress() as steps:
        for name, file in places.items():
            found[name] = list(read_files([file], output, reading, drop_copies=True))
            steps("reading files", len(found), len(places))
    return found


def _names(predictors: str | None, *, suite: bool) -> str:
    """What is compared: what was named, or the default; who always takes part in the suite; and the reference."""
    named = [*(SUITE if suite else ()), *(predictors or ("" if suite else DEFAULT)).split(",")]
    many = {"baselines", "all"} & {*named}
    return ",".join(dict.fromkeys(filter(None, [*named, *(() if many else [REFERENCE])])))


def _protocol(settings: Changes[EvaluationConfig]) -> EvaluationConfig:
    """The suite's, which nothing may change."""
    asked = sorted("-".join(path) for path in settings.values)
    if asked:
        raise ConfigurationError(f"--suite is a fixed protocol: leave --{', --'.join(asked)} away")
    return PROTOCOL


def _show(output: Output, result: EvaluationResult, written: Sequence[Path], *, full: bool) -> None:
    from memreward.evaluation.suite import leaderboard
    from memreward.evaluation.summary import summary

    above, below = list[str](), list[str]()
    if full:
        tables = [*result.tables(), *result.differences(), result.ledger_table()]
    elif "suite" in result.config:
        above, tables = leaderboard(result)
    else:
        tables, below = summary(result)
    output.text(*(textwrap.fill(line, output.width) for line in above))
    for table in tables:
        output.show(table, uncut=full)
    output.text(*(textwrap.fill(line, output.width, subsequent_indent="  ") for line in below))
    for failure in result.failures():
        output.note(f"not fitted: {failure}")
    output.note("\n".join(["written:", *(f"  {path}" for path in written)]))
    output.result(result.to_dict())


def _written(result: EvaluationResult, out: Path, what: Comparison) -> list[Path]:
    """Write the result, and what else was asked for; return where. How long it took stands in a file of its own."""
    from memreward.evaluation.export import as_csv, as_latex, as_timings

    written = [out / "evaluation.json", out / "evaluation.md"]
    result.save(written[0])
    write_whole(written[1], _markdown(result))
    write_whole(out / "timings.csv", as_timings(result))
    if what.page:
        from memreward.evaluation.report import write_page

        written.append(out / "evaluation.html")
        write_page(result, written[-1])
    for path, text in ((what.csv, as_csv), (what.latex, as_latex)):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, text(result))
            written.append(path)
    return written


def _markdown(result: EvaluationResult) -> str:
    from memreward.evaluation.suite import leaderboard

    above, tables = leaderboard(result) if "suite" in result.config else ([], [])
    board = [" ".join(above)] * bool(above) + [table.markdown() for table in tables]
    return markdown_report(
        "Predicted rewards", result.versions, *board, result.markdown(), result.ledger_table().markdown()
    )


def chosen_predictors(text: str, prior: str) -> dict[str, PredictorFactory]:
    """Return factories for the names in `text`, in its order; "baselines" and "all" stand for many.

    Raises ConfigurationError where a name is unknown, MissingExtraError where one needs an extra, StoreError of the
    prior.
    """
    from memreward.answers.prior import RewardPrior
    from memreward.evaluation.baselines import BASELINES, FITTED
    from memreward.evaluation.cells import AnswerModels
    from memreward.evaluation.own import installed_predictors, own_predictor

    networks = {name: partial(_network, name=name) for name in NETWORKS}
    ours = AnswerModels(RewardPrior.load(prior))
    known: dict[str, PredictorFactory] = {**installed_predictors(), OURS: ours, **BASELINES, **networks}
    many = {"baselines": BASELINES, "all": known}
    chosen: dict[str, PredictorFactory] = {}
    for name in text.split(","):
        if name in known:
            chosen[name] = known[name]
        elif name in many:
            chosen |= many[name]
        elif ":" not in name:
            said = f"predictor {name!r} is unknown; use some of {', '.join([*many, *known])}, or FILE.py:NAME"
            raise ConfigurationError(said)
        elif (own := own_predictor(name)).name in {*known, *chosen}:
            raise ConfigurationError(f"predictor {name!r} is called {own.name!r}, as another is: give it a `name`")
        else:
            chosen[own.name] = own
    if found := [name for name in chosen if name in FITTED]:
        check_extra("sklearn", "baselines", f"the baseline {found[0]}")
    if chosen.keys() & NETWORKS:
        check_extra("torch_geometric", "paper", "the paper's network")
    return chosen


def reads_text(chosen: Mapping[str, PredictorFactory]) -> bool:
    from memreward.evaluation.baselines import READ_TEXT

    return any(name in (*READ_TEXT, *NETWORKS) for name in chosen)


def _network(seed: int, name: str) -> Predictor:
    from memreward.network.scorer import paper

    return paper(seed, name)


def file_names(files: Sequence[Path]) -> Mapping[str, Path]:
    """Return a short name for each file, its path where two share it; a folder stands for the files in it."""
    files = [one for file in files for one in (_in_folder(file) if file.is_dir() else [file])]
    if len(set(files)) < len(files):
        raise ConfigurationError(f"a file is given twice among {', '.join(map(str, files))}; give each once")
    short = [file.name.split(".jsonl")[0].removesuffix(".parquet") for file in files]
    return {name if short.count(name) == 1 else str(file): file for name, file in zip(short, files, strict=True)}


def _in_folder(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if path.name.endswith((".jsonl", ".jsonl.gz", ".parquet")))
    if not found:
        raise ConfigurationError(f"{folder} holds no rollout file: .jsonl, .jsonl.gz or .parquet")
    return found
