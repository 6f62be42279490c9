"""The README's picture and table, from the committed results: benchmarks/results/prediction/summary.md.

python benchmarks/readme.py    (make readme; make prediction runs it too)
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SUMMARY = ROOT / "benchmarks" / "results" / "prediction" / "summary.md"
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "pictures" / "headline.svg"
METRIC = "advantage cosine"
COLOURS = {"mathematics": "#0072B2", "choice": "#C77F00", "code": "#009E73"}
BETWEEN = ("<!-- make readme -->", "<!-- end -->")
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 460, 270, 56, 60, 36


class Cell(NamedTuple):
    vote: float
    ours: float
    difference: float
    low: float
    high: float


def domains(text: str) -> dict[str, dict[str, Cell]]:
    """Domain -> budget as written -> figures of `METRIC`."""
    found: dict[str, dict[str, Cell]] = {}
    for name, table in re.findall(r"^### Mean of (\S+):.*?\n\n(.*?)\n\n", text, re.MULTILINE | re.DOTALL):
        head, _, *lines = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines())
        column = head.index(METRIC)
        found[name] = {row[0]: Cell(*map(float, re.findall(r"[+-]?\d\.\d+", row[column]))) for row in lines}
    return found


def table(text: str) -> str:
    """Majority vote, ours and the difference, a line a domain; and where ours is behind."""
    found = domains(text)
    budgets = list(next(iter(found.values())))
    lines = [f"| {METRIC} | majority vote | {' | '.join(budgets)} |", "|---|---|" + "---|" * len(budgets)]
    for name, cells in found.items():
        vote = cells[budgets[0]].vote
        ours = (f"{c.difference:+.3f} [{c.low:+.3f}, {c.high:+.3f}]" for c in cells.values())
        lines.append(f"| {name} | {vote:.2f} | {' | '.join(ours)} |")
    return "\n".join([*lines, "", behind(text)])


def behind(text: str) -> str:
    """Say on how many files, and in which figures, the whole interval is behind majority vote."""
    lost = re.findall(r"^- (\S+), [^,]+, ([^:]+): ", text.partition("surely behind")[2], re.MULTILINE)
    files = len(re.findall(r"^\| (\S+) \|", text.partition(f"### {METRIC}: diff")[2].partition("\n### ")[0], re.M)) - 2
    figures = Counter(figure.partition(" (")[0] for _, figure in dict.fromkeys(lost))
    told = ", ".join(f"{name} on {count}" for name, count in figures.most_common())
    return f"**Where it loses**, with the whole interval, at some budget, of {files} files: {told or 'nowhere'}."


def picture(text: str) -> str:
    """The differences from majority vote with their intervals, as SVG that is legible on light and on dark."""
    found = domains(text)
    budgets = list(next(iter(found.values())))
    top = max(cell.high for cells in found.values() for cell in cells.values()) * 1.08
    low = min(0.0, min(cell.low for cells in found.values() for cell in cells.values()))

    def y(value: float) -> float:
        return TOP + (top - value) / (top - low) * (HEIGHT - TOP - BOTTOM)

    def x(place: float) -> float:
        return LEFT + 44 + place * (WIDTH - LEFT - 92) / max(len(budgets) - 1, 1)

    parts = []
    for step in range(int(low / 0.05), int(top / 0.05) + 1):
        strong = ' stroke-width="1.5"' if step == 0 else ""
        parts.append(f'<path d="M{LEFT} {y(step * 0.05):.1f}H{WIDTH - 10}" class="grid"{strong}/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(step * 0.05) + 4:.1f}" text-anchor="end">{step * 0.05:+.2f}</text>')
    for place, budget in enumerate(budgets):
        said = f"{budget} labelled".replace("no query labelled", "no label").replace("queries labelled", "questions")
        parts.append(f'<text x="{x(place):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{said}</text>')
    for number, (name, cells) in enumerate(found.items()):
        colour, shift = COLOURS[name], (number - 1) * 12
        points = [(x(place) + shift, cell) for place, cell in enumerate(cells.values())]
        line = " ".join(f"{at:.1f},{y(cell.difference):.1f}" for at, cell in points)
        parts.append(f'<g stroke="{colour}" fill="{colour}"><polyline points="{line}" fill="none" stroke-width="2"/>')
        parts += [f'<path d="M{at:.1f} {y(c.low):.1f}V{y(c.high):.1f}" stroke-width="2"/>' for at, c in points]
        parts += [f'<circle cx="{at:.1f}" cy="{y(c.difference):.1f}" r="4"/>' for at, c in points]
        key = LEFT + sum(34 + 8 * len(before) for before in list(found)[:number])
        parts.append(f'<rect x="{key}" y="32" width="12" height="12"/></g>')
        parts.append(f'<text x="{key + 18}" y="43">{name}</text>')
    parts.append(f'<text x="{LEFT}" y="18">{METRIC}, less majority vote\'s</text>')
    told = f"{METRIC}, difference from majority vote by labelled questions, with 95 % intervals"
    style = "text{font:14px sans-serif;fill:#333}.grid{stroke:#8886}@media(prefers-color-scheme:dark){text{fill:#ddd}}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img">'
    return "\n".join([f"{head}<title>{told}</title><style>{style}</style>", *parts, "</svg>", ""])


def readme(page: str, text: str) -> str:
    """The README with its table made anew."""
    begin, end = map(re.escape, BETWEEN)
    made = f"{BETWEEN[0]}\n{table(text)}\n{BETWEEN[1]}"
    return re.sub(f"{begin}.*?{end}", lambda _: made, page, flags=re.DOTALL)


if __name__ == "__main__":
    results = SUMMARY.read_text(encoding="utf-8")
    PICTURE.write_text(picture(results), encoding="utf-8")
    README.write_text(readme(README.read_text(encoding="utf-8"), results), encoding="utf-8")
