"""The client of `math_worker`: one long-lived process, a time limit that holds anywhere, answers cached by content."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from memreward.parsing.algebra import Values
from memreward.types import MemRewardError

TIME_LIMIT_S = 5.0
START_LIMIT_S = 120.0


class _Worker:
    """A lazily started process that is killed when an expression takes too long, and started again when needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, expression: str) -> Any:
        """Return the worker's reply, or None where it did not come within `TIME_LIMIT_S`."""
        with self._lock:
            line = json.dumps(expression).encode() + b"\n"
            for _ in range(2):
                process = self._running()
                reply, late = _exchange(process, line, TIME_LIMIT_S)
                if reply:
                    return json.loads(reply)
                self._stop()
                if late:
                    return None
            return None

    def close(self) -> None:
        """End the process, if there is one."""
        with self._lock:
            self._stop()

    def forget(self) -> None:
        """In a forked child: leave the parent's process alone and start afresh when asked."""
        self._lock = threading.Lock()
        self._process = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._stop()
        paths = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", str(Path(__file__).with_name("math_worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths},
        )
        reply, _ = _exchange(self._process, b"", START_LIMIT_S)
        if reply.strip() != b"ready":
            code = self._process.poll()
            self._stop()
            raise MemRewardError(
                f"the worker that compares mathematical answers did not start (exit code {code}): "
                f"check that {sys.executable} can import math_verify"
            )
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                _close_quietly(pipe)


def _close_quietly(pipe: Any) -> None:
    try:
        pipe.close()
    except BrokenPipeError:  # bytes left for a process that was killed: nobody wants them
        return


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


_worker = _Worker()
atexit.register(_worker.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_worker.forget)


@lru_cache(maxsize=65_536)
def values_of(expression: str) -> Values | None:
    """Return the values of a LaTeX expression, or None where it has none or they take longer than `TIME_LIMIT_S`.

    Safe in any thread, event loop, forked or spawned process.

    Raises:
        MemRewardError: if the worker process cannot start.
    """
    reply = _worker.ask(expression)
    if reply is None:
        return None
    return Values(
        tuple(reply["symbols"]), tuple((Decimal(real), Decimal(imaginary)) for real, imaginary in reply["values"])
    )
