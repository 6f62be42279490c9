"""Processes that are forked from one that has loaded torch, TRL and the package: each is spared ten seconds of that.

    python tests/forked.py DESCRIPTOR SOCKET OWNER

serves on a socket until the process OWNER is gone. What starts processes itself starts

    python tests/forked.py ARGUMENTS

for `python ARGUMENTS`, with the variable of `PLACE`. All workers of a test run share one server, which loads at its
first request. What the start of a process itself is about, a test starts as `subprocess` does.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

LOADED = (
    *("datasets", "peft", "torch.distributed", "transformers.models.qwen2.modeling_qwen2", "trl.trainer.grpo_trainer"),
    *("memreward.cli.train", "memreward.training.run", "memreward.training.session"),
)
PLACE = "MEMREWARD_FORKED"
"""Variable that names the server's socket."""
FOR_LOADING = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TRL_EXPERIMENTAL_SILENCE": "1"}


class Forked:
    """What `subprocess.Popen` is to a started process, for `python ARGUMENTS`: a script or -m and a module, and theirs.

    stdout and stderr are text.
    """

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str] = os.environ) -> None:
        self.returncode: int | None = None
        self._server = _connected()
        ends = [os.pipe() for _ in range(2)]
        self.stdout, self.stderr = (os.fdopen(read, encoding="utf-8") for read, _ in ends)
        _ask(self._server, arguments, {PLACE: str(_place()[0]), **env}, [write for _, write in ends])
        for _, write in ends:
            os.close(write)
        self._told = self._server.makefile()
        self.pid = int(self._told.readline())

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._server], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = int(self._told.readline())
            self._told.close()
            self._server.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it prints until it ends; it is killed where that takes longer than `timeout` seconds."""
        with ThreadPoolExecutor() as threads:
            texts = [threads.submit(stream.read) for stream in (self.stdout, self.stderr)]
            try:
                out, err = (text.result(timeout) for text in texts)
            except TimeoutError:
                self.kill()
                raise
            finally:
                self.wait()
                self.stdout.close()
                self.stderr.close()
        return out, err

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run_ranks(arguments: Sequence[str], env: Mapping[str, str], count: int, timeout: float) -> list[str]:
    """What each of so many processes prints, which find each other as those of torchrun do; all must end well."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(count)}
    ranks = [place | {"RANK": str(rank), "LOCAL_RANK": str(rank)} if count > 1 else {} for rank in range(count)]
    processes = [Forked(arguments, {**env, **rank}) for rank in ranks]
    with ThreadPoolExecutor(count) as threads:
        said = list(threads.map(lambda process: process.communicate(timeout), processes))
    for process, (_, err) in zip(processes, said, strict=True):
        assert process.returncode == 0, err[-3000:]
    return [out for out, _ in said]


def _ask(server: socket.socket, arguments: Sequence[str], env: Mapping[str, str], streams: Sequence[int]) -> None:
    asked = {"arguments": list(arguments), "env": dict(env), "cwd": str(Path.cwd())}
    socket.send_fds(server, [json.dumps(asked).encode() + b"\n"], streams)


def stand_for(arguments: Sequence[str]) -> int:
    """Have a process forked that prints where this one does; return its exit status."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(os.environ[PLACE])
        _ask(server, arguments, os.environ, [1, 2])
        with server.makefile() as told:
            _, status = told
    return int(status)


def _place() -> tuple[Path, int]:
    """Socket of the server of this test run, and the process it is for."""
    owner = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    return Path(tempfile.gettempdir()) / f"forked-{os.getuid()}-{owner}", owner


def _connected() -> socket.socket:
    """To the server, which the first to ask starts."""
    place, owner = _place()
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        connection = socket.socket(socket.AF_UNIX)
        if connection.connect_ex(str(place)):
            place.unlink(missing_ok=True)
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(place))
                listener.listen()
                listener.set_inheritable(True)
                command = [sys.executable, __file__, str(listener.fileno()), str(place), str(owner)]
                os.posix_spawn(sys.executable, command, os.environ | FOR_LOADING)
            connection.connect(str(place))
    return connection


def serve(listener: socket.socket, place: Path, owner: int) -> dict[str, Any]:
    """Fork a process for each request; returns, in that process, what was asked for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listener.settimeout(1)
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            if _gone(owner):
                place.unlink()
                place.with_suffix(".lock").unlink()
                sys.exit()
            continue
        text, streams = _received(connection)
        for module in LOADED:
            importlib.import_module(module)
        gc.freeze()
        if text and not os.fork():
            listener.close()
            if _told_of_its_end(connection):
                for number, stream in enumerate(streams, 1):
                    os.dup2(stream, number)
                    os.close(stream)
                return dict(json.loads(text))
        connection.close()
        for stream in streams:
            os.close(stream)


def _told_of_its_end(connection: socket.socket) -> bool:
    """Fork once more: true in the child; its parent tells what becomes of it, and ends."""
    child = os.fork()
    if not child:
        connection.close()
        return True
    os.closerange(0, connection.fileno())
    os.closerange(connection.fileno() + 1, 256)
    connection.sendall(b"%d\n" % child)
    connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    os._exit(0)


def _received(connection: socket.socket) -> tuple[bytes, list[int]]:
    text, streams = b"", []
    while not text.endswith(b"\n"):
        part, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 2)
        if not part:
            return b"", streams  # who asked is gone
        text += part
        streams += descriptors
    return text, streams


def _gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def become(arguments: Sequence[str], env: Mapping[str, str], cwd: str) -> None:
    """Be a process that was started with `python ARGUMENTS`."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.path[1:1] = [place for place in env.get("PYTHONPATH", "").split(os.pathsep) if place not in sys.path]
    if arguments[0] == "-m":
        sys.path[0], sys.argv = cwd, list(arguments[1:])
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.path[0], sys.argv = str(Path(arguments[0]).parent), list(arguments)
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    if not sys.argv[1].isdigit():
        sys.exit(stand_for(sys.argv[1:]))
    become(**serve(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3])))
