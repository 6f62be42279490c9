"""Pictures by matplotlib, in the light and dark colours of a page."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
        raise MissingExtraError("matplotlib", "dev", "pictures of results") from error
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
