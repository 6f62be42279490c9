"""Commands run in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from memreward.cli import app


def run(*arguments: str | Path, code: int = 0) -> Any:
    """What came of a command line, which must leave with this exit code."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result
