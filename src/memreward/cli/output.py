"""What a command says: results on stdout (tables, or JSON with `--json`), everything else on stderr."""

from __future__ import annotations

import json
import math
import re
import shlex
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from memreward.evaluation import tables as shown
from memreward.evaluation.tables import plain
from memreward.plugins import DOMAINS, SIGNALS, of_environment

_SECONDS_BETWEEN_LINES = 5.0
_WIDTH_OF_FILES, _UNCUT = 80, 10_000
_SHORTEST, _NAME = 10, 30
"""Columns to which words are cut, and no further; those of the first column, which names the row."""
_NUMBER = re.compile(r"[-+]?[\d.,]*[%*+-]?( \[[-+\d., ]+\])?|–")
"""Also one with its interval."""


def ours(command: str) -> str:
    """Return `memreward COMMAND`, with the domains and signals of one's own that are in use here."""
    added = [
        word
        for option, variable in (("--domain", DOMAINS), ("--signals", SIGNALS))
        for named in of_environment(variable)
        for word in (option, _short(named))
    ]
    return " ".join(["memreward", *map(shlex.quote, added), command])


def _short(named: str) -> str:
    """FILE.py:NAME as it is typed in this folder."""
    place = Path(named)
    return str(place.relative_to(Path.cwd())) if place.is_relative_to(Path.cwd()) else named


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

    def next(self, command: str) -> None:
        """Say on stderr which command of ours comes next."""
        self.note(f"next: {ours(command)}")

    @property
    def width(self) -> int:
        return self._out.width

    def text(self, *lines: str) -> None:
        """Print lines on stdout as they are, unless the result goes there as JSON."""
        for line in () if self.as_json else lines:
            sys.stdout.write(printable(line) + "\n")

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, uncut: bool = False) -> None:
        """Print a table on stdout, as wide as the terminal or `uncut`, unless the result goes there as JSON."""
        if self.as_json:
            return
        out = Console(highlight=False, width=_UNCUT) if uncut else self._out
        out.print(Text(one_line(title), style="bold"), soft_wrap=uncut)
        table = _fitted([one_line(name) for name in columns], [list(map(_cell, row)) for row in rows], out.width)
        out.print(table, Text(), soft_wrap=uncut)

    def show(self, table: shown.Table, *, uncut: bool = False) -> None:
        self.table(table.title, table.columns, table.rows, uncut=uncut)

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
                TimeElapsedColumn(),
                TimeRemainingColumn(),
            )
            with Progress(*columns, console=self._err) as bars:
                yield _Bars(bars)
        else:
            yield _Lines(self.note)


class Steps:
    """Shows nothing; called with what is done, how much, of how much (0 if not known), and how it stands."""

    def __call__(self, stage: str, done: int, total: int = 0, standing: str = "") -> None:
        """Show that `done` of `total` steps of `stage` are finished, and what there is to say of them."""


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
        left = f", {(total - done) * (now - started) / (done - before):.0f} s left" if total and done > before else ""
        self._say(f"  {stage}: {done}{of}, {now - started:.0f} s{left}{standing and f', {standing}'}")


def _fitted(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Table:
    """Return a table of at most `width` columns: words are cut, and where numbers do not fit each row becomes a list.

    Where no column has a heading each row is a name and its value, which is wrapped and not cut.
    """
    if not any(columns):
        return _table(columns, rows)
    right = {i for i in range(len(columns)) if all(_NUMBER.fullmatch(row[i]) for row in rows)}
    whole, console = _table(columns, rows, right), Console(width=_UNCUT)
    if Measurement.get(console, console.options, whole).maximum <= width:
        return whole
    longest = [max((cell_len(row[i]) for row in rows), default=0) for i in range(len(columns))]
    sizes = {i: max(longest[i], *map(cell_len, columns[i].split() or [""])) for i in right}
    room = width - sum(sizes.values()) - 2 * (len(columns) - 1)
    least = [0 if i in right else min(_SHORTEST, size) for i, size in enumerate(longest)]
    if len(rows) < 2 or room < sum(least):
        listed = [pair for row in rows for pair in [("", ""), *zip(columns, row, strict=True)]]
        return _table(("", ""), listed[1:])
    if 0 not in right:
        sizes[0] = min(max(longest[0], cell_len(columns[0])), max(_NAME, least[0]), room - sum(least[1:]))
        rows = [(elided(row[0], sizes[0]), *row[1:]) for row in rows]
    return _table(columns, rows, right, sizes)


def _table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Collection[int] = (),
    sizes: Mapping[int, int] | None = None,
) -> Table:
    headed = any(columns)
    table = Table(
        show_header=headed,
        box=box.SIMPLE_HEAD if headed else None,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1 if headed else 2, 0, 0),
    )
    for place, column in enumerate(columns):
        table.add_column(
            Text(column),
            justify="right" if place in right else "left",
            width=(sizes or {}).get(place),
            overflow="ellipsis" if headed else "fold",
            vertical="bottom" if headed else "top",
        )
    for row in rows:
        table.add_row(*(Text(cell, no_wrap=headed) for cell in row))
    return table


def markdown_report(title: str, versions: Mapping[str, str], *parts: str) -> str:
    """Return a Markdown page: the command that was given, the versions it ran with, and what it found."""
    # A line break in an argument would end the block of code, and what follows it would be Markdown.
    called = Path(sys.argv[0])
    program = ["python", "-m", called.parent.name] if called.name == "__main__.py" else [called.name]
    command = f"    {one_line(shlex.join([*program, *sys.argv[1:]]))}"
    with_versions = ", ".join(f"{name} {version}" for name, version in versions.items())
    return "\n\n".join([f"# {title}", command, f"With {with_versions}.", *parts])


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float | np.floating):
        return f"{value:.3f}" if math.isfinite(value) else "-"
    return one_line(str(value))


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


def elided(text: str, width: int) -> str:
    """Return text of at most `width` characters, its middle left out: names differ at either end."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return text[: width - 1 - tail] + "…" + (text[-tail:] if tail else "")


def one_line(text: str) -> str:
    """Return `printable(text)` with line breaks and tabs shown as escapes too."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")
