"""What every test may use, how many threads it has, and in which order the tests run."""

from __future__ import annotations

import functools
import gc
import hashlib
import os
import pickle
import random
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# A test run in the background of a shell ignores SIGINT, and the processes that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# One thread for each worker: the tests' problems are small, and threads that outnumber the cores spin. Read by the
# libraries when they are loaded, and by the processes that tests start; a setting from outside stands (make test-blas).
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

gc.disable()  # until all tests are collected: what is made until then stays

# How long an example takes depends on what else the machine does: pytest's time-out bounds a whole test.
settings.register_profile("whole", deadline=None)
settings.register_profile("fast", deadline=None, max_examples=20)

FAST = "not slow"
TOGETHER = {
    # pyarrow looks for pandas, and loads it, before it writes a table.
    "pandas, scikit-learn": (
        "evaluation/baselines evaluation/calibration evaluation/evaluate evaluation/metrics lab/trained_measures "
        "data/formats data/hostile_files data/rollout_files cli/commands memory/experience_memory "
        "integrations/trl reward/front"
    ),
    "math-verify": (
        "domains/agreement domains/answer_cases domains/dress domains/equivalence domains/free_text "
        "domains/hostile_answers domains/verifiers "
        "cli/verify_command fuzz/kept memory/label policy/endpoint service/deadline"
    ),
    "torch": "network/memory_tells",
    "fastapi": "service/http integrations/slime label/page",
}
"""What takes a second or two of processor to load, and the files that need it: one worker runs all of them."""
BY_ONE = {f"tests/{file.replace('/', '/test_')}.py": why for why, files in TOGETHER.items() for file in files.split()}
LEFT_OUT: Counter[str] = Counter()
"""Slow tests that this run leaves out, by file."""


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("fast" if config.option.markexpr == FAST else "whole")


@pytest.fixture(scope="session", autouse=True)
def _commands_are_made_once() -> Iterator[None]:
    """Typer makes all commands anew for each call of one, which takes longer than most calls."""
    import typer.testing

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.testing, "_get_command", functools.cache(typer.testing._get_command))
        yield


@pytest.fixture(scope="session", autouse=True)
def _priors_are_estimated_once() -> Iterator[None]:
    """Each predictor that is read from its file estimates the same prior anew, a tenth of a second."""
    from memreward.answers import prior  # numpy may not be loaded before the threads are set

    estimated, known = prior._estimated, dict[bytes, Any]()

    def once(factors: Sequence[Any]) -> Any:
        content = hashlib.sha256(pickle.dumps(list(factors))).digest()
        if content not in known:
            known[content] = estimated(factors)
        return known[content]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prior, "_estimated", once)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real rollouts and questions that may not be shipped; skips where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real rollouts are not at {folder}: this test needs them")
    return folder


@pytest.fixture(scope="session")
def synthetic() -> Callable[..., Any]:
    """Makes features with the truth they were drawn with."""
    from synthetic_features import make_synthetic  # numpy may not be loaded before the threads are set

    return make_synthetic


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even load, where slow tests are left out, a file whose tests are all slow: its imports take seconds."""
    if config.option.markexpr != FAST or not collection_path.name.startswith("test_"):
        return None
    text = collection_path.read_text(encoding="utf-8") if collection_path.suffix == ".py" else ""
    if not re.search(r"^pytestmark = .*mark\.slow", text, re.MULTILINE):
        return None
    LEFT_OUT[str(collection_path.relative_to(config.rootpath))] = len(re.findall(r"^def test_", text, re.MULTILINE))
    return True


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what one worker runs, then the files that hold slow tests: the last would run while others wait.

    Where slow tests are left out, the others of these files take longer than most, too.
    """
    slow = {file_of(item) for item in items if item.get_closest_marker("slow")} | LEFT_OUT.keys()
    items.sort(key=lambda item: (file_of(item) not in BY_ONE, file_of(item) not in slow))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give a worker all tests of a file, or of the files of one library."""
    from xdist.scheduler import LoadScopeScheduling

    class ByLibrary(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return BY_ONE.get(nodeid.partition("::")[0], super()._split_scope(nodeid))

    return ByLibrary(config, log) if config.getvalue("dist") == "loadscope" else None


def file_of(item: pytest.Item) -> str:
    """The first of `item.location`, whose line takes long to find."""
    return item.nodeid.partition("::")[0]


def pytest_collection_finish() -> None:
    """Let the garbage collector, which looks at everything again and again, pass over three thousand tests."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    LEFT_OUT.update(file_of(item) for item in items if item.get_closest_marker("slow"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that prints the summary what this worker, if it is one, has left out; all leave out the same."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["left_out"] = dict(LEFT_OUT)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    LEFT_OUT.update(getattr(node, "workeroutput", {}).get("left_out", {}) if not LEFT_OUT else {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the seed that repeats this order, and the slow tests that did not run."""
    if (seed := getattr(terminalreporter.config.option, "randomly_seed", None)) is not None:
        terminalreporter.write_line(f"order and random numbers of this run: --randomly-seed={seed}")
    if LEFT_OUT:
        named = ", ".join(f"{file} ({count})" for file, count in sorted(LEFT_OUT.items()))
        terminalreporter.write_line(f"left out as slow, run by make test: {LEFT_OUT.total()} tests in {named}")


@pytest.fixture
def drawn(request: pytest.FixtureRequest) -> Callable[[Iterable[Any]], list[Any]]:
    """Return the rows of a long table that are tried: all, or in the fast lane every third, another one at each run.

    What one piece of code decides stands together in a table: of three such rows each run has one.
    """

    def rows_of(table: Iterable[Any]) -> list[Any]:
        rows = list(table)
        return rows[random.randrange(3) :: 3] if request.config.option.markexpr == FAST else rows

    return rows_of


@pytest.fixture
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands take one process for each core that this one may use: here, none beside it."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0}, raising=False)
