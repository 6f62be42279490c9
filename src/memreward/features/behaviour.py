"""What solutions do when they are run on inputs of their question: behaviour, which needs no label.

Runs come from the sandbox and are remembered by content. Nothing of the ground truth is read: inputs are the prompt's
own examples and variations of them.
"""

import hashlib
import json
import logging
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreward.domains import rules_of
from memreward.domains.code.parse import solution_source
from memreward.features.cache import VectorStore
from memreward.features.code_inputs import CodeInputs, code_inputs
from memreward.sandbox import Allowance, Execution, Sandbox
from memreward.sandbox.deadline import OutOfTimeError, ending
from memreward.sandbox.inside.plain import encode
from memreward.types import Execute, Progress, Rollout, SandboxError, content_hash, silent

RULES = 1
NAMESPACE = f"behaviour-{RULES}"
"""Where runs are kept in a store of vectors."""

NOTHING, RAISED, RETURNED = 0, 1, 2
"""What came of a call: nothing (it never ended, or was never made), an exception, a value."""

LIMITS = Allowance(cpu_seconds=10, call_seconds=1, wall_seconds=40.0, memory_mb=512)
_DIGITS = 9
_RUN_TOGETHER = 64


_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Behaviour:
    """What one solution did.

    Attributes:
        loads: Whether it could be loaded and has the function that was asked for.
        outcomes: (m, 2) for each of the m inputs, examples first: `NOTHING`, `RAISED` or `RETURNED`, and a hash of the
            value or of the exception's class. One that only ever returns None, where no example asks for it, returns
            nothing.
        expected: (m,) hash of what the prompt says of the input; -1 where it says nothing.
        n_examples: How many of the inputs, the first ones, stand in the prompt.
    """

    loads: bool
    outcomes: NDArray[np.int64]
    expected: NDArray[np.int64]
    n_examples: int

    @property
    def returned(self) -> NDArray[np.bool_]:
        """(m,) whether the call returned."""
        return np.asarray(self.outcomes[:, 0] == RETURNED, dtype=np.bool_)

    @property
    def examples_met(self) -> float:
        """Share of the prompt's examples whose expected value it returned; NaN where there is none."""
        told = self.expected >= 0
        met = self.returned & (self.outcomes[:, 1] == self.expected)
        return float(met[told].mean()) if told.any() else math.nan


class CodeRunner:
    """Runs the solutions of code rollouts on inputs of their question, in a sandbox; SandboxError at the first run.

    Without a store, runs are kept in this process.
    """

    def __init__(self, sandbox: Sandbox | None = None, store: VectorStore | None = None) -> None:
        self.sandbox = sandbox or Sandbox()
        self.store = VectorStore.in_memory() if store is None else store  # an empty store counts as false

    def observe(self, rollouts: Sequence[Rollout], progress: Progress = silent) -> list[Behaviour | None]:
        """Return the behaviour of each rollout; None where its domain is not code or its question gives no inputs.

        No program is run twice on the same inputs, in this call or in any other that shares the store.
        """
        inputs = [code_inputs(r.query.text) if rules_of(r.query.domain).program else None for r in rollouts]
        sources = [None if given is None else solution_source(r) for r, given in zip(rollouts, inputs, strict=True)]
        keys = [_key(source, given) for source, given in zip(sources, inputs, strict=True)]
        wanted = {
            key: (source, given)
            for key, source, given in zip(keys, sources, inputs, strict=True)
            if key is not None and source is not None and given is not None
        }
        known = self.store.get(list(wanted))
        new = [key for key in wanted if key not in known]
        for start in range(0, len(new), _RUN_TOGETHER):
            keys_now = new[start : start + _RUN_TOGETHER]
            rows = self.sandbox.map(lambda key: self._run(*wanted[key]), keys_now)
            self.store.put(keys_now, rows)
            known |= dict(zip(keys_now, rows, strict=True))
            progress("running code", start + len(keys_now), len(new))
        return [
            None if given is None else _behaviour(None if key is None else known[key], given)
            for key, given in zip(keys, inputs, strict=True)
        ]

    def _run(self, source: str, inputs: CodeInputs) -> NDArray[np.float32]:
        arguments = [[_plain(value) for value in args] for args in inputs.all]
        ran = self.sandbox.call(*inputs.called_in(source), arguments, LIMITS)
        if ran.ended_by == "wall" and ending():  # of another's time: nothing that is remembered of this program
            raise OutOfTimeError("the time was over while a program ran")
        return _as_row(ran, len(arguments))


class ContainedRunner:
    """Runs the solutions of code rollouts where the system can contain them; nothing starts before there is code.

    Where it cannot, none is run and `warn` is told why, once, or if it `must`, SandboxError is raised.
    """

    def __init__(
        self, *, must: bool = False, progress: Progress = silent, warn: Callable[[str], None] = _LOGGER.warning
    ) -> None:
        self._must, self._progress, self._warn = must, progress, warn
        self._runner: CodeRunner | None = None
        self.contained: bool | None = None
        if must:
            self._start()

    def observe(self, rollouts: Sequence[Rollout]) -> list[Behaviour | None]:
        if self.contained is None and any(rules_of(rollout.query.domain).program for rollout in rollouts):
            self._start()
        if self._runner is None:
            return [None] * len(rollouts)
        return self._runner.observe(rollouts, self._progress)

    def _start(self) -> None:
        sandbox = Sandbox()
        try:
            _ = sandbox.containment
        except SandboxError as error:
            if self._must:
                raise
            self.contained = False
            self._warn(f"no code is run: {error}")
            return
        self.contained = True
        self._runner = CodeRunner(sandbox, VectorStore(NAMESPACE))


def runner_for(execute: Execute, progress: Progress = silent) -> ContainedRunner | None:
    """Return what runs code: "on" must, "auto" does where it can be contained, "off" runs none."""
    return None if execute == "off" else ContainedRunner(must=execute == "on", progress=progress)


def _key(source: str | None, inputs: CodeInputs | None) -> str | None:
    if source is None or inputs is None:
        return None
    return content_hash(json.dumps([NAMESPACE, *inputs.called_in(source), repr(inputs.all)]))


def _plain(value: Any) -> Any:
    return encode(value, _refuse)


def _refuse(value: Any) -> dict[str, Any]:
    raise TypeError(f"{type(value).__name__} is not a literal")


def _as_row(ran: Execution, n_inputs: int) -> NDArray[np.float32]:
    """(1 + 3 m,) whether it loaded, then for each input its state and a hash in two numbers that float32 holds."""
    lines = ran.report.split("\n")
    row = np.zeros(1 + 3 * n_inputs, dtype=np.float32)
    row[0] = lines[0] == '{"loaded": true}' and len(lines) > 1
    for number, line in enumerate(lines[1 : n_inputs + 1] if row[0] else ()):
        state, text = _outcome(line)
        high, low = divmod(hash_of(text), 1 << 24)
        row[1 + 3 * number : 4 + 3 * number] = state, high, low
    return row


def _outcome(line: str) -> tuple[int, str]:
    """State and normal form of one line of a report, which the foreign code may have written itself."""
    try:
        reply = json.loads(line)
        if "value" in reply:
            return RETURNED, normal_form(reply["value"])
        if "raised" in reply:
            return RAISED, str(reply["raised"][0])
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return NOTHING, ""
    return (RETURNED, "too long") if "too_long" in reply else (NOTHING, "")


def normal_form(form: Any) -> str:
    """Return a text of what `plain.encode` gave, equal for values that Python calls equal; floats to nine digits."""
    if isinstance(form, bool | int):
        return str(int(form))
    if isinstance(form, float):
        return _float_form(form)
    if form is None or isinstance(form, str):
        return json.dumps(form)
    if isinstance(form, list):
        return "[" + ",".join(map(normal_form, form)) + "]"
    if "h" in form:
        return f"<{form.get('type')} {form.get('digest', '')}>"
    ((tag, content),) = form.items()
    if tag == "i":
        return str(int(content, 16)) if len(content) < 4000 else content
    if tag in "sf":
        return "{" + ",".join(sorted(map(normal_form, content))) + "}"
    if tag == "d":
        return "{" + ",".join(sorted(f"{normal_form(key)}:{normal_form(held)}" for key, held in content)) + "}"
    return f"{tag}{normal_form(content)}"


def _float_form(number: float) -> str:
    if math.isfinite(number) and number == int(number) and abs(number) < 10**_DIGITS:
        return str(int(number))
    return f"{number:.{_DIGITS}g}"


def hash_of(text: str) -> int:
    """Return 48 bits of a hash of a normal form."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int(struct.unpack(">Q", digest[:8])[0]) >> 16


_NONE = hash_of(normal_form(None))


def _behaviour(row: NDArray[np.float32] | None, inputs: CodeInputs) -> Behaviour:
    n_inputs = len(inputs.all)
    expected = np.full(n_inputs, -1, dtype=np.int64)
    for number, example in enumerate(inputs.examples):
        if example.has_expected:
            expected[number] = hash_of(normal_form(_plain(example.expected)))
    if row is None:
        return Behaviour(False, np.zeros((n_inputs, 2), dtype=np.int64), expected, len(inputs.examples))
    state, high, low = row[1:].astype(np.int64).reshape(n_inputs, 3).T
    value = high << 24 | low
    if (value[state == RETURNED] == _NONE).all() and not (expected == _NONE).any():
        state = np.where(state == RETURNED, NOTHING, state)
    outcomes = np.stack([state, value], axis=1)
    return Behaviour(bool(row[0]), outcomes, expected, len(inputs.examples))
