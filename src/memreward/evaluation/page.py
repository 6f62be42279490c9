"""HTML pages that load nothing, made of the templates beside this file."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from memreward.evaluation.tables import Table


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("memreward.evaluation"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


def html_part(name: str, *given: Any) -> Markup:
    """Return what a macro of templates/parts.html makes of some values."""
    return Markup(getattr(_templates().get_template("parts.html").module, name)(*given))


def html_table(table: Table) -> Markup:
    return html_part("table", table)


def html_page(
    title: str, summary: str, sections: Mapping[str, str], facts: Mapping[str, Any], *, contents: str, details: str = ""
) -> str:
    """Return the page: light or dark as the reader's system is, and loading nothing. `sections` are HTML by heading."""
    return (
        _templates()
        .get_template("page.html")
        .render(
            title=title,
            summary=summary,
            sections={name: Markup(section) for name, section in sections.items()},
            facts={k: ", ".join(map(str, v)) if isinstance(v, list | tuple) else v for k, v in facts.items()},
            contents=contents,
            details=Markup(details),
        )
    )
