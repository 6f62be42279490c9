"""One thread for small fits."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]


@contextmanager
def single_threaded() -> Iterator[None]:
    """Keep numpy's, scipy's, scikit-learn's and torch's computations inside the block to the calling thread.

    A fit on some hundred labels is many small products, whose threads would wait for each other. Also a decorator.
    """
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 1
    with threadpool_limits(1):
        # torch links a copy of MKL that threadpoolctl does not see.
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)
