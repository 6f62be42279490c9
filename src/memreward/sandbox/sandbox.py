"""Runs foreign Python behind walls, in parallel."""

from __future__ import annotations

import math
import os
import queue
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, TypeVar

from memreward.sandbox.deadline import carried, check, left
from memreward.sandbox.limits import Allowance, Containment, Execution
from memreward.sandbox.process import GRACE_S, Job, Keeper, KeeperRefusedError
from memreward.types import SandboxError

PACKAGES = ("numpy",)
"""Installed packages that foreign code may import beside the standard library."""

_TO_REPORT = 0.05
"""Share of its time that a trial keeps for the tests to say that the solution let it pass."""
_USUAL = Allowance()
_BUSY = "import time\nuntil = time.process_time() + 0.2\nwhile time.process_time() < until: pass"

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Trial:
    """A solution held against tests, whose report is the outcome: two executions that shared nothing but plain data."""

    tests: Execution
    solution: Execution


class Sandbox:
    """Runs foreign Python code, each run in an interpreter of its own, contained, or SandboxError.

    Threads may share an instance, which pickles by its settings; a forked child starts processes of its own.
    `containment=None` takes the first of "namespaces" and "landlock" that the system allows ("none" must be asked for
    by name); `places=0` is one for each processor it may use.
    """

    def __init__(self, containment: Containment | None = None, *, places: int = 0) -> None:
        self.places = places or _processors()
        self._asked = containment
        self._start_afresh()
        _living.add(self)

    def _start_afresh(self) -> None:
        self._lock = threading.Lock()
        self._containment: Containment | None = None
        self._keepers: list[Keeper] = []
        self._free: queue.LifoQueue[tuple[Keeper, Keeper]] = queue.LifoQueue()
        self._end = weakref.finalize(self, _kill_all, self._keepers)

    def forget(self) -> None:
        """In a forked child: leave the parent's processes alone and start others when asked."""
        self._end.detach()
        for keeper in self._keepers:
            keeper.forget()
        self._start_afresh()

    def __reduce__(self) -> tuple[Callable[..., Sandbox], tuple[Containment | None]]:
        return partial(type(self), places=self.places), (self._asked,)

    @property
    def containment(self) -> Containment:
        """How runs are contained here; SandboxError where nothing that contains them is allowed."""
        with self._lock:
            if self._containment is None:
                self._containment = available_containment(self._asked)
                self._keepers += [Keeper(self._containment, PACKAGES) for _ in range(2 * self.places)]
                for pair in zip(self._keepers[::2], self._keepers[1::2], strict=True):
                    self._free.put(pair)
            return self._containment

    def run(self, source: str, stdin: str = "", limits: Allowance = _USUAL) -> Execution:
        with self._place() as (keeper, _):
            return _run(keeper, _program(source, stdin), limits)

    def call(self, source: str, name: str, inputs: Sequence[Sequence[Any]], limits: Allowance = _USUAL) -> Execution:
        """Load a solution and call its function `name` with each of `inputs`, in order, in one process.

        Inputs are arguments as `memreward.sandbox.inside.plain` encodes them. The report, all of which is what the
        foreign code says of itself, has one line of JSON for the loading and one for each call that ended: "value", the
        encoded result, or "raised", the names of the exception's classes.
        """
        job = Job("calls", {"source": source, "name": name, "inputs": [list(args) for args in inputs]})
        with self._place() as (keeper, _):
            return _run(keeper, job, limits)

    def trial(
        self, solution: str, tests: Sequence[str], *, entry_point: str = "", given: str = "", limits: Allowance = _USUAL
    ) -> Trial:
        """Run tests in one contained process against a solution in another, each with these limits.

        The solution is loaded once. The tests run in order until one fails; the names they do not bind are the
        solution's. Beside them stand the definitions `given` with the question. Entry point "" leaves the tested
        function to the tests.
        """
        asked = {"tests": list(tests), "given": given, "entry_point": entry_point}
        limits = _allowed(limits)
        ours, theirs = socket.socketpair()
        with ours, theirs, self._place() as (judge, holder):
            until = time.monotonic() + limits.wall_seconds
            holder.begin(Job("serve", {"source": solution}, writes=()), limits, theirs)
            left = (1 - _TO_REPORT) * (until - time.monotonic())
            judge.begin(Job("tests", {**asked, "seconds": left}), limits, ours)
            ours.close()
            theirs.close()
            tested = judge.result(until + GRACE_S - time.monotonic()) or judge.finish()
            served = holder.result(0.2) or holder.finish()
        return Trial(tested, served)

    def rehearse(
        self, tests: Sequence[str], *, entry_point: str = "", given: str = "", limits: Allowance = _USUAL
    ) -> bool:
        """Return whether the tests end where the solution's functions return None, raising statements left aside."""
        asked = {"tests": list(tests), "given": given, "entry_point": entry_point}
        with self._place() as (judge, _):
            ran = _run(judge, Job("rehearsal", asked), limits)
        return ran.ok and ran.report == "ended"

    def slowdown(self) -> float:
        """Return how many times its processor time a run takes by the clock at present, at least 1."""
        ran = self.run(_BUSY)
        return max(1.0, ran.wall_seconds / max(ran.cpu_seconds, 0.01)) if ran.ok else math.inf

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Apply a function that makes runs to each item, as many at once as there are places; order is kept."""
        if len(items) < 2:
            return [function(item) for item in items]
        with ThreadPoolExecutor(self.places, thread_name_prefix="memreward-sandbox") as threads:
            return list(threads.map(carried(function), items))

    def close(self) -> None:
        """End all processes; they start again at the next run."""
        with self._lock:
            self._end()
            self._start_afresh()

    @contextmanager
    def _place(self) -> Iterator[tuple[Keeper, Keeper]]:
        _ = self.containment
        free = self._free
        pair = free.get()
        try:
            yield pair
        except BaseException:
            for keeper in pair:
                keeper.kill()
            raise
        finally:
            free.put(pair)


def available_containment(asked: Containment | None = None) -> Containment:
    """Return `asked` if the system allows it, or without it the best that it allows; else raise SandboxError."""
    choices: tuple[Containment, ...] = ("namespaces", "landlock") if asked is None else (asked,)
    reasons = []
    for containment in choices if sys.platform == "linux" else ():
        try:
            _try_out(containment)
            return containment
        except KeeperRefusedError as error:
            reasons.append(str(error))
    raise SandboxError(
        f"model-written code cannot be contained here ({'; '.join(reasons) or f'no means for {sys.platform}'}), so it "
        "is not run: allow unprivileged user namespaces, use a kernel with Landlock (5.13), or, on a "
        'machine that may be lost, ask for containment="none"'
    )


@cache
def _try_out(containment: Containment) -> None:
    """Run a first program; what a system allows once it allows for as long as this process lives."""
    keeper = Keeper(containment)
    try:
        ended = _run(keeper, _program("print(6 * 7)"), _USUAL)
    finally:
        keeper.kill()
    if not ended.ok or ended.stdout != "42\n":
        raise KeeperRefusedError(f"{containment}: a first program ended with {ended}")


def _program(source: str, stdin: str = "") -> Job:
    return Job("program", {"source": source}, stdin, ("stdout", "stderr"))


def _allowed(limits: Allowance) -> Allowance:
    """Cut the limits to the time that is left of all; OutOfTimeError where none is."""
    check()
    return replace(limits, wall_seconds=min(limits.wall_seconds, left()))


def _run(keeper: Keeper, job: Job, limits: Allowance) -> Execution:
    limits = _allowed(limits)
    keeper.begin(job, limits)
    return keeper.result(limits.wall_seconds + GRACE_S) or keeper.finish()


def _kill_all(keepers: list[Keeper]) -> None:
    for keeper in keepers:
        keeper.kill()


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_living: weakref.WeakSet[Sandbox] = weakref.WeakSet()


def _forget_in_child() -> None:
    for sandbox in list(_living):
        sandbox.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
