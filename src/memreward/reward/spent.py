"""What a training has used of the label ledger, counted so that it goes back with the training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from memreward.memory import ExperienceMemory

_Judgement = tuple[str, str | None, bool | None]


class Spent:
    """Counts what the ledger held when training began, and what this training has asked for since.

    In a training that nobody interrupts these are the ledger's totals. The ledger never goes back, and a training that
    was killed does: this count goes back with it, and ends as if nobody had killed it.
    """

    def __init__(self, memory: ExperienceMemory) -> None:
        self._memory = memory
        self._entries: int | None = None  # in the ledger when training began
        self._opened: set[str] = set()
        self._verdicts = 0
        self._known: set[_Judgement] | None = None
        self._queries: set[str] = set()
        self._judgements = 0

    def begin(self) -> None:
        """Hold what the ledger has for spent before this training; the first call does it."""
        self._begun()

    def add(self, judgements: Iterable[_Judgement]) -> None:
        """Take in what training was told: query, rollout and verdict, or query, None and None for a reference."""
        known = self._begun()
        new = set(judgements) - known
        known |= new
        self._opened |= {query_id for query_id, rollout_id, _ in new if rollout_id is None}
        self._verdicts += sum(rollout_id is not None for _, rollout_id, _ in new)
        self._queries |= {query_id for query_id, _, _ in new}
        self._judgements += len(new)

    def counts(self) -> tuple[int, int]:
        """Return the number of distinct labelled queries, and of judgements."""
        self._begun()
        return len(self._queries), self._judgements

    def to_json(self) -> dict[str, Any]:
        self._begun()
        return {"entries": self._entries, "opened": sorted(self._opened), "verdicts": self._verdicts}

    def restore(self, state: dict[str, Any]) -> None:
        self._entries, self._opened, self._verdicts = state["entries"], set(state["opened"]), state["verdicts"]
        self._known = None

    def _begun(self) -> set[_Judgement]:
        if self._known is None:
            entries = self._memory.ledger.entries()
            if self._entries is None:
                self._entries = len(entries)
            before = {(entry.query_id, entry.rollout_id, entry.correct) for entry in entries[: self._entries]}
            self._known = before | {(query_id, None, None) for query_id in self._opened}
            self._queries = {query_id for query_id, _, _ in self._known}
            self._judgements = len(self._known) + self._verdicts
        return self._known
