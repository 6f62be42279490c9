"""What must hold of any bytes that a solution's process sends: a value, its own exception, or a verdict."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time

from memreward.sandbox.inside import trial
from memreward.sandbox.inside.plain import Opaque

SECONDS = 5.0


def check_bytes(data: bytes) -> None:
    """Let a solution answer with one message a line."""
    start = time.process_time()
    ours, theirs = socket.socketpair()
    messages = data.split(b"\n")
    with theirs:
        sent = b"".join(struct.pack(">I", len(message)) + message for message in messages)
        theirs.sendall(sent[: 1 << 16])
        theirs.shutdown(socket.SHUT_WR)
        # What it says that it raised reaches the tests as an exception; nothing else may.
        allowed = Exception if any(map(_raises, messages)) else trial._SolutionError
        with contextlib.suppress(trial._Ended, allowed):
            _use(ours.detach())
    assert time.process_time() - start < SECONDS


def _use(descriptor: int) -> None:
    partner = trial.Partner(descriptor, 1.0, time.monotonic() + 1.0)
    with contextlib.closing(partner._channel):
        partner.names(["f", "g"])
        value = partner.call("f", ([1], {"a": 2}), {"b": 3})
        str(value == [1])
        str(value)
        if isinstance(value, Opaque):  # a lie about it is an error of the tests' own kinds, and no end of the process
            with contextlib.suppress(TypeError, ValueError, OverflowError, MemoryError):
                list(value)
                float(value[0])


def _raises(message: bytes) -> bool:
    with contextlib.suppress(ValueError, RecursionError):
        reply = json.loads(message)
        return isinstance(reply, dict) and "raised" in reply
    return False
