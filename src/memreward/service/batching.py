"""Where rollouts wait: put into groups as they come in, and groups into batches as the store gets free."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from memreward.integrations.client import Scored
from memreward.service.config import ServiceConfig
from memreward.service.messages import AskedGroup, AskedRollout, BusyError, ConflictError, StoppingError, name_of
from memreward.service.store import Answered, Store
from memreward.types import FaultError, MemRewardError, StoreError

_LOGGER = logging.getLogger(__name__)
BATCH = 256
"""Rollouts, at most, that are scored at once; fewer where fewer wait."""
_LEAST = 64
"""Rollouts below which a batch costs more a rollout."""
_BATCH_SECONDS = 20.0
"""That a batch is meant to take, by the speed of late."""
WAITING = 16_384
"""Rollouts, at most, that wait; those beyond are told when to come back."""
SCORING_SECONDS = 120.0
"""That a batch may take, which the store ends sooner if it can; then its requests are told to come back, and the
service is not ready."""
STOP_SECONDS = 30
"""That a stop waits for what is being scored."""


Observer = Callable[[Sequence[AskedGroup], float], None]
"""Told of each batch that was scored, and the seconds it took."""


@dataclass
class _Member:
    """A rollout that waits, and all the requests that ask for it."""

    rollout: AskedRollout
    answer: asyncio.Future[Scored]
    requests: int = 0


@dataclass
class _Collecting:
    """A group that is not whole yet."""

    group: AskedGroup
    size: int
    members: dict[str, _Member] = field(default_factory=dict)
    timer: asyncio.TimerHandle | None = None


@dataclass
class _Job:
    group: AskedGroup
    answers: asyncio.Future[list[Scored]]


class Batcher:
    """Collects, batches and answers; use it in one event loop, between `start` and `stop`.

    Rollouts of a group come one by one, in any order, from whom they may. Once as many as its size are there it is
    scored; one that comes later under the same group's id begins another group. What is asked twice is answered once,
    to both.

    Attributes:
        faults: Groups that met a bug: they are answered with an error, and nothing is ready any more.
    """

    def __init__(self, store: Store, config: ServiceConfig, observer: Observer | None = None) -> None:
        self._store, self._config, self._observer = store, config, observer
        self._collecting: dict[str, _Collecting] = {}
        self._members: dict[str, _Member] = {}
        self._jobs: deque[_Job] = deque()
        self._work = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._stopping = self._stuck = False
        self.faults = 0
        self._queued = 0
        self._speed = 100.0  # rollouts a second, as seen

    @property
    def waiting(self) -> int:
        """Rollouts that wait to be scored, in whole groups or not."""
        return self._queued + sum(len(one.members) for one in self._collecting.values())

    def figures(self) -> dict[str, float]:
        """Return gauges: rollouts "waiting", groups "collecting" that are not whole, and "faults"."""
        return {"waiting": self.waiting, "collecting": len(self._collecting), "faults": self.faults}

    @property
    def ready(self) -> bool:
        """Whether what is asked now will be answered, and no bug was met so far: a training may begin."""
        return self._answers and not self.faults

    @property
    def _answers(self) -> bool:
        return self._worker is not None and not self._stopping and not self._stuck

    def start(self) -> None:
        self._worker = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        self._stopping = True
        for one in list(self._collecting.values()):
            self._dissolve(one, StoppingError("the service stops before the group is whole: send it again", 2.0))
        self._work.set()
        if self._worker is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._worker), STOP_SECONDS)

    async def score(self, groups: Sequence[AskedGroup]) -> list[list[Scored] | ConflictError]:
        """Answer groups, whole as they are.

        Raises:
            BusyError: too much waits.
            StoppingError: the service stops or cannot go on.
            FaultError: a group met a bug; the others are answered when they are asked again.
        """
        self._refuse_more(sum(len(group.rollouts) for group in groups))
        jobs = [self._enqueue(group) for group in groups]
        done = await asyncio.gather(*(job.answers for job in jobs), return_exceptions=True)
        failures = [one for one in done if isinstance(one, BaseException) and not isinstance(one, ConflictError)]
        if failures:
            raise failures[0]
        return [one for one in done if isinstance(one, list | ConflictError)]

    async def score_one(
        self, group: AskedGroup, size: int, rollout: AskedRollout, deadline: float | None = None
    ) -> Scored:
        """Answer a rollout once its group is whole, or its deadline (seconds after the group's first) has passed.

        Cancelling it withdraws the rollout, unless it is being scored or is asked for elsewhere too. Raises
        ConflictError where the group has another size or question, or the rollout another text; else as `score`.
        """
        name = name_of(group.id, rollout.id)
        member = self._members.get(name)
        if member is None:
            if (known := self._store.answered(group.id, rollout)) is not None:
                return known
            member = self._join(name, group, size, rollout, deadline)
        elif member.rollout.text != rollout.text:
            raise ConflictError(
                f"rollout {rollout.id!r} of group {group.id!r} waits with another text: give it another id"
            )
        member.requests += 1
        try:
            return await asyncio.shield(member.answer)
        finally:
            member.requests -= 1
            if not member.requests and not member.answer.done():
                self._withdraw(name, group.id, rollout.id)

    def _join(self, name: str, group: AskedGroup, size: int, rollout: AskedRollout, deadline: float | None) -> _Member:
        self._refuse_more(1)
        loop = asyncio.get_running_loop()
        one = self._collecting.get(group.id)
        if one is None:
            one = self._collecting[group.id] = _Collecting(group, size)
            seconds = min(deadline or self._config.group_deadline, self._config.group_deadline)
            one.timer = loop.call_later(seconds, self._close, one)
        elif (one.size, one.group.query) != (size, group.query):
            raise ConflictError(
                f"group {group.id!r} has size {one.size} and query {one.group.query.id!r}, and not size {size} and "
                f"query {group.query.id!r}, or not the same text: give each group an id of its own"
            )
        member = one.members[rollout.id] = self._members[name] = _Member(rollout, loop.create_future())
        member.answer.add_done_callback(lambda _: self._forget(name, member))
        if len(one.members) == one.size:
            self._close(one)
        return member

    def _forget(self, name: str, member: _Member) -> None:
        if self._members.get(name) is member:
            del self._members[name]
        if not member.answer.cancelled():
            member.answer.exception()  # whoever asked may be gone, and nobody else is to be told

    def _withdraw(self, name: str, group_id: str, rollout_id: str) -> None:
        """Take a rollout back whose client has gone, if its group still waits for others."""
        one = self._collecting.get(group_id)
        if one is None or rollout_id not in one.members or self._members.get(name) is not one.members[rollout_id]:
            return
        del self._members[name]  # at once: the same rollout may be sent again at this moment
        one.members.pop(rollout_id).answer.cancel()
        if not one.members:
            self._leave(one)

    def _leave(self, one: _Collecting) -> None:
        if one.timer is not None:
            one.timer.cancel()
        del self._collecting[one.group.id]

    def _dissolve(self, one: _Collecting, error: MemRewardError) -> None:
        self._leave(one)
        for member in one.members.values():
            member.answer.set_exception(error)

    def _close(self, one: _Collecting) -> None:
        """Hand a group over to be scored: it is whole, or its time is up."""
        self._leave(one)
        members = list(one.members.values())
        rollouts = tuple(member.rollout for member in sorted(members, key=lambda member: member.rollout.id))
        job = self._enqueue(replace(one.group, rollouts=rollouts, partial=len(members) < one.size))
        job.answers.add_done_callback(lambda done: _hand_out(done, rollouts, one.members))

    def _enqueue(self, group: AskedGroup) -> _Job:
        job = _Job(group, asyncio.get_running_loop().create_future())
        job.answers.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._jobs.append(job)
        self._queued += len(group.rollouts)
        self._work.set()
        return job

    def _refuse_more(self, rollouts: int) -> None:
        if not self._answers:
            why = "cannot go on by itself" if self._stuck else "stops"
            raise StoppingError(f"the service {why}: send the request again later, or elsewhere", 5.0)
        if self.waiting and self.waiting + rollouts > WAITING:
            after = max(1.0, min(60.0, self._queued / self._speed))
            raise BusyError(f"{self.waiting} rollouts wait, and more than {WAITING} may not", after)

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            while self._jobs:
                await self._answer(self._take())
            self._work.clear()
            if self._stopping:
                return

    def _take(self) -> list[_Job]:
        """Half of what has come while the last batch was scored, up to the limit: nobody waits for others to come.

        The other half is scored while the first is answered, and its clients send what comes next.
        """
        taken: list[_Job] = []
        rollouts, most = 0, min(max(self._queued // 2, _LEAST), BATCH, self._speed * _BATCH_SECONDS)
        while self._jobs and (not taken or rollouts + len(self._jobs[0].group.rollouts) <= most):
            job = self._jobs.popleft()
            rollouts += len(job.group.rollouts)
            taken.append(job)
        self._queued -= rollouts
        return taken

    async def _answer(self, jobs: Sequence[_Job]) -> None:
        groups = [job.group for job in jobs]
        started = time.monotonic()
        scoring = asyncio.create_task(asyncio.to_thread(self._store.score, groups))
        try:
            found = await asyncio.wait_for(asyncio.shield(scoring), SCORING_SECONDS)
        except TimeoutError:
            await self._wait_for_stuck(jobs, scoring)
            return
        except (StoreError, OSError) as error:  # nothing was promised, and the same may be asked again
            _LOGGER.exception("a batch could not be answered")
            _fail(jobs, StoppingError(f"no answer can be kept: {error}", 5.0))
            return
        except Exception as error:
            _LOGGER.exception("a batch met a bug")
            found = [FaultError(f"a batch met a bug: {type(error).__name__}: {error}")] * len(jobs)
        seconds = time.monotonic() - started
        count = sum(len(group.rollouts) for group in groups)
        self._speed += 0.2 * (count / max(seconds, 1e-3) - self._speed)
        for job, answers in zip(jobs, found, strict=True):
            self.faults += isinstance(answers, FaultError)
            if job.answers.done():
                continue
            if isinstance(answers, ConflictError | FaultError):
                job.answers.set_exception(answers)
            else:
                job.answers.set_result(answers)
        if self._observer is not None:
            self._observer(groups, seconds)

    async def _wait_for_stuck(self, jobs: Sequence[_Job], scoring: asyncio.Task[list[Answered]]) -> None:
        """Tell everybody to come back; what hangs cannot be killed from here, and whoever watches sees it by /ready."""
        _LOGGER.error("a batch has taken more than %g s: the service is not ready", SCORING_SECONDS)
        self._stuck = True
        error = StoppingError("the service hangs: send the request again later, or elsewhere", 10.0)
        _fail(jobs, error)
        for one in list(self._collecting.values()):
            self._dissolve(one, error)
        _fail(self._jobs, error)
        self._jobs.clear()
        self._queued = 0
        with contextlib.suppress(Exception):
            await scoring
        self._stuck = False


def _hand_out(
    done: asyncio.Future[list[Scored]], rollouts: Sequence[AskedRollout], members: dict[str, _Member]
) -> None:
    """Give each member of a group its answer, or what went wrong."""
    for place, rollout in enumerate(rollouts):
        answer = members[rollout.id].answer
        if answer.done():
            continue
        if done.cancelled():
            answer.set_exception(StoppingError("the service stops", 5.0))
        elif (error := done.exception()) is not None:
            answer.set_exception(error)
        else:
            answer.set_result(done.result()[place])


def _fail(jobs: Sequence[_Job] | deque[_Job], error: MemRewardError) -> None:
    for job in jobs:
        if not job.answers.done():
            job.answers.set_exception(error)
