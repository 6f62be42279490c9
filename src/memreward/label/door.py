"""The one place where labelling touches the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from memreward.memory import Budget, ExperienceMemory
from memreward.types import Query

USE = "labelling"
"""The ledger's name for what people, and judge models, say of answers."""


class Said(NamedTuple):
    """What is said of one distinct answer: its text (None for rollouts without one), its rollouts, the verdict."""

    text: str | None
    rollouts: tuple[str, ...]
    correct: bool


class Door:
    """Enters judgements on answers, takes them back, and says what stands.

    Args:
        memory: Its ledger keeps them.
        questions: Most questions that may have a label, whoever gave it; None does not limit.
    """

    def __init__(self, memory: ExperienceMemory, questions: int | None = None) -> None:
        self._memory, self.questions = memory, questions

    def enter(self, query: Query, said: Sequence[Said], source: str, *, whole: bool) -> list[str]:  # noqa: ARG002
        """Enter what was said of answers; it is durable on return.

        Args:
            query: The question.
            said: Of answers that memory holds.
            source: Who says so.
            whole: Whether it is said of all answers of the question.

        Returns:
            Ids of the ledger's entries, to take back.

        Raises:
            BudgetError: the budget holds no more.
            DataError: the memory has no such question.
        """
        verdicts = {key: each.correct for each in said for key in each.rollouts}
        ledger = self._memory.ledger
        ledger.judge_all({query.id: verdicts}, source=source, use=USE, budget=self._budget())
        return [f"{query.id}\n{key}" for key in verdicts]

    def take_back(self, entries: Sequence[str], source: str) -> None:
        """Take back entries; what they had overruled stands again."""
        ledger = self._memory.ledger
        places = [tuple(entry.rsplit("\n", 1)) for entry in entries]
        others = [e for e in ledger.entries() if (e.query_id, e.rollout_id) in places and e.source != source]
        for query_id, rollout_id in places:
            ledger.withdraw(query_id, [rollout_id], source=source, use=USE)
        for entry in others:
            if entry.correct is not None and entry.rollout_id is not None:
                ledger.judge(entry.query_id, entry.rollout_id, entry.correct, source=entry.source, use=USE)

    def labels(self, query_ids: Sequence[str] | None = None) -> dict[str, bool]:
        """Return what stands, by rollout id, of these questions or of all, whoever said it."""
        return {
            one.rollout_id: one.correct
            for one in self._memory.ledger.labels()
            if query_ids is None or one.query_id in query_ids
        }

    def labelled(self) -> list[str]:
        """Return the questions that have a label."""
        return list(dict.fromkeys(one.query_id for one in self._memory.ledger.labels()))

    def reference(self, query_id: str) -> str | None:
        """Open the reference of a question; the ledger says so."""
        found = self._memory.ledger.release_references([query_id], use=USE, budget=self._budget())
        return found.get(query_id)

    def _budget(self) -> Budget | None:
        return None if self.questions is None else Budget(queries=self.questions)
