"""The one place where labelling touches the ledger."""

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

from memreward.domains import rules_of
from memreward.memory import Budget, ExperienceMemory
from memreward.memory.label import NOBODY, Judgement, Told, label
from memreward.types import Claim, DataError, Query, Verdict

USE = "labelling"
"""The ledger's name for what people, and judge models, say of answers."""


class Said(NamedTuple):
    """What is said of one distinct answer: its text (None for rollouts without one), its rollouts, the verdict."""

    text: str | None
    rollouts: tuple[str, ...]
    correct: bool


class Door:
    """Enters judgements, takes them back, and says what stands; at most `questions`, if given, have a label."""

    def __init__(self, memory: ExperienceMemory, questions: int | None = None) -> None:
        self._memory, self.questions = memory, questions

    def enter(self, query: Query, said: Sequence[Said], source: str, *, whole: bool) -> list[str]:
        """Enter what was said of answers (of all of a question, if `whole`), durably; returns the entries' ids.

        Raises BudgetError where the budget holds no more, DataError where memory has no such question.
        """
        judgements = self._judgements(query, said, whole=whole)
        found = label(self._memory, None, Told(source, judgements), self._budget(), USE)
        return [entry.id for entry in found.entered if entry.source == source]

    def take_back(self, entries: Sequence[str], source: str) -> None:
        """Take back entries; what they had overruled stands again."""
        for entry in entries:
            with contextlib.suppress(DataError):  # taken back already, from another process
                self._memory.ledger.withdraw(entry, source=source)

    def labels(self, query_ids: Sequence[str] | None = None) -> dict[str, bool]:
        """Return what stands, by rollout id, of these questions or of all, whoever said it."""
        asked = self._memory.ledger.labelled() if query_ids is None else query_ids
        return {one.rollout_id: one.correct for one in label(self._memory, asked, NOBODY, use=USE).labels}

    def labelled(self) -> list[str]:
        return self._memory.ledger.labelled()

    def reference(self, query_id: str) -> str | None:
        """Open the reference of a question; the ledger says so. None where there is none, or all is judged already."""
        reader = _Reader()
        label(self._memory, [query_id], reader, self._budget(), USE)
        return reader.reference

    def _judgements(self, query: Query, said: Sequence[Said], *, whole: bool) -> list[Judgement]:
        if rules_of(query.domain).several_right:
            return [Judgement(query.id, each.correct, rollout_id=key) for each in said for key in each.rollouts]
        right = [each.text for each in said if each.correct and each.text is not None]
        wrong = [each.text for each in said if not each.correct and each.text is not None]
        if whole and not right:
            return [Judgement(query.id, False)]
        judged_before = any(entry.correct is not None for entry in self._memory.ledger.entries([query.id]))
        named = [Judgement(query.id, True, answers=(text,)) for text in right]
        # A right answer makes all others wrong, unless somebody called one of them right before.
        if wrong and (judged_before or not right):
            named.insert(0, Judgement(query.id, False, answers=tuple(wrong)))
        return named

    def _budget(self) -> Budget | None:
        return None if self.questions is None else Budget(queries=self.questions)


class _Reader:
    name = "reader"

    def __init__(self) -> None:
        self.reference: str | None = None

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        self.reference = claims[0].reference if claims else self.reference
        return [Verdict(None, "shown to a person")] * len(claims)
