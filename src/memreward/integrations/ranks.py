"""Decide once for all processes: TRL gives each its own rows, and a group may be split between them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from memreward.types import MemRewardError


def decide_together(rows: Sequence[Any], decide: Callable[[list[Any]], tuple[list[Any], Any]]) -> tuple[list[Any], Any]:
    """Gather the rows of all processes, decide on them in the first one, and return what concerns the caller.

    Every process must call it, as often as the others. `decide` is called in the first process with the rows of all by
    rank; it returns one result a row, and something for everybody. Rows and results are plain values: they are sent.

    Raises:
        RuntimeError: the processes have lost each other. Training cannot go on then.
        MemRewardError: `decide` raised in the first process, which raises that itself. None waits for it in vain.
    """
    dist = sys.modules.get("torch.distributed")  # who is one of several has loaded it
    if dist is None or not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return decide(list(rows))
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, list(rows))
    answer: list[Any] = [None, ""]
    failure: Exception | None = None
    if dist.get_rank() == 0:
        try:
            answer[0] = decide([row for part in gathered for row in part])
        except Exception as error:
            failure, answer[1] = error, f"{type(error).__name__}: {error}"
    dist.broadcast_object_list(answer, src=0)
    if failure is not None:
        raise failure
    if answer[1]:
        raise MemRewardError(f"the first process, which decides for all, failed: {answer[1]}")
    results, common = answer[0]
    start = sum(len(part) for part in gathered[: dist.get_rank()])
    return results[start : start + len(rows)], common
