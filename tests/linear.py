"""Whether time is linear in the length of a text, by a limit that work of the square of its length passes by far."""

from __future__ import annotations

import time
from collections.abc import Callable

LENGTH = 40_000


def repeated(pattern: str, length: int = LENGTH) -> str:
    return (pattern * (length // len(pattern) + 1))[:length]


def in_time(run: Callable[[], object], seconds: float) -> bool:
    """Whether one of two tries takes less processor time: the first may be the one that loads or collects."""
    for _ in range(2):
        start = time.process_time()
        run()
        if time.process_time() - start < seconds:
            return True
    return False
