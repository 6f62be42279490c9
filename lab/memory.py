"""Time an experience memory: size, append of a step, look-up of pools, opening, several writers, kill -9.

    python -m lab.memory 1000 100000 --folder runs/memory-bench

Seconds are of the clock and, in parentheses, of all processors together, which others on the machine hardly lengthen.
It uses the public interface alone, so that an older release can be timed by the same file.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from memreward.memory import FROM_FILE, NOBODY, Budget, ExperienceMemory, label
from memreward.types import Group, Query, Rollout, Truth

ROLLOUTS = 8
STEP = 128
REPEATS = 5
WRITERS, WRITES = 4, 5
KILLS = 12
Seconds = tuple[float, float]
WORDS = [f"{first}{last}" for first in "bcdfglmnprst" for last in ("ase", "in", "ore", "ul", "ent", "ity", "o", "ed")]


def group(number: int, visit: int) -> Group:
    """One question with eight rollouts of some 600 characters, whose thinking is the whole text, as it mostly is."""
    query = Query(f"bench-{number:07d}", " ".join(random.Random(number).choices(WORDS, k=40)), "math", "bench")
    drawn = random.Random(number * 1_000_003 + visit)
    texts = [f"{' '.join(drawn.choices(WORDS, k=120))}. The answer is {index}." for index in range(ROLLOUTS)]
    made = tuple(
        Rollout(query, text, text, str(index), f"{query.id}/{visit}-{index}") for index, text in enumerate(texts)
    )
    return Group(query, made, Truth("3", tuple(index == 3 for index in range(ROLLOUTS))))


def step(memory: ExperienceMemory, numbers: list[int], visit: int) -> None:
    """What a step of training writes: its rollouts, then the labels of its questions."""
    memory.add(group(number, visit) for number in numbers)
    label(memory, [f"bench-{n:07d}" for n in numbers], FROM_FILE, Budget(queries=10**9), "training")


def numbers_of(size: int, seed: int) -> list[int]:
    return random.Random(seed).sample(range(size), min(STEP, size))


def median_seconds(repeated: Callable[[int], object]) -> Seconds:
    """Seconds of the clock, and of all processors together, which another's load does not lengthen."""
    taken = []
    for repeat in range(REPEATS):
        started = time.perf_counter(), time.process_time()
        repeated(repeat)
        taken.append((time.perf_counter() - started[0], time.process_time() - started[1]))
    return statistics.median(clock for clock, _ in taken), statistics.median(used for _, used in taken)


def fill(path: Path, size: int, limit: float) -> tuple[int, Seconds]:
    """Add groups by the thousand until there are `size`, or `limit` seconds have passed; how many, and seconds."""
    memory, done, clock, used = ExperienceMemory.open(path), 0, 0.0, 0.0
    while done < size and clock < limit:
        some = [group(number, 0) for number in range(done, min(done + 1000, size))]
        started = time.perf_counter(), time.process_time()
        memory.add(some)
        clock, used = clock + time.perf_counter() - started[0], used + time.process_time() - started[1]
        done += len(some)
    return done, (clock, used)


def opening_seconds(path: Path) -> Seconds:
    """Opening and counting the questions in a fresh process, the import of the store included."""
    source = (
        "import sys, time; started = time.perf_counter(), time.process_time();"
        "from memreward.memory import ExperienceMemory;"
        "len(ExperienceMemory.open(sys.argv[1], create=False));"
        "print(time.perf_counter() - started[0], time.process_time() - started[1])"
    )
    run = [sys.executable, "-c", source, str(path)]
    taken = [list(map(float, subprocess.run(run, capture_output=True, check=True).stdout.split())) for _ in range(3)]
    return statistics.median(clock for clock, _ in taken), statistics.median(used for _, used in taken)


def writer(path: str, first: int, count: int) -> None:
    """Write `count` small steps, each to questions of its own and to shared ones; say each when it is durable."""
    memory = ExperienceMemory.open(path)
    for number in range(first, first + count):
        step(memory, [*range(16), 10_000_000 + number], 1 + number)
        print(number, flush=True)


def started_writer(path: Path, first: int, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--write", str(path), str(first), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def writers_seconds(path: Path) -> Seconds:
    """Seconds of a step (17 questions) with four processes writing at once, their start included."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    running = [started_writer(path, 1000 * number, WRITES) for number in range(WRITERS)]
    assert all(len(process.communicate()[0].split()) == WRITES for process in running)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (time.perf_counter() - started) / (WRITERS * WRITES), used / (WRITERS * WRITES)


def lost_by_kills(path: Path) -> tuple[int, int]:
    """Kill writers by SIGKILL at random moments; return the steps that they acknowledged, and those not whole."""
    drawn, acknowledged = random.Random(0), []
    for kill in range(KILLS):
        process = started_writer(path, 100_000 * (kill + 1), 100_000)
        assert process.stdout is not None
        acknowledged.append(int(process.stdout.readline()))
        time.sleep(drawn.uniform(0, 0.5))
        process.kill()
        acknowledged += [int(line) for line in process.communicate()[0].split()]
    memory = ExperienceMemory.open(path, create=False)
    names = {f"bench-{10_000_000 + number:07d}": number for number in acknowledged}
    found = {
        g.query.id: {r.id for r in g.rollouts} for g in memory.groups([*names, *(f"bench-{n:07d}" for n in range(16))])
    }
    # What an equivalent answer settled is known without an entry of its own.
    told = label(memory, [*names, *(f"bench-{n:07d}" for n in range(16))], NOBODY, use="training").labels
    labelled = {one.rollout_id for one in told}
    lost = 0
    for name, number in names.items():
        wanted = {
            f"{one}/{1 + number}-{r}" for one in (name, *(f"bench-{n:07d}" for n in range(16))) for r in range(ROLLOUTS)
        }
        there = set().union(found.get(name, ()), *(found[f"bench-{n:07d}"] for n in range(16)))
        lost += not (wanted <= there and wanted <= labelled)
    return len(acknowledged), lost


def measured(folder: Path, size: int, limit: float) -> dict[str, Any]:
    path = folder / str(size)
    shutil.rmtree(path, ignore_errors=True)
    filled, seconds = fill(path, size, limit)
    megabytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6
    memory = ExperienceMemory.open(path)
    result: dict[str, Any] = {"questions": filled, "fill": seconds, "megabytes": megabytes}
    result["append"] = median_seconds(lambda repeat: step(memory, numbers_of(filled, repeat), 1 + repeat))
    result["look_up"] = median_seconds(
        lambda repeat: memory.groups([f"bench-{n:07d}" for n in numbers_of(filled, 100 + repeat)], recent=64)
    )
    result["opening"] = opening_seconds(path)
    result["writers"] = writers_seconds(path)
    if size == 1000:
        result["acknowledged"], result["lost"] = lost_by_kills(path)
    return result


def table(results: list[dict[str, Any]]) -> Iterator[str]:
    columns = {
        "fill": "fill, s",
        "megabytes": "on disk, MB",
        "append": "append of a step, s",
        "look_up": "pools of 128 questions, s",
        "opening": "opening, s",
        "writers": "a step of 17 questions, 4 writers, s",
    }
    yield f"| questions x {ROLLOUTS} rollouts | {' | '.join(columns.values())} |"
    yield "|" + "---|" * (1 + len(columns))
    for result in results:
        yield f"| {' | '.join([format(result['questions'], ','), *(_cell(result[name]) for name in columns)])} |"
    for result in results:
        if "lost" in result:
            lost, steps = result["lost"], result["acknowledged"]
            yield f"\n{KILLS} writers killed by SIGKILL: of {steps} acknowledged steps {lost} were not whole."


def _cell(value: float | Seconds) -> str:
    return f"{value:,.0f}" if isinstance(value, float) else f"{value[0]:.3g} ({value[1]:.3g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=int, help="questions")
    parser.add_argument("--folder", type=Path, default=Path("runs/memory-bench"))
    parser.add_argument(
        "--limit", type=float, default=420.0, help="seconds of filling, after which the size is cut short"
    )
    parser.add_argument("--write", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write:
        path, first, count = given.write
        writer(path, int(first), int(count))
        return
    results = []
    for size in given.sizes:
        results.append(measured(given.folder, size, given.limit))
        print(json.dumps(results[-1]), file=sys.stderr, flush=True)
    print("\n".join(table(results)))


if __name__ == "__main__":
    main()
