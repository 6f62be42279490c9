"""Seconds from opening a memory of a million rollouts to the first question, and from a judgement to the next one.

    python benchmarks/label_load.py --questions 10000 --rollouts 100 > benchmarks/results/label_load.md
    python benchmarks/label_load.py --questions 6000 --rollouts 4 --refit    # seconds of a refit

The memory is filled with made-up sums, each rollout 300 characters long; what is timed is a process of its own, which
has imported what `memreward label` imports and has nothing in its caches but what the system keeps of files.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from memreward.domains import parse_rollout
from memreward.memory import ExperienceMemory
from memreward.memory.labelling import Journal
from memreward.types import Group, Query

JUDGEMENTS = 20


def made_up(questions: int, rollouts: int) -> Iterator[Group]:
    draw = random.Random(0)
    for number in range(questions):
        a, b = draw.randint(10, 10**6), draw.randint(10, 10**6)
        query = Query(f"q{number}", f"Shelf {number} holds {a} books and gets {b} more. How many has it?", "math")
        texts = [(a + b + draw.choice((0, 0, 0, 1, 2, 9)), place) for place in range(rollouts)]
        # Parsed once for each answer: what is timed reads texts, not how they were parsed.
        parsed = {
            said: parse_rollout(query, f"{'I add them up. ' * 18}\n#### {said}", id="")
            for said in {said for said, _ in texts}
        }
        yield Group(query, tuple(replace(parsed[said], id=f"q{number}/{place}") for said, place in texts))


def timed(folder: str) -> dict[str, list[float]]:
    """In the process that is timed: seconds to the first question, and the longest wait for one of the next."""
    from memreward.label.start import AT_ONCE, begin

    started = _now()
    session = begin(ExperienceMemory.open(folder, create=False), at_once=AT_ONCE, background=True)
    task = session.next("ann")
    first, waits = _since(started), []
    for _ in range(JUDGEMENTS):
        assert task is not None
        said = _now()
        session.decide("ann", task.query_id, [] if task.asked < 0 else [task.asked], asked=task.asked)
        task = session.next("ann")
        waits.append(_since(said))
    median, longest = (np.quantile(np.array(waits), share, axis=0).tolist() for share in (0.5, 1.0))
    return {"first": first, "median": median, "longest": longest}


def refitted(questions: int, rollouts: int) -> list[float]:
    """Processor seconds of learning from a judgement, one after the other, where all questions are looked at."""
    from memreward.label import start

    start.MOST, found = questions, []
    memory = ExperienceMemory.in_memory()
    memory.add(made_up(questions, rollouts))
    session = start.begin(memory, journal=Journal(None))
    for _ in range(2 * JUDGEMENTS):
        task = session.next("ann")
        assert task is not None
        session.decide("ann", task.query_id, [] if task.asked < 0 else [task.asked], asked=task.asked)
        before = time.process_time()
        session._learn()
        found.append(time.process_time() - before)
    return found


def _now() -> tuple[float, float]:
    return time.monotonic(), time.thread_time()


def _since(then: tuple[float, float]) -> list[float]:
    """Seconds by the clock, and of a processor in this thread."""
    return [time.monotonic() - then[0], time.thread_time() - then[1]]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--questions", type=int, default=10_000)
    options.add_argument("--rollouts", type=int, default=100)
    options.add_argument("--folder", help="keep the memory here, and fill it only if it is not there")
    options.add_argument("--timed", action="store_true", help=argparse.SUPPRESS)
    options.add_argument("--refit", action="store_true", help="only time what is learned from a judgement")
    given = options.parse_args()
    if given.refit:
        median, most = np.quantile(refitted(given.questions, given.rollouts), [0.5, 0.9])
        command = f"python benchmarks/label_load.py --questions {given.questions} --rollouts {given.rollouts} --refit"
        print(f"\n    {command}\n\n{given.questions:,} questions looked at (a labelling looks at 4,000 at most):")
        print(f"a judgement is learned in {median:.3f} s of a processor (median). After every tenth all are ranked")
        print(f"anew, in another thread than the page's: {most:.2f} s.")
        return
    if given.timed:
        print(json.dumps(timed(given.folder)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or f"{temporary}/memory"
        if not Path(folder).exists():
            ExperienceMemory.open(folder).add(made_up(given.questions, given.rollouts))
        held = ExperienceMemory.open(folder).counts()
        size = sum(file.stat().st_size for file in Path(folder).iterdir()) / 2**20
        command = [sys.executable, __file__, "--timed", "--folder", folder]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print("# Labelling a large memory\n")
    print(f"    python benchmarks/label_load.py --questions {given.questions} --rollouts {given.rollouts}\n")
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores; {held['queries']:,} questions, "
        f"{held['rollouts']:,} rollouts, {size:,.0f} MiB. Load average {os.getloadavg()[0]:.0f}.\n"
    )
    print("| | seconds | of them a processor's |\n|---|---|---|")
    for name, what in (
        ("first", "from opening the memory to the first question"),
        ("median", f"from a judgement to the next question, median of {JUDGEMENTS}"),
        ("longest", "the longest of these, while the other questions are read"),
    ):
        print(f"| {what} | {found[name][0]:.2f} | {found[name][1]:.3f} |")


if __name__ == "__main__":
    main()
