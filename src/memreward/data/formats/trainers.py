"""What trainers write of their rollouts, a completion a row: verl's dumped generations, TRL's logged completions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from memreward.data.containers import Entry
from memreward.data.formats import table
from memreward.data.formats.found import Finds, Reading, Row

_TURN = re.compile(r"(?:\A|\n)user\n(.*?)\n?assistant\s*(?:<think>\s*)?\Z", re.DOTALL)
"""The turns of a chat from the first of the user's on, whose special tokens verl left out in decoding."""


def is_verl(row: Row) -> bool:
    """Whether a row is of verl's `rollout_data_dir` or `validation_data_dir`."""
    return {"input", "output", "score", "step"} <= row.keys()


def is_trl(row: Row) -> bool:
    """Whether a row is of what TRL logs with `log_completions`."""
    return {"prompt", "completion", "step", "advantage"} <= row.keys()


def from_verl(entries: Iterator[Entry], reading: Reading) -> Finds:
    """Yield one rollout a row; the reference is `gts`, and the question what the user said last."""
    return _from(entries, reading, "input", "output")


def from_trl(entries: Iterator[Entry], reading: Reading) -> Finds:
    """Yield one rollout a row; rewards are kept as provenance, each under its function's name."""
    return _from(entries, reading, "prompt", "completion")


def _from(entries: Iterator[Entry], reading: Reading, question: str, completion: str) -> Finds:
    named = replace(reading, question=reading.question or question, completions=reading.completions or completion)
    return table.found_in((_named_by_step(entry, str(named.question)) for entry in entries), named)


def _named_by_step(entry: Entry, question: str) -> Entry:
    where, row = entry
    if not isinstance(row, dict):
        return entry
    asked = row.get(question)
    rest = {key: value for key, value in row.items() if key != "step"}
    if row.get("step") is not None:
        rest["policy_version"] = f"step-{row['step']}"
    return where, rest | {question: _last_turn(asked) if isinstance(asked, str) else asked}


def _last_turn(prompt: str) -> str:
    turns = _TURN.search(prompt)
    last = turns[1].rpartition("\nuser\n")[2] if turns else ""
    return last if last.strip() else prompt
