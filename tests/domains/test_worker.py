"""Processes that answer questions: killed in time, started again, left behind by no fork and no exit."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from memreward.domains.shared.worker import Worker, WorkerPool
from memreward.types import MemRewardError

SCRIPT = """
import os, time
from memreward.domains.shared.serving import serve

def answer(question):
    if question == "die":
        os._exit(3)
    if question == "hang":
        time.sleep(600)
    if question == "slow":
        time.sleep(0.3)
    if question == "noise":
        print("this is no reply")
    return {"pid": os.getpid(), "question": question}

serve(answer, lambda: None)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "answering.py"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


@pytest.fixture
def worker(script: Path):
    worker = Worker(script)
    yield worker
    worker.close()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_process_answers_many_questions(worker: Worker) -> None:
    replies = [worker.ask(question, 60).value for question in ("a", {"b": [1, None]}, "\ud800")]
    assert [reply["question"] for reply in replies] == ["a", {"b": [1, None]}, "\ud800"]
    assert len({reply["pid"] for reply in replies}) == 1
    assert worker.ask("noise", 60).value["question"] == "noise", "what it prints is no reply"


def test_what_began_is_the_process_that_answers(worker: Worker) -> None:
    worker.begin()
    assert worker._process is not None
    begun = worker._process.pid
    worker.begin()
    assert worker.ask("a", 60).value["pid"] == begun
    os.kill(begun, signal.SIGKILL)
    worker.begin()
    assert worker.ask("a", 60).outcome == "answered"


def test_a_hang_is_killed_in_time_and_replaced(worker: Worker) -> None:
    before = worker.ask("a", 60).value["pid"]
    start = time.monotonic()
    reply = worker.ask("hang", 0.5)
    assert (reply.outcome, reply.value) == ("late", None)
    assert time.monotonic() - start < 20
    assert not alive(before)
    assert worker.ask("a", 60).value["pid"] != before


def test_a_crash_is_told_and_replaced(worker: Worker) -> None:
    assert worker.ask("die", 60).outcome == "died"
    assert worker.ask("a", 60).outcome == "answered"


@pytest.mark.slow
def test_a_process_that_somebody_killed_is_replaced(worker: Worker) -> None:
    os.kill(worker.ask("a", 60).value["pid"], signal.SIGKILL)
    assert worker.ask("a", 60).outcome == "answered"


class _Interrupted(BaseException):
    pass


@pytest.mark.slow
def test_an_interrupted_question_leaves_no_reply_for_the_next(worker: Worker) -> None:
    if not hasattr(signal, "setitimer"):
        pytest.skip("this platform has no timer that interrupts")

    def interrupt(_signal: int, _frame: object) -> None:
        raise _Interrupted

    worker.ask("a", 60)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(_Interrupted):
            worker.ask("slow", 60)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert worker.ask("a", 60).value["question"] == "a"


def test_a_script_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit(7)", encoding="utf-8")
    with pytest.raises(MemRewardError, match=r"did not start \(exit code 7\)"):
        Worker(broken).ask("a", 60)


@pytest.mark.slow
def test_a_pool_has_no_more_processes_than_its_size_and_all_at_once(script: Path) -> None:
    pool = WorkerPool(script, 2)
    pids: list[int] = []
    threads = [threading.Thread(target=lambda: pids.append(pool.ask("slow", 60).value["pid"])) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(pids) == 6
    assert len(set(pids)) == 2
    pool.close()
    assert not any(map(alive, pids))


def test_a_light_load_keeps_to_one_process(script: Path) -> None:
    pool = WorkerPool(script, 4)
    assert len({pool.ask(number, 60).value["pid"] for number in range(5)}) == 1
    pool.close()


def _ask(pool: WorkerPool) -> tuple[str, int]:
    reply = pool.ask("a", 60)
    return reply.outcome, reply.value["pid"]


def _ask_into(pool: WorkerPool, replies: multiprocessing.Queue) -> None:
    replies.put(_ask(pool))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.slow
def test_a_fork_gets_processes_of_its_own_even_while_the_parent_waits(script: Path) -> None:
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this platform does not fork")
    pool = WorkerPool(script, 1)
    _, pid = _ask(pool)
    busy = threading.Thread(target=pool.ask, args=("slow", 60))
    busy.start()
    context = multiprocessing.get_context("fork")
    replies = context.Queue()
    child = context.Process(target=_ask_into, args=(pool, replies))
    child.start()
    outcome, other = replies.get(timeout=60)
    child.join(60)
    busy.join(60)
    assert outcome == "answered"
    assert other != pid
    assert _ask(pool) == ("answered", pid)
    pool.close()


@pytest.mark.slow
def test_an_exit_leaves_no_process_and_an_interrupt_does_not_reach_it(script: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from memreward.domains.shared.worker import Worker\n"
        "worker = Worker(Path(sys.argv[1])); pid = worker.ask('a', 60).value['pid']\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN); os.killpg(os.getpgid(0), signal.SIGINT)\n"
        "assert worker.ask('a', 60).value['pid'] == pid\n"
        "print(pid)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(script)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        start_new_session=True,
    )
    assert not alive(int(done.stdout))


@pytest.mark.slow
def test_a_worker_that_hangs_does_not_outlive_whoever_was_killed_for_long(script: Path) -> None:
    program = (
        "import os, sys, threading; from pathlib import Path; from memreward.domains.shared.worker import Worker\n"
        "worker = Worker(Path(sys.argv[1])); print(worker.ask('a', 60).value['pid'], flush=True)\n"
        "worker.ask('hang', 2)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(script)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 60
    while running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_question_that_hangs_ends_when_it_is_cancelled_and_the_next_is_answered(script: Path) -> None:
    pool = WorkerPool(script, 1)
    try:
        pool.ask("first", 60.0)
        replies: list[str] = []
        asking = threading.Thread(target=lambda: replies.append(pool.ask("hang", 600.0).outcome))
        asking.start()
        time.sleep(0.2)
        assert asking.is_alive()
        while asking.is_alive():  # the thread may not have begun to ask when it was cancelled first
            pool.cancel()
            asking.join(0.2)
        assert replies == ["died"]
        assert pool.ask("next", 60.0).value["question"] == "next"
    finally:
        pool.close()
