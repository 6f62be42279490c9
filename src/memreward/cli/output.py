"""What a command says: results on stdout (tables, or JSON with `--json`), everything else on stderr."""

from __future__ import annotations

import json
import math
import re
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from memreward.cli.table import fitted
from memreward.evaluation.tables import plain

_SECONDS_BETWEEN_LINES = 5.0
_WIDTH_OF_FILES, _UNCUT = 80, 10_000


class Output:
    """Where one command writes."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._out = Console(highlight=False)
        if not self._out.is_terminal:
            self._out.width = _WIDTH_OF_FILES
        self._err = Console(stderr=True, highlight=False)

    def note(self, text: str) -> None:
        """Say something on stderr, as it is: no markup, no wrapping."""
        self._err.print(printable(text), markup=False, soft_wrap=True)

    @property
    def width(self) -> int:
        """Characters of a line on stdout; 80 where it is not a terminal."""
        return self._out.width

    def text(self, text: str) -> None:
        """Print text on stdout as it is, unless the result goes there as JSON."""
        if not self.as_json:
            sys.stdout.write(printable(text) + "\n")

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, uncut: bool = False) -> None:
        """Print a table on stdout, unless the result goes there as JSON. Numbers stand at the right.

        It is as wide as the terminal, or 80 columns where there is none, unless it is to be shown `uncut`.
        """
        if self.as_json:
            return
        rows = list(rows)
        cells = [[_cell(value) for value in row] for row in rows]
        numeric = [all(isinstance(row[i], int | float | np.number | None) for row in rows) for i in range(len(columns))]
        heads = [Text(one_line(column)) for column in columns]
        width = _UNCUT if uncut else self.width
        out = Console(highlight=False, width=width) if uncut else self._out
        out.print(Text(one_line(title), style="bold"), soft_wrap=uncut)
        out.print(fitted(heads, cells, numeric, width), Text(), soft_wrap=uncut)

    def result(self, value: Any) -> None:
        if self.as_json:
            sys.stdout.write(json.dumps(plain(value), ensure_ascii=True, allow_nan=False) + "\n")

    @contextmanager
    def progress(self) -> Iterator[Steps]:
        """Show progress on stderr while the block runs: a bar on a terminal, else a line every five seconds."""
        if self._err.is_terminal:
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                _RateColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
            )
            with Progress(*columns, console=self._err) as bars:
                yield _Bars(bars)
        else:
            yield _Lines(self.note)


class Steps:
    """Called with what is done, how much of it, of how much (0 if that is not known), and how it stands.

    This one shows nothing.
    """

    def __call__(self, stage: str, done: int, total: int = 0, standing: str = "") -> None:
        """Show that `done` of `total` steps of `stage` are finished, and what there is to say of them."""


class _RateColumn(ProgressColumn):
    """How fast it goes."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(_rate(speed) if speed else "")


class _Bars(Steps):
    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int = 0, standing: str = "") -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total or None)
        shown = one_line(f"{stage}, {standing}" if standing else stage)
        self._bars.update(self._tasks[stage], completed=done, total=total or None, description=shown)


class _Lines(Steps):
    def __init__(self, say: Any) -> None:
        self._say = say
        self._shown = time.monotonic()
        self._begun: dict[str, tuple[float, int]] = {}

    def __call__(self, stage: str, done: int, total: int = 0, standing: str = "") -> None:
        now = time.monotonic()
        started, before = self._begun.setdefault(stage, (now, done))
        if now - self._shown < _SECONDS_BETWEEN_LINES:
            return
        self._shown = now
        of = f" of {total}" if total else ""
        rate = (done - before) / (now - started) if now > started else 0.0
        left = f", {_rate(rate)}, {(total - done) / rate:.0f} s left" if total and rate else ""
        self._say(f"  {stage}: {done}{of}, {now - started:.0f} s{left}{standing and f', {standing}'}")


def _rate(a_second: float) -> str:
    """Say how many steps a second take, or how long each takes where that is more than a second."""
    return f"{a_second:.1f}/s" if a_second >= 1 else f"{1 / a_second:.1f} s each"


def markdown_report(title: str, versions: Mapping[str, str], *parts: str) -> str:
    """Return a Markdown page: the command that was given, the versions it ran with, and what it found."""
    # A line break in an argument would end the block of code, and what follows it would be Markdown.
    called = Path(sys.argv[0])
    program = ["python", "-m", called.parent.name] if called.name == "__main__.py" else [called.name]
    command = f"    {one_line(shlex.join([*program, *sys.argv[1:]]))}"
    with_versions = ", ".join(f"{name} {version}" for name, version in versions.items())
    return "\n\n".join([f"# {title}", command, f"With {with_versions}.", *parts])


def _cell(value: Any) -> Text:
    if value is None:
        return Text("-")
    if isinstance(value, float | np.floating):
        return Text(f"{value:.3f}" if math.isfinite(value) else "-")
    return Text(one_line(str(value)))


_STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return `text` without what would steer a terminal: control and direction characters are shown as escapes.

    Line breaks and tabs stay. Lone surrogates, which no terminal can show, become "?".
    """
    return _STEERS.sub(lambda match: ascii(match[0])[1:-1], text.encode("utf-8", "replace").decode("utf-8"))


def short(text: str, width: int) -> str:
    """Return text on one line, cut to `width` characters."""
    text = " ".join(text.split())
    return text if len(text) <= width else f"{text[: width - 1]}…"


def one_line(text: str) -> str:
    """Return `printable(text)` with line breaks and tabs shown as escapes too."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")
