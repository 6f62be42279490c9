"""How far a command says that it is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from rich.cells import cell_len

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
    ("seconds", "done", "left"),
    [(10, 40, ", 15 s left"), (123, 10, ", 1107 s left"), (3600, 1, ", 356400 s left"), (10, 0, "")],
)
def test_what_is_left_is_said_as_soon_as_a_step_is_done(
    lines: Callable[[float, int], str], seconds: float, done: int, left: str
) -> None:
    assert lines(seconds, done) == f"  training: {done} of 100, {seconds} s{left}"


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")
@pytest.mark.parametrize(
    ("columns", "terminal"),
    [("60", True), *(pytest.param("200", there, marks=pytest.mark.slow) for there in (True, False))],
)
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


COLUMNS = ("question", "change", "answers", "text")
LONG = [
    ("gym-0-1", 5.2871, 3, "Dorothy has four times as many friends as Michael " * 3),
    ("gym-0-2", 0.5, 12, "短い" * 60),
]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Returns the lines of a table on a terminal of some columns; on None it goes to a pipe."""

    def lines(rows: list[tuple[object, ...]], columns: tuple[str, ...], width: int | None, **how: bool) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(width or 300))
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setattr(output.Console, "is_terminal", width is not None)
        output.Output(as_json=False).table("A title", columns, rows, **how)
        return re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out).rstrip().splitlines()

    return lines


@pytest.mark.parametrize("width", [30, 40, 60, 80, None])
def test_no_line_is_wider_than_the_terminal_and_no_row_is_wrapped(
    shown: Callable[..., list[str]], width: int | None
) -> None:
    lines = shown(LONG, COLUMNS, width)
    assert max(map(cell_len, lines)) <= (width or 80)
    assert sum("gym-0-1" in line for line in lines) == 1
    if width != 30:
        assert len(lines) == 5
        assert all("…" in line and line.split()[0] in ("gym-0-1", "gym-0-2") for line in lines[-2:])


def test_where_numbers_do_not_fit_each_row_is_a_record(shown: Callable[..., list[str]]) -> None:
    lines = shown([("memreward", *range(10000, 10009)), ("majority", *range(9))], ("predictor", *"abcdefghi"), 50)
    assert "a          10000" in [line.rstrip() for line in lines]
    assert "i          8" in [line.rstrip() for line in lines]


def test_one_row_that_does_not_fit_is_a_list(shown: Callable[..., list[str]]) -> None:
    columns = tuple(f"a long heading {i}" for i in range(6))
    assert "a long heading 4  4" in [line.rstrip() for line in shown([tuple(range(6))], columns, 80)]


def test_a_table_can_be_shown_uncut(shown: Callable[..., list[str]]) -> None:
    assert "Michael Dorothy" in "".join(shown(LONG[:1], COLUMNS, None, uncut=True))
