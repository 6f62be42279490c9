"""Figures and tables of any experiment, ready to print, as Markdown and as JSON."""

import html
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

ABSENT = "–"
"""Stands for a figure that is not defined."""


@dataclass(frozen=True)
class Figure:
    """One metric: mean of the seeds and 95 % bootstrap interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Table:
    """Cells ready to print; `best` (row, column) stand out, `texts` are columns of words beside the first."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]] = frozenset()
    texts: frozenset[int] = frozenset()

    def markdown(self) -> str:
        """Return a Markdown section with the table; numbers stand at the right and what stands out is bold."""
        align = [":---" if x == 0 or x in self.texts else "---:" for x in range(len(self.columns))]
        cells = [
            [f"**{escaped(cell)}**" if (y, x) in self.best else escaped(cell) for x, cell in enumerate(row)]
            for y, row in enumerate(self.rows)
        ]
        lines = [map(escaped, self.columns), align, *cells]
        return f"### {escaped(self.title)}\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def escaped(text: str) -> str:
    """Return text as Markdown shows it as it is: no HTML, no link, no cell of its own."""
    text = html.escape(" ".join(text.split()), quote=False)
    # Figures have brackets, [0.1, 0.2], and names have underscores; neither means anything alone.
    return re.sub(r"\]\(|[|`*\\]", lambda match: "".join(f"\\{sign}" for sign in match[0]), text)


def fixed(value: float) -> str:
    """Return a figure with three digits: "0.812"."""
    return ABSENT if math.isnan(value) else f"{value:.3f}"


def with_interval(figure: Figure, digits: int = 3) -> str:
    """Return a figure with its interval, "0.812 [0.790, 0.833]"; without one if it has none."""
    if math.isnan(figure.value):
        return ABSENT
    value = f"{figure.value:.{digits}f}"
    return value if math.isnan(figure.low) else f"{value} [{figure.low:.{digits}f}, {figure.high:.{digits}f}]"


def signed(figure: Figure) -> str:
    """Return a difference with its interval: "+0.012 [-0.003, +0.027]"."""
    if math.isnan(figure.value):
        return ABSENT
    # Adding 0 turns -0.0 into 0.0.
    value, low, high = (round(end, 3) + 0.0 for end in (figure.value, figure.low, figure.high))
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def share_text(labels: float) -> str:
    """Return a label budget in words: "20%", or "200 queries" from 1 on; "no query" for 0."""
    if not labels:
        return "no query"
    return f"{labels:.0%}" if labels < 1 else f"{labels:.0f} {'query' if labels == 1 else 'queries'}"


def plain(value: Any) -> Any:
    """Return `value` as JSON can hold it; what is not a number (NaN, infinity) becomes null."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


def flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return nested settings as one level, each named by its path, with dots."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return found
