"""TRL over the service: a real GRPOTrainer's step, beside another reward function, and groups split over processes."""

from __future__ import annotations

import asyncio
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "service"))

from serving import made_store, query, served, texts_of
from test_trl_reward import Texts, trained

from memreward.answers.model import AnswerModel
from memreward.integrations.client import Client
from memreward.integrations.trl import RemoteRewardFunction
from memreward.memory import ExperienceMemory
from memreward.reward import PolicyReward
from memreward.reward.valuers import Answers
from memreward.service.messages import AskedGroup, AskedRollout, ConflictError
from memreward.service.store import GroupStore
from memreward.types import ConfigurationError, EndpointError, Query

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(280)]

SIZE = 4


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    store = made_store()
    with served(store) as address:
        yield address
    store.close()


def row(number: int) -> dict[str, Any]:
    own = query(number)
    return {"prompt": own["text"], "query_id": own["id"], "domain": "math"}


@pytest.mark.slow
def test_the_advantages_of_a_real_step_are_the_services_rewards(url: str, tmp_path: Path) -> None:
    offs = (0, 0, 1, 2)  # the tiny tokenizer loses spaces
    texts = {query(n)["text"]: [f"{place};answer:{n + 3 + off}" for place, off in enumerate(offs)] for n in (1, 2)}

    def nothing(completions: list[str], **_: Any) -> list[float]:
        return [0.0 for _ in completions]

    reward = RemoteRewardFunction(Client(url, deadline=120), run="real")
    trainer = trained(tmp_path, [reward, nothing], [row(1), row(2)], rollouts=Texts(texts))
    assert len(reward.client._pools) == 1
    reward.client.close_all()
    assert not reward.client._pools
    logged = next(entry for entry in trainer.state.log_history if "memreward/predicted" in entry)
    assert (logged["memreward/predicted"], logged["memreward/failed"]) == (1.0, 0.0)
    store = made_store()
    for number in (1, 2):
        own = query(number)
        rollouts = tuple(AskedRollout(str(i), text) for i, text in enumerate(texts[own["text"]]))
        (answers,) = store.score([AskedGroup(f"g{number}", Query(own["id"], own["text"], "math"), rollouts)])
        assert not isinstance(answers, ConflictError)
        wanted = [answer.reward for answer in answers]
        assert wanted[0] > wanted[2]
        assert [trainer.lost[rollout.text] for rollout in rollouts] == pytest.approx(wanted, abs=1e-5)
    store.close()


def test_it_refuses_a_trainer_that_standardises(url: str) -> None:
    reward = RemoteRewardFunction(Client(url), size=SIZE)
    args = SimpleNamespace(scale_rewards="group", num_generations=SIZE)

    class Trainer:
        def __init__(self) -> None:
            self.args = args

        def log_metric(self, name: str, value: float) -> None: ...

    with pytest.raises(ConfigurationError, match='scale_rewards="none"'):
        asyncio.run(reward(["a"], ["b"], log_metric=Trainer().log_metric))


def test_groups_split_over_processes_are_put_together_and_the_function_pickles(url: str) -> None:
    given = RemoteRewardFunction(Client(url, deadline=120), run="split", size=SIZE)
    ranks = [pickle.loads(pickle.dumps(given)) for _ in range(2)]
    texts = texts_of(5)

    async def call(reward: Any, own: list[str], said: dict[str, float]) -> list[float]:
        columns = {"query_id": ["q5"] * len(own), "domain": ["math"] * len(own)}
        state = SimpleNamespace(global_step=3)
        found: list[float] = await reward(
            [query(5)["text"]] * len(own), own, trainer_state=state, log_metric=said.__setitem__, **columns
        )
        await reward.client.close()
        return found

    logs: list[dict[str, float]] = [{}, {}]

    async def run() -> list[list[float]]:
        return await asyncio.gather(call(ranks[0], texts[:3], logs[0]), call(ranks[1], texts[3:], logs[1]))

    first, second = asyncio.run(run())
    assert sum(first + second) == pytest.approx(0, abs=1e-6)
    assert first[0] == first[1] > first[2]
    assert logs[0]["memreward/predicted"] == logs[1]["memreward/predicted"] == 1.0
    assert logs[0]["memreward/partial"] == 0.0


def test_log_probabilities_of_a_sampler_of_ones_own_reach_the_services_memory() -> None:
    memory = ExperienceMemory.in_memory()
    store = GroupStore(PolicyReward(memory, Answers(AnswerModel())))
    columns = {"query_id": ["q6"] * SIZE, "token_logprobs": [[-0.5, -0.25], None, [-2.0], [-1.0]]}

    async def run(reward: RemoteRewardFunction) -> None:
        await reward([query(6)["text"]] * SIZE, texts_of(6), **columns)
        await reward.client.close()

    with served(store) as address:
        asyncio.run(run(RemoteRewardFunction(Client(address, deadline=120), size=SIZE)))
    kept = {rollout.text: rollout.token_logprobs for rollout in memory.rollouts_of(["q6"])}
    assert kept == dict(zip(texts_of(6), [(-0.5, -0.25), None, (-2.0,), (-1.0,)], strict=True))
    store.close()


def test_a_training_does_not_begin_without_a_service_and_needs_a_size() -> None:
    async def run() -> None:
        reward = RemoteRewardFunction(Client("http://127.0.0.1:9", deadline=0.5), size=SIZE)
        try:
            await reward(["a"], ["b"])
        finally:
            await reward.client.close()

    with pytest.raises(EndpointError, match="failed"):
        asyncio.run(run())
    with pytest.raises(ConfigurationError, match="domain"):
        RemoteRewardFunction(domain="poetry")
