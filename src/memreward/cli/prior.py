"""`memreward prior`: fit a prior on labelled sources, and show what one holds."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from memreward.answers.table import columns_of
from memreward.cli.common import AsJson, FileSettings, check_file, learns, read_files
from memreward.cli.errors import ends_well
from memreward.cli.evaluate import file_names
from memreward.cli.help import ALL_IS_SHOWN, Command
from memreward.cli.output import Output
from memreward.reward.settings import LearningConfig
from memreward.types import ConfigurationError

if TYPE_CHECKING:
    from memreward.answers.prior import RewardPrior

_HALF = 15
"""Half the width of a drawn weight, in characters."""
_SHOWN = 15
"""Weights a domain."""
app = typer.Typer(
    no_args_is_help=True, help="What other sources taught the model: fit a prior on labelled files, show one."
)


@app.command(cls=Command, context_settings=ALL_IS_SHOWN)
@ends_well("No file was written: run the same command again.")
@learns("execute")
def fit(
    files: Annotated[
        list[str] | None,
        typer.Argument(help="Labelled rollout files, each a source; a prior, or default, stands for its sources."),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the prior goes (.safetensors).")],
    memory: Annotated[
        list[str] | None, typer.Option("--memory", "-m", help="A memory whose labels are a source too; repeatable.")
    ] = None,
    as_json: AsJson = False,
    learning: LearningConfig,
) -> None:
    """Learn from labelled sources what signals mean, for models that will have few labels.

    All labels of the files are used. Of a memory only what its ledger released. A source keeps hashes of its questions,
    so that it is left out wherever one of them is measured.

    Examples:
      memreward prior fit a.jsonl.gz b.jsonl.gz --out runs/prior.safetensors
      memreward prior fit default --memory runs/old --out runs/prior.safetensors
    """
    from memreward.answers.prior import DEFAULT, RewardPrior, SourceFactor, fit_prior
    from memreward.features.behaviour import runner_for
    from memreward.features.featurizer import Featurizer
    from memreward.memory import NOBODY, ExperienceMemory, label
    from memreward.reward.sources import judged_sources, sources_of

    output = Output(as_json)
    check_file(out)
    priors = [name for name in files or [] if name == DEFAULT or name.endswith(".safetensors")]
    kept = [factor for name in priors for factor in RewardPrior.load(name).factors]
    with output.progress() as steps:
        featurizer = Featurizer(runner=runner_for(learning.execute, steps))
        sources: list[SourceFactor] = []
        named = file_names([Path(file) for file in files or [] if file not in priors])
        for i, (short, file) in enumerate(named.items()):
            groups = read_files([file], output, FileSettings(), drop_copies=True)
            sources += sources_of(short, groups, featurizer)
            steps("reading sources", i + 1, len(named))
        for uri in memory or []:
            store = ExperienceMemory.open(uri, create=False)
            labels = label(store, store.ledger.labelled(), NOBODY, use="prior").labels
            judged = list(store.groups(sorted({one.query_id for one in labels})))
            sources += judged_sources(Path(uri).name, judged, labels, featurizer)
        made = fit_prior([*sources, *kept], out.name.split(".")[0])
    made.save(out)
    _tell(output, made)
    output.note(f"written: {out}")


@app.command(cls=Command, context_settings=ALL_IS_SHOWN)
@ends_well("Nothing was changed: run the same command again.")
def show(
    name: Annotated[str, typer.Argument(help='"default", or a file of memreward prior fit.')] = "default",
    *,
    as_json: AsJson = False,
) -> None:
    """Show the sources of a prior, and the weights that stand out most from their spread.

    Examples:
      memreward prior show
      memreward prior show runs/prior.safetensors --json
    """
    from memreward.answers.prior import RewardPrior

    output = Output(as_json)
    prior = RewardPrior.load(name)
    if not prior.factors:
        raise ConfigurationError("the prior none has no source and no weight: majority vote decides alone")
    _tell(output, prior, _SHOWN)


def _tell(output: Output, prior: RewardPrior, top: int = 0) -> None:
    cards = [(f.domain, f.card) for f in prior.factors]
    output.table(
        f"Sources of {prior.name}",
        ("source", "domain", "policy", "licence", "questions", "rollouts", "right"),
        [(c.name, d, c.policy, c.licence, c.questions, c.rollouts, c.right) for d, c in cards],
    )
    weights = {domain: _strongest(prior, domain) for domain in prior.domains}
    for domain, rows in weights.items() if top else ():
        reach = max(abs(mean) + 2 * deviation for _, mean, deviation in rows[:top])
        drawn = [(*row, _drawn(*row[1:], reach)) for row in rows[:top]]
        title = f"Weights in {domain}; drawn: mean and two deviations, -{reach:.1f} to {reach:.1f}"
        output.table(title, ("column", "mean", "deviation", ""), drawn)
    columns = ("column", "mean", "deviation")
    output.result(
        {
            "name": prior.name,
            "sources": [{"domain": domain, **asdict(card)} for domain, card in cards],
            "weights": {d: [dict(zip(columns, row, strict=True)) for row in rows] for d, rows in weights.items()},
        }
    )


def _drawn(mean: float, deviation: float, reach: float) -> str:
    """A weight on a line from -reach to reach: its mean as a dot between two deviations, 0 as a bar."""
    low, middle, high = (round((x / reach + 1) * _HALF) for x in (mean - 2 * deviation, mean, mean + 2 * deviation))
    marks = dict.fromkeys(range(low, high + 1), "─") | {_HALF: "│", middle: "●"}
    return "".join(marks.get(place, " ") for place in range(2 * _HALF + 1))


def _strongest(prior: RewardPrior, domain: str) -> list[tuple[str, float, float]]:
    one = prior.domains[domain]
    deviation = np.sqrt(np.diag(one.weights.covariance))
    names = columns_of(one.signals)
    order = np.argsort(-np.abs(one.weights.mean) / deviation, kind="stable")
    return [(names[j], float(one.weights.mean[j]), float(deviation[j])) for j in order]
