"""Ground truth for rollouts sampled in training: released by the ledger, judged, entered, and only then told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from memreward.memory import Budget, ExperienceMemory
from memreward.reward.growth import TRAINING
from memreward.types import Claim, Domain, Group, Rollout, Truth
from memreward.verify import Verifiers


class Judged(NamedTuple):
    """What ground truth says of a rollout.

    Attributes:
        labelled: Whether the ledger released a reference for its query.
        correct: The verdict; None where there is none or it cannot be told.
        reason: Why it cannot be told.
    """

    labelled: bool
    correct: bool | None = None
    reason: str = ""


class GroundTruth:
    """Judges rollouts of labelled queries.

    Args:
        memory: Holds the references, sealed, and the ledger.
        labelled: Ids of the queries that may be judged.
        budget: Holds over the whole ledger; None does not limit.
        verifiers: Judge by domain; None makes the default ones.

    Attributes:
        labelled: Ids of the queries that may be judged.
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
        self._references: dict[str, str] = {}

    def judge(self, rollouts: Sequence[Rollout]) -> list[Judged]:
        """Judge n rollouts that memory holds; each verdict is in the ledger before it is returned.

        Raises:
            BudgetError: a label would exceed the budget.
            StoreError: the ledger cannot be written.
        """
        self._release({rollout.query.id for rollout in rollouts} & self.labelled)
        claims = {i: Claim(r, self._references[r.query.id]) for i, r in enumerate(rollouts) if self._released(r)}
        verdicts = dict(zip(claims, self.verifiers.verify(list(claims.values())), strict=True))
        self._enter([(rollouts[i], verdict.correct) for i, verdict in verdicts.items() if verdict.correct is not None])
        return [
            Judged(True, verdicts[i].correct, verdicts[i].reason) if i in verdicts else Judged(False)
            for i in range(len(rollouts))
        ]

    def _released(self, rollout: Rollout) -> bool:
        return rollout.query.id in self._references

    def _release(self, query_ids: set[str]) -> None:
        new = sorted(query_ids - self._references.keys())
        if new:
            self._references.update(self.memory.ledger.release_references(new, use=TRAINING, budget=self.budget))

    def _enter(self, verdicts: Sequence[tuple[Rollout, bool]]) -> None:
        by_domain: dict[Domain, dict[str, dict[str, bool]]] = {}
        for rollout, correct in verdicts:
            by_domain.setdefault(rollout.query.domain, {}).setdefault(rollout.query.id, {})[rollout.id] = correct
        for domain, found in by_domain.items():
            source = self.verifiers.of(domain).name
            self.memory.ledger.judge_all(found, source=source, use=TRAINING, budget=self.budget)


def groups_of(rollouts: Sequence[Rollout], references: Sequence[Any]) -> list[Group]:
    """Put rollouts into groups by query, each with the first text among its n references, sealed."""
    by_query: dict[str, list[int]] = {}
    for index, rollout in enumerate(rollouts):
        by_query.setdefault(rollout.query.id, []).append(index)
    return [
        Group(
            rollouts[members[0]].query,
            tuple(rollouts[i] for i in members),
            Truth(next((references[i] for i in members if isinstance(references[i], str)), None)),
        )
        for members in by_query.values()
    ]
