"""Processes that leave Ctrl-C to the one that began them, and end with it."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process


@contextmanager
def interrupts_held() -> Iterator[None]:
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


def start_worker() -> None:
    """Leave Ctrl-C to the parent process, and keep to one core: its like run side by side.

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
