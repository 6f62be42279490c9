"""One deadline for reading, evidence and judging together: what hangs is killed, and costs those it came with."""

from __future__ import annotations

from pathlib import Path

import pytest
from serving import made_store, query

from memreward.domains import Verifiers, cluster_answers, parse_rollout
from memreward.domains.code.verify import CodeVerifier
from memreward.domains.math import process
from memreward.domains.shared.worker import Worker
from memreward.features.behaviour import CodeRunner
from memreward.features.cache import VectorStore
from memreward.sandbox import Sandbox
from memreward.sandbox.deadline import OutOfTimeError, check, ending, left, within
from memreward.service import store
from memreward.service.batching import SCORING_SECONDS
from memreward.service.messages import GroupMessage
from memreward.types import Claim, Query

HANGS = (
    "import time\nfrom memreward.domains.shared.serving import serve\nserve(lambda _: time.sleep(1000), lambda: None)\n"
)
SLEEPS = "import time\n\ndef add(a, b):\n    time.sleep({seconds})\n    return a + b\n"
ADD = Query("add", 'def add(a, b):\n    """Return the sum.\n\n    >>> add(1, 2)\n    3\n    """\n', "code")


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """Stands for the process that evaluates algebra."""
    script = tmp_path / "hangs.py"
    script.write_text(HANGS)
    worker = Worker(script)
    monkeypatch.setattr(process, "_worker", worker)
    return worker


def asked(number: int, answers: list[str], **more: str) -> GroupMessage:
    rollouts = [{"id": str(i), "text": f"It is \\boxed{{{answer}}}."} for i, answer in enumerate(answers)]
    return GroupMessage(id=f"g{number}", query=query(number, **more), rollouts=rollouts)


def test_a_group_whose_checks_hang_is_answered_as_failed_and_its_process_is_killed(
    hanging: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "ROLLOUT_SECONDS", 0.2)
    answers = [rf"\sin(\sqrt{{{number}}})+\ln({number}^x)" for number in (71, 72, 73, 74)]
    serving = made_store()
    (found,) = serving.score([asked(1, answers).group()])
    assert isinstance(found, list)
    assert [(one.reward, one.failed) for one in found] == [(0.0, True)] * 4
    assert all("time" in one.reason for one in found)
    assert hanging._process is None
    # Nothing that was not known in time is remembered: the same answers are told apart as ever.
    monkeypatch.undo()
    assert len(set(cluster_answers(answers, "math"))) == 4
    (found,) = serving.score([asked(2, answers).group()])
    assert isinstance(found, list)
    assert not any(one.failed for one in found)
    serving.close()


def test_a_text_that_is_too_long_to_be_read_in_time_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LONGEST", 1_000)
    serving = made_store()
    (found,) = serving.score([asked(3, ["6", "6", "7", "9" * 1_000]).group()])
    assert isinstance(found, list)
    assert [one.failed for one in found] == [False, False, False, True]
    assert "1000 characters" in found[3].reason
    assert found[0].reward > found[2].reward
    serving.close()


def test_a_batch_has_what_its_rollouts_have_up_to_a_limit() -> None:
    assert store.seconds_of(1) == store.ROLLOUT_SECONDS
    assert store.seconds_of(1_000) == store.BATCH_SECONDS < SCORING_SECONDS


def test_the_limit_of_a_part_is_never_above_that_of_the_whole() -> None:
    with within(1000):
        with within(0), pytest.raises(OutOfTimeError):
            check()
        with within(5_000):
            assert left() <= 1000
        check()
        assert not ending()
    with within(0):
        assert ending()
    assert not ending()


def test_programs_are_killed_and_what_they_would_have_done_is_not_remembered() -> None:
    sandbox, kept = Sandbox(places=1), VectorStore.in_memory()
    runner = CodeRunner(sandbox, kept)
    slow = [parse_rollout(ADD, SLEEPS.format(seconds=seconds), id=str(seconds)) for seconds in (500, 501)]
    with within(1.0), pytest.raises(OutOfTimeError):
        runner.observe(slow)
    assert len(kept) == 0
    sandbox.close()


def test_a_solution_that_ran_out_of_the_others_time_is_undecided_and_judged_again() -> None:
    claims = [Claim(parse_rollout(ADD, SLEEPS.format(seconds=1), id="r"), '["assert add(1, 2) == 3"]')]
    verifiers = Verifiers(own={"code": CodeVerifier(sandbox=Sandbox(places=1))})
    for seconds in (-1.0, 0.2, 0.5):
        with within(seconds):
            assert verifiers.verify(claims)[0].correct is None
    assert verifiers.verify(claims)[0].correct is True


def test_an_answer_that_was_not_compared_in_time_is_judged_again() -> None:
    claims = [Claim(parse_rollout(Query("q", "Which?", "math"), r"\boxed{1+x}", id=str(i)), "x+1") for i in range(2)]
    verifiers = Verifiers()
    with within(-1.0):
        assert [one.correct for one in verifiers.verify(claims)] == [None, None]
    assert [one.correct for one in verifiers.verify(claims)] == [True, True]
