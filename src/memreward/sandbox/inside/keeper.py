"""The keeper: an interpreter that walls itself in, runs no foreign code, sees none, and forks a child for every run.

Its requests hold what kind of run is wanted, its limits, and descriptors, behind which the child reads what it is to
run and writes to its owner: no text of any run was ever in the memory that the next child is a copy of.
"""

import fcntl
import gc
import importlib
import io
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import kernel, landlock, namespaces, plain, program, seccomp, solution, trial

THREADS = 32
"""Of a run; it may start no processes."""
OPEN_FILES = 32
"""Of a process."""

_CHANNEL, _REPORT = 3, 4
_MOST_DESCRIPTORS = 8


@dataclass(frozen=True)
class Walls:
    """How this keeper contains its children.

    The folder becomes the root of the file system, or holds the temporary folder; of `listed` folders only the names
    may be read. `base_bytes` is the address space that the keeper has before any run.
    """

    containment: str
    folder: str
    readable: tuple[str, ...]
    listed: tuple[str, ...]
    base_bytes: int = 0
    filter: bytes = b""

    @property
    def scratch(self) -> str:
        return namespaces.SCRATCH if self.containment == "namespaces" else f"{self.folder}/run"


def main(settings: dict[str, Any], descriptor: int) -> None:
    """Wall this process in and serve requests until the other side hangs up."""
    control = socket.socket(fileno=descriptor)
    try:
        walls = _walled_in(settings)
    except OSError as error:
        plain.send(control, json.dumps({"refused": f"{settings['containment']}: {error}"}).encode())
        return
    plain.send(control, b'{"ready": true}')
    while (message := _request(control)) is not None:
        request, descriptors = message
        if request["job"] != "stop":
            plain.send(control, json.dumps(_carried_out(request, descriptors, walls, control)).encode("ascii"))


def _walled_in(settings: dict[str, Any]) -> Walls:
    sys.path[:] = settings["path"]
    for name in settings["preload"]:
        importlib.import_module(name)
    containment = settings["containment"]
    shown = settings["read_only"], settings["hidden"], settings["packages"]
    base_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    calls = b""
    if containment == "namespaces":
        calls = seccomp.compiled(own_namespaces=True)
        namespaces.enter()
        namespaces.build_root(settings["folder"], *shown)
    elif containment == "landlock":
        if not landlock.version():
            raise OSError("this kernel has none")
        calls = seccomp.compiled(own_namespaces=False)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    sys.path_importer_cache.clear()
    gc.collect()
    gc.freeze()
    readable = *settings["read_only"], *settings["packages"], *namespaces.DEVICES
    return Walls(containment, settings["folder"], readable, tuple(settings["listed"]), base_bytes, calls)


def _request(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """One request with the descriptors that came along; None where the other side is gone."""
    head, descriptors, _, _ = socket.recv_fds(control, 4, _MOST_DESCRIPTORS)
    body = plain.exactly(control, int.from_bytes(head, "big")) if head else None
    return None if body is None else (json.loads(body), descriptors)


def _carried_out(
    request: dict[str, Any], descriptors: list[int], walls: Walls, control: socket.socket
) -> dict[str, Any]:
    limits = request["limits"]
    if walls.containment == "namespaces":
        namespaces.fresh_scratch(plain.FILE_MB)
    else:
        _clear(walls.scratch)
    started = time.monotonic()
    process = os.fork()
    if process == 0:
        try:
            _become(request, dict(zip(request["descriptors"], descriptors, strict=True)), walls)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(121)
    for descriptor in descriptors:
        os.close(descriptor)
    ended_by, status, used = _watched(process, started + limits["wall_seconds"], control)
    _end_all(walls, process)
    cpu = used.ru_utime + used.ru_stime
    if not ended_by and os.WIFSIGNALED(status):
        ended_by = _limit_behind(os.WTERMSIG(status), cpu, limits)
    return {
        "returncode": os.waitstatus_to_exitcode(status),
        "ended_by": ended_by,
        "cpu_seconds": cpu,
        "wall_seconds": time.monotonic() - started,
    }


def _clear(folder: str) -> None:
    """Put an empty temporary folder in place; what a full one holds goes in a process of its own, waited for by nobody.

    Its names are a run's text too, and to remove a hundred thousand of them takes longer than the next run may wait.
    """
    try:
        Path(folder).rmdir()
    except FileNotFoundError:
        pass
    except OSError:
        full = f"{folder}-{time.monotonic_ns()}"
        Path(folder).rename(full)
        cleaner = os.fork()
        if cleaner == 0:
            if os.fork() == 0:  # which is nobody's child then
                namespaces.remove_folder(full)
            os._exit(0)
        os.waitpid(cleaner, 0)
    Path(folder).mkdir(mode=0o700)


def _limit_behind(number: int, cpu: float, limits: dict[str, Any]) -> str:
    """The limit that a signal stands for. The kernel counts processor time in ticks, so it may be early by some."""
    used_up = cpu >= 0.7 * limits["cpu_seconds"]
    return "cpu" if number == signal.SIGXCPU or (number == signal.SIGKILL and used_up) else ""


def _watched(process: int, stop_at: float, control: socket.socket) -> tuple[str, int, resource.struct_rusage]:
    """Wait for the child's end, or for what ends it: the clock, or its owner's word."""
    ending = os.pidfd_open(process)
    poll = select.poll()
    for descriptor in (ending, control.fileno()):
        poll.register(descriptor, select.POLLIN)
    ended_by, ready = "", set[int]()
    while not ended_by and ending not in ready:
        left = stop_at - time.monotonic()
        ready = {descriptor for descriptor, _ in poll.poll(max(left, 0) * 1000)}
        if left <= 0:
            ended_by = "wall"
        elif control.fileno() in ready:
            ended_by = "asked"
            _request(control)
    os.close(ending)
    if ended_by:
        os.kill(process, signal.SIGKILL)
    _, status, used = os.wait4(process, 0)
    return ended_by, status, used


def _end_all(walls: Walls, process: int) -> None:
    """Kill what the child left behind. Without namespaces it could start nothing, unless nothing contains it."""
    if walls.containment == "namespaces":
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            return
    elif walls.containment == "none":
        try:
            os.killpg(process, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _become(request: dict[str, Any], passed: dict[str, int], walls: Walls) -> None:
    """In the child: take the limits and the walls upon it, then read what is to be run and run it."""
    limits = request["limits"]
    os.setsid()
    what = _arrange_descriptors(passed)
    os.chdir(walls.scratch)
    os.environ.update(HOME=walls.scratch, TMPDIR=walls.scratch)
    _limit(limits, walls)
    if walls.containment == "namespaces":
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        _become_nobody()
    if walls.containment != "none":
        kernel.drop_capabilities()
        if walls.containment == "landlock":
            landlock.restrict(walls.readable, walls.listed, [walls.scratch, "/dev/null"])
        seccomp.apply(walls.filter)
    with os.fdopen(what, "rb") as file:
        asked = json.loads(file.read())
    _run(request["job"], limits["call_seconds"], asked)


def _arrange_descriptors(passed: dict[str, int]) -> int:
    """Standard streams on 0 to 2, the channel on 3, the report on 4, what is to be run behind; nothing else is open."""
    nothing = os.open("/dev/null", os.O_RDWR)
    wanted = [passed.get(name, nothing) for name in ("stdin", "stdout", "stderr", "channel", "report", "what")]
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 16) for descriptor in wanted]  # out of the way of 0 to 5
    for place, descriptor in enumerate(moved):
        os.dup2(descriptor, place)
    os.closerange(len(moved), 1 << 20)
    sys.stdin, sys.stdout, sys.stderr = _stream(0, "r"), _stream(1, "w"), _stream(2, "w")
    return len(moved) - 1


def _stream(descriptor: int, mode: str) -> io.TextIOWrapper:
    binary = io.FileIO(descriptor, mode, closefd=False)
    if mode == "r":
        return io.TextIOWrapper(io.BufferedReader(binary), encoding="utf-8", errors="replace")
    return io.TextIOWrapper(io.BufferedWriter(binary), encoding="utf-8", errors="backslashreplace")


def _limit(limits: dict[str, Any], walls: Walls) -> None:
    memory = walls.base_bytes + limits["memory_mb"] * 1_000_000
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, plain.FILE_MB * 1_000_000),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    if walls.containment == "namespaces":
        own = 2  # where only one user can be had, the keeper's two processes count too
        resource.setrlimit(resource.RLIMIT_NPROC, (own + THREADS, own + THREADS))
    resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu_seconds"], limits["cpu_seconds"] + 1))


def _become_nobody() -> None:
    if os.geteuid() == 0:
        user = namespaces.NOBODY
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)


def _run(job: str, seconds: int, asked: dict[str, Any]) -> None:
    if job == "program":
        program.run(asked["source"])
    elif job == "serve":
        solution.serve(asked["source"], seconds, _CHANNEL)
    elif job == "calls":
        solution.call_all(asked["source"], seconds, asked["name"], asked["inputs"], _REPORT)
    elif job == "tests":
        trial.decide(**asked, channel=_CHANNEL, report=_REPORT, call_seconds=seconds)
    elif job == "rehearsal":
        trial.rehearse(**asked, report=_REPORT)
