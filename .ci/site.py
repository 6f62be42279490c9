"""A hook of mkdocs: pages from outside docs/ enter the site, and links lead where they lead in the repository.

README.md is the first page. Other Markdown of the repository stands under project/; a link to what the site lacks (a
folder, a source file) becomes its text.
"""

from __future__ import annotations

import os.path
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md", "examples/sources/README.md", "lab/README.md")
RESULTS = ("*.md", "*.png", "*.svg")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#]*)(#[^)\s]*)?\)")


def outside() -> dict[str, str]:
    """Path in the repository -> path in the site, of what docs/ does not hold."""
    results = [path for kind in RESULTS for path in (ROOT / "benchmarks" / "results").rglob(kind)]
    paths = [*PAGES, *sorted(str(path.relative_to(ROOT)) for path in results)]
    return {"README.md": "index.md", **{path: f"project/{path}" for path in paths if (ROOT / path).exists()}}


OUTSIDE = outside()
HOMES = {site: path for path, site in OUTSIDE.items()}


def on_files(files: Files, config: Any) -> Files:
    """Add what stands outside docs/."""
    for path, site in OUTSIDE.items():
        file = File.generated(config, site, abs_src_path=str(ROOT / path))
        file.inclusion = InclusionLevel.NOT_IN_NAV if site.startswith("project/") else InclusionLevel.INCLUDED
        files.append(file)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:  # noqa: ARG001  named by mkdocs
    """Turn the links of a page, which are the repository's, into the site's."""
    home = HOMES.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    blocks = re.split(r"(^```.*?^```)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(
        block if block.startswith("```") else LINK.sub(lambda m: _link(m, home, page.file.src_uri), block)
        for block in blocks
    )


def on_post_page(output: str, page: Any, config: Any) -> str:  # noqa: ARG001  named by mkdocs
    """Take out the one script that the theme would fetch from elsewhere."""
    return re.sub(r'<script src="https://[^"]*"></script>', "", output)


def _link(match: re.Match[str], home: str, here: str) -> str:
    image, text, target, anchor = match[1], match[2], match[3], match[4] or ""
    if not target or re.match(r"[a-z]+:", target):
        return match[0]
    path = os.path.normpath(os.path.join(os.path.dirname(home), target))  # noqa: PTH118, PTH120  paths of the site
    site = path.removeprefix("docs/") if path.startswith("docs/") else OUTSIDE.get(path)
    if site is None:
        return text
    return f"{image}[{text}]({os.path.relpath(site, os.path.dirname(here) or '.')}{anchor})"  # noqa: PTH120
