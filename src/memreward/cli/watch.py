"""`memreward watch`: how a training stands while it trains, from its history file or from the service that it asks."""

import itertools
import os
import re
import sys
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.error import HTTPError, URLError

import typer

from memreward.cli.common import AsJson
from memreward.cli.errors import ends_well
from memreward.cli.output import Output
from memreward.types import DataError, StoreError

CURVES = {
    "reward": "memreward/reward",
    "predicted, where labelled": "memreward/live/predicted",
    "true, on the same": "memreward/live/true",
    "rise of their gap": "memreward/live/gap_rise",
    "cosine, ours": "memreward/live/cosine",
    "cosine, majority vote's": "memreward/live/cosine_vote",
    "live J": "memreward/live/j",
    "abstained": "memreward/abstained",
    "groups in doubt": "memreward/groups_in_doubt",
    "rollouts that wait": "memreward/waiting",
    "kl": "kl",
}
"""Shown name -> key in the history; one that the training does not log is left out."""
_BARS = "▁▂▃▄▅▆▇█"
_POINTS = 36
_LOOKS = 10_000
_SECONDS, _PATIENCE = 2.0, 10.0
"""Between two looks; that a service may take to answer."""
_SAMPLE = re.compile(r'^memreward_(\w+?)(?:\{(?:source|whole)="(\w+)"\})? (\S+)$', re.MULTILINE)
Row = Mapping[str, Any]
"""What was logged at a step, or seen at a look."""


@ends_well("The training goes on: watch it again at any time.")
def watch(
    place: Annotated[
        str,
        typer.Argument(
            help="Output folder of memreward train, or the address of memreward serve.", metavar="FOLDER|URL"
        ),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Show how a training stands: predicted against true reward, the cosine of the advantages, labels, alarms.

    It only reads the history that the training writes, or what the service tells of itself, so it may be started and
    stopped at any time. Ctrl-C ends it; into a pipe it writes once. A service with a token is asked with the one in
    MEMREWARD_TOKEN.

    Examples:
      memreward watch runs/policy
      memreward watch http://127.0.0.1:8765
    """
    output = Output(as_json)
    look = _service(place) if place.startswith(("http://", "https://")) else _folder(Path(place))
    rows = look()
    if as_json or not sys.stdout.isatty():
        if not rows:
            raise DataError(f"{place} has no step yet: wait for the first that is logged")
        output.text(*shown(rows, output.width))
        output.result({"rows": len(rows), "last": rows[-1]})
        return
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False) as screen:
        while True:
            said = shown(rows, output.width) if rows else [f"{place}: no step is logged yet"]
            screen.update(Text("\n".join(said)), refresh=True)
            time.sleep(_SECONDS)
            rows = look()


def _folder(folder: Path) -> Callable[[], Sequence[Row]]:
    from memreward.training.history import history

    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: give the --out of memreward train, or a service's address")
    return partial(history, folder)


def _service(url: str) -> Callable[[], Sequence[Row]]:
    looks: deque[Row] = deque(maxlen=_LOOKS)
    since = time.monotonic()

    def look() -> Sequence[Row]:
        looks.append(figures(url) | {"seconds": time.monotonic() - since})
        return list(looks)

    return look


def figures(url: str) -> dict[str, float]:
    """Ask a service's /metrics; return what the history of a training has too, under the same names.

    Besides, "rollouts" and "groups" were answered. Raises StoreError where no service answers.
    """
    found = _metrics(url)

    def total(name: str) -> float:
        return sum(value for key, value in found.items() if key.partition(":")[0] == name)

    row = {
        "rollouts": total("rollouts_total"),
        "groups": total("groups_total"),
        "memreward/abstained": found.get("rollouts_total:abstained", 0.0) / max(total("rollouts_total"), 1.0),
        "memreward/waiting": found.get("waiting", 0.0),
        "memreward/labelled_queries": found.get("labelled_queries", 0.0),
        "memreward/failures": total("failures_total"),
        "memreward/alarm": found.get("faults", 0.0),
    }
    right, wrong = found.get("live_right", 0.0), found.get("live_wrong", 0.0)
    if live := right + wrong:
        row["memreward/live/predicted"] = (right * found["live_tpr"] + wrong * found["live_fpr"]) / live
        row["memreward/live/true"] = right / live
        row["memreward/live/j"] = found["live_j"]
    return row


def _metrics(url: str) -> dict[str, float]:
    """Gauges and counts by name, "rollouts_total:predicted" where there are kinds."""
    token = os.environ.get("MEMREWARD_TOKEN", "").strip()
    remedy = "give the address that memreward serve prints"
    try:
        asked = urllib.request.Request(
            f"{url.rstrip('/')}/metrics", headers={"Authorization": f"Bearer {token}"} if token else {}
        )
        with urllib.request.urlopen(asked, timeout=_PATIENCE) as reply:
            text = reply.read().decode("utf-8", "replace")
    except HTTPError as error:
        error.close()
        why = "it needs the token in MEMREWARD_TOKEN" if error.code == 401 else f"it says {error.code} {error.reason}"
        raise StoreError(f"{url}: {why}; {remedy}") from error
    except (URLError, OSError, ValueError) as error:
        raise StoreError(f"{url}: no service answers ({getattr(error, 'reason', error)}); {remedy}") from error
    found = {f"{name}:{kind}" if kind else name: float(value) for name, kind, value in _SAMPLE.findall(text)}
    if "up" not in found:
        raise StoreError(f"{url}: what answers is not a service of memreward; {remedy}")
    return found


def shown(rows: Sequence[Row], width: int = 80) -> Iterator[str]:
    """Yield lines of at most `width` columns: one a quantity, with its curve, first and newest value; then alarms."""
    last = rows[-1]
    seconds = last.get("seconds", 0)
    if "step" in last:
        yield f"step {last['step']}, {seconds:.0f} s since it began or was resumed"
    else:
        yield f"{last['rollouts']:.0f} rollouts in {last['groups']:.0f} groups answered; watched for {seconds:.0f} s"
    yield from curves(rows, CURVES, width)
    labels, judgements = _newest(rows, "memreward/labelled_queries"), _newest(rows, "memreward/judgements")
    if labels is not None:
        during = "" if judgements is None else f" before the training, {judgements:.0f} judgements in it"
        yield f"labels: {labels:.0f} questions{during}"
    if waiting := _newest(rows, "memreward/asked"):
        yield f"{waiting:.0f} questions wait for a label: on the page of --ask, or memreward label"
    if "step" not in last and (failed := last.get("memreward/failures")):
        yield f"{failed:.0f} rollouts got no reward, since something failed: the service's log says what"
    alarms = [row for row in rows if row.get("memreward/alarm")]
    if alarms and "step" in last:
        yield f"ALARM at step {', '.join(str(row['step']) for row in alarms[-5:])}: the log says why"
    elif alarms:
        yield f"ALARM: {last['memreward/alarm']:.0f} groups met a bug; the service's log says why"
    else:
        yield "no alarm"


def curves(rows: Sequence[Row], keys: Mapping[str, str], width: int) -> Iterator[str]:
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


def _newest(rows: Sequence[Row], key: str) -> Any:
    return next((row[key] for row in reversed(rows) if row.get(key) is not None), None)
