"""The group store: one owner of memory, reward, verifiers and ledger, who answers groups and keeps its word."""

import fcntl
import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from memreward.answers.model import AnswerModel
from memreward.domains import parse_rollout
from memreward.features.behaviour import runner_for
from memreward.features.featurizer import Featurizer
from memreward.integrations.client import Scored
from memreward.memory import AddReport, Budget, ExperienceMemory, Told, label
from memreward.reward.judged import ABSTAINED, Judged
from memreward.reward.policy import THRESHOLD, PolicyReward
from memreward.reward.truth import TRAINING
from memreward.reward.valuers import Answers
from memreward.sandbox.deadline import check, within
from memreward.service.config import ServiceConfig
from memreward.service.journal import Done, Journal, Kept
from memreward.service.messages import AskedGroup, AskedRollout, ConflictError, name_of
from memreward.types import (
    PROGRAMMING_ERRORS,
    DataError,
    FaultError,
    Group,
    Query,
    Rollout,
    StoreError,
    Truth,
    content_hash,
)

_LOGGER = logging.getLogger(__name__)
ROLLOUT_SECONDS, BATCH_SECONDS = 30.0, 100.0
"""That rollouts scored together may take for parsing, evidence and judging: each adds so much, up to so much in all."""
LONGEST = 400_000
"""Characters of a rollout with its query."""
_QUERIES_HELD = 20_000
_KEPT = 200_000
"""Answers that are kept, for requests that are sent again."""
_LIVE = 2_000
"""Labelled rollouts, the latest, over which live rates are taken."""
_SAVE_AFTER, _SAVE_SHARE = 5.0, 0.02
"""The reward is saved after so many seconds of scoring, all of which a start has to do again, but in no more than this
share of the time."""
_LETTING_GO = 2.0
"""Seconds in which the process of a service that was killed has let go of its folder."""

Answered = list[Scored] | ConflictError | FaultError


@dataclass(frozen=True, slots=True)
class _Read:
    """A group whose rollouts were read: those that could be, and by place why the others could not."""

    group: AskedGroup
    rollouts: list[Rollout]
    broken: dict[int, str]


class Store(Protocol):
    """What answers groups, here or in a process of its own; what it promised and holds, others may read too."""

    config: ServiceConfig
    _journal: Journal
    _memory: ExperienceMemory

    def score(self, groups: Sequence[AskedGroup]) -> list[Answered]: ...
    def add(self, groups: Iterable[Group]) -> AddReport: ...
    def label(self, verdicts: Mapping[str, Mapping[str, bool]], *, source: str, use: str) -> dict[str, int]: ...
    def figures(self) -> dict[str, float]: ...

    def answered(self, group_id: str, rollout: AskedRollout) -> Scored | None:
        """Return what a rollout was answered, if it was; ConflictError if that was another text."""
        kept = self._journal.answers([name_of(group_id, rollout.id)])
        return _checked(group_id, rollout, *kept.values()) if kept else None

    def ledger(self) -> dict[str, Any]:
        return self._memory.ledger.totals()

    def memory(self) -> dict[str, int]:
        return self._memory.counts()


class GroupStore(Store):
    """Answers groups. What it has answered it answers again, also after it was killed, and it learns nothing twice.

    Every call is durable when it returns. Safe from several threads, which take turns. The reward must pay advantages;
    its memory, ledger and model are the store's from now on. Without a folder, journal and model are kept in this
    process. Raises StoreError where the folder cannot be used, or another store has it.
    """

    def __init__(self, reward: PolicyReward, folder: Path | None = None, config: ServiceConfig | None = None) -> None:
        if not reward.pays_advantages:
            raise ValueError("the store's reward must pay advantages: rewards='advantage'")
        self.config = config or ServiceConfig()
        self._reward, self._memory, self._folder = reward, reward.memory, folder
        self._lock = threading.RLock()
        self._held = _held(folder)
        self._journal = journal_of(folder)
        if isinstance(reward.valuer, Answers):
            reward.valuer.model.begin()
        self._queries: dict[str, Query] = {}
        self._sealed: dict[str, str] = {}
        self._step = 0
        self._live: deque[tuple[bool, bool]] = deque(maxlen=_LIVE)
        self._rates = _rates(())
        entries = self._memory.ledger.entries()
        self._paid = {entry.query_id for entry in entries}
        self._may_judge({e.query_id for e in entries if e.rollout_id is None and e.use == TRAINING})
        self._number: int | None = None
        self._scoring = self._saving = 0.0
        self._recall()

    def score(self, groups: Sequence[AskedGroup]) -> list[Answered]:
        """Reward groups, each by itself: how they are put together in calls changes no prediction.

        Returns for each group an answer a rollout, or what is in conflict or broken. Raises StoreError where an answer
        cannot be kept: none is given then, and the same call may be made again.
        """
        found: list[Answered | None] = [None] * len(groups)
        left = list(range(len(groups)))
        with self._lock:
            while left:
                known = self._journal.answers([name for place in left for name in groups[place].names()])
                together, later = self._round(groups, left, known, found)
                for place, answers in zip(together, self._score([groups[i] for i in together]), strict=True):
                    found[place] = answers
                left = later
        return [one for one in found if one is not None]

    def add(self, groups: Iterable[Group]) -> AddReport:
        """Put rollouts into memory, ground truth sealed. An id that is known with another text is a DataError."""
        with self._lock:
            return self._memory.add(groups)

    def label(self, verdicts: Mapping[str, Mapping[str, bool]], *, source: str, use: str) -> dict[str, int]:
        """Enter verdicts by query id and rollout id in memory, all or none; the next step learns from them.

        Returns how many "labels" were given, and how many were "new". Raises DataError for a rollout that memory does
        not have, BudgetError where the budget holds no more.
        """
        with self._lock:
            budget = Budget(queries=self.config.labels) if self.config.labels else None
            found = label(self._memory, None, Told.of_rollouts(source, verdicts), budget, use)
            self._paid.update(verdicts)
        given = {(rollout, right) for told in verdicts.values() for rollout, right in told.items()}
        return {"labels": len(given), "new": len(given & {(one.rollout_id, one.correct) for one in found.entered})}

    def figures(self) -> dict[str, float]:
        """Return what trainers log beside a reward: labels spent, and rates on the latest labelled rollouts.

        "live_tpr", "live_fpr" and "live_j" are those of predictions that were made blind to the label, held to be right
        from one half on; 0 where "live_right" or "live_wrong", the rollouts they are taken over, is 0.
        """
        return {"labelled_queries": float(len(self._paid)), **self._rates}

    def close(self) -> None:
        with self._lock:
            self._save()
            if self._held is not None:
                self._held.close()

    def _round(
        self,
        groups: Sequence[AskedGroup],
        left: Sequence[int],
        known: Mapping[str, Kept],
        found: list[Answered | None],
    ) -> tuple[list[int], list[int]]:
        """Settle what is known; of the rest, which is scored together (one group a query, one step), which later."""
        self._look_up([groups[place].query for place in left])
        together: list[int] = []
        later: list[int] = []
        claimed: set[str] = set()
        for place in left:
            group = groups[place]
            try:
                found[place] = self._settled(group, known)
            except ConflictError as error:
                found[place] = error
            if found[place] is not None:
                continue
            names = {group.query.id, *group.names()}
            if claimed & names or (together and group.step != groups[together[0]].step):
                later.append(place)
            else:
                claimed |= names
                together.append(place)
        return together, later

    def _settled(self, group: AskedGroup, known: Mapping[str, Kept]) -> list[Scored] | None:
        query = self._queries.get(group.query.id)
        if query is not None and (query.text, query.domain) != (group.query.text, group.query.domain):
            raise ConflictError(
                f"query {group.query.id!r} has another text or domain in memory: give another question another id"
            )
        kept = [known.get(name) for name in group.names()]
        given = [_checked(group.id, r, k) for r, k in zip(group.rollouts, kept, strict=True) if k is not None]
        if given and len(given) < len(group.rollouts):
            raise ConflictError(
                f"group {group.id!r} was answered with other rollouts beside these: give a new group a new id"
            )
        return given or None

    def _look_up(self, queries: Sequence[Query]) -> None:
        unknown = list(dict.fromkeys(query.id for query in queries if query.id not in self._queries))
        if unknown:
            if len(self._queries) > _QUERIES_HELD:
                self._queries.clear()
                self._sealed.clear()
                unknown = list(dict.fromkeys(query.id for query in queries))
            self._queries.update((each.query.id, each.query) for each in self._memory.groups(unknown, recent=0))

    def _score(self, groups: Sequence[AskedGroup]) -> list[list[Scored] | FaultError]:
        if not groups:
            return []
        started = time.monotonic()
        self._step = max(self._step, groups[0].step)
        self._seal(groups)
        done: list[Done] = []
        with within(seconds_of(sum(len(group.rollouts) for group in groups))):
            read = [self._read(group) for group in groups]
            judged = iter(self._judged([one for one in read if isinstance(one, _Read)], groups[0].step, done))
        answers = [one if isinstance(one, FaultError) else _answers(one, next(judged)) for one in read]
        try:
            self._commit(groups, answers, done)
        except StoreError:
            self._recall()  # nobody was answered: what was learned with these answers is to be learned with the next
            raise
        self._scored_since(started)
        return answers

    def _commit(
        self, groups: Sequence[AskedGroup], answers: Sequence[list[Scored] | FaultError], done: Sequence[Done]
    ) -> None:
        kept = [
            (name_of(group.id, asked.id), asked.text, answer)
            for group, given in zip(groups, answers, strict=True)
            if isinstance(given, list)
            for asked, answer in zip(group.rollouts, given, strict=True)
        ]
        self._journal.commit(kept, done if self._folder is not None else ())

    def _read(self, group: AskedGroup) -> _Read | FaultError:
        query = self._queries.get(group.query.id, group.query)
        found = _Read(group, [], {})
        for place, asked in enumerate(group.rollouts):
            try:
                check()
                if len(asked.text) + len(query.text) > LONGEST:
                    raise DataError(f"rollout and query have more than {LONGEST} characters")
                rollout = parse_rollout(
                    query,
                    asked.text,
                    id=f"{query.id}@{group.step}/{name_of(group.id, asked.id)[:16]}-{content_hash(asked.text)[:12]}",
                    policy_version=f"step-{group.step}",
                    token_logprobs=asked.token_logprobs,
                    truncated=asked.truncated,
                )
            except PROGRAMMING_ERRORS as error:
                return _fault(query, error)
            except Exception as error:  # one odd text must not cost the others their reward
                found.broken[place] = f"{type(error).__name__}: {error}"
            else:
                found.rollouts.append(rollout)
        return found

    def _judged(self, read: Sequence[_Read], step: int, done: list[Done]) -> list[tuple[Judged, int] | FaultError]:
        """Ask the reward; where that raises, group by group: odd texts abstain by themselves, so it is a bug.

        Returns:
            For each group what holds its rows, and where they begin.
        """
        rollouts = [rollout for one in read for rollout in one.rollouts]
        try:
            judged = self._reward.step(rollouts, step)
        except StoreError:
            raise
        except Exception as error:
            if len(read) == 1:
                return [_fault(read[0].group.query, error)]
            return [found for one in read for found in self._judged([one], step, done)]
        done.append(Done(step, [(rollout.query.id, rollout.id) for rollout in rollouts]))
        self._note(judged)
        starts = np.cumsum([0, *(len(one.rollouts) for one in read)]).tolist()
        return [(judged, start) for start in starts[:-1]]

    def _seal(self, groups: Sequence[AskedGroup]) -> None:
        """Put references into memory, unseen, and let those be judged by them that the budget holds."""
        given = {g.query.id: g for g in groups if g.reference is not None}
        new = {key: g for key, g in given.items() if self._sealed.get(key) != g.reference}
        self._memory.add([Group(g.query, (), Truth(g.reference)) for g in new.values()])
        self._sealed.update((key, g.reference or "") for key, g in new.items())
        if not self.config.labels:
            return
        for key in given:
            if key in self._paid or len(self._paid) < self.config.labels:
                self._paid.add(key)
                self._may_judge([key])

    def _may_judge(self, query_ids: Iterable[str]) -> None:
        self._reward.ground.labelled |= frozenset(query_ids)

    def _note(self, judged: Judged) -> None:
        for probability, correct in zip(judged.probability, judged.correct, strict=True):
            if correct >= 0 and not np.isnan(probability):
                self._live.append((bool(probability >= THRESHOLD), bool(correct)))
        self._rates = _rates(self._live)

    def _recall(self) -> None:
        """Bring the reward to where the journal says it is: as it was saved last, and the steps since done again."""
        if self._folder is None:
            return
        self._number, live = self._journal.saved or (None, [])
        self._live = deque(live, maxlen=_LIVE)
        self._rates = _rates(self._live)
        if self._number is None:
            self._save()
        else:
            self._reward.restore(self._state_folder(self._number), rewind=False)
        undone, started = self._journal.undone(), time.monotonic()
        self._reward.unmet = {rollout for one in undone for _, rollout in one.rollouts}
        for one in undone:
            queries = list(dict.fromkeys(query for query, _ in one.rollouts))
            known = {rollout.id: rollout for rollout in self._memory.rollouts_of(queries)}
            with within(seconds_of(len(one.rollouts))):
                self._note(self._reward.step([known[rollout] for _, rollout in one.rollouts], one.step))
            self._step = max(self._step, one.step)
        self._reward.unmet = frozenset()
        self._scored_since(started)

    def _scored_since(self, started: float) -> None:
        self._scoring += time.monotonic() - started
        if self._scoring >= max(_SAVE_AFTER, self._saving / _SAVE_SHARE):
            self._save()

    def _save(self) -> None:
        if self._folder is None:
            return
        started, before = time.monotonic(), self._number
        after = 0 if before is None else before + 1
        shutil.rmtree(self._state_folder(after), ignore_errors=True)
        self._reward.save(self._state_folder(after))
        self._journal.save(after, self._live)
        self._number = after
        if before is not None:
            shutil.rmtree(self._state_folder(before), ignore_errors=True)
        self._scoring, self._saving = 0.0, time.monotonic() - started

    def _state_folder(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"state-{number}"


def reward_of(folder: Path) -> PolicyReward:
    """Return the reward that a memory's predictor gives; without one, that of the shipped prior and majority vote."""
    from memreward.reward import HybridReward
    from memreward.reward.predictor import FILE, RewardPredictor

    memory, predictor = ExperienceMemory.open(folder), folder / "predictor"
    if (predictor / FILE).exists():
        return HybridReward(RewardPredictor.load(predictor, memory))
    return PolicyReward(memory, Answers(AnswerModel()), featurizer=Featurizer(runner=runner_for("auto")))


def journal_of(folder: Path | None) -> Journal:
    """Open what the store in a folder has promised, which another process may read too."""
    return Journal(folder and folder / "journal.sqlite", _KEPT)


def failed(reason: str, partial: bool) -> Scored:
    """Return what a rollout gets that could not be scored: 0, the mean of its group."""
    return Scored(0.0, ABSTAINED, reason=reason, failed=True, partial=partial)


def seconds_of(rollouts: int) -> float:
    """Return what so many rollouts may take together for parsing, evidence and judging."""
    return min(BATCH_SECONDS, ROLLOUT_SECONDS * rollouts)


def _rates(live: Collection[tuple[bool, bool]]) -> dict[str, float]:
    right = [held for held, truth in live if truth]
    wrong = [held for held, truth in live if not truth]
    tpr, fpr = sum(right) / max(len(right), 1), sum(wrong) / max(len(wrong), 1)
    return {
        "live_right": float(len(right)),
        "live_wrong": float(len(wrong)),
        "live_tpr": tpr,
        "live_fpr": fpr,
        "live_j": tpr - fpr if right and wrong else 0.0,
    }


def _held(folder: Path | None) -> IO[str] | None:
    """Keep other stores out of a folder; the system lets go of it when this process dies, which one may be about to."""
    if folder is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("w")
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error}; name another folder") from error
    ends = time.monotonic() + _LETTING_GO
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if time.monotonic() > ends:
                file.close()
                raise StoreError(f"{folder} belongs to a service that runs: stop it, or ask it") from error
            time.sleep(0.05)
        else:
            return file


def _checked(group_id: str, rollout: AskedRollout, kept: Kept) -> Scored:
    if kept.text != content_hash(rollout.text):
        raise ConflictError(
            f"rollout {rollout.id!r} of group {group_id!r} was answered with another text: give another rollout "
            "another id"
        )
    return kept.answer


def _answers(read: _Read, judged: tuple[Judged, int] | FaultError) -> list[Scored] | FaultError:
    """Return a group's answers; a rollout that could not be read is paid 0, the mean of the others."""
    if isinstance(judged, FaultError):
        return judged
    whole, row = judged
    partial, rollouts, answers = read.group.partial, iter(read.rollouts), []
    for place in range(len(read.group.rollouts)):
        if reason := read.broken.get(place):
            answers.append(failed(reason, partial))
            continue
        answers.append(_answer(whole, row, next(rollouts).id, partial))
        row += 1
    return answers


def _fault(query: Query, error: Exception) -> FaultError:
    _LOGGER.error("a bug was met in scoring query %r", query.id, exc_info=error)
    return FaultError(
        f"query {query.id!r} cannot be scored, because of a bug: {type(error).__name__}: {error}. Nothing in the text "
        "excuses it, and asking again does not help: the log has the traceback"
    )


def _answer(judged: Judged, row: int, rollout_id: str, partial: bool) -> Scored:
    probability, correct = float(judged.probability[row]), int(judged.correct[row])
    return Scored(
        float(judged.reward[row]),
        judged.source[row],
        None if np.isnan(probability) else probability,
        None if correct < 0 else bool(correct),
        judged.reason[row],
        bool(judged.failed[row]),
        partial,
        rollout_id,
    )
