"""One thread for small fits."""

import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

_BRING_THREADS = ("numpy", "scipy.special", "scipy.linalg", "sklearn", "torch")


@contextmanager
def single_threaded() -> Iterator[None]:
    """Keep numpy's, scipy's, scikit-learn's and torch's computations inside the block to the calling thread.

    A fit on some hundred labels is many small products, whose threads would wait for each other. Also a decorator.
    """
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 1
    with _controller(tuple(name in sys.modules for name in _BRING_THREADS)).limit(limits=1):
        # torch links a copy of MKL that threadpoolctl does not see.
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)


@functools.cache
def _controller(loaded: tuple[bool, ...]) -> ThreadpoolController:  # noqa: ARG001
    """What is loaded of a process, found once for each set of these packages: to look takes longer than a small fit."""
    return ThreadpoolController()
