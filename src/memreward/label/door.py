"""The one place where labelling touches the ledger, and what stands there and in the journal."""

import contextlib
from collections.abc import Collection, Sequence
from typing import NamedTuple

from memreward.domains import rules_of
from memreward.label.figures import twice_judged
from memreward.memory import Budget, ExperienceMemory
from memreward.memory.label import NOBODY, Judgement, Told, label
from memreward.memory.labelling import BROKEN, DECIDED, SKIPPED, Event, Journal
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


class Standing:
    """What stands; read once, and again when somebody has done something, in this process or another.

    Attributes:
        last: Id of the latest event that was read.
        skips: Pairs of question and annotator.
        proposed: Questions that a training would have labelled, and why.
        disputed: Questions on which two people disagree and which nobody settled.
    """

    def __init__(self, door: Door, journal: Journal) -> None:
        self._door, self._journal = door, journal
        self.labels: dict[str, bool] = {}
        self.read()

    def read(self, only: str | None = None, rollouts: Collection[str] = ()) -> None:
        """Read what stands; of the ledger, where `only` names a question, only what it says of its `rollouts`."""
        self.last = self._journal.last()
        self.events = self._journal.events()
        if only is None:
            self.labels = self._door.labels()
        else:
            rest = {key: correct for key, correct in self.labels.items() if key not in rollouts}
            self.labels = rest | self._door.labels([only])
        self.labelled = frozenset(self._door.labelled())
        self.broken = frozenset(event.query_id for event in self.events if event.kind == BROKEN)
        self.skips = {(event.query_id, event.annotator) for event in self.events if event.kind == SKIPPED}
        self.proposed = {query_id: one.why for query_id, one in self._journal.proposed().items()}
        self.decisions: dict[str, list[Event]] = {}
        for event in self.events:
            if event.kind == DECIDED:
                self.decisions.setdefault(event.query_id, []).append(event)
        self.disputed = twice_judged(self.decisions)[3]

    def by_others(self, query_id: str, annotator: str) -> bool:
        events = self.decisions.get(query_id, ())
        return bool(events) and all(event.annotator != annotator for event in events)

    def may_ask(self, query_id: str, annotator: str) -> bool:
        """Return whether a question may be put to somebody: it is not broken, and they have not skipped it."""
        return query_id not in self.broken and (query_id, annotator) not in self.skips
