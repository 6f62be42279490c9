"""The trainers' own packages, each in an environment of its own: make test-verl, test-openrlhf, test-verifiers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parents[1] / room) for room in ("service", "label")]


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """Address of a service on loopback; references are used for ten queries."""
    from serving import made_store, served

    from memreward.service.config import ServiceConfig

    store = made_store(config=ServiceConfig(labels=10))
    with served(store) as url:
        yield url
    store.close()
