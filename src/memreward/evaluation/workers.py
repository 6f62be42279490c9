"""Processes that work side by side on the parts of an experiment, one core each, and end cleanly at Ctrl-C."""

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import active_children, current_process, get_context
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from memreward.processes import interrupts_held, start_worker
from memreward.types import ConfigurationError, MemRewardError

_NO_GUARD = (
    "worker processes run the script again from its top, and {script} does all its work there: put what it does under "
    '`if __name__ == "__main__":`, or use one process (processes=1)'
)


class Workers:
    """Runs functions in processes, and hands over what they return.

    Ctrl-C in the main thread raises KeyboardInterrupt as ever, but not in the middle of `concurrent.futures`: there it
    can leave a lock behind that the executor's own thread then waits for, for ever.
    """

    def __init__(self, executor: ProcessPoolExecutor | None) -> None:
        self._executor = executor
        self._ended: SimpleQueue[Future[Any] | None] = SimpleQueue()
        self._here: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._open = 0
        self._inside = self._interrupted = False

    def submit(self, function: Callable[..., Any], *given: Any) -> Future[Any]:
        """Run a function in a process; what it is given and returns must pickle. Without any, `completed` runs it."""
        if self._executor is None:
            future: Future[Any] = Future()
            self._here.append((future, partial(function, *given)))
            return future
        with self._undisturbed(), interrupts_held():
            future = self._executor.submit(function, *given)
            future.add_done_callback(self._ended.put)
        self._open += 1
        return future

    def completed(self) -> Iterator[Future[Any]]:
        """Yield the submitted futures as they end, each once."""
        while self._here:
            future, work = self._here.popleft()
            future.set_result(work())
            yield future
        while self._open:
            with self._undisturbed():
                found = self._ended.get()
            if found is not None:
                self._open -= 1
                yield found

    def interrupt(self, signum: int, frame: Any) -> None:
        """Handle SIGINT: at once, or as soon as `concurrent.futures` is left."""
        if not self._inside:
            signal.default_int_handler(signum, frame)
        self._interrupted = True
        self._ended.put(None)  # wakes who waits; this queue may be used in a signal handler

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        self._inside = True
        try:
            yield
        finally:
            self._inside = False
        if self._interrupted:
            raise KeyboardInterrupt


@contextmanager
def worker_processes(count: int) -> Iterator[Workers]:
    """Yield what runs functions in `count` processes: 0 takes one a core, 1 runs in this process.

    Raises ConfigurationError where the calling script has no `__main__` guard, MemRewardError where a worker died.
    """
    processes = count or len(
        os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    )
    if processes == 1:
        yield Workers(None)
        return
    if getattr(current_process(), "_inheriting", False):
        # This is a worker that runs its parent's script: the parent says why it ended.
        raise SystemExit(1)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=start_worker) as executor:
        workers, others = Workers(executor), set(active_children())
        try:
            with handling_interrupts(workers):
                yield workers
        except BrokenProcessPool as error:
            if (script := _unguarded_script()) is not None:
                raise ConfigurationError(_NO_GUARD.format(script=script)) from error
            raise MemRewardError(
                "a worker process of the experiment died (out of memory, or killed); finished parts are kept in the "
                "output folder: run the same command again, on fewer cores (taskset)"
            ) from error
        except KeyboardInterrupt:
            # What a worker has not finished is lost anyway, and may take long.
            for process in set(active_children()) - others:
                process.terminate()
            raise
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def _unguarded_script() -> str | None:
    main = sys.modules.get("__main__")
    script = getattr(main, "__file__", None)
    if script is None or getattr(main, "__spec__", None) is not None:
        return None
    try:
        text = Path(script).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    return None if "__name__" in text else str(script)


@contextmanager
def handling_interrupts(workers: Workers) -> Iterator[None]:
    """Let `workers` handle SIGINT, if this is the main thread and nobody else does."""
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or usual is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, workers.interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
