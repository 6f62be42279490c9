"""Fixtures every test may use."""

from __future__ import annotations

import os

# Small fits spin on two threads, and several workers would share the cores: one thread each, before numpy is imported.
for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from synthetic_features import Synthetic, make_synthetic

# A test run in the background of a shell ignores SIGINT, and the processes that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real rollouts and questions that may not be shipped; skips where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real rollouts are not at {folder}: this test needs them")
    return folder


@pytest.fixture(scope="session")
def synthetic() -> Callable[..., Synthetic]:
    """Makes features with the truth they were drawn with."""
    return make_synthetic
