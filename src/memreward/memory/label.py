"""The one door to ground truth: release, ask, enter, and only then tell."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from memreward.domains import rules_of
from memreward.memory.budget import Budget
from memreward.memory.entries import LedgerEntry, Question, standing
from memreward.memory.ledger import LabelLedger
from memreward.types import (
    PROGRAMMING_ERRORS,
    BudgetError,
    Claim,
    DataError,
    Group,
    Label,
    Rollout,
    Truth,
    Verdict,
    Verifier,
)

if TYPE_CHECKING:
    from memreward.memory.store import ExperienceMemory


@dataclass(frozen=True, slots=True)
class Judgement:
    """What somebody says of a rollout, or of answers; give one of `rollout_id` and `answers`, or neither.

    Answers are text: one that is right, whether memory holds it or not, or one or more that are wrong. Neither, with
    `correct` False, says "none of these" of all answers that memory holds now, and counts as one judgement.
    """

    query_id: str
    correct: bool
    rollout_id: str | None = None
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FromFile:
    """Judge by the verdicts that came with the rollouts ("correct" in their file)."""

    source: str = "file"


@dataclass(frozen=True, slots=True)
class Told:
    """Judge by what a person or another program says; of what is said twice the later one stands."""

    source: str
    judgements: Sequence[Judgement] = ()

    @classmethod
    def of_rollouts(cls, source: str, verdicts: Mapping[str, Mapping[str, bool]]) -> Told:
        found = [Judgement(q, c, rollout_id=r) for q, given in verdicts.items() for r, c in given.items()]
        return cls(source, found)


Judge = FromFile | Told | Verifier
"""Who is asked."""
FROM_FILE = FromFile()
NOBODY = Told("nobody")
"""Asks nobody: what the ledger holds already, and what that settles, is told."""


class Labelled(NamedTuple):
    """What `label` found.

    Attributes:
        labels: One a rollout of which anything is known now, query by query in the rollouts' order: judged now or
            earlier, by whomever, or settled by a judgement on an equivalent answer. Nothing else may be learned from.
        verdicts: By rollout id, what the verifier said now, of those settled with them too.
        failed: By query id, why nobody could be asked: a `BudgetError`, or what the verifier raised; where `each` was
            asked for.
    """

    labels: list[Label]
    entered: list[LedgerEntry]
    verdicts: dict[str, Verdict]
    failed: dict[str, Exception]


def label(
    memory: ExperienceMemory | LabelLedger,
    queries: Iterable[str] | None,
    judge: Judge,
    budget: Budget | None = None,
    use: str = "label",
    *,
    rollouts: Iterable[Rollout] | None = None,
    settle: bool = True,
    each: bool = False,
    again: bool = False,
) -> Labelled:
    """Label queries: the only way to ground truth, for files, verifiers and people alike.

    What stands in the ledger, whoever gave it and for whatever use, precedes what the judge would say, costs nothing
    again and keeps its source; for a new use it is entered again. The judge is asked only about answers that nothing
    has settled (`memreward.memory.entries`). `Told` is entered as it is said, and overrules. All that is told is in the
    ledger, durable and visible to other processes, when this returns.

    Examples::

        label(memory, chosen, FROM_FILE, Budget(queries=20), "warmup")
        label(memory, chosen, Verifiers(), Budget(share=0.2), "verify")
        label(memory, None, Told("ann", [Judgement("q7", True, answers=("42",))]), use="page")
        label(memory, ["q7", "q8"], NOBODY).labels  # what is known

    Args:
        queries: Ids to label; unknown ones give nothing. None takes those that a `Told` speaks of.
        judge: `FROM_FILE` opens verdicts that came with rollouts. A verifier is given references, each of which is
            released and counts as a judgement, unless it says `needs_reference = False`.
        budget: Holds over the whole ledger, not only this call; None does not limit.
        rollouts: Label these alone, which memory must hold; None is all rollouts of the queries.
        settle: False asks about every rollout, and tells of each only what was said of itself: for measuring.
        each: Where budget or verifier refuse, go on with the other queries and say who was left out.
        again: Ask a verifier again what was entered for this use before: free, and its reasons come back.

    Raises BudgetError where more would be spent than the budget holds (nothing is entered, of a verifier no verdict),
    DataError where somebody judged what memory does not hold, or something else than one right answer, or wrong ones,
    and what a verifier raises.
    """
    ledger = memory if isinstance(memory, LabelLedger) else memory.ledger
    if queries is None:
        queries = [one.query_id for one in judge.judgements] if isinstance(judge, Told) else []
    door = _Door(ledger, judge, budget, use, settle, each, again, None if rollouts is None else list(rollouts))
    return door.label(list(dict.fromkeys(queries)))


def sealed_verdicts(groups: Sequence[Group], verifier: Verifier) -> list[Group]:
    """Return the groups with a sealed verdict on every rollout: None where it cannot be told or has no reference."""
    claims = [
        Claim(rollout, group.truth.reference)
        for group in groups
        if group.truth.reference is not None
        for rollout in group.rollouts
    ]
    verdicts = iter(verifier.verify(claims))

    def truth(group: Group) -> Truth:
        given = group.truth.reference
        return Truth(given, tuple(None if given is None else next(verdicts).correct for _ in group.rollouts))

    return [replace(group, truth=truth(group)) for group in groups]


def seal_verdicts(memory: ExperienceMemory, verifier: Verifier) -> int:
    """Let a verifier judge rollouts by references, not of code, and seal the verdicts; returns how many queries."""
    sealed = memory.ledger._backend.truths()
    open_ = {q: truth.reference for q, truth in sealed.items() if truth.reference is not None and not truth.correct}
    groups = [
        replace(group, truth=Truth(open_[group.query.id]))
        for group in memory.groups(list(open_))
        if group.rollouts and not rules_of(group.query.domain).program
    ]
    judged = [group for group in sealed_verdicts(groups, verifier) if set(group.truth.correct) != {None}]
    memory.add(judged)
    return len(judged)


def measured(groups: Sequence[Group], judge: Judge = FROM_FILE, use: str = "evaluation") -> dict[str, bool]:
    """Return what is true of each rollout that can be told, by id, to measure with; nothing may learn from it."""
    ledger = LabelLedger.detached(groups)
    found = label(ledger, [group.query.id for group in groups], judge, use=use, settle=False)
    return {one.rollout_id: one.correct for one in found.labels}


@dataclass
class _Door:
    ledger: LabelLedger
    judge: Judge
    budget: Budget | None
    use: str
    settle: bool
    each: bool
    again: bool
    rollouts: list[Rollout] | None
    entered: list[LedgerEntry] = field(default_factory=list)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    failed: dict[str, Exception] = field(default_factory=dict)

    def label(self, query_ids: list[str]) -> Labelled:
        backend = self.ledger._backend
        if isinstance(self.judge, FromFile):
            with backend.lock():  # what is asked for depends on what stands
                self._open_verdicts(query_ids)
        elif isinstance(self.judge, Told):
            self._enter(self._said(self.judge))
        else:
            self._verify(query_ids, self.judge)
        questions = self._questions(query_ids)
        self._enter(self._again(questions))
        found = [question.label(rollout) for question in questions for rollout in question.group.rollouts]
        labels = [replace(one, use=self.use) for one in found if one is not None]
        return Labelled(labels, self.entered, self.verdicts, self.failed)

    def _questions(self, query_ids: Sequence[str]) -> list[Question]:
        known: dict[str, list[LedgerEntry]] = {}
        for entry in standing(self.ledger.entries(query_ids)):
            known.setdefault(entry.query_id, []).append(entry)
        groups = self.ledger._backend.groups(query_ids) if self.rollouts is None else self._groups_of(query_ids)
        return [Question(group, known.get(group.query.id, ()), self.settle) for group in groups]

    def _groups_of(self, query_ids: Sequence[str]) -> list[Group]:
        given: dict[str, list[Rollout]] = {}
        for rollout in self.rollouts or ():
            given.setdefault(rollout.query.id, []).append(rollout)
        return [Group(given[q][0].query, tuple(given[q])) for q in query_ids if q in given]

    def _enter(self, wanted: Sequence[LedgerEntry]) -> None:
        """Enter all or, where the budget refuses that and each may fail alone, query by query."""
        try:
            self.entered += self.ledger._enter(wanted, self.budget)
        except BudgetError as error:
            queries = dict.fromkeys(entry.query_id for entry in wanted)
            if not self.each:
                raise
            if len(queries) == 1:
                self.failed[wanted[0].query_id] = error
                return
            for query_id in queries:
                self._enter([entry for entry in wanted if entry.query_id == query_id])

    def _entry(
        self, query_id: str, rollout: Rollout | None, correct: bool | None, source: str, answers: tuple[str, ...] = ()
    ) -> LedgerEntry:
        if rollout is not None and rollout.answer is not None and rules_of(rollout.query.domain).settles:
            answers = (rollout.answer,)
        rollout_id = None if rollout is None else rollout.id
        return LedgerEntry(query_id, rollout_id, correct, source, self.use, time.time(), answers=answers)

    def _again(self, questions: Sequence[Question]) -> list[LedgerEntry]:
        used: list[LedgerEntry] = []
        for question in questions:
            deciding = {known[0].id for rollout in question.group.rollouts if (known := question.known(rollout))}
            used += [entry for entry in question.entries if entry.id in deciding and entry.use != self.use]
        return [replace(entry, use=self.use, id=uuid4().hex) for entry in used]

    def _open_verdicts(self, query_ids: Sequence[str]) -> None:
        source, wanted = self.judge.source if isinstance(self.judge, FromFile) else "", []
        sealed = self.ledger._backend.truths(query_ids)
        for question in self._questions(query_ids):
            query_id = question.group.query.id
            known = sealed[query_id].correct if query_id in sealed else {}
            there = [rollout for rollout in question.group.rollouts if rollout.id in known]
            for first, *_ in question.unsettled(there):
                wanted.append(self._entry(query_id, first, known[first.id], source))
        self._enter(wanted)

    def _said(self, judge: Told) -> list[LedgerEntry]:
        groups = {g.query.id: g for g in self.ledger._backend.groups([one.query_id for one in judge.judgements])}
        entries = []
        for one in judge.judgements:
            group = groups.get(one.query_id)
            members = {rollout.id: rollout for rollout in group.rollouts} if group is not None else {}
            if group is None or (one.rollout_id is not None and one.rollout_id not in members):
                what = f"rollout {one.rollout_id!r} of query" if one.rollout_id else "query"
                raise DataError(f"judged {what} {one.query_id!r} is not in the memory; add its group first")
            rollout, answers = members.get(one.rollout_id or ""), one.answers
            if not answers and rollout is None:
                answers = tuple(dict.fromkeys(r.answer for r in group.rollouts if r.answer is not None))
            if (rollout is None) == (not answers):
                raise DataError(f"query {one.query_id!r}: a judgement is on one rollout, or on answers")
            if one.correct and rollout is None and len(one.answers) != 1:
                raise DataError(f"query {one.query_id!r}: name the one answer that is right")
            entries.append(self._entry(one.query_id, rollout, bool(one.correct), judge.source, answers))
        return entries

    def _verify(self, query_ids: Sequence[str], verifier: Verifier) -> None:
        """Release the references of queries of which something is open, ask, and enter what could be told."""
        open_: dict[str, list[list[Rollout]]] = {}
        for question in self._questions(query_ids):
            if self.again:
                question = replace(question, entries=[e for e in question.entries if e.use != self.use])
            if classes := question.unsettled(question.group.rollouts):
                open_[question.group.query.id] = classes
        references = dict.fromkeys(open_, "")
        if getattr(verifier, "needs_reference", True):
            sealed = self.ledger._backend.truths(list(open_))
            found = {q: truth.reference for q, truth in sealed.items() if truth.reference is not None}
            self._enter([self._entry(query_id, None, None, "file") for query_id in found])
            references = {query_id: text for query_id, text in found.items() if query_id not in self.failed}
        by_domain: dict[str, list[list[Rollout]]] = {}
        for query_id in references:
            # Apart, where what a verifier raises in one domain may cost the others nothing.
            domain = open_[query_id][0][0].query.domain if self.each else ""
            by_domain.setdefault(domain, []).extend(open_[query_id])
        wanted: list[LedgerEntry] = []
        for classes in by_domain.values():
            wanted += self._asked_of(verifier, classes, references)
        self._enter(wanted)

    def _asked_of(
        self, verifier: Verifier, classes: Sequence[Sequence[Rollout]], references: Mapping[str, str]
    ) -> list[LedgerEntry]:
        claims = [Claim(members[0], references[members[0].query.id]) for members in classes]
        try:
            verdicts = verifier.verify(claims)
        except PROGRAMMING_ERRORS:
            raise
        except Exception as error:  # a verifier may be the user's
            if not self.each:
                raise
            self.failed.update({claim.rollout.query.id: error for claim in claims})
            return []
        wanted = []
        for claim, verdict, members in zip(claims, verdicts, classes, strict=True):
            self.verdicts.update({rollout.id: verdict for rollout in members})
            if verdict.correct is not None:
                source = verdict.source or verifier.name
                wanted.append(self._entry(claim.rollout.query.id, claim.rollout, verdict.correct, source))
        return wanted
