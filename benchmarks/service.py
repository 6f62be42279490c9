"""Throughput and latency of `memreward serve` on loopback: real HTTP, one rollout a request, groups of eight.

    python benchmarks/service.py ROLLOUTS.jsonl.gz --workers 1,16,128 --seconds 20 > benchmarks/results/service.md

The service is a process of its own on a fresh memory; the clients are tasks of another one. Eight workers send the
eight rollouts of a group, each by a request of its own, and then those of the next. One worker alone would wait for the
others for ever: it sends all eight at once, so that one and eight workers are the same.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from memreward.data import read_groups
from memreward.integrations.client import Client
from memreward.types import Group

SIZE = 8


def groups_of(path: Path) -> list[Group]:
    return [group for group in read_groups(path) if len(group.rollouts) >= SIZE]


async def load(url: str, groups: Sequence[Group], workers: int, seconds: float, run: str) -> tuple[float, list[float]]:
    """Keep `workers` rollouts (at least one group) under way; returns rollouts a second, and seconds of each."""
    client, taken = Client(url, deadline=120), itertools.count()
    latencies: list[float] = []
    ends = time.monotonic() + seconds

    async def one(number: int, place: int) -> None:
        group = groups[number % len(groups)]
        query = {"id": group.query.id, "text": group.query.text, "domain": group.query.domain}
        started = time.monotonic()
        await client.score_one(
            group=f"{run}/{number}",
            size=SIZE,
            query=query,
            text=f"({run}, {number}) {group.rollouts[place].text}",  # no text twice, as in a training
            rollout=str(place),
        )
        latencies.append(time.monotonic() - started)

    async def team() -> None:
        while time.monotonic() < ends:
            number = next(taken)
            await asyncio.gather(*(one(number, place) for place in range(SIZE)))

    started = time.monotonic()
    await asyncio.gather(*(team() for _ in range(max(1, workers // SIZE))))
    taken_s = time.monotonic() - started
    await client.close()
    return len(latencies) / taken_s, latencies


def processes(pid: int) -> list[int]:
    """A process and all that it started."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def resident(pid: int) -> float:
    """Memory of a process and its children in MiB."""
    lines = [line for one in processes(pid) for line in Path(f"/proc/{one}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def processor_seconds(pid: int) -> float:
    """What a process and its children have used so far, whoever else was running."""
    stats = [Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split() for one in processes(pid)]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / os.sysconf("SC_CLK_TCK")


def started(folder: str) -> Iterator[tuple[str, int]]:
    command = [sys.executable, "-m", "memreward", "serve", "--memory", f"{folder}/memory", "--host", "127.0.0.1:0"]
    with Path(folder, "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1], process.pid
    finally:
        process.terminate()
        process.wait()


def steady(url: str, pid: int, groups: Sequence[Group], requests: int, seconds: float) -> list[tuple[int, float]]:
    """Send so many requests, or as many as the time allows; returns how many there were and MiB, ten times."""
    found, sent, ends = [(0, resident(pid))], 0, time.monotonic() + seconds
    while sent < requests and time.monotonic() < ends:
        _, latencies = asyncio.run(load(url, groups, 128, 5.0, f"steady-{sent}"))
        sent += len(latencies)
        if sent >= len(found) * requests / 10:
            found.append((sent, resident(pid)))
    return [*found, (sent, resident(pid))] if found[-1][0] < sent else found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("rollouts", type=Path)
    options.add_argument("--workers", default="1,16,128")
    options.add_argument("--seconds", type=float, default=20.0)
    options.add_argument("--steady", type=int, default=0, help="then so many requests more, and what memory they take")
    options.add_argument("--minutes", type=float, default=60.0, help="for these, at most")
    given = options.parse_args()
    groups = groups_of(given.rollouts)
    length = np.mean([len(rollout.text) for group in groups for rollout in group.rollouts[:SIZE]])
    rows, grown = [], []
    with tempfile.TemporaryDirectory() as folder:
        for url, pid in started(folder):
            for workers in map(int, given.workers.split(",")):
                before = processor_seconds(pid)
                speed, latencies = asyncio.run(load(url, groups, workers, given.seconds, f"{workers}"))
                p50, p99 = np.percentile(latencies, [50, 99])
                used = 1000 * (processor_seconds(pid) - before) / len(latencies)
                rows.append((workers, len(latencies), speed, p50, p99, used, resident(pid), os.getloadavg()[0]))
            if given.steady:
                grown = steady(url, pid, groups, given.steady, 60 * given.minutes)
    print("# The service on loopback\n")
    words = f"{given.rollouts.name} --workers {given.workers} --seconds {given.seconds:g} --steady {given.steady}"
    print(f"    python benchmarks/service.py {words}\n")
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, one rollout a request, groups of {SIZE}, "
        f"{length:.0f} characters a rollout in the mean. Service and clients share the cores; CPU and\n"
        "MiB are those of all the service's processes, load is the machine's load average: above its cores, "
        "others were running.\n"
    )
    print("| rollouts under way | requests | rollouts a second | p50, s | p99, s | CPU, ms a rollout | MiB | load |")
    print("|---|---|---|---|---|---|---|---|")
    for workers, count, speed, p50, p99, used, memory, busy in rows:
        shown = max(workers, SIZE)
        print(f"| {shown} | {count} | {speed:.0f} | {p50:.3f} | {p99:.3f} | {used:.2f} | {memory:.0f} | {busy:.0f} |")
    if grown:
        print(f"\n{grown[-1][0]:,} requests more, 128 rollouts under way, new ones of {len(groups)} questions:\n")
        print(f"| requests | {' | '.join(f'{count:,}' for count, _ in grown)} |")
        print(f"|---|{'---|' * len(grown)}")
        print(f"| MiB | {' | '.join(f'{memory:.0f}' for _, memory in grown)} |")


if __name__ == "__main__":
    main()
