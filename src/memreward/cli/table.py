"""A table that fits a terminal: long words are cut, and where that is not enough each line becomes a record."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

GAP = 2
"""Blanks between columns."""
_SHORTEST = 10
"""Words are cut to this many columns, and no further."""


def fitted(columns: Sequence[Text], rows: Sequence[Sequence[Text]], numeric: Sequence[bool], width: int) -> Table:
    """Return a table of at most `width` columns, as far as words can be cut; headings are wrapped between words.

    Args:
        columns: Headings; all empty where each line is a name and its value, which is wrapped and not cut.
        numeric: Which columns stand at the right; these are never cut.
    """
    if not any(columns):
        return _table(columns, rows, numeric)
    sizes = _sizes(columns, rows, numeric, width - GAP * (len(columns) - 1))
    if sizes is None or (len(rows) == 1 and _whole(columns, rows) > width):
        return _table(("", ""), _records(columns, rows), (False, False))
    for row in rows:
        for cell, size in zip(row, sizes, strict=True):
            cell.truncate(size, overflow="ellipsis")
    return _table(columns, rows, numeric, sizes)


def _table(
    columns: Sequence[Text | str],
    rows: Sequence[Sequence[Text]],
    numeric: Sequence[bool],
    sizes: Sequence[int] = (),
) -> Table:
    """A table with headings where the columns' sizes are given."""
    table = Table(
        show_header=bool(sizes),
        box=box.SIMPLE_HEAD if sizes else None,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1 if sizes else GAP, 0, 0),
    )
    for place, (column, right) in enumerate(zip(columns, numeric, strict=True)):
        table.add_column(
            column,
            justify="right" if right else "left",
            overflow="fold",
            width=sizes[place] if sizes else None,
            vertical="bottom" if sizes else "top",
        )
    for row in rows:
        table.add_row(*row)
    return table


def _sizes(
    columns: Sequence[Text], rows: Sequence[Sequence[Text]], numeric: Sequence[bool], room: int
) -> list[int] | None:
    """How wide each column is, the widest words cut first; None where the room is not enough."""
    whole = _whole(columns, rows) <= room + GAP * (len(columns) - 1)
    words = [c.cell_len if whole else max(map(cell_len, re.split(r"\s", c.plain))) for c in columns]
    longest = [max((row[place].cell_len for row in rows), default=0) for place in range(len(columns))]
    sizes = [max(pair) for pair in zip(words, longest, strict=True)]
    floors = [
        size if right else min(size, max(_SHORTEST, word))
        for size, right, word in zip(sizes, numeric, words, strict=True)
    ]
    while (over := sum(sizes) - room) > 0:
        # The first column names the line: it is cut last.
        slack = [(place > 0, sizes[place], place) for place in range(len(sizes)) if sizes[place] > floors[place]]
        if not slack:
            return None
        (_, _, widest), rest = max(slack), sorted(slack)[:-1]
        next_widest = max((size for later, size, _ in rest if later), default=0)
        sizes[widest] = max(floors[widest], sizes[widest] - over, min(next_widest, sizes[widest] - 1))
    return sizes


def _whole(columns: Sequence[Text], rows: Sequence[Sequence[Text]]) -> int:
    widest = [max([column.cell_len, *(row[place].cell_len for row in rows)]) for place, column in enumerate(columns)]
    return sum(widest) + GAP * (len(columns) - 1)


def _records(columns: Sequence[Text], rows: Sequence[Sequence[Text]]) -> list[tuple[Text, Text]]:
    lines: list[tuple[Text, Text]] = []
    for number, row in enumerate(rows):
        lines += [(Text(""), Text(""))] if number else []
        lines += zip(columns, row, strict=True)
    return lines
