"""The label ledger: the only way out for ground truth, and the budget it keeps to.

What counts: a query counts once, however many of its labels are released. A judgement is one verdict on one rollout,
or one reference; the same verdict on the same rollout counts once, whoever gives it and for whatever use.

What stands: of all entries on a rollout the latest is its label, whoever gave it (a file, a verifier, a person) and for
whatever use. It serves every other use without being paid for again. Labels that are only to measure with, and must not
be learned from, belong in a ledger of their own (`LabelLedger.detached`).
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from memreward.data.draw import Count, checked_count, count_from, count_of, stratified_order
from memreward.types import BudgetError, ConfigurationError, DataError, Group, Label


@dataclass(frozen=True, slots=True)
class Budget:
    """How much ground truth may be consumed; None does not limit.

    Attributes:
        queries: Distinct labelled queries: a whole number, a share between 0 and 1 of the queries with any ground truth
            (rounded down, to at least one), or "all" of these. 0 allows none.
        judgements: Verdicts and references: a whole number, a share of the verdicts there are, or "all".

    Raises:
        ConfigurationError: nothing is limited, or a value is no count. 1.0 is refused: it reads as one and as all.
    """

    queries: Count | None = None
    judgements: Count | None = None

    def __post_init__(self) -> None:
        if self.queries is None and self.judgements is None:
            raise ConfigurationError("a budget must limit queries or judgements, e.g. Budget(queries=0.2)")
        for unit in ("queries", "judgements"):
            if getattr(self, unit) is not None:
                object.__setattr__(self, unit, checked_count(getattr(self, unit), f"budget {unit}"))

    @classmethod
    def of(cls, labels: Count | str) -> Budget:
        """Return the budget of so many labelled queries: a count, or text that says one ("20%", "200", "all").

        Raises:
            ConfigurationError: it is none.
        """
        return cls(queries=count_from(labels) if isinstance(labels, str) else checked_count(labels, "labels"))

    def limits(self, queries: int, judgements: int) -> tuple[int | None, int | None]:
        """Return the most queries and judgements allowed where there are so many of them."""
        return (
            None if self.queries is None else count_of(self.queries, queries),
            None if self.judgements is None else count_of(self.judgements, judgements),
        )


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One ground truth that was consumed.

    Attributes:
        query_id: The query.
        rollout_id: The rollout that was judged; None for the query's reference.
        correct: The verdict; None for a reference.
        source: Who or what decided.
        use: What it was released for.
        time: Seconds since the epoch.
        id: Unique.
    """

    query_id: str
    rollout_id: str | None
    correct: bool | None
    source: str
    use: str
    time: float
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True, slots=True)
class SealedTruth:
    """Ground truth of one query: its reference, and the verdicts there are by rollout id, in the rollouts' order."""

    reference: str | None
    correct: Mapping[str, bool]


class LedgerBackend(Protocol):
    """Where a ledger finds sealed truths and keeps its entries."""

    def datasets(self) -> dict[str, str]:
        """Return the dataset of every query, by query id."""
        ...

    def rollout_ids(self, query_id: str) -> set[str]:
        """Return the ids of a query's rollouts; none where the query is unknown."""
        ...

    def truths(self, query_ids: Sequence[str] | None = None) -> dict[str, SealedTruth]:
        """Return the truths of these queries, or of all; a query without any is absent."""
        ...

    def truth_counts(self) -> tuple[int, int]:
        """Return the number of queries with any truth, and of verdicts."""
        ...

    def entries(self, query_ids: Sequence[str] | None = None) -> list[LedgerEntry]:
        """Return the entries of these queries, or all, in the order they were made."""
        ...

    def spent(self) -> tuple[int, int]:
        """Return the number of distinct queries and judgements in the entries."""
        ...

    def append(self, entries: Sequence[LedgerEntry]) -> None:
        """Keep entries; they are durable on return."""
        ...

    def lock(self) -> AbstractContextManager[Any]:
        """Keep other writers out."""
        ...


class LabelLedger:
    """Releases ground truth, enters every release with its use before returning it, and enforces the budget.

    Args:
        backend: The truths and the entries, of a memory or of this process alone.
    """

    def __init__(self, backend: LedgerBackend) -> None:
        self._backend = backend

    @classmethod
    def detached(cls, groups: Iterable[Group]) -> LabelLedger:
        """Return a ledger over the truths of `groups` that is kept in this process only, e.g. for one split."""
        return cls(_GroupsBackend(groups))

    def release(
        self, query_ids: Sequence[str], *, use: str, budget: Budget | None = None, source: str = "file"
    ) -> list[Label]:
        """Return the labels of all rollouts of these queries; they are in the ledger when this returns.

        A label that stands in the ledger already, whoever gave it and for whatever use, costs nothing again, precedes
        what is sealed, and keeps its source; for a new use it is entered again. Rollouts and queries without a verdict
        give no label. All is released or, if the budget does not suffice, nothing.

        Args:
            query_ids: Queries to label.
            use: What for, e.g. "warmup".
            budget: Holds over the whole ledger, not only this release; None releases without limit.
            source: Where the sealed verdicts are from.

        Raises:
            BudgetError: more would be spent than the budget holds.
        """

        def wanted(truths: Mapping[str, SealedTruth], known: Sequence[LedgerEntry]) -> list[LedgerEntry]:
            now = time.time()
            standing = _standing(known)
            sealed = {
                (query_id, rollout_id): LedgerEntry(query_id, rollout_id, correct, source, use, now)
                for query_id, truth in truths.items()
                for rollout_id, correct in truth.correct.items()
            }
            given = {key: replace(entry, use=use, time=now, id=uuid.uuid4().hex) for key, entry in standing.items()}
            return list((sealed | given).values())

        return [_label(entry) for entry in self._consume(query_ids, wanted, budget)]

    def release_references(
        self, query_ids: Sequence[str], *, use: str, budget: Budget | None = None, source: str = "file"
    ) -> dict[str, str]:
        """Open the references of these queries, for a verifier, by query id; each counts as one judgement.

        Raises:
            BudgetError: more would be spent than the budget holds.
        """
        references: dict[str, str] = {}

        def wanted(truths: Mapping[str, SealedTruth], _: Sequence[LedgerEntry]) -> list[LedgerEntry]:
            references.update((key, truth.reference) for key, truth in truths.items() if truth.reference is not None)
            now = time.time()
            return [LedgerEntry(query_id, None, None, source, use, now) for query_id in references]

        self._consume(query_ids, wanted, budget)
        return references

    def judge(
        self, query_id: str, rollout_id: str, correct: bool, *, source: str, use: str, budget: Budget | None = None
    ) -> Label:
        """Enter a judgement from outside, e.g. a person's; a later one on the same rollout prevails.

        Raises:
            BudgetError: the budget holds no more.
            DataError: the memory has no such rollout.
        """
        return self.judge_all({query_id: {rollout_id: correct}}, source=source, use=use, budget=budget)[0]

    def judge_all(
        self,
        verdicts: Mapping[str, Mapping[str, bool]],
        *,
        source: str,
        use: str,
        budget: Budget | None = None,
    ) -> list[Label]:
        """Enter many judgements from outside at once, by query id and rollout id; see `judge`.

        Raises:
            BudgetError: the budget does not hold all of them; none is entered.
            DataError: the memory lacks one of the rollouts.
        """
        entries = []
        for query_id, given in verdicts.items():
            known = self._backend.rollout_ids(query_id) if given else set()
            for rollout_id, correct in given.items():
                if rollout_id not in known:
                    raise DataError(
                        f"judged rollout {rollout_id!r} of query {query_id!r} is not in the memory; add its group first"
                    )
                entries.append(LedgerEntry(query_id, rollout_id, bool(correct), source, use, time.time()))
        return [_label(entry) for entry in self._consume(list(verdicts), lambda *_: entries, budget)]

    def withdraw(self, query_id: str, rollout_ids: Sequence[str], *, source: str, use: str) -> None:
        """Take back what stands on these rollouts; an entry says so, and what was entered stays to be read."""
        now = time.time()
        with self._backend.lock():
            self._backend.append([LedgerEntry(query_id, key, None, source, use, now) for key in rollout_ids])

    def labels(self, use: str | None = None) -> list[Label]:
        """Return what was released so far, for one use or any: one label a rollout, the latest."""
        return [_label(e) for e in _standing([e for e in self.entries() if use in (None, e.use)]).values()]

    def entries(self) -> list[LedgerEntry]:
        """Return all entries in the order they were made."""
        return self._backend.entries()

    def spent(self) -> tuple[int, int]:
        """Return how many distinct queries, and how many judgements, were released so far; cheaper than `totals`."""
        return self._backend.spent()

    def totals(self) -> dict[str, Any]:
        """Return what was spent: "queries", "judgements", "references", and the same under "uses" and "sources"."""
        entries = self.entries()
        return {
            **_totals(entries),
            "uses": {use: _totals([e for e in entries if e.use == use]) for use in sorted({e.use for e in entries})},
            "sources": {
                source: _totals([e for e in entries if e.source == source])
                for source in sorted({e.source for e in entries})
            },
        }

    def choose(
        self,
        budget: Budget | None,
        seed: int,
        *,
        among: Sequence[str] | None = None,
        stratify: bool = True,
        by: Literal["verdicts", "references"] = "verdicts",
        order: Sequence[str] | None = None,
    ) -> list[str]:
        """Return the queries to label: those that are labelled already, then others, uniformly at random.

        Queries with a label in the ledger come first and cost nothing, whoever gave it. The others are drawn, each
        dataset in proportion, as far as what is left of the budget goes. The draw depends on seed, ids and datasets
        alone, not on the order of the memory. A larger budget's draw begins with a smaller one's. Queries without a
        verdict (without a reference) cannot be drawn: see `ineligible`.

        Args:
            budget: How many, over the whole ledger; None draws all. Shares are of the whole memory.
            seed: Of the draw.
            among: Query ids to choose from; None is all.
            stratify: False draws without regard to datasets.
            by: What is to be released: verdicts, or the references by which a verifier judges all rollouts. By
                references nothing is there already: the draw is the same whatever the ledger holds.
            order: Take other queries in this order instead of drawing them.
        """
        datasets = self._backend.datasets()
        candidates = datasets if among is None else dict.fromkeys(among)
        labelled = self._labelled() if by == "verdicts" else {}
        costs = self._costs(by, labelled)
        held = [query_id for query_id in candidates if query_id in labelled and query_id in datasets]
        if order is None:
            strata: dict[str, list[str]] = {}
            for query_id in candidates:
                if query_id in costs and query_id in datasets:
                    strata.setdefault(datasets[query_id] if stratify else "", []).append(query_id)
            drawn = stratified_order(strata, seed)
        else:
            known = [query_id for query_id in dict.fromkeys(order) if query_id in candidates and query_id in costs]
            drawn = list(dict.fromkeys([*known, *held]))
        first = [*(q for q in drawn if q in labelled), *(q for q in drawn if q not in labelled)]
        return first if budget is None else self._affordable(first, costs, budget, by)

    def _labelled(self) -> dict[str, set[str]]:
        """Ids of the rollouts with a label, by query id."""
        labelled: dict[str, set[str]] = {}
        for query_id, rollout_id in _standing(self.entries()):
            labelled.setdefault(query_id, set()).add(rollout_id)
        return labelled

    def _costs(self, by: Literal["verdicts", "references"], labelled: Mapping[str, set[str]]) -> dict[str, int]:
        """Judgements that each query costs which has something to release."""
        truths = self._backend.truths()
        if by == "references":
            known = {query_id for query_id, truth in truths.items() if truth.reference is not None}
            return {query_id: 1 + len(self._backend.rollout_ids(query_id)) for query_id in known}
        costs = {
            key: len(truth.correct.keys() - labelled.get(key, ())) for key, truth in truths.items() if truth.correct
        }
        return dict.fromkeys(labelled, 0) | costs

    def ineligible(self, among: Sequence[str] | None = None) -> list[str]:
        """Return the queries, of these or of all, that cannot be labelled: no rollout has a verdict or was judged."""
        known = self._costs("verdicts", self._labelled())
        return [
            query_id for query_id in (self._backend.datasets() if among is None else among) if query_id not in known
        ]

    def _consume(
        self,
        query_ids: Sequence[str],
        wanted: Callable[[Mapping[str, SealedTruth], Sequence[LedgerEntry]], list[LedgerEntry]],
        budget: Budget | None,
    ) -> list[LedgerEntry]:
        """Enter what is wanted and not entered yet; return the entries that stand for what is wanted.

        An entry that was overruled since is entered again, so that it prevails.
        """
        query_ids = list(dict.fromkeys(query_ids))
        with self._backend.lock():
            known = self._backend.entries(query_ids)
            wants = wanted(self._backend.truths(query_ids), known)
            standing = {(e.query_id, e.rollout_id, e.use): e for e in known}.values()
            entered = {(_judgement(entry), entry.use, entry.source): entry for entry in standing}
            new = [entry for entry in wants if (_judgement(entry), entry.use, entry.source) not in entered]
            if budget is not None:
                self._enforce(budget, known, new)
            self._backend.append(new)
        return [entered.get((_judgement(entry), entry.use, entry.source), entry) for entry in wants]

    def _enforce(self, budget: Budget, known: list[LedgerEntry], new: list[LedgerEntry]) -> None:
        asked = (
            len({entry.query_id for entry in new} - {entry.query_id for entry in known}),
            len({_judgement(entry) for entry in new} - {_judgement(entry) for entry in known}),
        )
        allowed = budget.limits(*self._backend.truth_counts())
        for unit, spent, more, limit in zip(
            ("queries", "judgements"), self._backend.spent(), asked, allowed, strict=True
        ):
            if more and limit is not None and spent + more > limit:
                raise BudgetError(
                    f"label budget: {spent} {unit} are spent, {more} more were asked for, {limit} are allowed; "
                    f"ask for at most {max(0, limit - spent)} or raise the budget"
                )

    def _affordable(
        self,
        queries: Sequence[str],
        costs: Mapping[str, int],
        budget: Budget,
        by: Literal["verdicts", "references"],
    ) -> list[str]:
        """The first of `queries`, as far as the budget goes; by verdicts, what the ledger holds was paid for."""
        most_queries, most_judgements = budget.limits(*self._backend.truth_counts())
        paid: set[str] = set()
        spent_queries, spent_judgements = 0, 0
        if by == "verdicts":
            paid = {entry.query_id for entry in self.entries()}
            spent_queries, spent_judgements = self._backend.spent()
        chosen: list[str] = []
        for query_id in queries:
            new, more = int(query_id not in paid), costs[query_id]
            if new and most_queries is not None and spent_queries + new > most_queries:
                continue
            if more and most_judgements is not None and spent_judgements + more > most_judgements:
                if new:
                    break  # cheaper ones further on are not preferred
                continue
            spent_queries, spent_judgements = spent_queries + new, spent_judgements + more
            chosen.append(query_id)
        return chosen


class _GroupsBackend:
    """Truths of given groups, entries of this process."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self._datasets: dict[str, str] = {}
        self._rollout_ids: dict[str, set[str]] = {}
        self._truths: dict[str, SealedTruth] = {}
        self._entries: list[LedgerEntry] = []
        self._lock = threading.RLock()
        for group in groups:
            self._datasets[group.query.id] = group.query.dataset
            self._rollout_ids[group.query.id] = {rollout.id for rollout in group.rollouts}
            verdicts = verdicts_of(group)
            if verdicts or group.truth.reference is not None:
                self._truths[group.query.id] = SealedTruth(group.truth.reference, verdicts)

    def datasets(self) -> dict[str, str]:
        return self._datasets

    def rollout_ids(self, query_id: str) -> set[str]:
        return self._rollout_ids.get(query_id, set())

    def truths(self, query_ids: Sequence[str] | None = None) -> dict[str, SealedTruth]:
        if query_ids is None:
            return self._truths
        return {query_id: self._truths[query_id] for query_id in query_ids if query_id in self._truths}

    def truth_counts(self) -> tuple[int, int]:
        return len(self._truths), sum(len(truth.correct) for truth in self._truths.values())

    def entries(self, query_ids: Sequence[str] | None = None) -> list[LedgerEntry]:
        if query_ids is None:
            return list(self._entries)
        asked = set(query_ids)
        return [entry for entry in self._entries if entry.query_id in asked]

    def spent(self) -> tuple[int, int]:
        totals = _totals(self._entries)
        return totals["queries"], totals["judgements"]

    def append(self, entries: Sequence[LedgerEntry]) -> None:
        self._entries.extend(entries)

    def lock(self) -> AbstractContextManager[Any]:
        return self._lock


def verdicts_of(group: Group) -> dict[str, bool]:
    """Return the verdicts of a group's sealed truth by rollout id, without those that are null.

    Raises:
        DataError: the truth has verdicts, and not one for each rollout.
    """
    if group.truth.correct and len(group.truth.correct) != len(group.rollouts):
        raise DataError(
            f"query {group.query.id!r}: {len(group.rollouts)} rollouts with {len(group.truth.correct)} verdicts; "
            "give one verdict (or None) for each rollout, or none at all"
        )
    return {
        rollout.id: verdict
        for rollout, verdict in zip(group.rollouts, group.truth.correct, strict=False)
        if verdict is not None
    }


def _judgement(entry: LedgerEntry) -> tuple[str, str | None, bool | None]:
    return entry.query_id, entry.rollout_id, entry.correct


def _standing(entries: Iterable[LedgerEntry]) -> dict[tuple[str, str], LedgerEntry]:
    """The latest entry on each rollout, by query id and rollout id."""
    latest = {(e.query_id, e.rollout_id): e for e in entries if e.rollout_id is not None}
    return {key: entry for key, entry in latest.items() if entry.correct is not None}


def _label(entry: LedgerEntry) -> Label:
    if entry.rollout_id is None or entry.correct is None:
        raise ValueError(f"the entry of a reference is no label: {entry}")
    return Label(entry.query_id, entry.rollout_id, entry.correct, entry.source, entry.use, entry.time)


def _totals(entries: Sequence[LedgerEntry]) -> dict[str, int]:
    entries = [entry for entry in entries if entry.rollout_id is None or entry.correct is not None]
    judgements = {_judgement(entry) for entry in entries}
    return {
        "queries": len({entry.query_id for entry in entries}),
        "judgements": len(judgements),
        "references": sum(rollout_id is None for _, rollout_id, _ in judgements),
    }
