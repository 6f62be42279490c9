"""`memreward train` in real processes on a tiny random model: killed or interrupted and resumed, it ends the same."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
import torch
from safetensors.torch import load_file

import forked
from forked import Forked
from memreward.memory import ExperienceMemory
from memreward.reward.truth import SPENT
from memreward.training.checkpoint import checkpoints
from memreward.training.config import TrainConfig
from memreward.training.history import history
from memreward.training.session import _record, train
from memreward.types import ConfigurationError, Group

pytestmark = pytest.mark.slow  # torch takes seconds to load

STEPS = 6
OPTIONS = (
    "--labels 0.5 --groups-per-step 4 --rollouts 4 --max-new-tokens 2 --trl learning_rate=3e-3 --trl beta=0 "
    f"--steps {STEPS} --trl save_steps=2 --trl save_total_limit=4"
).split()

NOT_REPEATED = (
    "seconds",
    "memreward/seconds",
    "step_time",
    *(f"memreward/{name}" for name in SPENT),
)  # the ledger never goes back
ROUNDING = 1e-6  # sums of float32 may differ in their last bit from process to process: with where memory lies
STEP_OF_ADAM = 3e-3  # what a coordinate of the weights moves by in a step; far more than rounding makes of it
SAMPLING = TrainConfig().sampling
Process = Forked | subprocess.Popen[str]
Begin = Callable[..., Process]


@pytest.fixture(scope="module")
def begin(model: Path, experience: Path, templates: Path, prior: Path, environment: dict[str, str]) -> Iterator[Begin]:
    """Starts a training in a folder; what a failed test leaves running is ended."""
    started: list[Process] = []

    def start(folder: Path, *options: str, launcher: tuple[str, ...] = (), fork: bool = True) -> Process:
        given = ["--model", str(model), "--experience", str(experience), "--templates", str(templates)]
        given += ["--prior", str(prior)]
        command = [*launcher, "-m", "memreward", "train", "--out", str(folder), *given, *OPTIONS, *options, "--json"]
        pipe = subprocess.PIPE
        started.append(
            Forked(command, environment)
            if fork
            else subprocess.Popen([sys.executable, *command], env=environment, stdout=pipe, stderr=pipe, text=True)
        )
        return started[-1]

    yield start
    for process in started:
        if process.stdout is not None and not process.stdout.closed:
            process.kill()
            process.communicate()


def finished(process: Process) -> dict[str, Any]:
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0, err[-3000:]
    report: dict[str, Any] = json.loads(out)
    return report


def steps_logged(folder: Path, steps: int, process: Process) -> None:
    """Wait until so many steps are in the history."""
    while len(history(folder)) < steps:
        assert process.poll() is None, process.communicate()[1][-3000:]
        time.sleep(0.02)


@pytest.fixture(scope="module")
def uninterrupted(begin: Begin, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A training nobody disturbed, in a process of its own as a shell starts it, and its report."""
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    return folder, finished(begin(folder, fork=False))


def rows(folder: Path) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in NOT_REPEATED} for row in history(folder)]


def logprobs_apart(groups: Sequence[Group]) -> tuple[list[Group], list[float]]:
    """The same without log-probabilities, and all of those in one list."""
    sampled = [one for group in groups for rollout in group.rollouts for one in rollout.token_logprobs or ()]
    bare = [replace(group, rollouts=tuple(replace(r, token_logprobs=None) for r in group.rollouts)) for group in groups]
    return bare, sampled


def same_end(folder: Path, report: dict[str, Any], other: tuple[Path, dict[str, Any]]) -> None:
    """Rows, weights, memory and spent labels are the same."""
    expected, said = other
    for row, other_row in zip(rows(folder), rows(expected), strict=True):
        assert row == pytest.approx(other_row, abs=ROUNDING)
    name = "model.safetensors" if (expected / "policy" / "model.safetensors").exists() else "adapter_model.safetensors"
    weights, those = (load_file(home / "policy" / name) for home in (folder, expected))
    assert weights.keys() == those.keys() != set()
    assert all(torch.allclose(weights[name], those[name], rtol=0, atol=STEP_OF_ADAM / 30) for name in those)
    assert report["ledger"] == said["ledger"]
    memories = [ExperienceMemory.open(home / "memory", create=False).groups() for home in (folder, expected)]
    (groups, sampled), (others, expected_sampled) = map(logprobs_apart, memories)
    assert groups == others
    assert sampled == pytest.approx(expected_sampled, abs=1e-4)


@pytest.mark.timeout(290)
def test_every_step_is_logged_and_the_policy_moves(uninterrupted: tuple[Path, dict[str, Any]], model: Path) -> None:
    folder, report = uninterrupted
    logged = history(folder)
    assert [row["step"] for row in logged] == list(range(1, STEPS + 1))
    assert all(sum(row[f"memreward/{s}"] for s in ("truth", "predicted", "abstained")) == 1 for row in logged)
    assert report["steps"] == STEPS
    assert [logged[-1][f"memreward/{name}"] for name in SPENT] == [
        report["ledger"][n] for n in ("queries", "judgements")
    ]
    assert logged[0]["memreward/judgements"] < logged[-1]["memreward/judgements"]
    assert report["labelled_queries"] == report["ledger"]["queries"] == 6
    start, end = (load_file(home / "model.safetensors") for home in (model, folder / "policy"))
    assert any(not torch.equal(start[name], end[name]) for name in end)
    assert [path.name for path in checkpoints(folder)] == [f"checkpoint-{step}" for step in (2, 4, 6)]


@pytest.mark.timeout(290)
def test_a_run_that_goes_back_several_checkpoints_repeats_itself(
    begin: Begin, uninterrupted: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """As if killed while checkpoint 4 was written; memory, ledger and history have all that came later."""
    folder = taken_back(uninterrupted[0], tmp_path / "run", 4, 6)
    same_end(folder, finished(begin(folder)), uninterrupted)


@pytest.mark.timeout(290)
def test_adapters_repeat_themselves_too(begin: Begin, tmp_path: Path) -> None:
    options = ("--lora-rank", "4", "--steps", "4")
    report = finished(begin(tmp_path / "whole", *options))
    folder = taken_back(tmp_path / "whole", tmp_path / "run", 4)
    same_end(folder, finished(begin(folder, *options)), (tmp_path / "whole", report))


def taken_back(trained: Path, folder: Path, *steps: int) -> Path:
    """Copy a training without its policy and the checkpoints of these steps; memory and history have all."""
    shutil.copytree(trained, folder)
    shutil.rmtree(folder / "policy")
    for step in steps:
        (folder / f"checkpoint-{step}" / "whole.json").unlink()
    return folder


@pytest.mark.timeout(290)
def test_a_run_that_is_killed_then_interrupted_goes_on(
    begin: Begin, uninterrupted: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    process = begin(folder)
    steps_logged(folder, 1, process)
    process.kill()
    process.communicate()
    (folder / "history.jsonl").unlink()  # so that its next row is one of the next process
    process = begin(folder)
    steps_logged(folder, 1, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err[-3000:]
    assert "Interrupted. Run the same command again" in err
    made = len(history(folder))
    assert 1 <= made < STEPS
    assert checkpoints(folder)[-1].name == f"checkpoint-{made}"
    same_end(folder, finished(begin(folder)), uninterrupted)


def test_what_was_begun_is_not_continued_with_other_settings(
    uninterrupted: tuple[Path, dict[str, Any]], model: Path, experience: Path
) -> None:
    folder = str(uninterrupted[0])
    config = TrainConfig(
        folder, sampling=replace(SAMPLING, model=str(model)), experience=(str(experience),), labels="0.25"
    )
    with pytest.raises(ConfigurationError, match=r"begun with .*=.*, now it is"):
        train(config)


def test_what_was_refused_before_it_began_may_be_asked_with_other_settings(
    model: Path, experience: Path, tmp_path: Path
) -> None:
    config = TrainConfig(
        str(tmp_path / "run"),
        sampling=replace(SAMPLING, model=str(model)),
        experience=(str(experience),),
        labels="0.25",
    )
    with pytest.raises(ConfigurationError, match="fewer than the 128 of a step"):
        train(config)
    _record(tmp_path / "run", replace(config, grpo=replace(config.grpo, groups_per_step=4)), write=True)


def test_of_several_processes_one_writes_the_settings_and_the_others_compare(tmp_path: Path) -> None:
    config = TrainConfig(str(tmp_path / "run"))
    _record(tmp_path / "run", config, write=False)
    assert not (tmp_path / "run").exists()
    _record(tmp_path / "run", config, write=True)
    (written,) = (tmp_path / "run").iterdir()
    before = written.stat().st_mtime_ns
    _record(tmp_path / "run", config, write=False)
    assert [path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()] == [before]
    with pytest.raises(ConfigurationError, match="was begun with arm='memreward'"):
        _record(tmp_path / "run", replace(config, arm="paper"), write=False)


def right_answer(memory: ExperienceMemory, page: str) -> tuple[str, str]:
    """The question that a page asks, and its right answer's name in the form; "" where no rollout gives it."""
    (asked,) = set(re.findall(r'name="query_id" value="(q\d+)"', page))
    (group,) = memory.groups([asked])
    answers = {rollout.id: rollout.answer for rollout in group.rollouts}
    a, b = group.query.text.rstrip("=?").split("+")
    offered = re.findall(r'name="right" value="([^"]+)"', page)
    return asked, next((key for key in offered if answers[unquote(key)] == str(int(a) + int(b))), "")


@pytest.mark.timeout(290)
def test_questions_wait_on_a_page_while_it_trains_and_labels_count_from_the_next_step(
    begin: Begin, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    process = begin(folder, "--labels", "0", "--steps", "400", "--trl", "save_strategy=no", "--ask")
    assert process.stderr is not None
    address = next(line for line in process.stderr if "wait for a label" in line).split()[-1]
    memory = ExperienceMemory.open(folder / "memory", create=False)
    with httpx.Client(follow_redirects=True, timeout=60, trust_env=False) as person:
        root, asked = address.partition("?")[0], ""
        pages = [person.get(address).text]
        while not memory.ledger.labelled():
            pages.append(page := person.get(root, params={"whole": ""}).text)
            asked, right = right_answer(memory, page)
            before = len(history(folder))
            said = {"query_id": asked, "right": right} if right else {"query_id": asked}
            person.post(f"{root}{'decide' if right else 'skip'}", data=said).raise_for_status()
            told = len(history(folder))
    assert memory.ledger.labelled() == [asked]
    # One that is on the screen may have made way, in the training's next step, for others that it is less sure of.
    assert any("A training asks: no labelled question is like it" in page for page in pages)
    steps_logged(folder, told + 8, process)  # each question is met once in three steps
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    rows_of = history(folder)
    assert rows_of[before - 1]["memreward/asked"] > 0
    assert all(row["memreward/truth"] == 0 for row in rows_of[:before])
    assert any(row["memreward/truth"] > 0 for row in rows_of[told : told + 8])
    assert rows_of[-1]["memreward/asked"] == 0, "a labelled question is like all others now"
    shown = subprocess.run(
        [sys.executable, "-m", "memreward", "watch", str(folder)], capture_output=True, text=True, check=True
    )
    assert "wait for a label" not in shown.stdout


def asked_at(folder: Path, step: int) -> Counter[str]:
    """How many rollouts a question has of a step."""
    groups = ExperienceMemory.open(folder / "memory", create=False).groups()
    return Counter(r.query.id for g in groups for r in g.rollouts if r.policy_version == f"step-{step}")


@pytest.mark.timeout(290)
def test_two_processes_ask_the_same_questions_and_remember_whole_groups(
    begin: Begin, uninterrupted: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "--no-python")
    torchrun = (*torchrun, sys.executable, forked.__file__)
    report = finished(begin(folder, "--steps", "2", launcher=torchrun))
    assert report["steps"] == 2
    assert (checkpoints(folder)[-1] / "rng_state_1.pth").is_file()
    for step in (0, 1):
        assert asked_at(folder, step) == asked_at(uninterrupted[0], step)
        assert set(asked_at(folder, step).values()) == {4}
