"""Makes docs/tutorial.ipynb of docs/tutorial.md, its one source; with --run also runs it, and fails where a cell does.

Usage: python .ci/notebook.py [--run]    (make notebook)
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE, NOTEBOOK = ROOT / "docs" / "tutorial.md", ROOT / "docs" / "tutorial.ipynb"
STEP = re.compile(r"^```python\n(.*?)^```\n|((?:^ {4}memreward (?!train|watch)[^\n]*\n)+)", re.MULTILINE | re.DOTALL)
ABOUT = (
    "*Made of [the tutorial](tutorial.md) by `make notebook`. It needs an installed memreward and no other package.*"
)


def notebook(page: str) -> dict[str, Any]:
    """Return the page as a notebook: Python and calls of memreward are cells, but for what needs a language model."""
    title, _, rest = page.partition("\n")
    texts = [f"{title}\n\n{ABOUT}\n"]
    cells: list[dict[str, Any]] = []
    place = 0
    for match in STEP.finditer(rest):
        texts.append(rest[place : match.start()])
        cells.append(_cell("markdown", "".join(texts)))
        calls = "".join(line.removeprefix("    ") for line in (match[2] or "").splitlines(keepends=True))
        cells.append(_cell("code", match[1] or f"%%sh\nset -e\n{calls}"))
        texts, place = [], match.end()
    cells = [cell for cell in [*cells, _cell("markdown", rest[place:])] if cell["source"]]
    for number, cell in enumerate(cells):
        cell["id"] = f"step-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def _cell(kind: str, text: str) -> dict[str, Any]:
    made: dict[str, Any] = {"cell_type": kind, "metadata": {}, "source": text.strip("\n").splitlines(keepends=True)}
    return made | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def written(page: str) -> str:
    """Return the notebook's file."""
    return json.dumps(notebook(page), indent=1, ensure_ascii=False) + "\n"


def run() -> None:
    """Run the notebook in an empty folder.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient

    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MEMREWARD_CACHE"] = str(Path(folder) / "cache")
        done = NotebookClient(
            nbformat.read(NOTEBOOK, 4), timeout=600, resources={"metadata": {"path": folder}}
        ).execute()
    cells = [cell for cell in done["cells"] if cell["cell_type"] == "code"]
    print(f"{len(cells)} cells ran, {sum(bool(cell['outputs']) for cell in cells)} of them said something")


if __name__ == "__main__":
    NOTEBOOK.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    if "--run" in sys.argv:
        run()
