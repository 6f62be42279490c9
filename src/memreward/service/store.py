"""The group store: one owner of memory, reward, verifiers and ledger, who answers groups and keeps its word."""

from __future__ import annotations

import fcntl
import logging
import shutil
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from memreward.domains import parse_rollout
from memreward.memory import AddReport, Budget, Told, label
from memreward.reward.judged import ABSTAINED, Judged
from memreward.reward.policy import THRESHOLD, PolicyReward
from memreward.reward.truth import TRAINING
from memreward.reward.valuers import Answers
from memreward.service.asked import Answer, AskedGroup, AskedRollout, ConflictError, name_of
from memreward.service.config import ServiceConfig
from memreward.service.journal import Journal, Kept
from memreward.types import Group, Query, Rollout, StoreError, Truth, content_hash

_LOGGER = logging.getLogger(__name__)
_QUERIES_HELD = 20_000
_LIVE = 2_000
"""Labelled rollouts, the latest, over which live rates are taken."""

Answered = list[Answer] | ConflictError


class GroupStore:
    """Answers groups. What it has answered it answers again, also after it was killed, and it learns nothing twice.

    Every call is durable when it returns. Safe from several threads, which take turns.

    Args:
        reward: Pays advantages. Its memory, ledger and model are the store's from now on.
        folder: Where journal and model are kept; None keeps them in this process.
        config: Limits.

    Raises:
        StoreError: the folder cannot be read or written, or another store has it.
    """

    def __init__(self, reward: PolicyReward, folder: Path | None = None, config: ServiceConfig | None = None) -> None:
        if not reward.pays_advantages:
            raise ValueError("the store's reward must pay advantages: RewardConfig(rewards='advantage')")
        self.config = config or ServiceConfig()
        self._reward, self._memory, self._folder = reward, reward.memory, folder
        self._lock = threading.RLock()
        self._held = _held(folder)
        self._journal = Journal(folder and folder / "journal.sqlite", self.config.kept_answers)
        self._generation = self._journal.generation
        if folder is not None and self._generation:
            reward.restore(self._state_folder(self._generation), rewind=False)
        if isinstance(reward.valuer, Answers):
            reward.valuer.model.begin()
        self._queries: dict[str, Query] = {}
        self._sealed: dict[str, str] = {}
        self._step = 0
        self._live: deque[tuple[bool, bool]] = deque(maxlen=_LIVE)
        entries = self._memory.ledger.entries()
        self._paid = {entry.query_id for entry in entries}
        opened = {entry.query_id for entry in entries if entry.rollout_id is None and entry.use == TRAINING}
        self._may_judge(opened)
        if not self._generation:
            known = self._memory.ledger.labels()
            self._journal.commit(learned={name_of(one.query_id, one.rollout_id): one.correct for one in known})

    def answered(self, group_id: str, rollout: AskedRollout) -> Answer | None:
        """Return the answer that was given on a rollout, None where there is none.

        Raises:
            ConflictError: it was given on another text.
        """
        kept = self._journal.answers([name_of(group_id, rollout.id)])
        return _checked(group_id, rollout, *kept.values()) if kept else None

    def score(self, groups: Sequence[AskedGroup]) -> list[Answered]:
        """Reward groups, each by itself: how they are put together in calls changes no prediction.

        Returns:
            For each group one answer a rollout; or, where a name in it stands for something else, that conflict.

        Raises:
            StoreError: an answer cannot be kept. None is given then; the same call may be made again.
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
        """Put rollouts into memory; ground truth in them is sealed.

        Raises:
            DataError: an id is known with another text.
            StoreError: memory cannot be written.
        """
        with self._lock:
            return self._memory.add(groups)

    def label(self, verdicts: Mapping[str, Mapping[str, bool]], *, source: str, use: str) -> dict[str, int]:
        """Enter verdicts from outside, by query id and rollout id in memory, and let the model learn the new ones.

        Returns:
            "labels" that were given, and how many of them were "new".

        Raises:
            DataError: memory has no such rollout; then nothing is entered.
            BudgetError: the budget holds no more of them; then nothing is entered.
        """
        with self._lock:
            budget = Budget(queries=self.config.labels) if self.config.labels else None
            label(self._memory, None, Told.of_rollouts(source, verdicts), budget, use)
            self._paid.update(verdicts)
            given = {name_of(q, r): right for q, told in verdicts.items() for r, right in told.items()}
            known = self._journal.learned(list(given))
            new = {name: right for name, right in given.items() if known.get(name) is not right}
            if new:
                self._learn(list(verdicts), new)
                self._commit([], new)
        return {"labels": len(given), "new": len(new)}

    def ledger(self) -> dict[str, Any]:
        """Return what was spent: `LabelLedger.totals`."""
        return self._memory.ledger.totals()

    def memory(self) -> dict[str, int]:
        """Return numbers of rows: `ExperienceMemory.counts`."""
        return self._memory.counts()

    def figures(self) -> dict[str, float]:
        """Return what trainers log beside a reward: labels spent, and rates on the latest labelled rollouts.

        "live_tpr", "live_fpr" and "live_j" are those of predictions that were made blind to the label, held to be right
        from one half on; 0 where "live_right" or "live_wrong", the rollouts they are taken over, is 0.
        """
        live = list(self._live)
        right = [held for held, truth in live if truth]
        wrong = [held for held, truth in live if not truth]
        tpr, fpr = sum(right) / max(len(right), 1), sum(wrong) / max(len(wrong), 1)
        return {
            "labelled_queries": float(len(self._paid)),
            "live_right": float(len(right)),
            "live_wrong": float(len(wrong)),
            "live_tpr": tpr,
            "live_fpr": fpr,
            "live_j": tpr - fpr if right and wrong else 0.0,
        }

    def close(self) -> None:
        """Write what was learned, and let go of the folder."""
        with self._lock:
            self._commit([], {}, save=True)
            self._journal.close()
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

    def _settled(self, group: AskedGroup, known: Mapping[str, Kept]) -> list[Answer] | None:
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

    def _score(self, groups: Sequence[AskedGroup]) -> list[list[Answer]]:
        """Reward groups of different queries at one step, and keep the answers."""
        if not groups:
            return []
        self._step = max(self._step, groups[0].step)
        self._seal(groups)
        rows = [(number, group, rollout) for number, group in enumerate(groups) for rollout in group.rollouts]
        rollouts: list[Rollout] = []
        broken: list[str] = []
        for _, group, asked in rows:
            try:
                rollouts.append(self._parsed(group, asked))
                broken.append("")
            except Exception as error:  # one odd text must not cost the others their reward
                broken.append(f"{type(error).__name__}: {error}")
        judged = self._judged(rollouts, groups[0].step).among(broken, [number for number, *_ in rows])
        ids = iter([rollout.id for rollout in rollouts])
        answers: list[list[Answer]] = [[] for _ in groups]
        for i, (number, group, _) in enumerate(rows):
            answers[number].append(_answer(judged, i, "" if broken[i] else next(ids), group.partial))
        self._note(judged)
        learned = {
            name_of(group.query.id, answer.rollout): answer.correct
            for group, given in zip(groups, answers, strict=True)
            for answer in given
            if answer.correct is not None
        }
        given = [answer for one in answers for answer in one]
        self._commit(
            [(name_of(g.id, r.id), r.text, answer) for (_, g, r), answer in zip(rows, given, strict=True)], learned
        )
        return answers

    def _parsed(self, group: AskedGroup, asked: AskedRollout) -> Rollout:
        query = self._queries.get(group.query.id, group.query)
        return parse_rollout(
            query,
            asked.text,
            id=f"{query.id}@{group.step}/{name_of(group.id, asked.id)[:16]}-{content_hash(asked.text)[:12]}",
            policy_version=f"step-{group.step}",
            token_logprobs=asked.token_logprobs,
            truncated=asked.truncated,
        )

    def _judged(self, rollouts: Sequence[Rollout], step: int) -> Judged:
        """Ask the reward; where even that raises, query by query: what one text brings about is its own affair."""
        try:
            return self._reward.step(rollouts, step)
        except Exception as error:
            queries = list(dict.fromkeys(rollout.query.id for rollout in rollouts))
            if len(queries) <= 1:
                _LOGGER.exception("the reward failed on query %r", queries[0] if queries else "")
                return _nothing(rollouts, f"{type(error).__name__}: {error}")
            parts = [self._judged([r for r in rollouts if r.query.id == query], step) for query in queries]
            return _joined(parts)

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

    def _learn(self, query_ids: Sequence[str], new: Mapping[str, bool]) -> None:
        """Let the model learn verdicts, by name, on rollouts of these queries."""
        for group in self._memory.groups(query_ids):
            names = [name_of(group.query.id, rollout.id) for rollout in group.rollouts]
            labels = np.array([int(new[name]) if name in new else -1 for name in names], np.int8)
            features = self._reward.featurizer.features(group.rollouts)
            self._reward.valuer.observe(features, labels, self._step)

    def _commit(
        self, answers: Sequence[tuple[str, str, Answer]], learned: Mapping[str, bool], *, save: bool = False
    ) -> None:
        """Keep answers, and what was learned with them: a kill leaves both or neither."""
        if self._folder is None or not (learned or save):
            self._journal.commit(answers, learned)
            return
        before, after = self._state_folder(self._generation), self._state_folder(self._generation + 1)
        shutil.rmtree(after, ignore_errors=True)
        self._reward.save(after)
        self._journal.commit(answers, learned, self._generation + 1)
        self._generation += 1
        shutil.rmtree(before, ignore_errors=True)

    def _state_folder(self, generation: int) -> Path:
        assert self._folder is not None
        return self._folder / f"state-{generation}"


def _held(folder: Path | None) -> IO[str] | None:
    """Keep other stores out of a folder; the system lets go of it when this process dies."""
    if folder is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("w")
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error}; name another folder") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise StoreError(f"{folder} belongs to a service that runs: stop it, or ask it") from error
    return file


def _checked(group_id: str, rollout: AskedRollout, kept: Kept) -> Answer:
    if kept.text != content_hash(rollout.text):
        raise ConflictError(
            f"rollout {rollout.id!r} of group {group_id!r} was answered with another text: give another rollout "
            "another id"
        )
    return kept.answer


def _answer(judged: Judged, row: int, rollout_id: str, partial: bool) -> Answer:
    probability, correct = float(judged.probability[row]), int(judged.correct[row])
    return Answer(
        rollout_id,
        float(judged.reward[row]),
        judged.source[row],
        None if np.isnan(probability) else probability,
        None if correct < 0 else bool(correct),
        judged.reason[row],
        bool(judged.failed[row]),
        partial,
    )


def _nothing(rollouts: Sequence[Rollout], reason: str) -> Judged:
    n = len(rollouts)
    return Judged(
        np.zeros(n),
        np.full(n, np.nan),
        np.zeros(n),
        (ABSTAINED,) * n,
        np.full(n, -1, np.int8),
        (reason,) * n,
        np.ones(n, np.bool_),
        {"failures": float(n)},
    )


def _joined(parts: Sequence[Judged]) -> Judged:
    """Of rollouts in rows of one query after the other."""
    return Judged(
        np.concatenate([part.reward for part in parts]),
        np.concatenate([part.probability for part in parts]),
        np.concatenate([part.advantage for part in parts]),
        tuple(one for part in parts for one in part.source),
        np.concatenate([part.correct for part in parts]),
        tuple(one for part in parts for one in part.reason),
        np.concatenate([part.failed for part in parts]),
        {"failures": sum(part.metrics.get("failures", 0.0) for part in parts)},
    )
