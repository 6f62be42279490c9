"""Collecting from a real server, `transformers serve` with a tiny model, through a proxy that fails on purpose."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from journalled import journalled
from loopback import Loopback, forward, transformers_server
from tiny_model import save_tiny_model

from alike import FLOAT32, assert_alike
from memreward.data import read_groups
from memreward.policy.collect import CollectConfig, collect
from memreward.policy.endpoint import EndpointSampler
from memreward.policy.prompts import load_template
from memreward.policy.sampler import Chat
from memreward.policy.settings import EndpointConfig, SamplingConfig

pytestmark = pytest.mark.slow

pytest.importorskip("uvicorn", reason="transformers serve needs the extra transformers[serving]")
pytest.importorskip("fastapi", reason="transformers serve needs the extra transformers[serving]")
pytest.importorskip("openai", reason="transformers serve needs the extra transformers[serving]")

COUNT = 5
ROLLOUTS = 3


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_tiny_model(tmp_path_factory.mktemp("model") / "tiny-random")
    settings = folder / "generation_config.json"
    # Without it this server decodes greedily, whatever temperature is asked for.
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "do_sample": True}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def upstream(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with transformers_server(checkpoint, tmp_path_factory.mktemp("server") / "log") as url:
        yield url


@pytest.fixture
def config(tmp_path: Path, checkpoint: Path, upstream: str) -> CollectConfig:
    with (tmp_path / "questions.jsonl").open("w", encoding="utf-8") as file:
        for index in range(COUNT):
            record = {"id": f"q{index}", "dataset": "made/up", "domain": "math", "query": f"What is {index} + 2?"}
            file.write(json.dumps({**record, "reference": str(index + 2), "rollouts": []}) + "\n")
    return CollectConfig(
        output=str(tmp_path / "rollouts.jsonl"),
        sampling=SamplingConfig(str(checkpoint), rollouts=ROLLOUTS, max_new_tokens=12),
        questions=(str(tmp_path / "questions.jsonl"),),
        # One request at a time: this server has one random number generator for all.
        endpoint=EndpointConfig(f"{upstream}/v1", parallel=1),
    )


def through(proxy: Loopback, config: CollectConfig, **changes: Any) -> CollectConfig:
    output = config.output.replace("rollouts.jsonl", "proxied.jsonl")
    return replace(config, output=output, endpoint=replace(config.endpoint, url=proxy.url, **changes))


def test_chats_reach_the_model_and_its_answers_the_file(config: CollectConfig, upstream: str) -> None:
    with Loopback(forward(upstream)) as proxy:
        path = collect(through(proxy, config, parallel=4))
    groups = list(read_groups(path))
    assert [group.query.id for group in groups] == [f"q{index}" for index in range(COUNT)]
    assert len(proxy.requests) == COUNT * ROLLOUTS
    for group in groups:
        assert load_template(group.query).messages(group.query.text) in [body["messages"] for body in proxy.bodies]
        assert len({rollout.text for rollout in group.rollouts}) > 1
        # This server gives the end of the conversation back with the answer where it knows no form of the model's.
        assert all(group.query.text in rollout.text for rollout in group.rollouts)


def test_the_length_limit_shows_as_truncated(config: CollectConfig) -> None:
    rollouts = [rollout for group in read_groups(collect(config)) for rollout in group.rollouts]
    assert {rollout.truncated for rollout in rollouts} == {True, False}


def test_injected_failures_change_nothing(
    config: CollectConfig, upstream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = list(read_groups(collect(config)))
    faults = ["500", None, "drop", "half", None, None, "429", None, "garbage", "502", None, "slow", "wrong shape"]
    with Loopback(forward(upstream), faults) as proxy:
        monkeypatch.setattr("memreward.policy.connection.TIMEOUT_S", 4.0)
        path = collect(through(proxy, config))
    assert len(proxy.requests) == COUNT * ROLLOUTS + sum(fault is not None for fault in faults)
    assert_alike(list(read_groups(path)), whole, within=FLOAT32)


def test_kill_9_loses_and_repeats_no_group(config: CollectConfig, upstream: str) -> None:
    whole = list(read_groups(collect(config)))
    with Loopback(forward(upstream)) as proxy:
        config = through(proxy, config)
        command = [sys.executable, "-m", "memreward", "collect", "--url", proxy.url, "--model", config.sampling.model]
        command += ["--rollouts", str(ROLLOUTS), "--max-new-tokens", "12", "--parallel", "1"]
        command += ["--out", config.output, "--questions", config.questions[0]]
        process = subprocess.Popen(
            command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        while process.poll() is None and len(journalled(config)) < 2:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, errors
        done = journalled(config)
        assert 2 <= len(done) < COUNT
        proxy.settle()
        asked = len(proxy.requests)
        path = collect(config)
        assert len(proxy.requests) - asked == (COUNT - len(done)) * ROLLOUTS
    assert_alike(list(read_groups(path)), whole, within=FLOAT32)


def test_the_sampler_finds_out_that_this_server_ignores_n(config: CollectConfig, upstream: str) -> None:
    with Loopback(forward(upstream)) as proxy:
        sampler = EndpointSampler(config.sampling, replace(config.endpoint, url=proxy.url))
        (group,) = sampler.sample(sampler.prompts([Chat("q", "math", [{"role": "user", "content": "x"}])]))
    assert [body.get("n") for body in proxy.bodies] == [ROLLOUTS, *[None] * (ROLLOUTS - 1)]
    assert len(group.samples) == ROLLOUTS
    assert all(sample.token_logprobs is None for sample in group.samples)
