"""The label ledger: what ground truth was consumed, by whom and for what; `memreward.memory.label` is what adds to it.

A query counts once, however many of its rollouts are judged. A judgement is one verdict on one rollout or on answers,
or one reference; the same verdict counts once, whoever gives it and for whatever use, also where it is withdrawn.

Of all entries on a rollout the latest is its label; it settles equivalent answers (`memreward.memory.entries`), and
serves every other use without being paid for again. Labels that are only to measure with, and must not be learned from,
belong in a ledger of their own (`LabelLedger.detached`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal
from uuid import uuid4

from memreward.data.draw import stratified_order
from memreward.memory.budget import Budget
from memreward.memory.entries import LedgerEntry, Question, standing, totals_of
from memreward.memory.sealed import SealedStore
from memreward.types import DataError, Group, Label

By = Literal["verdicts", "references"]


class LabelLedger:
    """What was consumed of ground truth, and which queries to label within a budget."""

    def __init__(self, backend: SealedStore) -> None:
        self._backend = backend

    @classmethod
    def detached(cls, groups: Iterable[Group]) -> LabelLedger:
        return cls(SealedStore.of_groups(groups))

    def labels(self, use: str | None = None) -> list[Label]:
        """Return the latest verdict on each rollout itself, for one use or any."""
        latest = {e.rollout_id: e for e in standing(self.entries()) if e.rollout_id and use in (None, e.use)}
        return [Label(e.query_id, str(e.rollout_id), bool(e.correct), e.source, e.use, e.time) for e in latest.values()]

    def labelled(self) -> list[str]:
        """Return the ids of the queries of which any verdict stands, whoever gave it and for whatever use."""
        return list(dict.fromkeys(entry.query_id for entry in standing(self.entries())))

    def entries(self, query_ids: Sequence[str] | None = None) -> list[LedgerEntry]:
        return self._backend.entries(query_ids)

    def __len__(self) -> int:
        return self._backend.entry_count()

    def spent(self) -> tuple[int, int]:
        """Return how many distinct queries, and how many judgements, were released so far; cheaper than `totals`."""
        return self._backend.spent()

    def totals(self) -> dict[str, Any]:
        """Return what was spent: "queries", "judgements", "references", and the same under "uses" and "sources"."""
        entries = [entry for entry in self.entries() if not entry.withdraws]
        return {
            **totals_of(entries),
            "uses": {use: totals_of([e for e in entries if e.use == use]) for use in sorted({e.use for e in entries})},
            "sources": {
                source: totals_of([e for e in entries if e.source == source])
                for source in sorted({e.source for e in entries})
            },
        }

    def withdraw(self, entry_id: str, *, source: str) -> LedgerEntry:
        """Take a verdict back, by id; the ledger keeps it, and counts it. What it had overruled stands again."""
        with self._backend.lock():
            found = [entry for entry in standing(self.entries()) if entry.id == entry_id]
            if not found:
                raise DataError(f"ledger entry {entry_id!r} is not a verdict that stands: see memreward ledger")
            gone = found[0]
            made = replace(gone, id=uuid4().hex, source=source, time=time.time(), withdraws=gone.id)
            self._backend.append([made])
        return made

    def choose(
        self,
        budget: Budget | None,
        seed: int = 0,
        *,
        among: Sequence[str] | None = None,
        by: By = "verdicts",
        order: Sequence[str] | None = None,
    ) -> list[str]:
        """Return the queries to label: those that are labelled already, which cost nothing, then others, at random.

        Those are drawn, each dataset in proportion, as far as the budget goes; the draw depends on seed, ids and
        datasets alone, and a larger budget's begins with a smaller one's. What has no verdict (no reference) cannot be
        drawn.

        Args:
            budget: How many, over the whole ledger; None draws all. Shares are of the whole memory.
            by: What is to be released: verdicts, or the references by which a verifier judges all rollouts. By
                references nothing is there already: the draw is the same whatever the ledger holds.
            order: Take other queries in this order instead of drawing them.
        """
        datasets = self._backend.datasets()
        candidates = datasets if among is None else dict.fromkeys(among)
        labelled = set(self.labelled()) if by == "verdicts" else set[str]()
        eligible = self._eligible(by) | labelled
        held = [query_id for query_id in candidates if query_id in labelled and query_id in datasets]
        if order is None:
            drawn = stratified_order({q: datasets[q] for q in candidates if q in eligible and q in datasets}, seed)
        else:
            known = [query_id for query_id in dict.fromkeys(order) if query_id in candidates and query_id in eligible]
            drawn = list(dict.fromkeys([*known, *held]))
        first = [*(q for q in drawn if q in labelled), *(q for q in drawn if q not in labelled)]
        return first if budget is None else self._affordable(first, budget, by)

    def ineligible(self, among: Sequence[str] | None = None) -> list[str]:
        """Return the queries, of these or of all, that cannot be labelled: no rollout has a verdict or was judged."""
        known = self._eligible("verdicts") | set(self.labelled())
        return [
            query_id for query_id in (self._backend.datasets() if among is None else among) if query_id not in known
        ]

    def _eligible(self, by: By) -> set[str]:
        found = self._backend.truths()
        return {q for q, t in found.items() if (t.reference is not None if by == "references" else t.correct)}

    def _affordable(self, queries: Sequence[str], budget: Budget, by: By) -> list[str]:
        """The first of `queries`, as far as the budget goes; by verdicts, what the ledger holds was paid for."""
        most_queries, most_judgements = budget.limits(self._counted(budget))
        paid: set[str] = set()
        spent_queries, spent_judgements = 0, 0
        if by == "verdicts":
            paid = {entry.query_id for entry in self.entries()}
            spent_queries, spent_judgements = self.spent()
        chosen: list[str] = []
        for query_id in queries:
            new = int(query_id not in paid)
            if new and most_queries is not None and spent_queries + new > most_queries:
                continue
            more = 0 if most_judgements is None else self._cost(query_id, by)
            if more and most_judgements is not None and spent_judgements + more > most_judgements:
                if new:
                    break  # cheaper ones further on are not preferred
                continue
            spent_queries, spent_judgements = spent_queries + new, spent_judgements + more
            chosen.append(query_id)
        return chosen

    def _counted(self, budget: Budget) -> int:
        """Queries that a budget is a share of; counting them takes all of memory, and an absolute budget needs none."""
        return 0 if budget.share is None else self._backend.truth_count()

    def _cost(self, query_id: str, by: By) -> int:
        """Judgements that releasing a query costs: one for each answer that nothing has settled, and its reference."""
        (group,) = self._backend.groups([query_id])
        if by == "references":
            return 1 + len(Question(group, ()).unsettled(group.rollouts))
        known = self._backend.truths([query_id])
        sealed = known[query_id].correct if query_id in known else {}
        question = Question(group, standing(self.entries([query_id])))
        return len(question.unsettled([rollout for rollout in group.rollouts if rollout.id in sealed]))

    def _enter(self, wanted: Sequence[LedgerEntry], budget: Budget | None) -> list[LedgerEntry]:
        """Enter what is wanted and does not stand yet, or was overruled or withdrawn since: all of it, or nothing."""
        if not wanted:
            return []
        with self._backend.lock():
            known = self._backend.entries(list(dict.fromkeys(entry.query_id for entry in wanted)))
            references = [entry for entry in known if entry.correct is None]
            latest = {(e.query_id, e.rollout_id, e.answers, e.use): e for e in [*standing(known), *references]}
            entered = {(entry.judgement, entry.use, entry.source) for entry in latest.values()}
            new = [entry for entry in wanted if (entry.judgement, entry.use, entry.source) not in entered]
            if budget is not None:
                paid = [entry for entry in known if not entry.withdraws]
                asked = (
                    len({entry.query_id for entry in new} - {entry.query_id for entry in paid}),
                    len({entry.judgement for entry in new} - {entry.judgement for entry in paid}),
                )
                budget.enforce(self._counted(budget), self.spent(), asked)
            self._backend.append(new)
        return new
