"""One labelling of a memory by any number of people: what each is asked next, what was decided, what it bought."""

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from memreward.answers import AnswerModel
from memreward.answers.beliefs import AnswerBeliefs
from memreward.label.door import Door, Said, Standing
from memreward.label.figures import (
    LabelProgress,
    active_minutes,
    cohen_kappa,
    decided_with_confidence,
    foretold,
    is_judge,
    next_ten,
    people_and_judges,
    twice_judged,
)
from memreward.label.outlook import Outlook, Pool
from memreward.label.queue import LEASE, ROUND, TWICE, AnswerSeen, Ask, Candidate, Kind, Task, chosen, ranked
from memreward.memory.labelling import BROKEN, DECIDED, SKIPPED, UNDONE, Event, Journal
from memreward.types import DataError, content_hash

_SHARES = 1_000_000
_RANKED_WHOLE = 1_000
_SHORTLIST = 200


class Labelling:
    """A queue of questions and what was decided; `read` reads more, `background` learns in another thread."""

    def __init__(
        self,
        pool: Pool,
        model: AnswerModel,
        door: Door,
        journal: Journal,
        *,
        ask: Ask = "auto",
        read: Callable[[Sequence[str]], Pool] | None = None,
        background: bool = False,
    ) -> None:
        self.pool, self.door, self.journal, self.ask = pool, door, journal, ask
        self.lease, self.twice = LEASE, TWICE
        self._model, self._lock = model, threading.RLock()
        self._more, self._growing = read, threading.Lock()
        self._worker = ThreadPoolExecutor(1, "labelling") if background else None
        self._learning: Future[None] | None = None
        self._returned: dict[str, str] = {}
        self._asked: dict[str, list[str]] = {}
        self._start = Outlook(pool.features, model)
        self._ranking: list[Candidate] = []
        self._sure = np.zeros(0, np.bool_)
        self._learned = 0
        self._stands = Standing(door, journal)
        self._read()
        self._learn()

    def close(self) -> None:
        if self._worker is not None:
            self._worker.shutdown()

    def extend(self, query_ids: Sequence[str]) -> None:
        """Take in more questions; those that memory does not hold, or without rollouts, are left out."""
        with self._growing:
            new = [query_id for query_id in query_ids if query_id not in self.pool.groups]
            if self._more is None or not (more := self._more(new)).groups:
                return
            pool = self.pool.joined(more)
            start = Outlook(pool.features, self._model)
            with self._lock:
                self.pool, self._start = pool, start
                self._read()
                self._learn()

    def settled(self) -> None:
        """Wait until everything that was decided has been learned from."""
        if self._learning is not None:
            self._learning.result()

    def next(self, annotator: str) -> Task | None:
        """Return what somebody is asked, what they have open first; None if nothing is worth it, or affordable."""
        taken = self.take(annotator, 1)
        return taken[0] if taken else None

    def take(self, annotator: str, count: int) -> list[Task]:
        """Return the next tasks at once, each kept from others, what they have open first; fewer if there are fewer."""
        self._take_in_proposed()
        with self._lock:
            self._catch_up()
            leases = self.journal.leases()
            taken = [task for task in self._open(annotator, leases) if self._leased(task.query_id, annotator)]
            leases |= {task.query_id: "" for task in taken}
            while len(taken) < count:
                task = self._second(annotator, leases) or self._first(annotator, leases)
                if task is None:
                    break
                if self._leased(task.query_id, annotator):
                    taken.append(task)
                    self._asked.setdefault(annotator, []).append(task.query_id)
                leases[task.query_id] = ""  # not twice in one batch, whoever has it
        return taken[:count]

    def open(self, annotator: str, query_id: str) -> Task | None:
        """Return one question and keep it from others; None where it is unknown, or another has it open."""
        with self._lock:
            self._catch_up()
            if self.outlook.place(query_id) is None or not self._leased(query_id, annotator):
                return None
            self._returned[annotator] = query_id
            return self._made(query_id, annotator)

    def decide(
        self, annotator: str, query_id: str, right: Sequence[int], *, asked: int = -1, seconds: float = 0.0
    ) -> list[AnswerSeen]:
        """Enter which answers of a question are right, none if `right` is empty; it is on the disk on return.

        With `asked`, only that answer was asked about: right if it is in `right`, else wrong. Returns what rollouts and
        model had said. Raises BudgetError where no further question may be labelled, DataError for an unknown question
        or answer.
        """
        with self._lock:
            self._catch_up()
            outlook = self.outlook
            q = self._known(query_id)
            answers = outlook.answers(q)
            self._check(query_id, right, asked)
            several = bool(outlook.several[answers[0]])
            if asked >= 0 and (several or asked not in right):
                given = {asked: asked in right}
            else:
                given = {a: a in right for a in answers}
            ids = outlook.features.rollout_ids
            earlier = self._stands.decisions.get(query_id, ())
            predicted = earlier[0].data["predicted"] if earlier else self._predicted(q, outlook.blind(np.array([q])))
            entries = self._enter(query_id, given, annotator, whole=len(given) == len(answers))
            if is_judge(annotator) and not all(is_judge(event.annotator) for event in earlier):
                self.door.take_back(entries, annotator)  # what a person said stands; the ledger keeps both
            others = {e.annotator for e in earlier} - {annotator}
            data = {
                "verdicts": {ids[outlook.representative(a)]: correct for a, correct in given.items()},
                "kind": "whole" if asked < 0 else "one",
                "seconds": round(seconds, 1),
                "second": bool(others),
                "several": several,
                "predicted": predicted,
                "entries": entries,
                **({"settles": True} if query_id in self._stands.disputed else {}),
            }
            self._done(DECIDED, query_id, annotator, data)
            believed = {row["rollout"]: row["model"] for row in predicted}
            rollouts = int(outlook.votes[answers].sum())
            return [
                AnswerSeen(a, int(outlook.votes[a]), rollouts, believed.get(self.key(a), 0.0), given.get(a))
                for a in answers
            ]

    def answers(self, query_id: str) -> range:
        return self.outlook.answers(self._known(query_id))

    def key(self, answer: int) -> str:
        """Return what names an answer for good, also where its number changes: the id of its first rollout."""
        return self.outlook.features.rollout_ids[self.outlook.representative(answer)]

    def answer(self, query_id: str, key: str) -> int:
        found = [answer for answer in self.answers(query_id) if self.key(answer) == key]
        if not found:
            raise DataError(f"question {query_id!r} has no answer {key!r}; reload the page")
        return found[0]

    def undo(self, annotator: str) -> Event | None:
        """Take back the last thing that somebody did, in the ledger too, and ask it again; None if there is nothing."""
        with self._lock:
            self._catch_up()
            mine = [event for event in self._stands.events if event.annotator == annotator]
            if not mine:
                return None
            last = mine[-1]
            if last.kind == DECIDED:
                self.door.take_back(last.data["entries"], annotator)
            if self._leased(last.query_id, annotator):
                self._returned[annotator] = last.query_id
            self._done(UNDONE, last.query_id, annotator, {"event": last.id}, keep=True)
            return last

    def skip(self, annotator: str, query_id: str, reason: str) -> None:
        """Leave a question to others; it is not put to this person again."""
        with self._lock:
            self._known(query_id)
            self._done(SKIPPED, query_id, annotator, {"reason": reason})

    def flag(self, annotator: str, query_id: str) -> None:
        """Say that a question is broken: nobody is asked it any more, and nothing is learned from it."""
        with self._lock:
            self._known(query_id)
            self._done(BROKEN, query_id, annotator, {})

    def reference(self, query_id: str) -> str | None:
        self._known(query_id)
        return self.door.reference(query_id)

    def broken(self) -> frozenset[str]:
        return self._stands.broken

    def said(self, query_id: str) -> list[Event]:
        return list(self._stands.decisions.get(query_id, ()))

    def progress(self) -> LabelProgress:
        with self._lock:
            decided = [e for e in self._stands.events if e.kind == DECIDED]
            first, second, twice, disputed = twice_judged(self._stands.decisions)
            outlook, labelled = self.outlook, self._labelled
            open_ = np.array([q for q in range(len(outlook)) if q not in labelled], np.int64)
            return LabelProgress(
                questions=len(self._stands.labelled),
                limit=self.door.questions,
                judgements=len(decided),
                skipped=len({e.query_id for e in self._stands.events if e.kind == SKIPPED}),
                broken=len(self._stands.broken),
                minutes=active_minutes(decided),
                foretold=foretold(decided),
                waiting=len(open_),
                decided=int(self._sure[open_].sum()),
                next_ten=next_ten([c.gain for c in self._ranking], len(outlook.features)),
                twice=len(twice),
                kappa=cohen_kappa(first, second),
                disputed=tuple(sorted(disputed)),
                people_and_judges=people_and_judges(self._stands.decisions),
            )

    def _enter(self, query_id: str, given: Mapping[int, bool], annotator: str, *, whole: bool) -> list[str]:
        said = []
        for answer, correct in given.items():
            rollouts = [self.pool.rollout(int(row)) for row in self.outlook.rows(answer)]
            said.append(Said(rollouts[0].answer, tuple(rollout.id for rollout in rollouts), correct))
        return self.door.enter(self.pool.groups[query_id].query, said, annotator, whole=whole)

    def _open(self, annotator: str, leases: Mapping[str, str]) -> list[Task]:
        """What somebody has open, what they came back to first."""
        mine = [q for q, who in leases.items() if who == annotator and self._stands.may_ask(q, annotator)]
        mine.sort(key=lambda query_id: query_id != self._returned.get(annotator))
        return [task for query_id in mine if (task := self._task(query_id, annotator))]

    def _leased(self, query_id: str, annotator: str) -> bool:
        return self.journal.lease(query_id, annotator, self.lease)

    def _first(self, annotator: str, leases: Mapping[str, str]) -> Task | None:
        """A question that is to be judged for the first time, or again after "this answer is wrong"."""
        names = self.outlook.features.query_ids
        full = self.door.questions is not None and len(self._stands.labelled) >= self.door.questions

        def free(candidate: Candidate) -> bool:
            query_id = names[candidate.question]
            within = not full or candidate.question in self._labelled
            return within and leases.get(query_id, annotator) == annotator and self._stands.may_ask(query_id, annotator)

        asked = self._asked.get(annotator, [])
        recent = [self._text(query_id) for query_id in asked[len(asked) // ROUND * ROUND :]]
        ranking = sorted(self._ranking, key=lambda candidate: names[candidate.question] not in self._stands.proposed)
        found = chosen(filter(free, ranking), recent, lambda q: self._text(names[q]))
        return None if found is None else self._made(names[found.question], annotator, found.kind, found.asked)

    def _second(self, annotator: str, leases: Mapping[str, str]) -> Task | None:
        """A question that another person judged, where this one is to be judged twice; never two of them in a row."""
        asked = self._asked.get(annotator, [])
        if asked and any(event.annotator != annotator for event in self._stands.decisions.get(asked[-1], ())):
            return None
        for query_id, events in self._stands.decisions.items():
            alone = len({event.annotator for event in events}) == 1 and self._stands.by_others(query_id, annotator)
            drawn = int(content_hash(query_id)[:8], 16) % _SHARES < self.twice * _SHARES
            free = leases.get(query_id, annotator) == annotator and self._stands.may_ask(query_id, annotator)
            if alone and drawn and free and (task := self._again(query_id, events, annotator)) is not None:
                return task
        return None

    def _again(self, query_id: str, events: Sequence[Event], annotator: str) -> Task | None:
        q = self.outlook.place(query_id)
        if q is None:
            return None
        place = {self.key(answer): answer for answer in self.outlook.answers(q)}
        verdicts = {place[key]: right for key, right in events[0].data["verdicts"].items() if key in place}
        if events[0].data["kind"] == "whole" or not verdicts:
            return self._made(query_id, annotator)
        # A "yes" settled all answers: the one that was asked about is the right one.
        return self._made(query_id, annotator, "one", max(verdicts, key=lambda answer: verdicts[answer]))

    def _task(self, query_id: str, annotator: str) -> Task | None:
        """The task that a question is now, e.g. after the page was loaded anew."""
        q = self.outlook.place(query_id)
        if q is None:
            return None
        events = self._stands.decisions.get(query_id, [])
        if query_id in self._stands.disputed or (events and self._returned.get(annotator) == query_id):
            return self._made(query_id, annotator)
        if self._stands.by_others(query_id, annotator):
            return self._again(query_id, events, annotator)
        if found := next((c for c in self._ranking if c.question == q), None):
            return self._made(query_id, annotator, found.kind, found.asked)
        return self._made(query_id, annotator) if q not in self._labelled else None

    def _made(self, query_id: str, annotator: str, kind: Kind = "whole", asked: int = -1) -> Task:
        outlook, q = self.outlook, self._known(query_id)
        answers = [a for a in outlook.answers(q) if not outlook.mute[a]]
        # The same order for one person after a reload, another one for the next person.
        random.Random(content_hash(f"{query_id}\n{annotator}")).shuffle(answers)
        several = bool(outlook.several[outlook.start[q]])
        second = self._stands.by_others(query_id, annotator)
        why = self._stands.proposed.get(query_id, "")
        return Task(query_id, kind, tuple(answers), asked, several, second, query_id in self._stands.disputed, why)

    def _predicted(self, question: int, before: AnswerBeliefs) -> list[dict[str, Any]]:
        outlook, ids = self.outlook, self.outlook.features.rollout_ids
        rows = outlook.rows_of(np.array([question]))
        at = {int(a): i for i, a in enumerate(outlook.answer[rows])}
        return [
            {
                "rollout": ids[outlook.representative(a)],
                "model": round(float(before.right[at[a]]), 4),
                "vote": round(float(before.vote[at[a]]), 4),
                "votes": int(outlook.votes[a]),
            }
            for a in outlook.answers(question)
        ]

    def _known(self, query_id: str) -> int:
        if (q := self.outlook.place(query_id)) is None:
            raise DataError(f"question {query_id!r} is not among those of this labelling; reload the page")
        return q

    def _check(self, query_id: str, right: Sequence[int], asked: int) -> None:
        answers = self.outlook.answers(self._known(query_id))
        wrong = [a for a in (*right, *([asked] if asked >= 0 else [])) if a not in answers or self.outlook.mute[a]]
        if wrong:
            raise DataError(f"question {query_id!r} has no answer {wrong[0]}; reload the page")

    def _text(self, query_id: str) -> str:
        return self.pool.groups[query_id].query.text

    def _done(self, kind: str, query_id: str, annotator: str, data: Mapping[str, Any], *, keep: bool = False) -> None:
        made = self.journal.add(kind, query_id, annotator, data)
        if not keep:
            self._returned.pop(annotator, None)
            self.journal.release(query_id, annotator)
        alone = made.id == self._stands.last + 1
        self._read(query_id if alone else None)
        if self._worker is None:
            self._learn()
        elif self._learning is None or self._learning.done():
            self._learning = self._worker.submit(self._learn_until_current)

    def _take_in_proposed(self) -> None:
        with self._lock:
            self._catch_up()
            new = [query_id for query_id in self._stands.proposed if query_id not in self.pool.groups]
        if new:
            self.extend(new)

    def _catch_up(self) -> None:
        if self.journal.last() != self._stands.last:
            self._read()
            self._learn()

    def _read(self, only: str | None = None) -> None:
        own = () if only is None else {rollout.id for rollout in self.pool.groups[only].rollouts}
        self._stands.read(only, own)
        places = (self._start.place(query_id) for query_id in self._stands.labelled)
        self._labelled = {place for place in places if place is not None}

    def _learn_until_current(self) -> None:
        seen = None
        while seen != self._stands.last:
            seen = self._stands.last
            self._learn()

    def _learn(self) -> None:
        """Believe what follows from all labels, and rank anew: in a large memory what stood first, else everything."""
        start, labels, without = self._start, self._stands.labels, {*self._stands.broken, *self._stands.disputed}
        outlook = start.told(labels, without)
        grown = len(outlook) != len(self._sure)
        sure, rest = self._sure, []
        if grown or len(outlook) <= _RANKED_WHOLE or self._learned % ROUND == 0:
            questions = np.arange(len(outlook))
            sure = decided_with_confidence(outlook.beliefs(questions), len(outlook))
        else:
            questions = np.array([c.question for c in self._ranking[:_SHORTLIST]], np.int64)
            rest = self._ranking[_SHORTLIST:]
        names = outlook.features.query_ids
        first = [c for c in ranked(outlook, questions, self.ask) if names[c.question] not in self._stands.broken]
        with self._lock:
            if start is self._start:  # else more questions have come meanwhile, and are being learned from
                self.outlook, self._ranking, self._sure = outlook, [*first, *rest], sure
                self._learned += 1
