"""Ground truth for code from a sandbox elsewhere: one that speaks SandboxFusion's HTTP interface.

POST `/run_code` with a program, its standard input and files; the answer tells how it ended and what it wrote
(bytedance/SandboxFusion). Output is compared here. For tests, a driver is sent along that keeps solution and tests in
two processes of that sandbox. How well it contains them is that sandbox's matter; where the two run as root of one
container, a solution may reach the process of the tests.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

from memreward.domains.code.programs import given_definitions, solution_source
from memreward.domains.code.verify import output_lines, read_reference, read_report, tested_function
from memreward.sandbox import BUSY
from memreward.types import Claim, ConfigurationError, MissingExtraError, Verdict

_INSIDE = ("__init__", "driver", "foreign", "kernel", "plain", "solution", "trial")
_DRIVER = "import sys\nsys.path.insert(0, '.')\nfrom inside.driver import main\nmain()\n"
_SLOWDOWN = "import sys\nsys.path.insert(0, '.')\nfrom inside.trial import slowdown\nprint(slowdown())\n"
_FOR_TRIAL = 0.8
"""Share of a program's time after which the tests give the solution up, while they can still say so."""
_ANSWER_SECONDS = 30.0
_PAUSE = 0.5
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class RemoteConfig:
    """A remote sandbox.

    Attributes:
        url: Where it listens, such as http://localhost:8080.
        run_seconds: Time for one program.
        wall_seconds: Time for one verdict, with all its programs and tries.
        call_seconds: Processor time of one call of a solution.
        memory_mb: Memory of one program.
        parallel: Requests at once.
        tries: Requests for one program, where the server is busy or cannot be reached.
    """

    url: str
    run_seconds: float = 60.0
    wall_seconds: float = 600.0
    call_seconds: int = 10
    memory_mb: int = 2048
    parallel: int = 8
    tries: int = 3

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ConfigurationError(f"url={self.url!r}: give the address with its scheme, e.g. http://localhost:8080")


class _UnavailableError(Exception):
    """No answer that tells anything of the program."""


class RemoteCodeVerifier:
    """Decides whether a solution passes its tests, in a sandbox on another machine.

    Raises:
        MissingExtraError: httpx is not installed.
    """

    def __init__(self, config: RemoteConfig) -> None:
        try:
            import httpx  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("httpx", "endpoint", "verifying code remotely") from error
        self.config = config

    @property
    def name(self) -> str:
        """Identifies the rules and the limits; the address is not part of it."""
        return f"code-remote-2-{self.config.call_seconds}s-{self.config.run_seconds:g}s-{self.config.memory_mb}mb"

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        """See `memreward.types.Verifier.verify`; a server that does not answer is a "cannot tell"."""
        with ThreadPoolExecutor(self.config.parallel, thread_name_prefix="memreward-remote") as threads:
            return list(threads.map(self._timed, claims))

    async def verify_async(self, claims: Sequence[Claim]) -> list[Verdict]:
        """See `memreward.types.Verifier.verify_async`."""
        return await asyncio.to_thread(self.verify, claims)

    def _timed(self, claim: Claim) -> Verdict:
        start = time.perf_counter()
        try:
            verdict = self._verdict(claim, time.monotonic() + self.config.wall_seconds)
        except _UnavailableError as error:
            verdict = Verdict(None, f"{self.config.url}: {error}")
        return replace(verdict, seconds=time.perf_counter() - start)

    def _verdict(self, claim: Claim, until: float) -> Verdict:
        reference = read_reference(claim.reference)
        if reference is None:
            return Verdict(
                None, f"the reference is no list of tests or of inputs and outputs: {claim.reference[:80]!r}"
            )
        source = solution_source(claim.rollout)
        if source is None:
            return Verdict(False, "no code in the completion")
        if reference.cases:
            return self._by_cases(source, reference.cases, until)
        prompt, mark = claim.rollout.query.text, secrets.token_hex(16)
        asked = {
            "rehearsal": False,
            "solution": source,
            "call_seconds": self.config.call_seconds,
            "seconds": _FOR_TRIAL * self.config.run_seconds,
            "tests": reference.tests,
            "given": given_definitions(prompt),
            "entry_point": tested_function(prompt, reference.tests),
            "mark": mark,
        }
        ran = self._run(_DRIVER, json.dumps(asked), _inside_files(), until)
        if ran["status"] == "TimeLimitExceeded":
            verdict = Verdict(None, f"no verdict within {self.config.run_seconds:g} s", details=ran)
        else:
            verdict = read_report(str(ran["stdout"]), {"return_code": ran["return_code"]}, mark)
        if verdict.correct is None and (ran["status"] == "TimeLimitExceeded" or verdict.details.get("strained")):
            again = self._run(_DRIVER, json.dumps({**asked, "rehearsal": True}), _inside_files(), until)
            if again["stdout"] == f"ended{mark}" and not self._is_busy(until):
                return replace(verdict, correct=False, reason=f"{verdict.reason}; without its values the tests end")
        return verdict

    def _by_cases(self, source: str, cases: Sequence[tuple[str, str]], until: float) -> Verdict:
        for number, (given, expected) in enumerate(cases):
            ran = self._run(source, given, {}, until)
            details = {"case": number, "return_code": ran["return_code"]}
            if ran["status"] == "TimeLimitExceeded":
                said = f"no end within {self.config.run_seconds:g} s"
                if self._is_busy(until):
                    return Verdict(None, f"{said}; the server was busy", details=details)
                return Verdict(False, f"{said}, though the server was not busy", details=details)
            if ran["return_code"] != 0:
                return Verdict(False, f"the program ended with status {ran['return_code']}", details=details)
            if output_lines(str(ran["stdout"])) != output_lines(expected):
                return Verdict(False, f"other output than expected in case {number}", details=details)
        return Verdict(True, f"the expected output in {len(cases)} cases")

    def _is_busy(self, until: float) -> bool:
        """Whether a program has so little of the server's processors that it may have been kept from its end."""
        said = str(self._run(_SLOWDOWN, "", _inside_files(), until)["stdout"])
        try:
            return float(said) >= BUSY
        except ValueError:
            return True

    def _run(self, program: str, stdin: str, sent: dict[str, str], until: float) -> dict[str, Any]:
        """The server's "run_result" for one program."""
        left = until - time.monotonic()
        if left <= 0:
            raise _UnavailableError(f"{self.config.wall_seconds:g} s were over")
        answer = self._posted(
            {
                "code": program,
                "language": "python",
                "stdin": stdin,
                "files": sent,
                "run_timeout": min(self.config.run_seconds, left),
                "memory_limit_MB": self.config.memory_mb,
            },
            until,
        )
        result = answer.get("run_result") if isinstance(answer, dict) else None
        if not isinstance(result, dict) or answer.get("status") == "SandboxError":
            said = answer.get("message") if isinstance(answer, dict) else answer
            raise _UnavailableError(f"the sandbox did not run it: {str(said)[:200]}")
        return {name: result.get(name) for name in ("status", "return_code", "stdout")}

    def _posted(self, request: dict[str, Any], until: float) -> Any:
        import httpx

        url = self.config.url.rstrip("/") + "/run_code"
        failure = ""
        for turn in range(self.config.tries):
            time.sleep(_PAUSE * turn)
            if turn and time.monotonic() > until:
                break
            try:
                reply = httpx.post(url, json=request, timeout=self.config.run_seconds + _ANSWER_SECONDS)
                if reply.status_code == httpx.codes.OK:
                    return reply.json()
                failure = f"status {reply.status_code}: {reply.text[:200]}"
                if reply.status_code not in _PASSING:
                    break
            except (httpx.RequestError, ValueError) as error:
                failure = f"{type(error).__name__}: {error}"
        raise _UnavailableError(failure)


def _inside_files() -> dict[str, str]:
    """The modules that the driver needs, as the interface takes files."""
    folder = files("memreward.sandbox") / "inside"
    return {
        f"inside/{name}.py": base64.b64encode((folder / f"{name}.py").read_bytes()).decode("ascii") for name in _INSIDE
    }
