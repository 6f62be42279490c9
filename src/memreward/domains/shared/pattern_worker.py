"""Searches texts for a pattern in a process of its own, which the one who asks kills in time. Run as a script."""

from __future__ import annotations

from memreward.domains.shared.answer_pattern import last_match
from memreward.domains.shared.worker import serve

if __name__ == "__main__":
    serve(last_match, lambda: None)
