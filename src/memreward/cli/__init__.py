"""The command line: `memreward warmup`, `score`, `inspect`, `propose` and the others."""

from memreward.cli.app import app, main

__all__ = ["app", "main"]
