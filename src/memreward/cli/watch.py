"""`memreward watch`: how a training stands while it trains, from its history file or from the service that it asks."""

from __future__ import annotations

import itertools
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
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
_LOOKS = 10_000
_SECONDS = 2.0
"""Between two looks."""


@ends_well("The training goes on: watch it again at any time.")
def watch(
    place: Annotated[
        str,
        typer.Argument(
            help="Output folder of memreward train, or the address of memreward serve.", metavar="FOLDER|URL"
        ),
    ],
    *,
    once: Annotated[bool, typer.Option("--once", help="Show how it stands and end, as in a pipe.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show how a training stands: predicted against true reward, the cosine of the advantages, labels, alarms.

    It only reads the history that the training writes, or what the service tells of itself, so it may be started and
    stopped at any time. Ctrl-C ends it. A service with a token is asked with the one in MEMREWARD_TOKEN.

    Examples:
      memreward watch runs/policy
      memreward watch http://127.0.0.1:8765
      memreward watch runs/policy --once
    """
    output = Output(as_json)
    look, lines = _service(place) if place.startswith(("http://", "https://")) else _folder(Path(place))
    rows = look()
    if once or as_json or not sys.stdout.isatty():
        if not rows:
            raise DataError(f"{place} has no step yet: wait for the first that is logged")
        output.text("\n".join(lines(rows, output.width)))
        output.result({"rows": len(rows), "last": rows[-1]})
        return
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False) as screen:
        while True:
            said = lines(rows, output.width) if rows else [f"{place}: no step is logged yet"]
            screen.update(Text("\n".join(said)), refresh=True)
            time.sleep(_SECONDS)
            rows = look()


Look = Callable[[], Sequence[Any]]
Lines = Callable[[Sequence[Any], int], Iterator[str]]


def _folder(folder: Path) -> tuple[Look, Lines]:
    from memreward.training.history import history

    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: give the --out of memreward train, or a service's address")
    return partial(history, folder), shown


def _service(url: str) -> tuple[Look, Lines]:
    from memreward.cli.watched_service import figures, told

    looks: deque[Mapping[str, float]] = deque(maxlen=_LOOKS)

    def look() -> Sequence[Any]:
        looks.append(figures(url))
        return list(looks)

    return look, partial(told, url, time.monotonic())


def shown(rows: Sequence[LoggedStep], width: int = 80) -> Iterator[str]:
    """Yield lines of at most `width` columns: one a quantity, with its curve, first and newest value; then alarms."""
    last = rows[-1]
    yield f"step {last['step']}, {last.get('seconds', 0):.0f} s since it began or was resumed"
    yield from curves(rows, CURVES, width)
    labels = _newest(rows, "memreward/labelled_queries"), _newest(rows, "memreward/judgements")
    if labels[0] is not None:
        yield f"labels: {labels[0]:.0f} questions before the training, {labels[1] or 0:.0f} judgements in it"
    if waiting := _newest(rows, "memreward/asked"):
        yield f"{waiting:.0f} questions wait for a label: on the page of --ask, or memreward label"
    alarms = [row["step"] for row in rows if row.get("memreward/alarm")]
    yield f"ALARM at step {', '.join(map(str, alarms[-5:]))}: the log says why" if alarms else "no alarm"


def curves(rows: Sequence[Mapping[str, Any]], keys: Mapping[str, str], width: int) -> Iterator[str]:
    """Yield a line a quantity that the rows have: its first value, its curve, its newest value."""
    points = max(min(_POINTS, width - 44), 0)
    yield f"{'':<26}{'first':>8} {'':<{points}} {'now':>8}"
    for name, key in keys.items():
        values = [row[key] for row in rows if row.get(key) is not None]
        if values:
            yield f"{name[: width - 18]:<26}{values[0]:>8.3f} {curve(values, points):<{points}} {values[-1]:>8.3f}"


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
