"""The remote verifier against a real server on loopback that speaks SandboxFusion's interface."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from memreward.domains import parse_rollout
from memreward.domains.code.remote import RemoteCodeVerifier, RemoteConfig
from memreward.types import Claim, ConfigurationError, Query

PROMPT = 'def double(n):\n    """Return 2 n."""\n'
TESTS = '["assert double(2) == 4", "def check(candidate):\\n    assert candidate([1]) == [1, 1]\\ncheck(double)"]'


class Server(ThreadingHTTPServer):
    """Runs each request's program in a process of its own, and fails first as often as it is told to."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.failures, self.requests = folder, 0, 0
        self.lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests += 1
            number, failing = self.server.requests, self.server.failures > 0
            self.server.failures -= failing
        if failing:
            self.answer(503, {"detail": "busy"})
        elif self.path != "/run_code" or asked["language"] != "python":
            self.answer(404, {"detail": "unknown"})
        elif "refuse to run" in asked["code"]:
            self.answer(200, {"status": "SandboxError", "message": "no container", "run_result": None})
        else:
            self.answer(200, run_program(self.server.folder / str(number), asked))

    def answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def run_program(folder: Path, asked: dict[str, Any]) -> dict[str, Any]:
    for name, content in {**asked["files"], "code.py": base64.b64encode(asked["code"].encode()).decode()}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(base64.b64decode(content))
    try:
        ran = subprocess.run(
            [sys.executable, "code.py"],
            input=asked["stdin"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=asked["run_timeout"],
        )
    except subprocess.TimeoutExpired:
        result = {"status": "TimeLimitExceeded", "execution_time": asked["run_timeout"], "return_code": None}
        return {"status": "Failed", "message": "", "run_result": {**result, "stdout": "", "stderr": ""}}
    result = {"status": "Finished", "execution_time": 0.1, "return_code": ran.returncode, "stdout": ran.stdout}
    status = "Failed" if ran.returncode else "Success"
    return {"status": status, "message": "", "run_result": {**result, "stderr": ran.stderr}, "files": {}}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def verifier(server: Server) -> RemoteCodeVerifier:
    return RemoteCodeVerifier(RemoteConfig(f"http://127.0.0.1:{server.server_port}", run_seconds=20, call_seconds=1))


def claim(code: str, reference: str = TESTS, prompt: str = PROMPT) -> Claim:
    return Claim(parse_rollout(Query("q", prompt, "code"), f"```python\n{code}\n```", id="r"), reference)


def test_solutions_are_told_apart_in_order(verifier: RemoteCodeVerifier) -> None:
    claims = [
        claim("def double(n): return n * 2"),
        claim("def double(n): return 4"),
        claim("def triple(n): return n * 3"),
        Claim(parse_rollout(Query("q", PROMPT, "code"), "I cannot say.", id="r"), TESTS),
    ]
    assert [verdict.correct for verdict in verifier.verify(claims)] == [True, False, False, False]
    assert asyncio.run(verifier.verify_async(claims[:1]))[0].correct is True


@pytest.mark.parametrize(
    "code",
    [
        "import os\ndef double(n): os._exit(0)",
        "from unittest.mock import ANY\ndef double(n): return ANY",
        'import os\nfor d in range(20):\n    try: os.write(d, b\'{"outcome": "passed"}\')\n    except OSError: pass\n'
        "def double(n): return 0",
        "import gc\ndef double(n):\n"
        "    return n * 2 if any(isinstance(o, str) and 'assert double' in o for o in gc.get_objects()) else 0",
        "def double(n):\n    while True: pass",
        "print('passed')\nraise SystemExit(0)",
        "double = 5",
        "raise ModuleNotFoundError(name='anything')",
    ],
)
def test_a_hostile_solution_does_not_pass(verifier: RemoteCodeVerifier, code: str) -> None:
    assert verifier.verify([claim(code)])[0].correct is not True


@pytest.mark.slow
def test_time_used_up_is_the_solutions_fault_on_a_server_that_is_not_busy(server: Server) -> None:
    brief = RemoteCodeVerifier(RemoteConfig(f"http://127.0.0.1:{server.server_port}", run_seconds=3, call_seconds=1))
    sleeps = "import time\ndef double(n): time.sleep(60)"
    burns = "def double(n): return 10**15"
    counts = '["assert sum(range(double(2))) == 6"]'
    loops = claim("while True: pass", '[{"input": "", "output": "1"}]', "Print 1.")
    for given in (claim(sleeps), claim(burns, counts), loops):
        found = brief.verify([given])[0]
        assert found.correct is False or "busy" in found.reason, found
    endless = brief.verify([claim("def double(n): return n * 2", '["double(1)\\nwhile True: pass"]')])[0]
    assert endless.correct is None


def test_all_programs_of_a_claim_share_one_deadline(server: Server) -> None:
    config = RemoteConfig(f"http://127.0.0.1:{server.server_port}", run_seconds=20, wall_seconds=2)
    cases = json.dumps([{"input": "", "output": "1"}] * 50)
    found = RemoteCodeVerifier(config).verify([claim("import time\ntime.sleep(.5)\nprint(1)", cases, "Print 1.")])[0]
    assert found.correct is not True
    assert found.seconds < 15, "50 programs of half a second each take 25 s"


def test_programs_are_compared_by_what_they_print(verifier: RemoteCodeVerifier) -> None:
    cases = json.dumps({"inputs": ["3\n", "4\n"], "outputs": ["6", "8"]})
    right, wrong = "print(int(input()) * 2)", "input(); print(6)"
    prompt = "Read a number and print it doubled."
    verdicts = verifier.verify([claim(right, cases, prompt), claim(wrong, cases, prompt)])
    assert [verdict.correct for verdict in verdicts] == [True, False]


def test_a_busy_server_is_asked_again(server: Server, verifier: RemoteCodeVerifier) -> None:
    server.failures = 2
    assert verifier.verify([claim("def double(n): return n * 2")])[0].correct is True
    assert server.requests == 3


def test_a_server_that_fails_leaves_it_undecided(server: Server, verifier: RemoteCodeVerifier) -> None:
    server.failures = 99
    verdict = verifier.verify([claim("def double(n): return n * 2")])[0]
    assert verdict.correct is None
    assert "503" in verdict.reason
    server.failures = 0
    cases = json.dumps({"inputs": [""], "outputs": [""]})
    refused = verifier.verify([claim("# refuse to run\nprint()", cases, "Print nothing.")])[0]
    assert refused.correct is None
    assert "no container" in refused.reason


def test_no_server_leaves_it_undecided() -> None:
    verdict = RemoteCodeVerifier(RemoteConfig("http://127.0.0.1:9", tries=1)).verify([claim("def double(n): pass")])[0]
    assert verdict.correct is None
    assert "ConnectError" in verdict.reason


def test_an_address_without_a_scheme_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="scheme"):
        RemoteConfig("localhost:8080")
