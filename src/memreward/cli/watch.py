"""`memreward watch`: how a training stands, from its history file, while it trains."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memreward.cli.common import AsJson
from memreward.cli.errors import ends_well
from memreward.cli.output import Output
from memreward.types import DataError

if TYPE_CHECKING:
    from memreward.training.history import LoggedStep

CURVES = {
    "reward": "memreward/reward",
    "predicted, where labelled": "memreward/live/predicted",
    "true, on the same": "memreward/live/true",
    "rise of their gap": "memreward/live/gap_rise",
    "cosine, ours": "memreward/live/cosine",
    "cosine, majority vote's": "memreward/live/cosine_vote",
    "abstained": "memreward/abstained",
    "groups in doubt": "memreward/groups_in_doubt",
    "kl": "kl",
}
"""Shown name -> key in the history; one that the training does not log is left out."""
_BARS = "▁▂▃▄▅▆▇█"
_POINTS = 36


@ends_well("The training goes on: watch it again at any time.")
def watch(
    folder: Annotated[Path, typer.Argument(help="Output folder of memreward train.", metavar="FOLDER")],
    *,
    every: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.1)] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Show how it stands and end; so it is in a pipe.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show how a training stands: predicted against true reward, the cosine of the advantages, labels, alarms.

    It only reads the history that the training writes, so it may be started and stopped at any time. Ctrl-C ends it.

    Examples:
      memreward watch runs/policy
      memreward watch runs/policy --once
    """
    from memreward.training.history import FILE, history

    output = Output(as_json)
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: name the --out of memreward train")
    rows = history(folder)
    if once or as_json or not sys.stdout.isatty():
        if not rows:
            raise DataError(f"{folder / FILE} has no step yet: wait for the first that is logged")
        output.text("\n".join(shown(rows, output.width)))
        output.result({"rows": len(rows), "last": rows[-1]})
        return
    _live(folder, every, output)


def _live(folder: Path, every: float, output: Output) -> None:
    from rich.live import Live
    from rich.text import Text

    from memreward.training.history import history

    with Live(auto_refresh=False) as screen:
        while True:
            rows = history(folder)
            lines = shown(rows, output.width) if rows else [f"{folder}: no step is logged yet"]
            screen.update(Text("\n".join(lines)), refresh=True)
            time.sleep(every)


def shown(rows: Sequence[LoggedStep], width: int = 80) -> Iterator[str]:
    """Yield lines of at most `width` columns: one a quantity, with its curve, first and newest value; then alarms."""
    last = rows[-1]
    yield f"step {last['step']}, {last.get('seconds', 0):.0f} s since it began or was resumed"
    points = max(min(_POINTS, width - 44), 0)
    yield f"{'':<26}{'first':>8} {'':<{points}} {'now':>8}"
    for name, key in CURVES.items():
        values = [row[key] for row in rows if row.get(key) is not None]
        if values:
            yield f"{name[: width - 18]:<26}{values[0]:>8.3f} {curve(values, points):<{points}} {values[-1]:>8.3f}"
    labels = _newest(rows, "memreward/labelled_queries"), _newest(rows, "memreward/judgements")
    if labels[0] is not None:
        yield f"labels: {labels[0]:.0f} questions before the training, {labels[1] or 0:.0f} judgements in it"
    if waiting := _newest(rows, "memreward/asked"):
        yield f"{waiting:.0f} questions wait for a label: on the page of --ask, or memreward label"
    alarms = [row["step"] for row in rows if row.get("memreward/alarm")]
    yield f"ALARM at step {', '.join(map(str, alarms[-5:]))}: the log says why" if alarms else "no alarm"


def curve(values: Sequence[float], points: int) -> str:
    """Return a curve of at most `points` characters, each the mean of its part of the values."""
    count = min(points, len(values))
    cuts = [round(place * len(values) / count) for place in range(count + 1)] if count else [0]
    means = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(cuts)]
    low, high = min(means, default=0.0), max(means, default=0.0)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((mean - low) * scale)] for mean in means)


def _newest(rows: Sequence[LoggedStep], key: str) -> Any:
    return next((row[key] for row in reversed(rows) if row.get(key) is not None), None)
