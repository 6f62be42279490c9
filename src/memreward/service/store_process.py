"""The group store in a process of its own: what hangs there is killed, and the process that answers stays free.

Reading, evidence and judging share one interpreter with nobody. Whatever the other process had not promised is asked of
the next one again; what it had promised is in the store's folder, as after any kill.
"""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from memreward.domains.registry import begin_all
from memreward.memory import AddReport, ExperienceMemory
from memreward.processes import interrupts_held, start_worker
from memreward.service import store
from memreward.service.config import ServiceConfig
from memreward.service.log import log_to_stderr
from memreward.service.messages import AskedGroup
from memreward.service.store import Answered, GroupStore, failed, reward_of
from memreward.types import Group, StoreError

_LOGGER = logging.getLogger(__name__)
GRACE_SECONDS = 10.0
"""That scoring may take beyond its own limit, before its process is killed."""


class StoreProcess(store.Store):
    """A `GroupStore` on the memory in a folder, in another process; its calls are those of the store.

    A group whose scoring hangs, or takes the process with it, abstains. Raises what the store raises.
    """

    def __init__(self, memory: Path, config: ServiceConfig) -> None:
        self.config = config
        self._opening = str(memory), config
        self._turn = threading.Lock()
        self._executor: ProcessPoolExecutor | None = None
        self._pid, self._closed = 0, False
        self._figures: dict[str, float] = {}
        with self._turn:
            self._begin()
        self._memory = ExperienceMemory.open(memory)
        self._journal = store.journal_of(memory / "service")

    def score(self, groups: Sequence[AskedGroup]) -> list[Answered]:
        """Reward groups; where the process is lost over them, each is scored again by itself."""
        try:
            return self._scored(groups)
        except _LostError as error:
            _LOGGER.warning("%d groups are scored again, one by one: %s", len(groups), error)
        return [self._alone(group) for group in groups]

    def _scored(self, groups: Sequence[AskedGroup]) -> list[Answered]:
        seconds = store.seconds_of(sum(len(group.rollouts) for group in groups))
        return self._asked(GroupStore.score, groups, limit=seconds + GRACE_SECONDS)  # type: ignore[no-any-return]

    def _alone(self, group: AskedGroup) -> Answered:
        try:
            return self._scored([group])[0]
        except _LostError as error:
            if self._closed:  # it was killed for that
                raise
            _LOGGER.warning("query %r gets no reward: %s", group.query.id, error)
            answer = failed(str(error), group.partial)
            texts = [rollout.text for rollout in group.rollouts]
            self._journal.commit([(name, text, answer) for name, text in zip(group.names(), texts, strict=True)], ())
            return [answer] * len(texts)

    def add(self, groups: Iterable[Group]) -> AddReport:
        return self._asked(GroupStore.add, list(groups))  # type: ignore[no-any-return]

    def label(self, verdicts: Mapping[str, Mapping[str, bool]], *, source: str, use: str) -> dict[str, int]:
        return self._asked(partial(GroupStore.label, source=source, use=use), dict(verdicts))  # type: ignore[no-any-return]

    def figures(self) -> dict[str, float]:
        return self._figures

    def close(self) -> None:
        """Save what there is, and end the process; where it does not come to that in time, it is killed."""
        self._closed = True
        idle = self._turn.acquire(timeout=GRACE_SECONDS)
        try:
            if idle and self._executor is not None:
                self._executor.submit(_close).result(GRACE_SECONDS)
                self._executor.shutdown()
                self._executor = None
        except (TimeoutError, BrokenProcessPool) as error:
            _LOGGER.warning("what was scored since the last save is done again at the next start: %r", error)
        finally:
            self._kill()
            if idle:
                self._turn.release()

    def _asked(self, call: Callable[..., Any], *given: Any, limit: float = store.BATCH_SECONDS) -> Any:
        """Make a call in the other process; `_LostError` where it dies or takes more than so many seconds."""
        with self._turn:
            asking = self._submitted(_call, call, *given)
            try:
                found, self._figures = asking.result(limit)
            except BrokenProcessPool as error:
                self._kill()
                raise _LostError("the process that scores died of it: of memory, most likely") from error
            except TimeoutError as error:
                if asking.done():  # it is what the call raised
                    raise
                self._kill()
                raise _LostError(f"scoring took more than {limit:g} s and was killed") from error
            return found

    def _submitted(self, *work: Any) -> Future[Any]:
        """Hand work to the process, another one where it died with nothing to do."""
        if self._executor is not None:
            with contextlib.suppress(BrokenProcessPool):
                return self._executor.submit(*work)
            self._kill()
        return self._begin().submit(*work)

    def _begin(self) -> ProcessPoolExecutor:
        if self._closed:
            raise StoreError("the service stops: send the request again later")
        with interrupts_held():
            executor = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=start_worker)
            opening = executor.submit(_open, *self._opening)
        try:
            self._pid, self._figures = opening.result()
        except BrokenProcessPool as error:
            raise StoreError("the process that scores died as it began: free memory, and see the log") from error
        except BaseException:
            executor.shutdown(wait=False)
            raise
        self._executor = executor
        return executor

    def _kill(self) -> None:
        """End the process, and wait until it has let go of the folder."""
        executor, self._executor = self._executor, None
        if executor is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            executor.shutdown()


class _LostError(StoreError):
    """The process that scores is gone; what it had not promised was not done."""


_here: list[GroupStore] = []
"""The store, in its process."""


def _open(memory: str, config: ServiceConfig) -> tuple[int, dict[str, float]]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # whoever sends it to all processes of a service: the other one stops
    log_to_stderr()
    begin_all()
    _here.append(GroupStore(reward_of(Path(memory)), Path(memory) / "service", config))
    return os.getpid(), _here[0].figures()


def _call(call: Callable[..., Any], *given: Any) -> tuple[Any, dict[str, float]]:
    return call(_here[0], *given), _here[0].figures()


def _close() -> None:
    _here.pop().close()
