"""The hybrid reward: ground truth where a query is labelled, predictions elsewhere, nothing where neither can tell."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from memreward.memory import Budget
from memreward.predict.metrics import advantages
from memreward.predict.reward_predictor import WARMUP, RewardPredictor
from memreward.reward.debias import DebiasConfig, Floats, debiased_advantages
from memreward.reward.growth import GrowthConfig
from memreward.reward.live import BlindRow
from memreward.reward.live_predictor import LivePredictor
from memreward.reward.monitor import Alarm, MonitorConfig, RewardMonitor
from memreward.reward.ranks import decide_together
from memreward.reward.rows import Row, RowReader, rows_of
from memreward.reward.shaping import ShapingConfig
from memreward.reward.state import reading_state, write_state
from memreward.reward.truth import GroundTruth, groups_of
from memreward.types import PROGRAMMING_ERRORS, MemRewardError, Rollout
from memreward.verify import Verifiers

_LOGGER = logging.getLogger(__name__)
_PREDICTOR = "predictor"
_LOGGED = ("source", "value", "confidence", "reason")
TRUTH, PREDICTED, ABSTAINED = "truth", "predicted", "abstained"
"""Where a reward is from."""
Observer = Callable[[Sequence[Rollout], Sequence[float | None], Sequence[float | None]], None]
"""Called with n rollouts, n rewards, and n rewards before debiasing, which are the same without it."""
_Rewards = list[float | None]


@dataclass(frozen=True)
class HybridConfig:
    """Settings of the hybrid reward.

    Attributes:
        shaping: From predicted values to rewards.
        growth: What memory and predictor learn in training.
        monitor: When predicted and true reward have parted.
        debias: Advantages with the expected gradient of full supervision; then the trainer's `scale_rewards` must be
            "none", since what is returned are advantages.
    """

    shaping: ShapingConfig = field(default_factory=ShapingConfig)
    growth: GrowthConfig = field(default_factory=GrowthConfig)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    debias: DebiasConfig = field(default_factory=DebiasConfig)

    @classmethod
    def paper(cls) -> HybridConfig:
        """Return the paper's setting: threshold at one half, frozen predictor (method.md, section 2)."""
        return cls(shaping=ShapingConfig.paper(), growth=GrowthConfig.frozen())


@dataclass
class _Decided:
    """One rollout and what came of it; `correct` is None where its query has no ground truth or it cannot be told."""

    row: int
    rollout: Rollout
    value: float = float("nan")
    confidence: float = 0.0
    reason: str = ""
    labelled: bool = False
    correct: bool | None = None

    def result(self, reward: float | None) -> tuple[float | None, str, float | None, float, str]:
        """Reward, source, value, confidence, reason."""
        source = ABSTAINED if reward is None else PREDICTED if self.correct is None else TRUTH
        value = None if np.isnan(self.value) else self.value
        silent = reward is None or (self.labelled and self.correct is None)
        return reward, source, value, self.confidence, self.reason if silent else ""


class HybridReward:
    """A reward function for TRL's `GRPOTrainer`, which takes it as it is; see docs/training.md.

    Rows of labelled queries are judged by their verifier against the reference that the ledger releases. The others get
    the predictor's shaped value. None, an abstention, is returned where neither can tell. A failure is an abstention
    with its reason, counted in `failures` and logged, and none leads to ground truth. A programming error in the
    predictor or in a verifier is raised.

    With several processes, rows are gathered and decided on in the first one, which alone writes to memory.

    Args:
        predictor: Warmed up; its memory grows and its ledger is used. It is left as it is.
        labelled: Ids of the queries that may be judged; None takes those whose labels warmup released.
        config: Settings.
        budget: Holds over the whole ledger; a release that exceeds it is an abstention. None does not limit.
        verifiers: Judge by domain; None makes the default ones.
        on_alarm: Called when predicted and true reward part.

    Attributes:
        truth: Who is labelled, and judges it.
        live: The predictor, and what labelled queries have said of it since training began.
        monitor: Predicted and true reward on labelled queries over time.
        failures: Counts by reason.
        observer: Told of each step's rollouts and rewards, if it is set; what it raises counts as a failure.
        coefficient: lambda of the last call; NaN without debiasing.
        stop_requested: Whether the monitor asks to end training; the same in all processes. The other attributes are
            those of the first process.
    """

    def __init__(
        self,
        predictor: RewardPredictor,
        *,
        labelled: Iterable[str] | None = None,
        config: HybridConfig | None = None,
        budget: Budget | None = None,
        verifiers: Verifiers | None = None,
        on_alarm: Callable[[Alarm], None] | None = None,
    ) -> None:
        self.__name__ = "hybrid_reward"
        self.config = config or HybridConfig()
        self.memory = predictor.memory
        self.live = LivePredictor(predictor, self.config.growth, self.config.shaping)
        if labelled is None:
            labelled = (label.query_id for label in self.memory.ledger.labels(WARMUP))
        self.truth = GroundTruth(self.memory, labelled, budget=budget, verifiers=verifiers)
        self.monitor = RewardMonitor(self.config.monitor, on_alarm)
        self.failures: Counter[str] = Counter()
        self.coefficient = float("nan")
        self.stop_requested = False
        self.observer: Observer | None = None
        self._mean_reward = float("nan")
        self._rows = RowReader(self.memory)

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Any] | None = None,  # noqa: ARG002  TRL passes it by name
        *,
        trainer_state: Any = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """Return one reward a completion, None where it abstains.

        Args:
            prompts: n texts or chats.
            completions: n texts or lists of messages.
            completion_ids: Not read.
            trainer_state: Its `global_step` becomes the policy version of the rollouts.
            log_extra: Told of source, predicted value, confidence and reason of each row.
            log_metric: Told of shares, live rates, gap, threshold, labels spent, failures and seconds.
            **columns: Of the data set, n values each; `memreward.reward.rows.COLUMNS` are read.
        """
        started = time.monotonic()
        step = int(getattr(trainer_state, "global_step", 0) or 0)
        try:
            rows = rows_of(prompts, completions, columns, step)
        except Exception as error:  # the other processes wait for this one's rows
            self._failed(error)
            rows = [Row("", "", step, None, None, None, None, None)] * len(completions)
        results, (metrics, self.stop_requested) = decide_together(rows, self._decide)
        if log_extra is not None:
            for position, name in enumerate(_LOGGED, start=1):
                log_extra(f"memreward/{name}", [result[position] for result in results])
        if log_metric is not None:
            for name, value in {**metrics, "seconds": time.monotonic() - started}.items():
                log_metric(f"memreward/{name}", value)
        return [result[0] for result in results]

    def save(self, folder: str | Path) -> None:
        """Write predictor, window, monitor, counts and the memory's position to a folder.

        Memory and its ledger stay where they are; what was used of the ledger is one of the counts.

        Raises:
            StoreError: the folder cannot be written.
        """
        state = {
            "live": self.live.save(Path(folder) / _PREDICTOR),
            "monitor": self.monitor.to_json(),
            "failures": dict(self.failures),
            "spent": self.truth.used.to_json(),
            **self._rows.position(),
        }
        write_state(folder, state)

    def restore(self, folder: str | Path) -> None:
        """Read what `save` wrote, and go on from there: memory sets aside the rollouts that it got since.

        The ledger keeps the labels that were released since; releasing them again costs nothing.

        Raises:
            StoreError: the files are absent or damaged.
        """
        with reading_state(folder) as state:
            self.live.restore(Path(folder) / _PREDICTOR, state["live"])
            self.monitor.restore(state["monitor"])
            self.stop_requested = self.monitor.stop_requested
            self.failures = Counter(state["failures"])
            # Release 0.1 wrote neither the memory's position nor what was used of the ledger.
            self._rows.rewind({"memory": self.memory.position(), **state})
            if "spent" in state:
                self.truth.used.restore(state["spent"])

    def _decide(self, rows: list[Row]) -> tuple[list[Any], tuple[dict[str, float], bool]]:
        """Rewards and `_LOGGED` of all rows; metrics, and whether to stop, for all processes."""
        try:
            results, metrics = self._decide_all(rows)
        except PROGRAMMING_ERRORS:
            raise
        except Exception as error:  # an RL trainer must not die of its reward
            reason = self._failed(error)
            results = [(None, ABSTAINED, None, 0.0, reason)] * len(rows)
            metrics = {"abstained": 1.0, "failures": 1.0}
        return results, (metrics, self.monitor.stop_requested)

    def _decide_all(self, rows: list[Row]) -> tuple[list[Any], dict[str, float]]:
        step = max((row.step for row in rows), default=0)
        failures, reader_seconds = self.failures.total(), self._reader_seconds()
        self._guarded(self.live.begin)
        decided, reasons = self._predicted(step, rows)
        self._judge(decided, rows)
        self._learn(step, decided)
        results: list[Any] = [(None, ABSTAINED, None, 0.0, reasons.get(i, "")) for i in range(len(rows))]
        rewards, stated = self._rewards(decided)
        for one, reward in zip(decided, rewards, strict=True):
            results[one.row] = one.result(reward)
        if self.observer is not None:
            self._guarded(partial(self.observer, [one.rollout for one in decided], rewards, stated))
        metrics = self._metrics(step, [result[1] for result in results])
        if self.live.refresh_due(step) and self._guarded(lambda: self.live.refresh(step)):
            self.monitor.restart()
        if read := self._reader_seconds() - reader_seconds:
            metrics["reader_seconds"] = read
        return results, metrics | {"failures": float(self.failures.total() - failures)}

    def _reader_seconds(self) -> float:
        return float(getattr(self.live.predictor.featurizer, "reader_seconds", 0.0))

    def _predicted(self, step: int, rows: list[Row]) -> tuple[list[_Decided], dict[int, str]]:
        """Rollouts with their blind predictions, and why the other rows have none."""
        self._rows.look_up(rows)
        decided: list[_Decided] = []
        reasons: dict[int, str] = {}
        for index, row in enumerate(rows):
            try:
                decided.append(_Decided(index, self._rows.rollout(row)))
            except Exception as error:  # one odd row must not cost the others their reward
                reasons[index] = self._failed(error)
        for one, score in zip(decided, self.live.score(step, [one.rollout for one in decided]), strict=True):
            one.confidence, one.reason = score.confidence, score.reason
            if score.value is not None:
                one.value = score.value
            elif not score.confidence:
                self._noted(score.reason)
        return decided, reasons

    def _judge(self, decided: list[_Decided], rows: list[Row]) -> None:
        """Put rollouts into memory, and verdicts on labelled ones into the ledger before anybody sees them."""
        reachable = [one for one in decided if one.rollout.query.id in self.truth.labelled]
        entering = decided if self.config.growth.grow else reachable
        try:
            self.memory.add(groups_of([one.rollout for one in entering], [rows[one.row].reference for one in entering]))
            judged = self.truth.judge([one.rollout for one in reachable])
        except PROGRAMMING_ERRORS:
            raise
        except Exception as error:
            # No verdict without an entry in the ledger, and no prediction in its place.
            reason = self._failed(error)
            for one in reachable:
                one.labelled, one.correct, one.reason = True, None, reason
            return
        for one, verdict in zip(reachable, judged, strict=True):
            one.labelled, one.correct = verdict.labelled, verdict.correct
            if verdict.error is not None:
                one.reason = self._failed(verdict.error)
            elif verdict.labelled and verdict.correct is None:
                one.reason = self._noted(f"cannot verify: {verdict.reason}")

    def _learn(self, step: int, decided: list[_Decided]) -> None:
        """Let monitor, calibration and threshold learn from labelled rollouts that were predicted blind."""
        known = [one for one in decided if one.correct is not None and not np.isnan(one.value)]
        queries = [one.rollout.query for one in known]
        values, correct = [one.value for one in known], [bool(one.correct) for one in known]
        rows = zip(queries, values, self.live.holds_right(values), correct, strict=True)
        self.live.learn([BlindRow(step, q.id, q.domain, value, held, right) for q, value, held, right in rows])
        self._guarded(lambda: self._watch(step, values, correct, [query.id for query in queries]))

    def _watch(self, step: int, values: list[float], correct: list[bool], queries: list[str]) -> None:
        raised = len(self.monitor.alarms)
        try:
            self.monitor.observe(step, values, correct, queries)
        finally:  # the callback is the user's and may fail
            for alarm in self.monitor.alarms[raised:]:
                _LOGGER.warning("%s", alarm)

    def _rewards(self, decided: list[_Decided]) -> tuple[_Rewards, _Rewards]:
        """What is paid, and what it was before debiasing."""
        group = np.unique([one.rollout.query.id for one in decided], return_inverse=True)[1]
        shaped = self.live.shaped([one.value for one in decided], group)
        true = np.array([np.nan if one.correct is None else float(one.correct) for one in decided])
        labelled = np.array([one.labelled for one in decided], bool)
        stated = np.where(labelled, true, shaped)
        given = stated[~np.isnan(stated)]
        self._mean_reward = float(given.mean()) if len(given) else float("nan")
        share = self.config.debias.share
        rewards = stated if share is None else self._debiased(true, shaped, labelled, group, share)
        return _plain(rewards), _plain(stated)

    def _debiased(self, true: Floats, shaped: Floats, labelled: Any, group: Any, share: float) -> Floats:
        fixed = self.config.debias.coefficient
        self.coefficient = self.live.coefficient() if fixed is None else fixed
        known, guessed = advantages(true, group, 0.0), advantages(shaped, group, 0.0)
        mixed = debiased_advantages(known, guessed, labelled, share=share, coefficient=self.coefficient)
        # A labelled rollout without a verdict keeps its predicted part, so that its group's advantages sum to 0. A
        # labelled group without any has no advantage to put in the place of the predicted one.
        unjudged = labelled & (np.bincount(group, ~np.isnan(true))[group] == 0)
        return np.where(unjudged | (np.isnan(true) & np.isnan(shaped)), np.nan, mixed)

    def _metrics(self, step: int, sources: list[str]) -> dict[str, float]:
        count = Counter(sources)
        found = {name: count[name] / max(len(sources), 1) for name in (TRUTH, PREDICTED, ABSTAINED)}
        found["threshold"] = self.live.threshold
        found["alarm"] = float(any(alarm.step == step for alarm in self.monitor.alarms))
        found["lambda"], found["reward"] = self.coefficient, self._mean_reward
        if self.monitor.history:
            last = self.monitor.history[-1]
            found |= {"gap": last.predicted - last.true} | ({} if last.rise is None else {"gap_rise": last.rise})
        for domain, seen in self.live.window.live_rates(self.config.growth.rates_over).items():
            found |= {f"{domain}/tpr": seen.tpr, f"{domain}/fpr": seen.fpr, f"{domain}/j": seen.j}
        self._guarded(lambda: found.update(self.truth.spent()))
        return {name: value for name, value in found.items() if not np.isnan(value)}

    def _guarded(self, action: Callable[[], None]) -> bool:
        """Whether an action that this step's rewards do not need went well; a failure is counted and logged."""
        try:
            action()
        except Exception as error:
            self._failed(error)
            return False
        return True

    def _failed(self, error: Exception) -> str:
        return self._noted(f"{type(error).__name__}: {error}", None if isinstance(error, MemRewardError) else error)

    def _noted(self, reason: str, error: Exception | None = None) -> str:
        """Count a failure, and log each kind once."""
        if reason not in self.failures:
            _LOGGER.warning("no reward: %s", reason, exc_info=error)
        self.failures[reason] += 1
        return reason


def _plain(rewards: Floats) -> _Rewards:
    return [None if np.isnan(reward) else float(reward) for reward in rewards]
