"""Searches texts for a pattern in a process of its own, which the one who asks kills in time. Run as a script."""

from __future__ import annotations

from memreward.parsing.answer_pattern import last_match
from memreward.parsing.worker import serve

if __name__ == "__main__":
    serve(last_match, lambda: None)
