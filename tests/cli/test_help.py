"""Help is short, says what the docstring says, and a slip of the finger is answered with the right word."""

from __future__ import annotations

import functools
import inspect
import re

import pytest
import typer
from typer.testing import CliRunner, Result

from memreward.cli import app
from memreward.cli.help import USED
from rows import each_row

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@functools.cache
def said(*words: str, columns: int = 80) -> Result:
    return CliRunner().invoke(app, words, env={"COLUMNS": str(columns)})


def flags(text: str) -> set[str]:
    return set(re.findall(r"^│ +\*? *(--[a-z-]+)", text, re.MULTILINE))


@each_row("name", USED)
def test_help_shows_what_people_use_and_help_all_the_rest(name: str) -> None:
    short, whole = (flags(said(name, flag).stdout) for flag in ("--help", "--help-all"))
    assert short == {*USED[name].split(), "--help-all", "--help"}
    assert whole >= {next(o for o in p.opts) for p in COMMANDS[name].params if p.param_type_name == "option"}
    assert len(USED[name].split()) <= 8


@each_row("name", COMMANDS)
def test_a_command_that_shows_all_of_its_options_has_few(name: str) -> None:
    own = [p for p in getattr(COMMANDS[name], "params", []) if p.param_type_name == "option"]
    assert name in USED or len(own) <= 12


def test_an_option_that_is_not_shown_is_read_all_the_same() -> None:
    context = COMMANDS["warmup"].make_context("warmup", ["--memory", "m", "--skip-bad", "--format", "trl"])
    assert context.params["Reading_layout_format"] == "trl"


def test_square_brackets_are_no_markup() -> None:
    text = " ".join(said("train", "--help").stdout.split())
    assert "(steps = 100 under [grpo])" in text
    assert "the table [trl]" in text
    assert "[default: 20%]" in text
    assert "\\[" not in text


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_help_fits_the_terminal(columns: int) -> None:
    lines = said("train", "--help", columns=columns).stdout.splitlines()
    assert max(map(len, lines)) <= columns
    assert len(said("train", "--help").stdout.encode()) < 8000


@each_row("name", USED)
def test_no_name_of_an_option_is_cut_in_80_columns(name: str) -> None:
    assert "…" not in said(name, "--help-all").stdout


@pytest.mark.parametrize(
    ("words", "meant"),
    [(("trian",), "train"), (("evalute", "x"), "evaluate"), (("train", "--stps", "3"), "--steps")],
)
def test_a_slip_is_answered_with_what_was_meant(words: tuple[str, ...], meant: str) -> None:
    done = said(*words)
    assert done.exit_code == 2
    assert meant in done.stderr


def test_shells_complete_options_that_help_does_not_show() -> None:
    words = {"_MEMREWARD_COMPLETE": "complete_bash", "COMP_WORDS": "memreward train --groups", "COMP_CWORD": "2"}
    done = CliRunner().invoke(app, [], env=words, prog_name="memreward")
    assert "--groups-per-step" in done.stdout


def test_what_reads_an_option_has_a_name() -> None:
    """Typer 0.24, the lowest that pyproject.toml admits, asks for it."""
    from memreward.cli.evaluate import evaluate

    options = [p.annotation.__metadata__[0] for p in inspect.signature(evaluate).parameters.values()]
    parsers = [option.parser for option in options if option.parser is not None]
    assert parsers
    assert all(parser.__name__ for parser in parsers)


def test_help_all_of_a_command_that_shows_all_is_its_help() -> None:
    for command in (["check"], ["prior", "fit"]):
        whole = said(*command, "--help-all")
        assert whole.exit_code == 0
        assert whole.stdout == said(*command, "--help").stdout
