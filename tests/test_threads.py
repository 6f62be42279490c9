from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from memreward.evaluation.baselines import CrossFitted, crossfit
from memreward.evaluation.baselines.majority import VoteScorer
from memreward.network.scorer import paper
from memreward.threads import single_threaded

pytestmark = pytest.mark.slow  # torch takes seconds to load


def threads() -> set[int]:
    return {torch.get_num_threads(), *(library["num_threads"] for library in threadpool_info())}


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    with threadpool_limits(2):
        torch.set_num_threads(2)
        yield
    torch.set_num_threads(before)


def test_inside_there_is_one_thread_and_afterwards_as_many_as_before() -> None:
    inside: list[set[int]] = []

    @single_threaded()
    def failing() -> None:
        inside.append(threads())
        raise ValueError("no fit")

    assert threads() == {2}
    with pytest.raises(ValueError, match="no fit"):
        failing()
    assert inside == [{1}]
    assert threads() == {2}


@pytest.mark.parametrize("later", ["scipy.special", "scipy.linalg"])
def test_a_library_that_is_loaded_later_is_held_to_one_thread_too(later: str) -> None:
    script = f"""
import importlib, threadpoolctl, numpy
from memreward.threads import single_threaded
with single_threaded():
    pass
importlib.import_module("{later}")
with threadpoolctl.threadpool_limits(2, user_api="blas"), single_threaded():
    print({{each["num_threads"] for each in threadpoolctl.threadpool_info() if each["user_api"] == "blas"}})
"""
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "{1}\n"


@pytest.mark.parametrize(
    "predictor",
    [lambda: paper(0, hidden=16, epochs=1), lambda: CrossFitted("logistic", VoteScorer)],
    ids=["paper", "logistic"],
)
def test_fits_keep_to_one_thread(
    predictor: Callable[[], CrossFitted], synthetic: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[int]] = []
    fit_calibration = crossfit.fit_calibration

    def watched(*arguments: np.ndarray) -> object:
        seen.append(threads())
        return fit_calibration(*arguments)

    monkeypatch.setattr(crossfit, "fit_calibration", watched)
    data = synthetic(queries=12)
    predictor().fit(data.features, data.correct)
    assert seen == [{1}]
