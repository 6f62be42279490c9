"""One self-contained HTML page, and pictures in its light and dark colours."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Any

from memreward.evaluation.tables import Table
from memreward.types import MissingExtraError

DPI = 160


@dataclass(frozen=True)
class Theme:
    """Colours of a picture and of the page around it."""

    paper: str
    ink: str
    faint: str
    line: str


LIGHT = Theme(paper="#fdfdfb", ink="#1c1e21", faint="#62676e", line="#dcdfe3")
DARK = Theme(paper="#15171a", ink="#e6e7e8", faint="#9aa0a7", line="#33373d")

Draw = Callable[[Any, Theme], None]
"""Draws on a matplotlib figure."""


def picture(draw: Draw, size: tuple[float, float], theme: Theme = LIGHT) -> bytes:
    """Return a PNG.

    Args:
        draw: Draws it.
        size: Width and height in inches.
        theme: Its colours.

    Raises:
        MissingExtraError: without matplotlib.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "report", "pictures of results") from error
    with rc_context(_style(theme)):
        figure = Figure(figsize=size, layout="constrained", facecolor=theme.paper)
        draw(figure, theme)
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=DPI, facecolor=theme.paper)
    return png.getvalue()


def html_picture(draw: Draw, size: tuple[float, float], caption: str, *, subject: str = "") -> str:
    """Return a picture for light and dark pages, held by the page itself.

    Args:
        draw: Draws it.
        size: Width and height in inches.
        caption: Stands under it.
        subject: What it is of; said to those who cannot see it.

    Raises:
        MissingExtraError: without matplotlib.
    """
    light, dark = (base64.b64encode(picture(draw, size, theme)).decode("ascii") for theme in (LIGHT, DARK))
    return (
        '<figure><div class="wide"><picture>'
        f'<source media="(prefers-color-scheme: dark)" srcset="data:image/png;base64,{dark}">'
        f'<img alt="{html.escape(f"{caption} {subject}".strip())}" src="data:image/png;base64,{light}">'
        "</picture></div>"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def html_table(table: Table) -> str:
    """Return a table for the page."""
    head = "".join(
        f'<th scope="col"{_align(table, index)}>{html.escape(column)}</th>'
        for index, column in enumerate(table.columns)
    )
    lines = "".join(
        "<tr>" + "".join(_cell(table, row, column) for column in range(len(table.columns))) + "</tr>"
        for row in range(len(table.rows))
    )
    caption = f"<caption>{html.escape(table.title)}</caption>"
    return f'<div class="wide"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def html_folded(summary: str, content: str, *, unfolded: bool = False) -> str:
    """Return content under a line that opens and closes it."""
    return f"<details{' open' if unfolded else ''}><summary>{html.escape(summary)}</summary>{content}</details>"


def html_page(
    title: str,
    summary: str,
    sections: Mapping[str, str],
    facts: Mapping[str, Any],
    *,
    contents: str,
    details: str = "",
) -> str:
    """Return the page: light or dark as the reader's system is, and loading nothing.

    Args:
        title: Its heading.
        summary: What it is about, in a few lines of text.
        sections: Heading -> HTML.
        facts: Name -> value; how it was made.
        contents: What the list of sections is a list of.
        details: HTML after the facts.
    """
    template = Template(resources.files(__package__).joinpath("page_template.html").read_text(encoding="utf-8"))
    anchors = {name: f"part-{number}" for number, name in enumerate(sections, start=1)}
    return template.substitute(
        title=html.escape(title),
        summary=html.escape(summary),
        contents=html.escape(contents),
        links=" ".join(f'<a href="#{anchor}">{html.escape(name)}</a>' for name, anchor in anchors.items()),
        sections="\n".join(
            f'<section><h2 id="{anchors[name]}">{html.escape(name)}</h2>{section}</section>'
            for name, section in sections.items()
        ),
        facts="".join(
            f"<dt>{html.escape(name)}</dt><dd>{html.escape(_fact(value))}</dd>" for name, value in facts.items()
        ),
        details=details,
    )


def _fact(value: Any) -> str:
    listed = isinstance(value, Sequence) and not isinstance(value, str)
    return ", ".join(map(str, value)) if listed else str(value)


def _cell(table: Table, row: int, column: int) -> str:
    text = html.escape(table.rows[row][column])
    if column == 0:
        return f'<th scope="row">{text}</th>'
    strong = f"<strong>{text}</strong>" if (row, column) in table.best else text
    return f"<td{_align(table, column)}>{strong}</td>"


def _align(table: Table, column: int) -> str:
    return ' class="text"' if column in table.texts else ""


def _style(theme: Theme) -> Any:
    return {
        "font.size": 10.5,
        "axes.edgecolor": theme.faint,
        "axes.facecolor": theme.paper,
        "axes.labelcolor": theme.ink,
        "axes.titlecolor": theme.ink,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": theme.line,
        "grid.linewidth": 0.7,
        "text.color": theme.ink,
        "xtick.color": theme.faint,
        "ytick.color": theme.faint,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
    }
