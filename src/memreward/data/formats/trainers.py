"""What trainers write of their rollouts, a completion a row: verl's dumped generations, TRL's logged completions."""

import re
from collections.abc import Iterator

from memreward.data.containers import Entry

_TURN = re.compile(r"(?:\A|\n)user\n(.*?)\n?assistant\s*(?:<think>\s*)?\Z", re.DOTALL)
"""The turns of a chat from the first of the user's on, whose special tokens verl left out in decoding."""


def rows(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Yield the rows with their step as the policy's version, and as the prompt what the user said last."""
    for where, row in entries:
        if not isinstance(row, dict):
            yield where, row
            continue
        prompts = {name: _last_turn(row[name]) for name in ("input", "prompt") if isinstance(row.get(name), str)}
        step = {} if row.get("step") is None else {"policy_version": f"step-{row['step']}"}
        yield where, {key: value for key, value in row.items() if key != "step"} | step | prompts


def _last_turn(prompt: str) -> str:
    turns = _TURN.search(prompt)
    last = turns[1].rpartition("\nuser\n")[2] if turns else ""
    return last if last.strip() else prompt
