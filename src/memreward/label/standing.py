"""What stands of all that was said: in the ledger, and in the journal."""

from collections.abc import Collection

from memreward.label.door import Door
from memreward.label.figures import twice_judged
from memreward.memory.labelling import BROKEN, DECIDED, SKIPPED, Event, Journal


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
