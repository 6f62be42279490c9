"""OpenRLHF 0.11: its own SingleTurnAgentExecutor against the running service, and its own advantage computation."""

from __future__ import annotations

import asyncio
import random
import re
import runpy
import shlex
import subprocess
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

pytest.importorskip("openrlhf")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]

SIZE = 4


class Characters:
    """Stands for a tokenizer: a character is a token."""

    def __call__(self, text: str, **_: Any) -> dict[str, Any]:
        import torch

        return {"input_ids": torch.tensor([[ord(one) for one in text]])}

    def decode(self, tokens: list[int], **_: Any) -> str:
        return "".join(map(chr, tokens))


class Engine:
    """Stands for vLLM: completes a prompt by a given text after a while."""

    def __init__(self, text: str, seconds: float) -> None:
        self.text, self.seconds = text, seconds

    async def generate(self, *_: Any, **__: Any) -> Any:
        await asyncio.sleep(self.seconds)
        output = SimpleNamespace(token_ids=[ord(one) for one in self.text], finish_reason="stop", logprobs=None)
        return SimpleNamespace(outputs=[output])


def executed(address: str, numbers: list[int]) -> list[dict[str, Any]]:
    """Run each completion of each question by an executor of three, in any order."""
    from openrlhf.utils.agent import SingleTurnAgentExecutor
    from serving import texts_of

    executors, rng = [SingleTurnAgentExecutor(address) for _ in range(3)], random.Random(1)
    settings = SimpleNamespace(max_tokens=1000, logprobs=None)

    async def run() -> list[dict[str, Any]]:
        jobs = []
        for number in numbers:
            prompt = f"<|im_start|>user\nWhat is {number} + 3?<|im_end|>\n<|im_start|>assistant\n"
            for place, text in enumerate(texts_of(number)):
                engine = Engine(f"{text}<|im_end|>", rng.random())
                label = str(number + 3) if number % 2 else None
                jobs.append(executors[place % 3].execute(prompt, label, settings, 2000, Characters(), engine))
        return await asyncio.gather(*jobs)

    return asyncio.run(run())


def check(outputs: list[dict[str, Any]], numbers: list[int]) -> None:
    for place, number in enumerate(numbers):
        own = outputs[place * SIZE : (place + 1) * SIZE]
        paid = [float(one["reward"]) for one in own]
        assert sum(paid) == pytest.approx(0, abs=1e-5)
        assert paid[0] == pytest.approx(paid[1])
        assert paid[1] > paid[2]
        kind = "memreward/truth" if number % 2 else "memreward/predicted"
        assert {float(one["extra_logs"][kind]) for one in own} == {1.0}
    assert len({tuple(one["extra_logs"]) for one in outputs}) == 1


def test_the_executor_gets_rewards_of_split_groups_over_http(service: str) -> None:
    numbers = list(range(0, 60, 11))  # apart: what is wrong of one is right of none of the others
    check(executed(f"{service}/openrlhf?size={SIZE}&domain=math", numbers), numbers)


def test_the_executor_gets_rewards_by_a_reward_func_file(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMREWARD_URL", service)
    monkeypatch.setenv("MEMREWARD_GROUP_SIZE", str(SIZE))
    file = tmp_path / "rewards.py"
    file.write_text("from memreward.integrations.openrlhf import reward_func\n")
    check(executed(str(file), [30]), [30])  # more groups than threads would wait for each other


class Absent(MetaPathFinder, Loader):
    """Stands for packages of kernels that a CPU has no use for, and that OpenRLHF imports where it makes advantages."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return (
            ModuleSpec(name, self)
            if name.partition(".")[0] in ("flash_attn", "deepspeed", "vllm", "torchdata", "PIL")
            else None
        )

    def create_module(self, spec: ModuleSpec) -> Any:
        return MagicMock(__spec__=spec, __path__=[], __name__=spec.name)

    def exec_module(self, module: Any) -> None: ...


@pytest.fixture
def without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Absent()])


@pytest.mark.usefixtures("without_kernels")
def test_dr_grpo_passes_expected_advantages_on_and_group_norm_does_not() -> None:
    import torch
    from openrlhf.trainer.ppo_utils.experience_maker import RemoteExperienceMaker

    rewards = torch.tensor([0.4, 0.4, -0.3, -0.5, 0.02, 0.02, -0.02, -0.02])

    def advantages(estimator: str) -> Any:
        settings = SimpleNamespace(
            rollout=SimpleNamespace(n_samples_per_prompt=SIZE),
            algo=SimpleNamespace(
                advantage=SimpleNamespace(estimator=estimator, gamma=1.0, lambd=1.0, is_correction_enable=False)
            ),
            reward=SimpleNamespace(clip_range=(-10, 10), overlong_buffer_len=None, stop_properly_penalty_coef=None),
        )
        maker = object.__new__(RemoteExperienceMaker)
        maker.strategy, maker.advantage_estimator = SimpleNamespace(args=settings), estimator
        maker.kl_ctl = SimpleNamespace(value=0.0)
        one = SimpleNamespace(
            rewards=rewards.clone(),
            index=list(range(8)),
            info={},
            kl=torch.zeros(8, 3),
            action_mask=torch.ones(8, 3, dtype=torch.bool),
            values=None,
        )
        maker.compute_advantages_and_returns([one])
        return one.advantages[:, 0]

    torch.testing.assert_close(advantages("dr_grpo"), rewards)
    assert (advantages("group_norm") - rewards).abs().max() > 0.5


@pytest.mark.usefixtures("without_kernels")
@pytest.mark.parametrize("page", ["examples/launch/openrlhf.sh", "docs/integrations.md"])
def test_the_launch_script_and_the_recipe_are_taken_by_openrlhfs_own_parser(
    page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    from memreward.integrations.openrlhf import check_options

    class Began(Exception):
        pass

    def began() -> bool:
        raise Began

    text = (Path(__file__).parents[2] / page).read_text().partition("python -m memreward.integrations.openrlhf")[2]
    lines = text.partition("\n\n")[0].replace("\\\n", " ").replace('"$@"', "")
    given = shlex.split(lines.replace("${REWARD_HOST:-127.0.0.1}", "127.0.0.1"))
    check_options(given)
    monkeypatch.setattr(ray, "is_initialized", began)  # the first thing that it does once its options are read
    monkeypatch.setattr(sys, "argv", ["train_ppo_ray", *given])
    with pytest.raises(Began):
        runpy.run_module("openrlhf.cli.train_ppo_ray", run_name="__main__")
    monkeypatch.setattr(sys, "argv", ["train_ppo_ray", *given, "--no.such.option", "1"])
    with pytest.raises(SystemExit):
        runpy.run_module("openrlhf.cli.train_ppo_ray", run_name="__main__")


def test_its_own_loop_ends_without_vllm_where_the_page_says() -> None:
    command = [sys.executable, "-m", "openrlhf.cli.train_ppo_ray", "--help"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "No module named 'vllm'" in ran.stderr
    file, line = re.findall(r'(openrlhf/trainer/\S+?)", line (\d+)', ran.stderr)[-1]
    page = (Path(__file__).parents[2] / "docs/integrations.md").read_text()
    assert f"(`{file}`, line {line}:" in " ".join(page.split())
