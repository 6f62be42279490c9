"""Small groups for the tests of memory and ledger."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from memreward.types import Domain, Group, Query, Rollout, Truth


def _group(
    identity: str,
    *,
    rollouts: int = 3,
    text: str | None = None,
    domain: Domain = "math",
    dataset: str = "sums",
    correct: tuple[bool | None, ...] | None = None,
    reference: str | None = "5",
    prefix: str = "",
    **fields: Any,
) -> Group:
    query = Query(identity, f"What is {identity}?" if text is None else text, domain, dataset)
    members = tuple(
        Rollout(query, f"thinking {index}. The answer is {index}", f"thinking {index}", str(index),
                f"{identity}/{prefix}{index}", **fields)
        for index in range(rollouts)
    )  # fmt: skip
    verdicts = tuple(index % 2 == 0 for index in range(rollouts)) if correct is None else correct
    return Group(
        query, members, Truth(reference, verdicts), {"license": "MIT"}, tuple({"run": i} for i in range(rollouts))
    )


@pytest.fixture(scope="session")
def make_group() -> Callable[..., Group]:
    """Build a group: its query asks for its id, every second rollout is right."""
    return _group


@pytest.fixture
def start_python() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a script in a Python of its own; what still runs when the test ends is killed."""
    pipe = subprocess.PIPE
    with ExitStack() as stack:

        def start(script: str, *arguments: object) -> subprocess.Popen[str]:
            command = [sys.executable, "-c", script, *map(str, arguments)]
            process = stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
            stack.callback(process.kill)
            return process

        yield start
