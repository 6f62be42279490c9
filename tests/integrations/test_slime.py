"""slime's function for groups, with stand-ins for its samples: the package itself is on no index."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "service"))

from serving import made_store, served, texts_of

from memreward.integrations.client import ready_client
from memreward.integrations.slime import rewards
from memreward.service.config import ServiceConfig
from memreward.types import ConfigurationError, EndpointError

pytestmark = pytest.mark.filterwarnings("ignore")

ARGS = SimpleNamespace(advantage_estimator="grpo", grpo_std_normalization=False, n_samples_per_prompt=4)


class Status(Enum):
    """As slime's Sample.Status."""

    COMPLETED = "completed"
    TRUNCATED = "truncated"


@dataclass
class Sample:
    """The fields of slime's Sample that are read or written."""

    prompt: str | list[dict[str, str]]
    response: str
    label: str | None = None
    status: Status = Status.COMPLETED
    rollout_log_probs: list[float] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    remove_sample: bool = False


@pytest.fixture
def _service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    store = made_store(config=ServiceConfig(labels=5))
    with served(store) as address:
        monkeypatch.setenv("MEMREWARD_URL", address)
        ready_client.cache_clear()
        yield
        ready_client().close_all()
        ready_client.cache_clear()
    store.close()


def rewarded(given: list[Any]) -> list[float]:
    async def run() -> list[float]:
        try:
            return await rewards(ARGS, given)
        finally:
            await ready_client().close()

    return asyncio.run(run())


def samples(number: int, label: str | None = None, texts: list[str] | None = None) -> list[Sample]:
    prompt = f"<|im_start|>user\nWhat is {number} + 3?<|im_end|>\n<|im_start|>assistant\n"
    return [Sample(prompt, f"{text}<|im_end|>", label) for text in texts or texts_of(number)]


@pytest.mark.usefixtures("_service")
def test_groups_get_expected_advantages_and_those_with_a_label_the_truth() -> None:
    for number, label, kind in ((11, None, "predicted"), (22, "25", "truth")):
        given = samples(number, label)
        found = rewarded(given)
        assert sum(found) == pytest.approx(0, abs=1e-6)
        assert found[0] == pytest.approx(found[1])
        assert found[1] > found[2]
        assert {sample.metadata["memreward"][f"memreward/{kind}"] for sample in given} == {1.0}
        assert not any(sample.remove_sample for sample in given)


@pytest.mark.usefixtures("_service")
def test_what_cannot_be_scored_leaves_the_loss() -> None:
    given = samples(33, '{"domain": "poetry"}')
    assert rewarded(given) == [0.0] * 4
    assert all(sample.remove_sample for sample in given)
    assert {sample.metadata["memreward"]["memreward/failed"] for sample in given} == {1.0}


def test_it_refuses_to_standardise_and_to_begin_without_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = SimpleNamespace(**{**vars(ARGS), "grpo_std_normalization": True})
    with pytest.raises(ConfigurationError, match="--disable-grpo-std-normalization"):
        asyncio.run(rewards(twice, samples(1)))
    monkeypatch.setattr("memreward.integrations.slime.ready_client", lambda: ready_client("http://127.0.0.1:9", 0.5))
    with pytest.raises(EndpointError, match="failed"):
        asyncio.run(rewards(ARGS, samples(1)))
    ready_client.cache_clear()
