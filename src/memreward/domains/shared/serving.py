"""The other end of a `Worker`, the loop of its script: loads nothing, since every such process starts with it."""

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

_GRACE_S = 1.0


def serve(answer: Callable[[Any], Any], prepare: Callable[[], None]) -> None:
    """Answer JSON values from standard input until it closes; the loop of a worker's script, after `prepare`."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    prepare()
    print("ready", file=replies, flush=True)
    for line in sys.stdin:
        question, limit = json.loads(line)
        _end_after(limit + _GRACE_S)
        print(json.dumps(answer(question)), file=replies, flush=True)
        _end_after(0)


def _end_after(seconds: float) -> None:
    """Have the system end this process, whatever it hangs in: the one who asks may have been killed meanwhile."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)
