"""Processes that work side by side on the parts of an experiment, one core each, and end cleanly at Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from typing import Any

from memreward.types import MemRewardError

Submit = Callable[..., "Future[Any]"]
"""Called with a function and its arguments."""


@contextmanager
def worker_processes(count: int) -> Iterator[Submit]:
    """Yield what runs a function in one of `count` processes; what it is given and returns must pickle.

    Args:
        count: Processes; 0 takes one a core, 1 runs in this process.

    Raises:
        MemRewardError: a worker died.
    """
    processes = count or len(
        os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    )
    if processes == 1:
        yield _run_here
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=start_worker) as executor:

        def submit(function: Callable[..., Any], *given: Any) -> Future[Any]:
            with _interrupts_held():
                return executor.submit(function, *given)

        others = set(active_children())
        try:
            yield submit
        except BrokenProcessPool as error:
            raise MemRewardError(
                "a worker process of the experiment died (out of memory, or killed); finished parts are kept in the "
                "output folder: run the same command again, with fewer workers"
            ) from error
        except KeyboardInterrupt:
            # What a worker has not finished is lost anyway, and may take long.
            for process in set(active_children()) - others:
                process.terminate()
            raise
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Start processes that never see Ctrl-C, which the terminal sends to all: this process alone acts on it.

    A process inherits the blocked signal; here it is delivered at the end of the block.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run_here(function: Callable[..., Any], *given: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(function(*given))
    return future


def start_worker() -> None:
    """Leave Ctrl-C to the parent process, and keep to one core: the cells themselves run side by side.

    A worker ends with its parent, also where that was killed: a run begun again must not meet the old one's workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    threadpool_limits(1)
    # Libraries that are not loaded yet read this when they are.
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")


def _end_with_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)
