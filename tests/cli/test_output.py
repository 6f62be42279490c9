"""How far a command says that it is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from rich.progress import Task

from memreward.cli import output


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, int], str]:
    """Returns the line that is said of the first steps of 100, which took so many seconds."""

    def line(seconds: float, done: int) -> str:
        said: list[str] = []
        clock = iter([0.0, 0.0, seconds])
        monkeypatch.setattr(output.time, "monotonic", lambda: next(clock))
        steps = output._Lines(said.append)
        steps("training", 0, 100)
        steps("training", done, 100)
        return "".join(said)

    return line


@pytest.mark.parametrize(
    ("seconds", "done", "rate"),
    [
        (10, 40, "4.0/s, 15 s left"),
        (10, 10, "1.0/s, 90 s left"),
        (20, 10, "2.0 s each, 180 s left"),
        (123, 10, "12.3 s each, 1107 s left"),
        (3600, 1, "3600.0 s each, 356400 s left"),
    ],
)
def test_slow_steps_are_told_in_seconds_each(
    lines: Callable[[float, int], str], seconds: float, done: int, rate: str
) -> None:
    assert lines(seconds, done) == f"  training: {done} of 100, {seconds} s, {rate}"


def test_without_a_finished_step_there_is_no_rate(lines: Callable[[float, int], str]) -> None:
    assert lines(10, 0) == "  training: 0 of 100, 10 s"


@pytest.mark.parametrize(("speed", "shown"), [(2.5, "2.5/s"), (0.08, "12.5 s each"), (None, "")])
def test_a_bar_tells_the_same_rate(speed: float | None, shown: str) -> None:
    task = Task(0, "training", 100, 1, _get_time=lambda: 0.0)  # type: ignore[arg-type]
    task.finished_speed = speed
    assert str(output._RateColumn().render(task)) == shown


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")
@pytest.mark.parametrize(("columns", "terminal"), [("60", True), ("200", True), ("200", False)])
def test_text_goes_out_without_colour_as_wide_as_the_terminal_and_80_where_there_is_none(
    columns: str, terminal: bool
) -> None:
    """A pipe gets 80 columns; a terminal its own, and with NO_COLOR no escape either."""
    import pty

    code = (
        "from memreward.cli.output import Output as O; o = O(False); o.text(str(o.width)); o.table('t', ['a'], [['b']])"
    )
    main, other = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=other if terminal else subprocess.PIPE,
        env={**os.environ, "COLUMNS": columns, "NO_COLOR": "1", "TERM": "xterm"},
        check=True,
    )
    os.close(other)
    text = os.read(main, 4096).decode() if terminal else done.stdout.decode()
    os.close(main)
    assert int(text.split()[0]) == (int(columns) if terminal else 80)
    assert not re.search(r"\x1b\[(3|4|9)", text), "no colour"
    assert terminal or "\x1b" not in text
