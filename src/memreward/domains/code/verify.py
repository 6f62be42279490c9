"""Ground truth for code: tests that run against the solution, or programs that are given input.

What the model wrote runs in a sandbox and hands out plain data; another process decides whether it is right.
"""

import ast
import json
import math
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from memreward.domains.code.parse import entry_point, given_definitions, parses, solution_source, syntax_tree
from memreward.domains.config import VerifyConfig
from memreward.domains.rules import ClaimVerifier
from memreward.domains.shared.cache import storable
from memreward.sandbox import BUSY, PATIENCE, Allowance, Execution, Sandbox, Trial
from memreward.sandbox.deadline import OutOfTimeError, ending
from memreward.types import Claim, Verdict

RULES = 10
_LONGEST_REASON = 300
_OUTCOMES = {"passed": True, "failed": False, "unknown": None, "strained": None, "overdue": None}
_FOR_TRIAL = 0.9
"""Share of a verdict's time for the trial itself; the rest is for telling who is to blame where it has no end."""


@dataclass(frozen=True)
class Reference:
    """What a solution is held against: sources of tests, or pairs of standard input and expected standard output."""

    tests: tuple[str, ...] = ()
    cases: tuple[tuple[str, str], ...] = ()


OF_VERDICT = Allowance(cpu_seconds=150, call_seconds=10, wall_seconds=600.0, memory_mb=2048)
"""What a solution and its tests may use, unless told."""


class CodeVerifier(ClaimVerifier):
    """Decides whether a solution passes its tests, within its limits; see `docs/verifiers.md`."""

    def __init__(
        self,
        config: VerifyConfig | None = None,
        *,
        limits: Allowance = OF_VERDICT,
        sandbox: Sandbox | None = None,
    ) -> None:
        config = config or VerifyConfig()
        self.sandbox = sandbox or Sandbox(None if config.containment == "auto" else config.containment)
        self.limits = limits
        self.name = f"code-{RULES}-{limits.call_seconds}s-{limits.cpu_seconds}s-{limits.memory_mb}mb"
        self._rehearsed: dict[tuple[str, ...], bool] = {}

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        """Return one verdict a claim, in order, several at once; SandboxError where the code cannot be contained."""
        if claims:
            _ = self.sandbox.containment
        return self.sandbox.map(self.judge, claims)

    def close(self) -> None:
        self.sandbox.close()

    def judge(self, claim: Claim) -> Verdict:
        reference = read_reference(claim.reference)
        if reference is None:
            return Verdict(
                None, f"the reference is not a list of tests or of inputs and outputs: {claim.reference[:80]!r}"
            )
        source = solution_source(claim.rollout)
        if source is None:
            return Verdict(False, "no code in the completion")
        try:
            if reference.cases:
                return self._by_cases(source, reference.cases)
            return self._by_tests(source, reference.tests, claim.rollout.query.text)
        except OutOfTimeError as error:
            return Verdict(None, str(error))

    def _by_tests(self, source: str, tests: Sequence[str], prompt: str) -> Verdict:
        until = time.monotonic() + self.limits.wall_seconds
        limits = replace(self.limits, wall_seconds=_FOR_TRIAL * self.limits.wall_seconds)
        entry_point, given = tested_function(prompt, tests), given_definitions(prompt)
        trial = self.sandbox.trial(source, tests, entry_point=entry_point, given=given, limits=limits)
        outcome, reason = read_report(trial.tests.report)
        verdict = self._judged(trial, outcome, reason)
        if trial.tests.ended_by not in ("", "lost") or trial.tests.returncode or outcome == "strained":
            return self._blamed(verdict, trial, tests, entry_point, given, until)
        return verdict

    def _judged(self, trial: Trial, outcome: str, reason: str) -> Verdict:
        solution, tests = trial.solution, trial.tests
        if solution.ended_by == "cpu":
            return Verdict(False, "it used up its processor time")
        if tests.ended_by or tests.returncode:
            return Verdict(None, f"the tests did not come to an end: {_ending(tests)}")
        if outcome == "overdue":
            return self._slow(reason)
        cut_short = solution.ended_by in ("wall", "asked") and ending()
        if outcome == "failed" and (cut_short or solution.ended_by == "lost"):
            return Verdict(None, f"the solution did not come to an end: {_ending(solution)}")
        return Verdict(_OUTCOMES.get(outcome), reason)

    def _blamed(
        self, verdict: Verdict, trial: Trial, tests: Sequence[str], entry_point: str, given: str, until: float
    ) -> Verdict:
        """The verdict where the tests had no end of their own: on the solution, if they have one without its values."""
        if verdict.correct is not None:
            return verdict
        if trial.tests.ended_by in ("wall", "asked") and (excuse := self._excuse()):
            return replace(verdict, reason=f"{verdict.reason}; {excuse}")
        key = (*tests, given, entry_point)
        if key not in self._rehearsed:
            left = max(1.0, until - time.monotonic())
            cpu_seconds = min(self.limits.cpu_seconds, math.ceil(left))
            limits = replace(self.limits, wall_seconds=left, cpu_seconds=cpu_seconds)
            self._rehearsed[key] = self.sandbox.rehearse(tests, entry_point=entry_point, given=given, limits=limits)
        if not self._rehearsed[key]:
            return verdict
        return Verdict(False, f"{verdict.reason}, and without what the solution returned they do")

    def _by_cases(self, source: str, cases: Sequence[tuple[str, str]]) -> Verdict:
        until = time.monotonic() + self.limits.wall_seconds
        for number, (given, expected) in enumerate(cases):
            left = min(until - time.monotonic(), PATIENCE * self.limits.call_seconds)
            if left <= 0:
                return self._slow(f"{self.limits.wall_seconds:g} s were over after {number} of {len(cases)} cases")
            limits = replace(self.limits, wall_seconds=left, cpu_seconds=self.limits.call_seconds)
            ran = self.sandbox.run(source, given, limits)
            if ran.ended_by == "cpu":
                return Verdict(False, "it used up its processor time")
            if ran.ended_by == "wall":
                return self._slow(f"the program did not come to an end within {left:.3g} s")
            if ran.ended_by in ("asked", "lost"):
                return Verdict(None, f"the program did not come to an end: {_ending(ran)}")
            if not ran.ok:
                return Verdict(False, f"the program ended badly: {_ending(ran)}")
            if output_lines(ran.stdout) != output_lines(expected):
                return Verdict(False, f"other output than expected in case {number}")
        return Verdict(True, f"the expected output in {len(cases)} cases")

    def _slow(self, reason: str) -> Verdict:
        if excuse := self._excuse():
            return Verdict(None, f"{reason}; {excuse}")
        return Verdict(False, f"{reason}, though the machine was not busy")

    def _excuse(self) -> str:
        """Why a solution may be right that did not come to an end by the clock; "" where nothing excuses it."""
        if ending():
            return "the time of all that is judged together is over"
        return "the machine was busy" if self.sandbox.slowdown() >= BUSY else ""


def read_report(report: str) -> tuple[str, str]:
    """Return the outcome that the tests' process wrote, "" where none can be read, and its reason."""
    try:
        read = json.loads(report)
        if read["outcome"] in _OUTCOMES:
            return read["outcome"], storable(str(read["reason"])[:_LONGEST_REASON]) or "all tests passed"
    except (ValueError, KeyError, TypeError):
        pass
    return "", "the tests reported nothing that can be read"


@lru_cache(maxsize=1024)
def read_reference(text: str) -> Reference | None:
    """Read tests or cases, or return None where `text` holds neither.

    Forms: a JSON list of Python tests; a JSON list of objects with "input" and "output"; a JSON object with the lists
    "inputs" and "outputs"; one bare Python test.
    """
    try:
        value = json.loads(text)
    except ValueError:
        return Reference(tests=(text,)) if parses(text) and "assert" in text else None
    if isinstance(value, list) and value and all(isinstance(item, str) and item.strip() for item in value):
        return Reference(tests=tuple(value))
    if isinstance(value, dict) and isinstance(value.get("inputs"), list) and isinstance(value.get("outputs"), list):
        pairs = list(zip(value["inputs"], value["outputs"], strict=False))
        complete = len(value["inputs"]) == len(value["outputs"])
        return _cases(pairs) if complete else None
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return _cases([(item.get("input"), item.get("output")) for item in value])
    return None


def _cases(pairs: Sequence[tuple[Any, Any]]) -> Reference | None:
    good = all(isinstance(given, str) and isinstance(expected, str) for given, expected in pairs)
    return Reference(cases=tuple(pairs)) if pairs and good else None


def output_lines(text: str) -> list[str]:
    """Return the lines of an output without trailing white space and without empty lines at the end."""
    return [line.rstrip() for line in text.rstrip().split("\n")]


def tested_function(prompt: str, tests: Sequence[str]) -> str:
    """Return the function that the prompt asks for where the tests speak of it or leave its name open, else ""."""
    name = entry_point(prompt)
    if name is None:
        return ""
    names = _names_in(tuple(tests))
    return name if name in names or "candidate" in names else ""


@lru_cache(maxsize=1024)
def _names_in(tests: tuple[str, ...]) -> frozenset[str]:
    names: set[str] = set()
    for test in tests:
        try:
            nodes = list(ast.walk(syntax_tree(test)))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        names |= {node.id for node in nodes if isinstance(node, ast.Name)}
        names |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    return frozenset(names)


def _ending(ran: Execution) -> str:
    if ran.ended_by:
        words = {"cpu": "out of processor time", "wall": "out of time", "asked": "ended", "lost": "the sandbox failed"}
        return words.get(ran.ended_by, f"too much {ran.ended_by}")
    if ran.returncode < 0:
        try:
            return f"killed by {signal.Signals(-ran.returncode).name}"
        except ValueError:
            return f"killed by signal {-ran.returncode}"
    return f"exit status {ran.returncode}"
