"""What an install and each extra costs: seconds and MB, in docs/install.md.

python benchmarks/install_cost.py [EXTRA...]    (make install-cost; needs uv; 20 GB pass through)

Each is installed from the wheel into an environment of its own with an empty cache, measured, and removed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "install.md"
BETWEEN = ("<!-- make install-cost -->", "<!-- end -->")
LEFT_OUT = ("dev", "docs")
FOR = {
    "base": "`memreward demo` and all that needs no other model",
    "endpoint": "sampling from a model server",
    "serve": "a memory that several processes share, over HTTP",
    "label": "the page on which people label, judge models",
    "baselines": "the learned baselines (scikit-learn)",
    "parquet": "reading and writing Parquet, Arrow and inspect_ai's logs",
    "hub": "data sets of the hub",
    "ray": "scoring, evaluating and serving on a Ray cluster",
    "paper": "the paper's network and its sentence model",
    "llm": "a language model that samples on this machine",
    "train": "training with TRL",
    "all": "everything but `ray`",
}


def size(folder: Path) -> int:
    """MB that the files take, each counted once."""
    return round(
        int(subprocess.run(["du", "-sk", folder], capture_output=True, text=True, check=True).stdout.split()[0]) / 1024
    )


def cost(extra: str, wheel: Path) -> tuple[int, int]:
    """MB of the environment, without byte code, and seconds of download and installation."""
    with tempfile.TemporaryDirectory() as folder:
        venv, name = Path(folder, "venv"), str(wheel) if extra == "base" else f"{wheel}[{extra}]"
        environment = os.environ | {"UV_CACHE_DIR": str(Path(folder, "cache")), "VIRTUAL_ENV": str(venv)}
        subprocess.run(["uv", "venv", "--quiet", venv, "--python", sys.executable], env=environment, check=True)
        started = time.monotonic()
        subprocess.run(["uv", "pip", "install", "--quiet", name], env=environment, check=True)
        seconds = time.monotonic() - started
        return size(venv), round(seconds)


def main() -> None:
    """Measure the extras that are named, or all; keep the lines of the others."""
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(BETWEEN[0])
    rows_text, _, tail = rest.partition(BETWEEN[1])
    rows = {match[1]: match[0] for match in re.finditer(r"^\| `?(\w+)`? \|.*$", rows_text, re.MULTILINE)}
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["uv", "build", "--quiet", "--wheel", "--out-dir", folder, ROOT], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        for extra in sys.argv[1:] or ["base", *(name for name in known if name not in LEFT_OUT)]:
            megabytes, seconds = cost(extra, wheel)
            shown = extra if extra == "base" else f"`{extra}`"
            rows[extra] = f"| {shown} | {megabytes:,} | {seconds} | {FOR[extra]} |"
            print(rows[extra], flush=True)
    lines = [rows[extra] for extra in FOR if extra in rows]
    table = "\n".join(["| install | MB | s | for |", "|---|---|---|---|", *lines])
    PAGE.write_text(f"{head}{BETWEEN[0]}\n{table}\n{BETWEEN[1]}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
