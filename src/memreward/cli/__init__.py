"""The command line: `memreward warmup`, `score`, `inspect`, `ledger`, `evaluate`, `collect`."""

from memreward.cli.app import app, main

__all__ = ["app", "main"]
