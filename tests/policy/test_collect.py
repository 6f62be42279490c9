from __future__ import annotations

import gzip
import json
import os
import re
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from journalled import journalled
from tiny_model import save_tiny_model, tiny_model, tiny_tokenizer

from forked import Forked
from memreward.data import read_groups
from memreward.policy.collect import CollectConfig, collect, journal_of
from memreward.policy.local import LocalSampler
from memreward.policy.sampler import Sample, SampledGroup
from memreward.policy.settings import SamplingConfig
from memreward.types import ConfigurationError, DataError, StoreError

pytestmark = pytest.mark.slow  # torch takes seconds to load

COUNT = 10


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model") / "tiny-random")


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_model()


@pytest.fixture
def sampler(model: Any) -> LocalSampler:
    return LocalSampler(SamplingConfig("tiny"), model=model, tokenizer=tiny_tokenizer())


@pytest.fixture
def config(tmp_path: Path) -> CollectConfig:
    """Questions from a file, so that no generator is needed."""
    domains = ("math", "qa", "code", "other", "math")
    with (tmp_path / "questions.jsonl").open("w", encoding="utf-8") as file:
        for index in range(COUNT):
            domain = domains[index % len(domains)]
            record = {"id": f"q{index}", "dataset": "made/up", "domain": domain, "query": f"What is {index} + 2?"}
            record |= {"reference": "A" if domain == "qa" else str(index + 2), "rollouts": [], "license": "CC0"}
            file.write(json.dumps({**record, "source": "here", "level": 3}) + "\n")
    return CollectConfig(
        output=str(tmp_path / "out" / "rollouts.jsonl.gz"),
        sampling=SamplingConfig(model="tiny", rollouts=3, max_new_tokens=8),
        questions=(str(tmp_path / "questions.jsonl"),),
    )


def records_of(config: CollectConfig) -> list[dict[str, Any]]:
    with gzip.open(config.output, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


class Interrupted:
    """A sampler that is interrupted after a number of groups, like Ctrl-C would."""

    def __init__(self, sampler: LocalSampler, after: int) -> None:
        self.sampler, self.after = sampler, after
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sampler, name)

    def sample(self, prompts: Any) -> Any:
        self.sampler.config = self.config
        self.asked = [prompt.id for prompt in prompts]
        for number, group in enumerate(self.sampler.sample(prompts)):
            if number == self.after:
                raise KeyboardInterrupt
            yield group


def interrupt(config: CollectConfig, sampler: LocalSampler, after: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        collect(config, sampler=Interrupted(sampler, after))


def test_the_file_follows_the_schema(config: CollectConfig, sampler: LocalSampler) -> None:
    path = collect(config, sampler=sampler)
    records = records_of(config)
    assert [record["id"] for record in records] == [f"q{index}" for index in range(COUNT)]
    for record in records:
        assert record["model"] == "tiny"
        assert record["source"] == "here"
        assert record["sampler"]["temperature"] == 0.8
        assert "level" not in record
        for rollout in record["rollouts"]:
            assert 1 <= len(rollout["token_logprobs"]) <= 8
            assert all(logprob <= 0 and round(logprob, 3) == logprob for logprob in rollout["token_logprobs"])
            assert not rollout["truncated"] or len(rollout["token_logprobs"]) == 8
    groups = list(read_groups(path))
    assert [len(group.rollouts) for group in groups] == [3] * COUNT
    assert not journal_of(config).exists()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_labels_compare_the_answer_with_the_reference(config: CollectConfig, sampler: LocalSampler) -> None:
    class Scripted(Interrupted):
        def sample(self, prompts: Any) -> Any:
            texts = ("#### 2.0", "#### 3", "no idea")
            for prompt in prompts:
                samples = [Sample(text, token_logprobs=(-0.5,), truncated=False) for text in texts]
                yield SampledGroup(prompt.id, tuple(samples))

    collect(config, sampler=Scripted(sampler, 0))
    verdicts = {record["id"]: [rollout["correct"] for rollout in record["rollouts"]] for record in records_of(config)}
    assert verdicts["q0"] == [True, False, False]
    assert verdicts["q4"] == [False, False, False]
    assert verdicts["q2"] == [None, None, None]
    assert verdicts["q3"] == [None, None, None]


def test_code_is_judged_by_running_its_tests(config: CollectConfig, sampler: LocalSampler, tmp_path: Path) -> None:
    class Scripted(Interrupted):
        def sample(self, prompts: Any) -> Any:
            for prompt in prompts:
                texts = ("    return 2 * x\n", "    return x\n")
                yield SampledGroup(prompt.id, tuple(Sample(text, truncated=False) for text in texts))

    question = {"id": "double", "dataset": "made/up", "domain": "code", "query": "def double(x):\n"}
    question |= {"reference": json.dumps(["assert double(4) == 8"]), "rollouts": []}
    (tmp_path / "code.jsonl").write_text(json.dumps(question) + "\n", encoding="utf-8")
    asked = replace(config, questions=(str(tmp_path / "code.jsonl"),))
    collect(asked, sampler=Scripted(sampler, 0))
    ((right, wrong),) = ([rollout["correct"] for rollout in record["rollouts"]] for record in records_of(asked))
    assert (right, wrong) == (True, False)


def test_an_interruption_repeats_and_loses_nothing(
    config: CollectConfig, sampler: LocalSampler, tmp_path: Path
) -> None:
    whole = replace(config, output=str(tmp_path / "whole.jsonl.gz"))
    collect(whole, sampler=sampler)
    interrupt(config, sampler, after=4)
    done = journalled(config)
    assert len(done) == 4
    second = Interrupted(sampler, after=3)
    with pytest.raises(KeyboardInterrupt):
        collect(config, sampler=second)
    assert set(second.asked) == {f"q{index}" for index in range(COUNT)} - set(done)
    assert {name: journalled(config)[name] for name in done} == done
    collect(config, sampler=sampler)
    texts = [[[r["text"] for r in record["rollouts"]] for record in records_of(c)] for c in (config, whole)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sampling": SamplingConfig("tiny", 3, 0.5, max_new_tokens=8)}, r"temperature was 0\.8 and is 0\.5"),
        ({"sampling": SamplingConfig("tiny", 3, max_new_tokens=8, seed=1)}, "seed was 0 and is 1"),
        ({"sampling": SamplingConfig("other", 3, max_new_tokens=8)}, "model was 'tiny' and is 'other'"),
    ],
)
def test_other_settings_are_refused_on_resume(
    config: CollectConfig, sampler: LocalSampler, change: dict[str, Any], words: str
) -> None:
    interrupt(config, sampler, after=2)
    before = journalled(config)
    with pytest.raises(ConfigurationError, match=words):
        collect(replace(config, **change), sampler=sampler)
    assert journalled(config) == before


def test_another_prompt_is_refused_on_resume(config: CollectConfig, sampler: LocalSampler, tmp_path: Path) -> None:
    interrupt(config, sampler, after=9)
    (tmp_path / "math.json").write_text('{"system": "Answer.", "shots": []}', encoding="utf-8")
    with pytest.raises(ConfigurationError, match="another prompt"):
        collect(replace(config, templates=str(tmp_path)), sampler=sampler)


def test_more_questions_may_follow(config: CollectConfig, sampler: LocalSampler) -> None:
    file = config.questions[0]
    interrupt(replace(config, questions=(f"{file}:6",)), sampler, after=4)
    more = Interrupted(sampler, after=COUNT)
    collect(config, sampler=more)
    assert len(more.asked) == COUNT - 4
    assert len(records_of(config)) == COUNT


def test_groups_that_are_not_asked_for_stay_in_the_journal(config: CollectConfig, sampler: LocalSampler) -> None:
    interrupt(config, sampler, after=9)
    collect(replace(config, questions=(f"{config.questions[0]}:3",)), sampler=sampler)
    assert len(records_of(config)) == 3
    assert len(journalled(config)) >= 9


def test_a_finished_output_is_not_overwritten(config: CollectConfig, sampler: LocalSampler) -> None:
    collect(config, sampler=sampler)
    before = Path(config.output).read_bytes()
    with pytest.raises(ConfigurationError, match="exists already"):
        collect(config, sampler=sampler)
    assert Path(config.output).read_bytes() == before


@pytest.mark.parametrize(
    ("questions", "words"),
    [
        (("riddles:4",), "there is no such file"),
        ((), "questions is empty"),
    ],
)
def test_questions_that_mean_nothing_are_refused(
    config: CollectConfig, sampler: LocalSampler, questions: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        collect(replace(config, questions=questions), sampler=sampler)


def test_the_same_question_twice_is_refused(config: CollectConfig, sampler: LocalSampler) -> None:
    with pytest.raises(ConfigurationError, match="'q0' is asked twice"):
        collect(replace(config, questions=config.questions * 2), sampler=sampler)


def test_each_group_that_is_done_is_told(config: CollectConfig, sampler: LocalSampler) -> None:
    told: list[tuple[str, int, int]] = []
    collect(config, sampler=sampler, progress=lambda *step: told.append(step))
    assert told == [("sampling groups", number, COUNT) for number in range(1, COUNT + 1)]


SCRIPT = """
import sys
from memreward.policy.collect import CollectConfig, collect
from memreward.policy.sampler import Sample, SampledGroup
from memreward.policy.settings import SamplingConfig
sampling = SamplingConfig(model=sys.argv[2], rollouts=3, max_new_tokens=200)
collect(CollectConfig(output=sys.argv[1], sampling=sampling, questions=(sys.argv[3],)))
"""


def of_checkpoint(config: CollectConfig, checkpoint: Path) -> CollectConfig:
    """What `SCRIPT` runs."""
    return replace(config, sampling=replace(config.sampling, model=str(checkpoint), max_new_tokens=200))


def start(config: CollectConfig, checkpoint: Path, folder: Path) -> Forked:
    script = folder / "collecting.py"
    script.write_text(SCRIPT, encoding="utf-8")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return Forked([str(script), config.output, str(checkpoint), config.questions[0]], environment)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Writing past `size` bytes of a file fails, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_kill_9_repeats_and_loses_nothing(config: CollectConfig, checkpoint: Path, tmp_path: Path) -> None:
    process = start(config, checkpoint, tmp_path)
    while len(journalled(config)) < 3 and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    acknowledged = journalled(config)
    assert 3 <= len(acknowledged) <= COUNT
    collect(of_checkpoint(config, checkpoint))
    assert [record["id"] for record in records_of(config)] == [f"q{index}" for index in range(COUNT)]
    texts = {record["id"]: [rollout["text"] for rollout in record["rollouts"]] for record in records_of(config)}
    assert {name: texts[name] for name in acknowledged} == acknowledged


def test_a_full_disk_is_named_and_keeps_what_was_acknowledged(config: CollectConfig, sampler: LocalSampler) -> None:
    rehearsal = replace(config, output=config.output.replace("rollouts", "rehearsal"))
    interrupt(rehearsal, sampler, after=3)
    limit = max(file.stat().st_size for file in journal_of(rehearsal).iterdir())
    with file_size_limit(limit), pytest.raises(StoreError, match=re.escape(str(journal_of(config)))):
        collect(config, sampler=sampler)
    acknowledged = journalled(config)
    assert not Path(config.output).exists()
    collect(config, sampler=sampler)
    texts = {record["id"]: [rollout["text"] for rollout in record["rollouts"]] for record in records_of(config)}
    assert list(texts) == [f"q{index}" for index in range(COUNT)]
    assert {name: texts[name] for name in acknowledged} == acknowledged


def _full() -> None:
    raise DataError("cannot be written")


def test_a_disk_that_is_full_at_the_end_keeps_the_journal(
    config: CollectConfig, sampler: LocalSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(config, output=config.output.removesuffix(".gz"))
    with monkeypatch.context() as patched:
        patched.setattr("memreward.policy.collect.write_groups", lambda *_: _full())
        with pytest.raises(DataError, match="cannot be written"):
            collect(config, sampler=sampler)
    again = Interrupted(sampler, after=COUNT)
    collect(config, sampler=again)
    assert again.asked == []
    assert len(list(read_groups(config.output))) == COUNT


def test_the_output_is_checked_before_anything_is_loaded(config: CollectConfig) -> None:
    with pytest.raises(ConfigurationError, match=r"must end on \.jsonl"):
        replace(config, output="rollouts.txt")
    with pytest.raises(ConfigurationError, match="by --out"):
        replace(config, output="")


def test_the_command_shows_no_bars_of_other_libraries(checkpoint: Path, tmp_path: Path) -> None:
    questions = tmp_path / "q.jsonl"
    questions.write_text('{"id": "a", "domain": "math", "query": "1+1", "reference": "2"}\n')
    given = f"--model {checkpoint} --questions {questions} --max-new-tokens 2 --out {tmp_path / 'out.jsonl'}"
    command = Forked(["-m", "memreward", "collect", *given.split()])
    _, errors = command.communicate(timeout=280)
    assert command.returncode == 0, errors
    assert "Loading" not in errors
    assert "it/s" not in errors
