"""A trial as one program, for a sandbox elsewhere that runs programs: solution and tests in two of its processes.

The solution's process is forked before the tests are read from standard input, so that they are never in its memory.
"""

from __future__ import annotations

import json
import os
import socket
import sys

from . import kernel, plain, solution, trial


def main() -> None:
    """Read a trial from standard input, and write what came of it to standard output."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        _hold_solution(theirs)
    theirs.close()
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    asked = json.load(sys.stdin)
    tests = asked["tests"], asked["given"], asked["entry_point"]
    if asked["rehearsal"]:
        trial.rehearse(*tests, report=1, mark=asked["mark"])
    plain.send(ours, json.dumps([asked["solution"], asked["call_seconds"]]).encode("ascii"))
    settings = {"call_seconds": asked["call_seconds"], "mark": asked["mark"]}
    trial.decide(*tests, asked["seconds"], channel=ours.detach(), report=1, **settings)


def _hold_solution(channel: socket.socket) -> None:
    nothing = os.open("/dev/null", os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    message = plain.receive(channel)
    if message is None:
        os._exit(1)
    source, call_seconds = json.loads(message)
    solution.serve(source, call_seconds, channel.detach())
