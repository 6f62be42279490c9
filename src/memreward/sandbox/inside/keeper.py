"""The keeper: an interpreter that walls itself in, runs no foreign code, and forks a child for every run.

It reads requests from a socket and answers each with how the run ended. A child is a copy of an interpreter in which
nothing foreign ever ran, so no run sees what another left: its memory is a copy, its processes are killed, its
temporary folder is unmounted.
"""

from __future__ import annotations

import array
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import kernel, landlock, namespaces, plain, program, seccomp, solution, trial

THREADS = 32
"""Threads of a run that may start no processes."""

_CHUNK = 1 << 16
_CHANNEL, _REPORT = 3, 4


@dataclass(frozen=True)
class Walls:
    """How this keeper contains its children.

    Attributes:
        containment: "namespaces", "landlock" or "none".
        folder: Becomes the root of the file system, or holds the temporary folder.
        readable: Paths that a run may read.
        listed: Folders of which it may read the names only.
        user: User id to run as, None to stay as we are.
        base_bytes: Address space that the keeper has before any run.
        filters: Filters of system calls, by whether a run may start processes.
    """

    containment: str
    folder: str
    readable: tuple[str, ...]
    listed: tuple[str, ...]
    user: int | None = None
    base_bytes: int = 0
    filters: dict[bool, bytes] = field(default_factory=dict)

    @property
    def scratch(self) -> str:
        """The folder that a run may write to."""
        return namespaces.SCRATCH if self.containment == "namespaces" else f"{self.folder}/run"


@dataclass
class Run:
    """A child at work.

    Attributes:
        process: Its number.
        pipes: What is read from it, by descriptor.
        stop_at: When it has to end, in seconds of the monotonic clock.
        room: Bytes that may be read of each pipe.
        ended_by: Why it was ended before its time.
    """

    process: int
    pipes: dict[int, bytearray]
    stop_at: float
    room: int
    ended_by: str = ""
    names: dict[int, str] = field(default_factory=dict)


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
        request, channels = message
        if request["job"] != "stop":
            plain.send(control, json.dumps(_carried_out(request, channels, walls, control)).encode("ascii"))


def _walled_in(settings: dict[str, Any]) -> Walls:
    sys.path[:] = settings["path"]
    for name in settings["preload"]:
        importlib.import_module(name)
    containment = settings["containment"]
    shown = settings["read_only"], settings["hidden"], settings["packages"]
    base_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    user, filters = None, {}
    if containment == "namespaces":
        filters = {start: seccomp.compiled(may_start=start, own_namespaces=True) for start in (False, True)}
        user = namespaces.enter()
        namespaces.build_root(settings["folder"], *shown)
    elif containment == "landlock":
        if not landlock.version():
            raise OSError("this kernel has none")
        filters = {start: seccomp.compiled(may_start=False, own_namespaces=False) for start in (False, True)}
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    sys.path_importer_cache.clear()
    gc.collect()
    gc.freeze()
    readable = *settings["read_only"], *settings["packages"], *namespaces.DEVICES
    return Walls(containment, settings["folder"], readable, tuple(settings["listed"]), user, base_bytes, filters)


def _request(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """One request with the descriptors that came along; None where the other side is gone."""
    size = array.array("i", [0]).itemsize
    head, extra, _, _ = control.recvmsg(4, socket.CMSG_SPACE(size))
    if not head:
        return None
    channels = array.array("i")
    for level, kind, data in extra:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            channels.frombytes(data[: len(data) - len(data) % size])
    body = plain.exactly(control, int.from_bytes(head, "big"))
    return None if body is None else (json.loads(body), list(channels))


def _carried_out(request: dict[str, Any], channels: list[int], walls: Walls, control: socket.socket) -> dict[str, Any]:
    limits = request["limits"]
    if walls.containment == "namespaces":
        namespaces.fresh_scratch(limits["scratch_mb"])
    else:
        namespaces.clear_folder(walls.scratch)
    started = time.monotonic()
    run = _forked(request, channels, walls)
    for channel in channels:
        os.close(channel)
    status, used = _watched(run, control)
    _end_all(walls, run.process)
    output = {run.names[pipe]: bytes(data).decode("utf-8", "replace") for pipe, data in run.pipes.items()}
    for pipe in run.pipes:
        os.close(pipe)
    cpu = used.ru_utime + used.ru_stime
    if not run.ended_by and os.WIFSIGNALED(status):
        run.ended_by = _limit_behind(os.WTERMSIG(status), cpu, limits)
    return {
        "returncode": os.waitstatus_to_exitcode(status),
        "ended_by": run.ended_by,
        "cpu_seconds": cpu,
        "wall_seconds": time.monotonic() - started,
        **output,
    }


def _limit_behind(number: int, cpu: float, limits: dict[str, Any]) -> str:
    """The limit that a signal stands for. The kernel counts processor time in ticks, so it may be early by some."""
    used_up = cpu >= 0.7 * limits["cpu_seconds"]
    return "cpu" if number == signal.SIGXCPU or (number == signal.SIGKILL and used_up) else ""


def _forked(request: dict[str, Any], channels: list[int], walls: Walls) -> Run:
    limits = request["limits"]
    wanted = ("stdout", "stderr") if request["job"] == "program" else ("report",)
    pipes = {name: os.pipe() for name in wanted}
    process = os.fork()
    if process == 0:
        try:
            _become(request, {name: ends[1] for name, ends in pipes.items()}, channels, walls)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}".encode())
        os._exit(121)
    for reading, writing in pipes.values():
        os.close(writing)
        os.set_blocking(reading, False)
    return Run(
        process,
        {ends[0]: bytearray() for ends in pipes.values()},
        time.monotonic() + limits["wall_seconds"],
        limits["output_bytes"],
        names={ends[0]: name for name, ends in pipes.items()},
    )


def _watched(run: Run, control: socket.socket) -> tuple[int, resource.struct_rusage]:
    """Read what the child writes until it ends, or until it has to be ended."""
    ending = os.pidfd_open(run.process)
    poll = select.poll()
    for descriptor in (ending, control.fileno(), *run.pipes):
        poll.register(descriptor, select.POLLIN)
    ready: dict[int, int] = {}
    while not run.ended_by and ending not in ready:
        left = run.stop_at - time.monotonic()
        ready = dict(poll.poll(max(left, 0) * 1000))
        if left <= 0:
            run.ended_by = "wall"
        elif control.fileno() in ready:
            run.ended_by = "asked"
            _request(control)
        for pipe in run.pipes.keys() & ready.keys():
            if not _read_some(pipe, run):
                poll.unregister(pipe)
    os.close(ending)
    if run.ended_by:
        os.kill(run.process, signal.SIGKILL)
    _, status, used = os.wait4(run.process, 0)
    for pipe in run.pipes:
        while len(run.pipes[pipe]) < run.room and _read_some(pipe, run):
            pass
    return status, used


def _read_some(pipe: int, run: Run) -> bool:
    """Read what is there; say whether more may come."""
    try:
        piece = os.read(pipe, _CHUNK)
    except BlockingIOError:
        return False
    run.pipes[pipe] += piece
    if len(run.pipes[pipe]) > run.room:
        del run.pipes[pipe][run.room :]
        run.ended_by = run.ended_by or "output"
    return bool(piece)


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


def _become(request: dict[str, Any], writing: dict[str, int], channels: list[int], walls: Walls) -> None:
    """In the child: take the limits and the walls upon it, then run the foreign code."""
    limits = request["limits"]
    os.setsid()
    _arrange_descriptors(request, writing, channels)
    os.chdir(walls.scratch)
    os.environ.update(HOME=walls.scratch, TMPDIR=walls.scratch)
    _limit(limits, walls)
    if walls.user is not None:
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        _change_user(walls.user)
    if walls.containment != "none":
        kernel.drop_capabilities()
        if walls.containment == "landlock":
            landlock.restrict(walls.readable, walls.listed, [walls.scratch, "/dev/null"])
        seccomp.apply(walls.filters[limits["processes"] > 1])
    _run(request)


def _arrange_descriptors(request: dict[str, Any], writing: dict[str, int], channels: list[int]) -> None:
    """Standard streams on 0 to 2, the channel on 3, the report on 4; nothing else stays open."""
    nothing = os.open("/dev/null", os.O_RDWR)
    stdin = nothing
    if request["job"] == "program":
        stdin = os.memfd_create("stdin")
        with open(stdin, "wb", closefd=False) as file:
            file.write(request["stdin"].encode("utf-8", "surrogateescape"))
        os.lseek(stdin, 0, os.SEEK_SET)
    wanted = [
        stdin,
        writing.get("stdout", nothing),
        writing.get("stderr", nothing),
        channels[0] if channels else nothing,
        writing.get("report", nothing),
    ]
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 16) for descriptor in wanted]  # out of the way of 0 to 4
    for place, descriptor in enumerate(moved):
        os.dup2(descriptor, place)
    os.closerange(len(moved), 1 << 20)
    sys.stdin, sys.stdout, sys.stderr = _stream(0, "r"), _stream(1, "w"), _stream(2, "w")


def _stream(descriptor: int, mode: str) -> io.TextIOWrapper:
    binary = io.FileIO(descriptor, mode, closefd=False)
    if mode == "r":
        return io.TextIOWrapper(io.BufferedReader(binary), encoding="utf-8", errors="replace")
    return io.TextIOWrapper(io.BufferedWriter(binary), encoding="utf-8", errors="backslashreplace")


def _limit(limits: dict[str, Any], walls: Walls) -> None:
    memory = walls.base_bytes + limits["memory_mb"] * 1_000_000
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, limits["scratch_mb"] * 1_000_000),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    if walls.containment == "namespaces":
        own = 2  # where only one user can be had, the keeper's two processes count too
        most = own + (limits["processes"] if limits["processes"] > 1 else THREADS)
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu_seconds"], limits["cpu_seconds"] + 1))


def _change_user(user: int) -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)


def _run(request: dict[str, Any]) -> None:
    job, seconds = request["job"], request["limits"]["call_seconds"]
    if job == "program":
        program.run(request["source"])
    elif job == "serve":
        solution.serve(request["source"], seconds, _CHANNEL)
    elif job == "calls":
        solution.call_all(request["source"], seconds, request["name"], request["inputs"], _REPORT)
    elif job == "tests":
        asked = request["tests"], request["given"], request["entry_point"]
        trial.decide(*asked, _CHANNEL, _REPORT, patience=trial.PATIENCE * seconds)
