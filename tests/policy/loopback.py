"""Model servers on loopback: one that answers by a function, a proxy that fails on purpose, and a real one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Request:
    """One request as the server saw it."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    time: float


@dataclass(frozen=True)
class Reply:
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


FAULTY_REPLIES = {
    "429": Reply(429, {"error": {"message": "slow down"}}, {"Retry-After": "1"}),
    "500": Reply(500, {"error": "it hurts"}),
    "502": Reply(502, b"<html>Bad gateway</html>"),
    "garbage": Reply(200, b'{"choices": [{"message": {"content": "It i'),
    "wrong shape": Reply(200, {"choices": []}),
}


class Loopback:
    """An HTTP server in this process; `answer` is called in a thread a connection.

    The first requests meet the `faults`, one each, None for none; the rest are answered. Faults: those of
    `FAULTY_REPLIES`, "drop" (no answer), "half" (of the answer), "slow" (none before the end of the test), "trickle"
    (a byte now and then).
    """

    def __init__(self, answer: Callable[[Request], Reply], faults: Sequence[str | None] = ()) -> None:
        self.answer = answer
        self.faults = list(faults)
        self.requests: list[Request] = []
        self.ending = threading.Event()
        self.under_way = self.most_under_way = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Loopback:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [request.body for request in self.requests]

    def settle(self) -> None:
        """Wait until the requests of a client that was killed are over: they would disturb what comes next."""
        calm = 0
        while calm < 10:
            time.sleep(0.02)
            calm = 0 if self.under_way else calm + 1

    def arrived(self, request: Request) -> str | None:
        """The fault that this request meets."""
        with self._lock:
            self.requests.append(request)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            return self.faults.pop(0) if self.faults else None

    def left(self) -> None:
        with self._lock:
            self.under_way -= 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, loopback: Loopback, *arguments: Any) -> None:
        self.loopback = loopback
        super().__init__(*arguments)

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._handle({})

    def do_POST(self) -> None:
        self._handle(json.loads(self.rfile.read(int(self.headers["content-length"]))))

    def _handle(self, body: dict[str, Any]) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.path, body, headers, time.monotonic())
        fault = self.loopback.arrived(request)
        try:
            self._reply(request, fault)
        except OSError:
            self.close_connection = True
        finally:
            self.loopback.left()

    def _reply(self, request: Request, fault: str | None) -> None:
        if fault in FAULTY_REPLIES:
            self._send(FAULTY_REPLIES[fault])
        elif fault == "drop":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif fault in ("slow", "trickle"):
            if fault == "trickle":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not self.loopback.ending.wait(0.02):
                self.wfile.write(b" " if fault == "trickle" else b"")
            self.close_connection = True
        else:
            self._send(self.loopback.answer(request), half=fault == "half")

    def _send(self, reply: Reply, *, half: bool = False) -> None:
        content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if half else content)
        self.close_connection |= half


def forward(upstream: str) -> Callable[[Request], Reply]:
    """Answer as the server at `upstream` does."""

    def answer(request: Request) -> Reply:
        content = json.dumps(request.body).encode() if request.body else None
        call = urllib.request.Request(upstream + request.path, content, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(call, timeout=120) as response:
                return Reply(response.status, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, error.read())

    return answer


@contextmanager
def transformers_server(checkpoint: Path, log: Path) -> Iterator[str]:
    """`transformers serve` in a process of its own: yields its address without "/v1"."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(checkpoint), "--device", "cpu"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)], env=environment, stdout=output, stderr=output
        )
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(1200):
            assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        process.kill()
        process.wait()
