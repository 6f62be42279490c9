"""Worker processes of an experiment end with the process that began them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import psutil
import pytest

from memreward.evaluation.workers import Workers, handling_interrupts, worker_processes

SCRIPT = """
import os, sys, time
from pathlib import Path
from memreward.evaluation.workers import worker_processes

def work(folder, number):
    Path(folder, f"{number}.part").write_text(str(os.getpid()))
    Path(folder, f"{number}.part").rename(Path(folder, f"{number}.pid"))
    time.sleep(600)

if __name__ == "__main__":
    with worker_processes(2) as workers:
        for number in range(2):
            workers.submit(work, sys.argv[1], number)
        time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def waited_for(condition: Callable[[], bool], seconds: float = 120) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path, how: signal.Signals) -> None:
    script = tmp_path / "work.py"
    script.write_text(SCRIPT, encoding="utf-8")
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)], stderr=subprocess.DEVNULL)
    pids: list[int] = []
    try:
        assert waited_for(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
        pids = [int(path.read_text()) for path in tmp_path.glob("*.pid")]
        parent.send_signal(how)
        parent.wait(60)
        assert waited_for(lambda: not any(map(alive, pids)), 60)
    finally:
        parent.kill()
        parent.wait()
        for pid in filter(alive, pids):
            os.kill(pid, signal.SIGKILL)


BUSY = """
import os, signal, sys, threading, time
from memreward.evaluation.workers import worker_processes

def interrupt():
    time.sleep(float(sys.argv[1]))
    os.kill(os.getpid(), signal.SIGINT)

if __name__ == "__main__":
    try:
        with worker_processes(2) as workers:
            threading.Thread(target=interrupt, daemon=True).start()
            while True:
                for number in range(40):
                    workers.submit(abs, -number)
                assert sorted(future.result() for future in workers.completed()) == list(range(40))
    except KeyboardInterrupt:
        print("ended")
"""


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.05, 2.0, 2.5, 3.0])
def test_ctrl_c_at_any_moment_leaves_no_lock_behind(tmp_path: Path, after: float) -> None:
    """An interrupt inside of `concurrent.futures` can leave a future locked, and its executor never ends."""
    script = tmp_path / "busy.py"
    script.write_text(BUSY, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script), str(after)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr[-2000:]


def test_an_interrupt_in_the_middle_of_the_executor_waits_until_it_is_left() -> None:
    reached: list[str] = []

    class Executor:
        def submit(self, *_: object) -> Future[int]:
            reached.append("entered")
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
            reached.append("left")
            return Future()

    workers = Workers(Executor())  # type: ignore[arg-type]
    with handling_interrupts(workers):
        with pytest.raises(KeyboardInterrupt):
            workers.submit(abs, 1)
        assert reached == ["entered", "left"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_processes_work_is_done_one_by_one() -> None:
    seen: list[int] = []
    with worker_processes(1) as workers:
        futures = [workers.submit(seen.append, number) for number in range(3)]
        for count, future in enumerate(workers.completed(), start=1):
            assert future is futures[count - 1]
            assert len(seen) == count


UNGUARDED = """
from memreward.evaluation.workers import worker_processes

with worker_processes(2) as workers:
    workers.submit(abs, -1)
    print([future.result() for future in workers.completed()])
"""


@pytest.mark.slow
def test_a_script_without_a_guard_is_named_as_such(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    for text, passes in (
        (UNGUARDED, False),
        (UNGUARDED.replace("\nwith", "\nif __name__ == '__main__':\n  with"), True),
    ):
        lines = text.split("if __name__")
        guarded = lines[0] + "if __name__" + lines[1].replace("\n    ", "\n      ") if passes else text
        script.write_text(guarded, encoding="utf-8")
        done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
        assert (done.returncode == 0) is passes, done.stderr
        assert passes or f"{script} does all its work there: put what it does under" in done.stderr
        assert passes or "bootstrapping" not in done.stderr
