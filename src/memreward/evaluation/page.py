"""One self-contained HTML page."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template
from typing import Any

from memreward.evaluation.tables import Table


def html_table(table: Table) -> str:
    head = "".join(
        f'<th scope="col"{_align(table, index)}>{html.escape(column)}</th>'
        for index, column in enumerate(table.columns)
    )
    lines = "".join(
        "<tr>" + "".join(_cell(table, row, column) for column in range(len(table.columns))) + "</tr>"
        for row in range(len(table.rows))
    )
    caption = f"<caption><span>{html.escape(table.title)}</span></caption>"
    return f'<div class="wide"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def html_folded(summary: str, content: str, *, unfolded: bool = False) -> str:
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
    """Return the page: light or dark as the reader's system is, and loading nothing. `sections` are HTML by heading."""
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
