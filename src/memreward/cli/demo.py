"""`memreward demo`: what a few labels do on the shipped rollouts, in one screen."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from memreward.cli.common import AsJson, check_folder
from memreward.cli.errors import ends_well
from memreward.cli.output import Output, Steps, one_line
from memreward.types import ConfigurationError

if TYPE_CHECKING:
    from memreward.evaluation.cells import PredictorFactory
    from memreward.evaluation.results import EvaluationResult
    from memreward.reward.explain import Explanation
    from memreward.reward.predictor import RewardPredictor
    from memreward.types import Group

ROLLOUTS = Path(__file__).parents[1] / "demo" / "qwen2.5-coder-0.5b_reasoning-gym.jsonl.gz"
"""408 questions x 8 rollouts of a small language model, with sealed labels; examples/README.md says how it was made."""
BUDGETS = ("0", "5", "20", "20%")
_NAMES = ("no label", "5 labelled questions", "20 labelled", "a fifth: {} labelled")
_SEEDS = 3
_WIDTH = 20
"""Of a bar, in columns."""


@ends_well("Run the same command again: what was finished is kept.")
def demo(
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the memory, the scores and the page.", metavar="FOLDER")
    ] = Path("runs/demo"),
    as_json: AsJson = False,
) -> None:
    """Show in a minute, on rollouts that come with the package, what no label and a few labels are worth.

    It leaves a memory to play with, and a page with the curves.

    Examples:
      memreward demo
      memreward demo --out runs/demo --json
    """
    output = Output(as_json)
    check_folder(out)
    started = time.monotonic()
    with output.progress() as steps:
        groups, predictor = _warmed_up(out, steps)
        example = _telling(predictor, groups)
    output.text(*_first_screen(example, groups, time.monotonic() - started))
    with output.progress() as steps:
        result = _evaluated(groups, out, steps)
    figures, oracle = _figures(result), result.rows[0].figures["oracle_of_n"].value
    output.text(*_last_screen(figures, oracle, out / "evaluation.html"))
    seconds = round(time.monotonic() - started, 1)
    output.result({"figures": figures, "oracle": oracle, "out": out, "seconds": seconds})


def _warmed_up(out: Path, steps: Steps) -> tuple[list[Group], RewardPredictor]:
    from memreward.data import read_groups
    from memreward.memory import Budget, ExperienceMemory
    from memreward.reward.predictor import RewardPredictor

    groups = list(read_groups(ROLLOUTS))
    memory = ExperienceMemory.open(str(out / "memory"))
    if labelled := memory.ledger.totals()["queries"]:
        raise ConfigurationError(f"{memory.uri} holds labels of {labelled} questions by now: give another --out")
    memory.add(groups)
    predictor = RewardPredictor.warmup(memory, budget=Budget(queries=0), progress=steps)
    predictor.save(out / "memory" / "predictor")
    return groups, predictor


def _telling(predictor: RewardPredictor, groups: Sequence[Group]) -> tuple[Group, Explanation]:
    """The question on which the model differs most from majority vote, with another answer in front."""
    beliefs = predictor.beliefs([rollout for group in groups for rollout in group.rollouts], recent=0)
    differing = np.bincount(beliefs.group, np.abs(beliefs.right - beliefs.vote))
    for place in np.argsort(-differing):
        rows = np.flatnonzero(beliefs.group == place)
        if beliefs.vote[rows[np.argmax(beliefs.right[rows])]] < beliefs.vote[rows].max():
            break
    group = [group for group in groups if group.rollouts][place]
    return group, predictor.explain(group.rollouts[0], beside=group.rollouts)


def _first_screen(example: tuple[Group, Explanation], groups: Sequence[Group], seconds: float) -> Iterator[str]:
    group, explained = example
    rollouts = sum(len(each.rollouts) for each in groups)
    yield f"{rollouts:,} rollouts of {len(groups)} questions, scored without a label in {seconds:.0f} s."
    yield "Where the model differs most from majority vote:"
    yield ""
    text = textwrap.wrap(one_line(" ".join(group.query.text.split())), 76)
    yield from (f"  {line}" for line in [*text[:4], *(["..."] if len(text) > 4 else [])])
    yield ""
    yield f"  {'answer':<28}{'rollouts':>9}{'vote':>9}{'P(right)':>12}"
    for answer in explained.answers[:4]:
        given = textwrap.shorten(one_line(answer.text or "(none)"), 27, placeholder="...")
        yield f"  {given:<28}{answer.votes:>9}{answer.vote_share:>9.2f}{answer.right:>12.2f}"
    yield ""


def _evaluated(groups: Sequence[Group], out: Path, steps: Steps) -> EvaluationResult:
    from memreward.answers.prior import DEFAULT, RewardPrior
    from memreward.evaluation.baselines import BASELINES
    from memreward.evaluation.cells import AnswerModels
    from memreward.evaluation.protocol import EvaluationConfig, evaluate
    from memreward.evaluation.report import write_page
    from memreward.features.featurizer import Featurizer

    predictors: dict[str, PredictorFactory] = {
        "memreward": AnswerModels(RewardPrior.load(DEFAULT)),
        "majority": BASELINES["majority"],
    }
    config = EvaluationConfig(labels=BUDGETS, seeds=_SEEDS)
    result = evaluate({"shipped rollouts": groups}, predictors, Featurizer(), config, out=out / "cells", progress=steps)
    result.save(out / "evaluation.json")
    write_page(result, out / "evaluation.html", title="memreward demo")
    return result


def _figures(result: EvaluationResult) -> list[dict[str, Any]]:
    """Majority vote, then ours at each budget: advantage cosine, share of picked answers that are right."""
    rows = [next(row for row in result.rows if row.predictor == "majority")]
    rows += [row for row in result.rows if row.predictor == "memreward"]
    bought = {entry["labels"]: entry["warmup"]["queries"] for entry in result.ledger}
    labelled = [bought[row.labels] for row in rows]
    names = ("majority vote", *_NAMES[:-1], _NAMES[-1].format(labelled[-1]))
    return [
        {
            "name": name,
            "labelled": count,
            "advantage_cosine": row.figures["advantage_cosine"],
            "difference": row.differences["majority"]["advantage_cosine"],
            "picked_right": row.figures["best_of_n"].value,
        }
        for name, row, count in zip(names, rows, labelled, strict=True)
    ]


def _last_screen(figures: Sequence[dict[str, Any]], oracle: float, page: Path) -> Iterator[str]:
    """`oracle` is how often some rollout of a question is right."""
    yield "How close rewards come to full ground truth (408 puzzles, 0.5B model)"
    yield ""
    yield f"{'':<24}{'advantage cosine':<25} {'over the vote':>20}   picks"
    for line in figures:
        value, over = line["advantage_cosine"].value, line["difference"]
        said = f"{over.value:+.2f} [{over.low:+.2f}, {over.high:+.2f}]" if line["name"] != "majority vote" else ""
        yield f"{line['name']:<23} {_bar(value)} {value:4.2f} {said:>20} {line['picked_right']:7.0%}"
    yield f"{'Oracle: all labelled':<23} {_bar(1.0)} 1.00 {'':>20} {oracle:7.0%}"
    yield ""
    yield "Cosine of the advantages with the true ones: 0 tells nothing, 1 is ground truth."
    yield "Picks: how often the best rated rollout of a question is right."
    yield f"Measured on the questions that are not labelled, {_SEEDS} draws, intervals of 95 %."
    yield _worth(figures)
    yield ""
    yield f"Page with the curves: {page}"
    yield "Next, with a file of your own:"
    yield "  memreward check mine.jsonl               (what is understood of it)"
    yield "  memreward warmup mine.jsonl --memory runs/mine --labels 0"
    yield "  memreward score mine.jsonl --memory runs/mine --out scored.jsonl"
    yield "  memreward propose --memory runs/mine     (which labels would change most)"


def _worth(figures: Sequence[dict[str, Any]]) -> str:
    start = figures[1]["advantage_cosine"].value
    of = [(line["advantage_cosine"].value - start, line["labelled"]) for line in figures[2:]]
    return "One label added " + ", ".join(f"{more / count:+.4f} (of {count})" for more, count in of) + "."


def _bar(value: float) -> str:
    return ("█" * round(value * _WIDTH)).ljust(_WIDTH)
