"""The check of a base install (`make wheel-check`), with the extras hidden from an environment that has them."""

from __future__ import annotations

import gzip
import os
import pickle
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from memreward.cli import demo
from memreward.types import MissingExtraError

ROOT = Path(__file__).resolve().parents[2]
HIDE = """
import sys

HIDDEN = set({names})

class Hiding:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in HIDDEN else self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
"""


CHECK = """
import runpy
import sys
from pathlib import Path

from memreward.cli import demo

check, rollouts = sys.argv[1:]
demo.ROLLOUTS, demo._SEEDS = Path(rollouts), 1
runpy.run_path(check, run_name="__main__")
"""
"""With a demo of few rollouts: `make wheel-check` runs all of it."""


def beyond_the_base() -> set[str]:
    """Return what can be imported here and comes with no distribution that a base install has."""
    base, waiting = {"memreward"}, ["memreward"]
    while waiting:
        for line in metadata.requires(waiting.pop()) or ():
            wanted = Requirement(line)
            name = canonicalize_name(wanted.name)
            if name not in base and (wanted.marker is None or wanted.marker.evaluate({"extra": ""})):
                base.add(name)
                waiting.append(name)
    offered = metadata.packages_distributions()
    return {name for name, given_by in offered.items() if base.isdisjoint(map(canonicalize_name, given_by))}


@pytest.mark.slow
def test_every_command_works_without_extras_or_names_the_one_it_needs(tmp_path: Path) -> None:
    hidden = beyond_the_base()
    assert {"torch", "starlette", "uvicorn"} <= hidden
    (tmp_path / "sitecustomize.py").write_text(HIDE.format(names=sorted(hidden)))
    few = tmp_path / "few.jsonl.gz"
    with gzip.open(demo.ROLLOUTS, "rt", encoding="utf-8") as whole, gzip.open(few, "wt", encoding="utf-8") as file:
        file.writelines(line for number, line in enumerate(whole) if number % 6 == 0)
    paths = [str(tmp_path), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(ROOT / ".ci" / "base_check.py"), str(few)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        timeout=250,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok ") >= 20


def test_the_check_refuses_an_environment_with_extras() -> None:
    done = subprocess.run([sys.executable, str(ROOT / ".ci" / "base_check.py")], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("this is no base install: ")


def test_a_missing_extra_comes_back_whole_from_a_worker_process() -> None:
    error = MissingExtraError("scikit-learn", "baselines", "this baseline")
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, MissingExtraError)
    assert str(again) == str(error)
