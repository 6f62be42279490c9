"""Entries of the label ledger, and which of them stand."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

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
