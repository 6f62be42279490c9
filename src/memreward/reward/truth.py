"""Ground truth for rollouts sampled in training: released by the ledger, judged, entered, and only then told."""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from memreward.domains import Verifiers
from memreward.memory import NOBODY, Budget, ExperienceMemory, Labelled, label
from memreward.memory.entries import standing
from memreward.types import Group, Rollout

TRAINING = "training"
"""The ledger's name for ground truth that rewards labelled queries, and that the model learns from in training."""
SPENT = ("labelled_queries", "judgements")
"""Names under which trainers log what the ledger holds."""


class Ruling(NamedTuple):
    """What ground truth says of a rollout.

    Attributes:
        labelled: Whether ground truth is what it is rewarded by: its query may be judged, and has a reference.
        correct: The verdict; None where there is none or it cannot be told.
        error: What kept it from being judged; None where nothing did.
    """

    labelled: bool
    correct: bool | None = None
    reason: str = ""
    error: Exception | None = None


class GroundTruth:
    """Judges rollouts of labelled queries, and heeds what others enter into the ledger meanwhile.

    Attributes:
        heard: Verdicts in the ledger, of other uses than training, that `news` told of; None before its first call.
        told: Questions of which such a verdict stands, as of the latest call of `news`.
    """

    def __init__(
        self,
        memory: ExperienceMemory,
        labelled: Iterable[str],
        *,
        budget: Budget | None = None,
        verifiers: Verifiers | None = None,
    ) -> None:
        self.memory, self.labelled = memory, frozenset(labelled)
        self.budget, self.verifiers = budget, verifiers or Verifiers()
        self.heard: int | None = None
        self.told: frozenset[str] = frozenset()
        self._entries = 0

    def judge(self, rollouts: Sequence[Rollout]) -> list[Ruling]:
        """Judge n rollouts that memory holds; each verdict is in the ledger before it is returned.

        Of a query that may not be judged, what others said of it and of equivalent answers is told; it is labelled
        where they said enough to tell all of its rollouts here. A query that the budget refuses, and a verifier that
        raises in one domain, cost the others nothing; a programming error in a verifier is raised.
        """
        queries = list(dict.fromkeys(rollout.query.id for rollout in rollouts))
        own = [query_id for query_id in queries if query_id in self.labelled]
        others = [query_id for query_id in queries if query_id not in self.labelled]
        found = label(self.memory, own, self.verifiers, self.budget, TRAINING, rollouts=rollouts, each=True)
        said = label(self.memory, others, NOBODY, use=TRAINING, rollouts=rollouts)
        self._entries += len(found.entered) + len(said.entered)
        known = {one.rollout_id: one.correct for one in (*found.labels, *said.labels)}
        unknown = {rollout.query.id for rollout in rollouts if rollout.id not in known}
        return [
            self._told(rollout, known.get(rollout.id), found)
            if rollout.query.id in self.labelled
            else Ruling(rollout.query.id not in unknown, known.get(rollout.id))
            for rollout in rollouts
        ]

    def spent(self) -> dict[str, float]:
        """Return what the ledger holds: "labelled_queries" and "judgements", as trainers log it."""
        return dict(zip(SPENT, map(float, self.memory.ledger.spent()), strict=True))

    def news(self, learned: Collection[str]) -> list[str]:
        """Return the queries on which others, in any process, have entered or withdrawn verdicts since the last call.

        Args:
            learned: Queries whose verdicts were learned from before the first call.
        """
        ledger = self.memory.ledger
        if self.heard is not None and len(ledger) == self._entries:
            return []
        entries = ledger.entries()
        theirs = [entry for entry in entries if entry.correct is not None and entry.use != TRAINING]
        new = theirs[self.heard :] if self.heard is not None else [e for e in theirs if e.query_id not in learned]
        self.heard, self._entries = len(theirs), len(entries)
        self.told = frozenset(entry.query_id for entry in standing(theirs))
        return list(dict.fromkeys(entry.query_id for entry in new))

    def known(self, rollouts: Sequence[Rollout]) -> dict[str, bool]:
        """Return what the ledger says of these rollouts and of equivalent answers, by rollout id."""
        queries = dict.fromkeys(rollout.query.id for rollout in rollouts)
        found = label(self.memory, queries, NOBODY, use=TRAINING, rollouts=rollouts)
        self._entries += len(found.entered)
        return {one.rollout_id: one.correct for one in found.labels}

    def _told(self, rollout: Rollout, correct: bool | None, found: Labelled) -> Ruling:
        verdict = found.verdicts.get(rollout.id)
        if correct is not None:
            return Ruling(True, correct, "" if verdict is None else verdict.reason)
        if rollout.query.id in found.failed:
            return _failed(found.failed[rollout.query.id])
        return Ruling(False) if verdict is None else Ruling(True, None, verdict.reason)


def _failed(error: Exception) -> Ruling:
    return Ruling(True, None, str(error), error)


def groups_of(rollouts: Iterable[Rollout]) -> list[Group]:
    """Put rollouts into groups by query, without a truth."""
    by_query: dict[str, list[Rollout]] = {}
    for rollout in rollouts:
        by_query.setdefault(rollout.query.id, []).append(rollout)
    return [Group(members[0].query, tuple(members)) for members in by_query.values()]
