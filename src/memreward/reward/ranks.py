"""Decide once for all processes: TRL gives each its own rows, and a group may be split between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def decide_together(rows: Sequence[Any], decide: Callable[[list[Any]], tuple[list[Any], Any]]) -> tuple[list[Any], Any]:
    """Gather the rows of all processes, decide on them in the first one, and return what concerns the caller.

    Every process must call it, as often as the others. Without `torch.distributed` there is one process.

    Args:
        rows: Of this process, in plain values (they are sent).
        decide: Called in the first process alone with the rows of all, in the order of their ranks. Returns one result
            a row, and something for everybody; both are sent. It must not raise, or the others wait in vain.

    Returns:
        The results of this process's rows, and what is for everybody.

    Raises:
        RuntimeError: the processes have lost each other. Training cannot go on then.
    """
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return decide(list(rows))
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, list(rows))
    answer: list[Any] = [None]
    if dist.get_rank() == 0:
        answer = [decide([row for part in gathered for row in part])]
    dist.broadcast_object_list(answer, src=0)
    results, common = answer[0]
    start = sum(len(part) for part in gathered[: dist.get_rank()])
    return results[start : start + len(rows)], common
