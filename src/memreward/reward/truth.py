"""Ground truth for rollouts sampled in training: released by the ledger, judged, entered, and only then told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from memreward.domains import Verifiers
from memreward.memory import Budget, ExperienceMemory
from memreward.reward.spent import Spent
from memreward.types import PROGRAMMING_ERRORS, BudgetError, Claim, Domain, Group, Rollout

TRAINING = "training"
"""The ledger's name for ground truth that rewards labelled queries, and that the model learns from in training."""
SPENT = ("labelled_queries", "judgements")
"""Names under which trainers log what was used of the ledger."""


class Told(NamedTuple):
    """What ground truth says of a rollout.

    Attributes:
        labelled: Whether ground truth is what it is rewarded by: its query may be judged, and has a reference.
        correct: The verdict; None where there is none or it cannot be told.
        reason: Why it cannot be told.
        error: What kept it from being judged; None where nothing did.
    """

    labelled: bool
    correct: bool | None = None
    reason: str = ""
    error: Exception | None = None


class GroundTruth:
    """Judges rollouts of labelled queries.

    Args:
        memory: Holds the references, sealed, and the ledger.
        labelled: Ids of the queries that may be judged.
        budget: Holds over the whole ledger; None does not limit.
        verifiers: Judge by domain; None makes the default ones.

    Attributes:
        labelled: Ids of the queries that may be judged.
        used: What this training has used so far of the ledger.
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
        self.used = Spent(memory)
        self._references: dict[str, str] = {}

    def judge(self, rollouts: Sequence[Rollout]) -> list[Told]:
        """Judge n rollouts that memory holds; each verdict is in the ledger before it is returned.

        A query that the budget refuses, and a verifier that raises in one domain, cost the others nothing.

        Raises:
            StoreError: the ledger cannot be read or written.
            Exception: a programming error (`memreward.types.PROGRAMMING_ERRORS`) in a verifier.
        """
        self.used.begin()
        asked = {rollout.query.id for rollout in rollouts} & self.labelled
        refused = self._release(sorted(asked))
        judged = {i: _failed(refused[r.query.id]) for i, r in enumerate(rollouts) if r.query.id in refused}
        by_domain: dict[Domain, list[int]] = {}
        for place, rollout in enumerate(rollouts):
            if rollout.query.id in self._references:
                by_domain.setdefault(rollout.query.domain, []).append(place)
        for domain, places in by_domain.items():
            judged.update(zip(places, self._judge(domain, [rollouts[place] for place in places]), strict=True))
        return [judged.get(place, Told(False)) for place in range(len(rollouts))]

    def spent(self) -> dict[str, float]:
        """Return what this training has used so far: "labelled_queries" and "judgements", as trainers log it.

        Raises:
            StoreError: the ledger cannot be read.
        """
        return dict(zip(SPENT, map(float, self.used.counts()), strict=True))

    def _release(self, query_ids: Sequence[str]) -> dict[str, BudgetError]:
        """Open references; returns whom the budget refuses."""

        def release(asked: Sequence[str]) -> None:
            found = self.memory.ledger.release_references(asked, use=TRAINING, budget=self.budget)
            self._references.update(found)

        refused = _as_far_as_allowed(release, [each for each in query_ids if each not in self._references])
        self.used.add((query_id, None, None) for query_id in query_ids if query_id in self._references)
        return refused

    def _judge(self, domain: Domain, rollouts: Sequence[Rollout]) -> list[Told]:
        try:
            verdicts = self.verifiers.verify([Claim(r, self._references[r.query.id]) for r in rollouts])
        except PROGRAMMING_ERRORS:
            raise
        except Exception as error:  # a verifier may be the user's
            return [_failed(error)] * len(rollouts)
        told: dict[str, dict[str, bool]] = {}
        for rollout, verdict in zip(rollouts, verdicts, strict=True):
            if verdict.correct is not None:
                told.setdefault(rollout.query.id, {})[rollout.id] = verdict.correct
        refused = self._enter(domain, told)
        return [
            _failed(refused[rollout.query.id])
            if rollout.query.id in refused
            else Told(True, verdict.correct, verdict.reason)
            for rollout, verdict in zip(rollouts, verdicts, strict=True)
        ]

    def _enter(self, domain: Domain, told: Mapping[str, Mapping[str, bool]]) -> dict[str, BudgetError]:
        """Put verdicts into the ledger; returns whom the budget refuses."""
        source = self.verifiers.of(domain).name if told else ""

        def enter(asked: Sequence[str]) -> None:
            given = {query_id: told[query_id] for query_id in asked}
            self.memory.ledger.judge_all(given, source=source, use=TRAINING, budget=self.budget)

        refused = _as_far_as_allowed(enter, list(told))
        kept = {query_id: verdicts for query_id, verdicts in told.items() if query_id not in refused}
        self.used.add((query_id, *verdict) for query_id, verdicts in kept.items() for verdict in verdicts.items())
        return refused


def _as_far_as_allowed(ask: Callable[[Sequence[str]], None], query_ids: Sequence[str]) -> dict[str, BudgetError]:
    """Ask for all at once or, where the budget refuses that, one after the other; returns whom it refuses."""
    if not query_ids:
        return {}
    try:
        ask(query_ids)
    except BudgetError as error:
        if len(query_ids) == 1:
            return {query_ids[0]: error}
        return {each: found for one in query_ids for each, found in _as_far_as_allowed(ask, [one]).items()}
    return {}


def _failed(error: Exception) -> Told:
    return Told(True, None, str(error), error)


def groups_of(rollouts: Iterable[Rollout]) -> list[Group]:
    """Put rollouts into groups by query, without a truth."""
    by_query: dict[str, list[Rollout]] = {}
    for rollout in rollouts:
        by_query.setdefault(rollout.query.id, []).append(rollout)
    return [Group(members[0].query, tuple(members)) for members in by_query.values()]
