"""Services for the tests: in a thread, or as the command in a process of its own; real sockets on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from memreward.answers.model import AnswerModel
from memreward.memory import ExperienceMemory
from memreward.reward import PolicyReward
from memreward.reward.valuers import Answers
from memreward.service.config import ServiceConfig
from memreward.service.store import GroupStore

QUERY = {"id": "q", "text": "What is 2 + 3?", "domain": "math"}
TEXTS = ("2 + 3 = 5. The answer is 5.", "The answer is 5.", "The answer is 6.", "I do not know.")


def query(number: int = 0, **more: Any) -> dict[str, Any]:
    return {"id": f"q{number}", "text": f"What is {number} + 3?", "domain": "math", **more}


def texts_of(number: int) -> list[str]:
    """Four completions: two right, one wrong, one without an answer."""
    return [
        f"{number} + 3 = {number + 3}. The answer is {number + 3}.",
        f"It is \\boxed{{{number + 3}}}.",
        f"The answer is {number + 4}.",
        "I cannot tell.",
    ]


def group(number: int = 0, step: int = 0, texts: Sequence[str] | None = None, **more: Any) -> dict[str, Any]:
    texts = texts_of(number) if texts is None else texts
    rollouts = [{"id": str(place), "text": text} for place, text in enumerate(texts)]
    return {"id": f"{step}/q{number}", "query": query(number, **more), "step": step, "rollouts": rollouts}


def ones(whole: dict[str, Any]) -> list[dict[str, Any]]:
    """Bodies for /score_one of a group's rollouts."""
    size = len(whole["rollouts"])
    return [
        {"group": whole["id"], "size": size, "query": whole["query"], "rollout": one, "step": whole["step"]}
        for one in whole["rollouts"]
    ]


def made_store(folder: Path | None = None, config: ServiceConfig | None = None) -> GroupStore:
    memory = ExperienceMemory.in_memory() if folder is None else ExperienceMemory.open(folder)
    reward = PolicyReward(memory, Answers(AnswerModel()))
    return GroupStore(reward, None if folder is None else folder / "service", config)


@contextmanager
def served(store: GroupStore, config: ServiceConfig | None = None, *, token: str = "", **more: Any) -> Iterator[str]:
    """Serve a store from a thread; yields the address."""
    from memreward.service.app import create_app  # fastapi, which takes longer to load than pytest
    from memreward.service.run import server_of

    config = config or store.config
    addresses: list[str] = []
    listening = threading.Event()

    def started(url: str) -> None:
        addresses.append(url)
        listening.set()

    server = server_of(create_app(store, config, token=token, **more), "127.0.0.1", 0, started)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        assert listening.wait(30)
        yield addresses[0]
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


class Command:
    """`memreward serve` in a process of its own.

    Args:
        memory: Its folder.
        log: Where the log goes.
        options: More of the command line.
    """

    def __init__(self, memory: Path, log: Path, *options: str, port: int = 0, **environment: str) -> None:
        self.log = log
        words = ["serve", "--memory", str(memory), "--host", f"127.0.0.1:{port}", *options]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "memreward", *words],
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            )

    def address(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), line + self.log.read_text(encoding="utf-8", errors="replace")
        return line.split()[-1]

    def kill(self, how: signal.Signals = signal.SIGKILL) -> int:
        self.process.send_signal(how)
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


PLAIN: dict[str, Any] = {"trust_env": False, "verify": False}
"""Of a client on loopback: to load the certificates of the world takes longer than most tests."""
HEADERS = {"content-type": "application/json"}


def client(url: str, **more: Any) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=60, **PLAIN, headers=HEADERS, **more)
