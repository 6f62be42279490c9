"""Processes that answer one JSON question a line, are killed when an answer takes too long, and start again.

Safe in any thread, event loop, forked or spawned process.
"""

import atexit
import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from memreward.sandbox.deadline import left
from memreward.types import MemRewardError

START_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A worker's JSON value if it answered; else it was late and killed, or died, and a fresh one died too."""

    value: Any
    outcome: Literal["answered", "late", "died"]


class Worker:
    """A process of a script that calls `serve`: started when needed, killed when a question takes too long."""

    def __init__(self, script: Path) -> None:
        self._script = script
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._cancelled = 0
        _workers.add(self)

    def begin(self) -> None:
        """Start the process, and do not wait until it is ready; MemRewardError if it cannot start."""
        with self._lock:
            self._begin()

    def ask(self, question: Any, limit: float) -> Reply:
        """Return the reply to a JSON value within `limit` seconds; MemRewardError if the process cannot start."""
        limit = min(limit, left())
        if limit <= 0:
            return Reply(None, "late")
        line = json.dumps([question, limit]).encode() + b"\n"
        with self._lock:
            cancelled = self._cancelled
            for _ in range(2):
                if cancelled != self._cancelled:
                    break
                try:
                    reply, late = _exchange(self._running(), line, limit)
                except BaseException:
                    # Whoever interrupts a question must not leave its reply for the next one.
                    self._stop()
                    raise
                if reply.endswith(b"\n"):
                    return Reply(json.loads(reply), "answered")
                self._stop()
                if late:
                    return Reply(None, "late")
            return Reply(None, "died")

    def cancel(self) -> None:
        """End the question that another thread asks right now, if one does: it died."""
        self._cancelled += 1
        if (process := self._process) is not None:
            process.kill()

    def close(self) -> None:
        with self._lock:
            self._stop()

    def forget(self) -> None:
        """In a forked child: leave the parent's process alone and start afresh when asked."""
        self._lock = threading.Lock()
        self._process, self._ready = None, False

    def _begin(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._stop()
        try:
            self._process = _started(self._script)
        except OSError as error:
            raise MemRewardError(
                f"the worker {self._script.name} did not start: {error}; free what it lacks"
            ) from error
        return self._process

    def _running(self) -> subprocess.Popen[bytes]:
        process = self._begin()
        if self._ready:
            return process
        reply, _ = _exchange(process, b"", START_LIMIT_S)
        if reply.strip() != b"ready":
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
            code = process.returncode
            self._stop()
            raise MemRewardError(
                f"the worker {self._script.name} did not start (exit code {code}): "
                f"check that {sys.executable} can run it and import math_verify"
            )
        self._ready = True
        return process

    def _stop(self) -> None:
        process, self._process, self._ready = self._process, None, False
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):  # bytes left for a process that was killed: nobody wants them
                assert pipe is not None
                pipe.close()


class WorkerPool:
    """At most `size` workers of one script; a question goes to one that is idle, or waits for one."""

    def __init__(self, script: Path, size: int) -> None:
        self.size = size
        self._workers = [Worker(script) for _ in range(size)]
        self.forget()
        _workers.add(self)

    def ask(self, question: Any, limit: float) -> Reply:
        """See `Worker.ask`; the time spent waiting for an idle worker does not count against `limit`."""
        idle = self._idle
        worker = idle.get()
        try:
            return worker.ask(question, limit)
        finally:
            idle.put(worker)

    def cancel(self) -> None:
        for worker in self._workers:
            worker.cancel()

    def close(self) -> None:
        for worker in self._workers:
            worker.close()

    def forget(self) -> None:
        """In a forked child: all workers are idle, whatever the parent's threads were doing."""
        # Last in, first out: a light load keeps one process busy instead of starting them all.
        self._idle: queue.LifoQueue[Worker] = queue.LifoQueue()
        for worker in self._workers:
            self._idle.put(worker)


def _started(script: Path) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        [sys.executable, "-P", "-W", "ignore", str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": paths},
        # Ctrl-C is for the one who asks; a worker that it kills would be started again to no purpose.
        start_new_session=True,
    )


def _exchange(process: subprocess.Popen[bytes], line: bytes, limit: float) -> tuple[bytes, bool]:
    """Send a line and read one; (b"", True) where `limit` seconds passed and the process was killed."""
    assert process.stdin is not None
    assert process.stdout is not None
    late = threading.Event()

    def kill() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(limit, kill)
    timer.daemon = True
    timer.start()
    try:
        process.stdin.write(line)
        process.stdin.flush()
        reply = process.stdout.readline()
    except BrokenPipeError:
        reply = b""
    finally:
        timer.cancel()
    return reply, late.is_set()


_workers: weakref.WeakSet[Worker | WorkerPool] = weakref.WeakSet()


def _close_all() -> None:
    for worker in list(_workers):
        worker.close()


def _forget_all() -> None:
    for worker in list(_workers):
        worker.forget()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
