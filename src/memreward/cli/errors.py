"""How a command ends: its exit code, and what it says when it fails."""

import errno
import functools
import os
import sys
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import typer

from memreward.cli.output import printable
from memreward.plugins import own_line
from memreward.types import MemRewardError, MissingExtraError

_EXTRAS = {
    **dict.fromkeys(("torch", "torch_geometric", "sentence_transformers"), "paper"),
    "sklearn": "baselines",
    "pyarrow": "parquet",
    "httpx": "endpoint",
    **dict.fromkeys(("fastapi", "uvicorn"), "label"),
    **dict.fromkeys(("transformers", "accelerate", "peft", "trl", "datasets"), "train"),
}
"""The extra that brings a package. Where it is known what for, the module that needs it says so itself."""


class Exit(IntEnum):
    """Exit codes; 2, wrong usage, is given by the parser of the command line."""

    OK = 0
    BAD_INPUT = 1
    USAGE = 2
    NOTHING_SCORED = 3
    CONSTANT_SCORES = 4
    INTERRUPTED = 130


def ends_well(resume: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Turn what a command raises into a message and an exit code, without a traceback."""

    def wrap(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def guarded(*given: Any, **options: Any) -> Any:
            try:
                return command(*given, **options)
            except BrokenPipeError:
                # The reader of our output has gone, as in `memreward ... | head`; stdout must not be flushed again.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(Exit.OK) from None
            except KeyboardInterrupt as error:
                raise _ended(f"\nInterrupted. {resume}", Exit.INTERRUPTED) from error
            except Exception as error:
                if (said := _said(error)) is None:
                    raise
                raise _ended(f"Error: {said}", Exit.BAD_INPUT) from error

        return guarded

    return wrap


def _ended(message: str, code: Exit) -> typer.Exit:
    typer.echo(printable(message), err=True)
    return typer.Exit(code)


def _said(error: Exception) -> str | None:
    """What is said of an error; None of one that is a defect of ours."""
    if isinstance(error, MemRewardError):
        return str(error)
    if isinstance(error, OSError):
        return _failure(error)
    package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if package in _EXTRAS:
        return str(MissingExtraError(package, _EXTRAS[package], "this command"))
    place = own_line(error)
    return f"{place}: {type(error).__name__}: {error}" if place else None


def _failure(error: OSError) -> str:
    # Of a file that was to take another's place, the one that was asked for is the second.
    place = error.filename2 or error.filename
    what = f"{place}: {error.strerror}" if place else str(error)
    remedies = {
        errno.ENOSPC: "free some space and run the same command again",
        errno.EACCES: "choose a path that you may read and write",
        errno.ENOENT: "check the path",
        errno.EISDIR: "name a file in it",
        errno.ENOTDIR: "a part of the path is a file: choose another folder",
    }
    return f"{what}; {remedies.get(error.errno or 0, 'repair what it names and run the same command again')}"
