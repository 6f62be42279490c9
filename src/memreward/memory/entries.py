"""Entries of the label ledger, which of them stand, and what they say of a question's rollouts.

A judgement on one rollout settles every rollout of the question with an equivalent answer (not of code, where the same
text may behave differently), one on answers those that give them; where at most one answer is right and somebody named
it, all others are wrong. A rollout's own verdict stands before all, and of several on one answer the latest.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from memreward.domains import cluster_answers, rules_of
from memreward.types import Group, Label, Rollout

_Judgement = tuple[str, str | None, tuple[str, ...], bool | None]


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One ground truth that was consumed, or the withdrawal of one.

    Attributes:
        rollout_id: The rollout that was judged; None for the query's reference, and for a judgement on answers.
        correct: The verdict; None for a reference.
        time: Seconds since the epoch at which it was decided, whenever and for how many uses it was released.
        answers: Answers that were judged: one that is right, or one or more that are wrong. With a rollout its answer,
            by which equivalent ones are settled long after; () where it has none, or settles no other.
        withdraws: Id of the earlier entry that this one withdraws; "" where it is a judgement itself.
    """

    query_id: str
    rollout_id: str | None
    correct: bool | None
    source: str
    use: str
    time: float
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    answers: tuple[str, ...] = ()
    withdraws: str = ""

    @property
    def judgement(self) -> _Judgement:
        """What was said of what: equal ones count once."""
        return self.query_id, self.rollout_id, self.answers if self.rollout_id is None else (), self.correct


def standing(entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """Return the verdicts that stand, in the order they were decided; references are none.

    A withdrawal takes back what its source had said until then, for whatever use it was entered.
    """
    kept: list[LedgerEntry] = []
    by_id: dict[str, LedgerEntry] = {}
    for entry in sorted(entries, key=lambda entry: entry.time):
        if not entry.withdraws:
            by_id[entry.id] = entry
            if entry.correct is not None:
                kept.append(entry)
        elif entry.withdraws in by_id:
            gone = by_id[entry.withdraws]
            kept = [e for e in kept if (e.judgement, e.source) != (gone.judgement, gone.source)]
    return kept


def totals_of(entries: Sequence[LedgerEntry]) -> dict[str, int]:
    """Return "queries", "judgements" and "references" of entries, each counted once; what was withdrawn counts too."""
    judgements = {entry.judgement for entry in entries if not entry.withdraws}
    return {
        "queries": len({query_id for query_id, *_ in judgements}),
        "judgements": len(judgements),
        "references": sum(correct is None for *_, correct in judgements),
    }


@dataclass(frozen=True)
class Question:
    """A question and the judgements that stand; without `settle` nothing but each rollout's own counts."""

    group: Group
    entries: Sequence[LedgerEntry]
    settle: bool = True

    @cached_property
    def own(self) -> dict[str, LedgerEntry]:
        return {entry.rollout_id: entry for entry in self.entries if entry.rollout_id is not None}

    @cached_property
    def _classes(self) -> tuple[dict[str, int], dict[str, int]]:
        """Class of each rollout by id, and of each judged answer by its text; without an answer -1."""
        rollouts, query = self.group.rollouts, self.group.query
        judged = list(dict.fromkeys(answer for entry in self.entries for answer in entry.answers))
        answers = [*(rollout.answer for rollout in rollouts), *judged]
        found = cluster_answers(answers, query.domain, query_text=query.text)
        ids = [rollout.id for rollout in rollouts]
        return dict(zip(ids, found, strict=False)), dict(zip(judged, found[len(ids) :], strict=True))

    @cached_property
    def _by_class(self) -> dict[int, LedgerEntry]:
        """The latest judgement on each class of answers."""
        found: dict[int, LedgerEntry] = {}
        if not self.entries:
            return found
        of_rollout, of_answer = self._classes
        for entry in self.entries:
            if entry.rollout_id is None:
                found.update((of_answer[answer], entry) for answer in entry.answers)
            elif not rules_of(self.group.query.domain).settles:
                continue
            elif entry.rollout_id in of_rollout:
                found[of_rollout[entry.rollout_id]] = entry
            elif entry.answers:  # a rollout that is not at hand
                found[of_answer[entry.answers[0]]] = entry
        return found

    def told(self, rollout: Rollout) -> LedgerEntry | None:
        if rollout.id in self.own or not self.settle or not self.entries:
            return self.own.get(rollout.id)
        return self._by_class.get(self._classes[0][rollout.id])

    def known(self, rollout: Rollout) -> tuple[LedgerEntry, bool] | None:
        """Return the judgement that decides on a rollout, and what it says of it; None where nothing is known."""
        entry = self.told(rollout)
        if entry is not None:
            return entry, bool(entry.correct)
        if not self.settle or rules_of(self.group.query.domain).several_right:
            return None
        right = next((e for e in self._by_class.values() if e.correct and e.rollout_id is None), None)
        return None if right is None else (right, False)

    def label(self, rollout: Rollout) -> Label | None:
        known = self.known(rollout)
        if known is None:
            return None
        entry, correct = known
        return Label(self.group.query.id, rollout.id, correct, entry.source, entry.use, entry.time)

    def unsettled(self, among: Sequence[Rollout]) -> list[list[Rollout]]:
        """Return the rollouts on which a judgement would say something new; one of each list settles the others."""
        open_ = [rollout for rollout in among if self.told(rollout) is None]
        if not self.settle or not rules_of(self.group.query.domain).settles or len(open_) < 2:
            return [[rollout] for rollout in open_]
        classes: dict[int, list[Rollout]] = {}
        for rollout in open_:
            classes.setdefault(self._classes[0][rollout.id], []).append(rollout)
        return list(classes.values())
