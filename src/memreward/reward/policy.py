"""The reward: ground truth where a query is labelled, what a valuer holds elsewhere, nothing where neither can tell."""

import copy
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from memreward.answers.beliefs import AnswerBeliefs
from memreward.domains import Verifiers
from memreward.evaluation.metrics import advantages
from memreward.features.featurizer import Featurizer
from memreward.memory import Budget, ExperienceMemory
from memreward.memory.labelling import FLAGGED, flagged
from memreward.reward.asking import Asking
from memreward.reward.judged import ABSTAINED, PREDICTED, TRUTH, Floats, Judged, Kind, filled, shares_of
from memreward.reward.monitor import Alarm, Blind, RewardMonitor
from memreward.reward.predictor import RewardPredictor
from memreward.reward.truth import GroundTruth, Ruling, groups_of
from memreward.reward.valuers import Answers, Valuer, named_errors
from memreward.reward.visits import EarlierVisits
from memreward.types import PROGRAMMING_ERRORS, ConfigurationError, Features, IntArray, MemRewardError, Rollout

_LOGGER = logging.getLogger(__name__)
THRESHOLD = 0.5
_SURE = 0.9
_EARLIER = 32
"""Earlier rollouts of a query, at most, that are learned from where others label it."""
_ZERO = 1e-6
_FIRST_VISIT = 64
"""Rollouts of a query, at most, that memory is asked for when the query is first met."""
Observer = Callable[[Sequence[Rollout], Judged], None]
"""Told of the rollouts of each step, and what came of them."""


class _Part(NamedTuple):
    """Rollouts that were featurized together: their rows in the step, and their features."""

    rows: IntArray
    features: Features
    beliefs: AnswerBeliefs


class _Step:
    """n rollouts of a step, and what is found out about them."""

    def __init__(self, rollouts: Sequence[Rollout]) -> None:
        n = len(rollouts)
        self.rollouts = rollouts
        names = [rollout.query.id for rollout in rollouts]
        begins = [i == 0 or names[i] != names[i - 1] for i in range(n)]
        self.group = (np.cumsum(begins) - 1).astype(np.int64)
        self.probability, self.expected, self.voted = np.full(n, np.nan), np.zeros(n), np.zeros(n)
        self.labelled, self.failed = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        self.correct = np.full(n, -1, np.int8)
        self.reason = [""] * n
        self.parts: list[_Part] = []

    def believed(self, part: _Part) -> None:
        """Take in what a valuer holds; a query of which it holds nothing abstains as a whole."""
        rows, beliefs = part.rows, part.beliefs
        silent = np.isin(beliefs.group, beliefs.group[np.isnan(beliefs.right)])
        among, right = self.group[rows], np.where(silent, 0.0, beliefs.right)
        self.probability[rows] = np.where(silent, np.nan, right)
        self.expected[rows] = np.where(silent, 0.0, beliefs._replace(right=right).advantages(among))
        self.voted[rows] = beliefs._replace(right=beliefs.vote).advantages(among)
        self.parts.append(part)

    def verdicts(self) -> Floats:
        """(n,) ground truth, NaN where there is none."""
        return np.where(self.correct >= 0, self.correct, np.nan)

    def true_advantage(self) -> Floats:
        """(n,) standardised in the group, over those of its rollouts that are judged; 0 elsewhere."""
        return advantages(self.verdicts(), self.group, scaled=True)

    def paid(self, rewards: Kind) -> tuple[Floats, Floats, tuple[str, ...]]:
        """Reward, advantage and source of each rollout."""
        silent = np.where(self.labelled, self.correct < 0, np.isnan(self.probability))
        advantage = np.where(self.labelled, self.true_advantage(), self.expected)
        source = np.where(silent, ABSTAINED, np.where(self.labelled, TRUTH, PREDICTED)).tolist()
        if rewards == "advantage":
            return advantage, advantage, tuple(source)
        value = self.probability if rewards == "probability" else self.probability >= THRESHOLD
        known = np.where(silent, np.nan, np.where(self.labelled, self.correct, value))
        return filled(known, self.group), advantage, tuple(source)

    def blind(self) -> Blind:
        """Labelled rollouts whose prediction and verdict are known."""
        rows = (self.correct >= 0) & ~np.isnan(self.probability)
        both = (self.probability, self.expected, self.voted, self.correct, self.true_advantage(), self.group)
        return Blind(*(values[rows] for values in both))


class PolicyReward:
    """Rewards the rollouts of a training; integrations hand them over from a trainer (`memreward.integrations`).

    Rollouts of labelled queries are judged by their verifier against the reference that the ledger releases; the valuer
    says what the others are worth, and learns from those. Of a question that people flagged as broken nothing is said:
    its group abstains. A failure is an abstention with its reason, counted in
    `failures` and logged, and none leads to ground truth. A programming error is raised.

    Args:
        rewards: What is paid, see `memreward.reward.judged.Kind`.
        budget: Holds over the whole ledger; a release that exceeds it is an abstention. None does not limit.

    Attributes:
        ground: Who is labelled, and judges it.
        observer: Told of each step, if it is set; what it raises counts as a failure.
        unmet: Ids of rollouts in memory that later steps are to meet: for whoever does steps again.
    """

    def __init__(
        self,
        memory: ExperienceMemory,
        valuer: Valuer,
        *,
        featurizer: Featurizer | None = None,
        labelled: Iterable[str] = (),
        rewards: Kind = "advantage",
        budget: Budget | None = None,
        verifiers: Verifiers | None = None,
        on_alarm: Callable[[Alarm], None] | None = None,
    ) -> None:
        self.name, self.memory, self.valuer = valuer.name, memory, valuer
        if rewards not in get_args(Kind):
            raise ConfigurationError(f"rewards={rewards!r} is unknown; use one of {', '.join(get_args(Kind))}")
        self.featurizer, self.rewards = featurizer or Featurizer(), rewards
        self.ground = GroundTruth(memory, labelled, budget=budget, verifiers=verifiers)
        self.monitor = RewardMonitor(on_alarm)
        self.visits = EarlierVisits()
        self.failures: Counter[str] = Counter()
        self.seen = 0
        self.observer: Observer | None = None
        self.asking: Asking | None = None
        self.unmet: Collection[str] = ()

    @property
    def labelled(self) -> frozenset[str]:
        return self.ground.labelled

    @property
    def pays_advantages(self) -> bool:
        """Whether what is paid is an advantage, which the trainer may centre and not standardise."""
        return self.rewards == "advantage"

    def ask(self, on_wait: Callable[[], None] | None = None) -> None:
        """Propose questions for people to label from now on; `memreward label` on the same memory asks them first.

        Raises:
            ConfigurationError: memory is not in a folder.
        """
        self.asking = Asking(self.memory, on_wait)

    def step(self, rollouts: Sequence[Rollout], step: int) -> Judged:
        """Reward n rollouts.

        Args:
            rollouts: Those of one query that stand in a row are a group.

        Raises:
            Exception: a programming error (`memreward.types.PROGRAMMING_ERRORS`) in featurizer, valuer or verifier.
        """
        started, failures = time.monotonic(), self.failures.total()
        made = _Step(rollouts)
        broken = flagged(self.memory)
        self._guarded(partial(self._heed, step, rollouts, broken))
        sound = np.array([i for i, rollout in enumerate(rollouts) if rollout.query.id not in broken], np.int64)
        self._believe(made, sound)  # blind: before any label of the step is read
        self._judge(made, sound)
        made.reason = [FLAGGED if r.query.id in broken else said for r, said in zip(rollouts, made.reason, strict=True)]
        self._watch(made, step)
        self._propose(made, broken)
        self._learn(made, step)
        reward, advantage, source = made.paid(self.rewards)
        self.seen += len(rollouts)
        reasons = [reason if one == ABSTAINED else "" for reason, one in zip(made.reason, source, strict=True)]
        metrics = self._metrics(made, step, advantage) | {
            "failures": float(self.failures.total() - failures),
            "seconds": time.monotonic() - started,
        }
        judged = Judged(
            reward,
            made.probability,
            advantage,
            source,
            made.correct,
            tuple(reasons),
            made.failed,
            shares_of(source, metrics),
        )
        if self.observer is not None:
            self._guarded(partial(self.observer, rollouts, judged))
        return judged

    def save(self, folder: str | Path) -> None:
        """Write model, monitor, counts and the memory's position to a folder, whole or not at all.

        Memory and its ledger stay where they are.
        """
        state = {
            "monitor": self.monitor.to_json(),
            "failures": dict(self.failures),
            "heard": self.ground.heard,
            "seen": self.seen,
            "memory": self.memory.position(),
            "visits": self.visits.to_json(),
        }
        self.valuer.save(Path(folder), state)

    def restore(self, folder: str | Path, *, rewind: bool = True) -> None:
        """Read what `save` wrote, and go on from there: memory sets aside the rollouts that it got since.

        The ledger keeps the labels that were released since; releasing them again costs nothing. Without `rewind`
        memory stays as it is. Raises StoreError where files are absent or damaged, or a release before 0.2 wrote them.
        """
        state = self.valuer.restore(Path(folder))
        with named_errors(folder):
            self.monitor.restore(state["monitor"])
            self.failures, self.seen = Counter(state["failures"]), state["seen"]
            self.ground.heard = state["heard"]
            self.visits = EarlierVisits.of_json(state["visits"])
            if rewind:
                self.memory.rewind(state["memory"])

    def _believe(self, made: _Step, rows: NDArray[np.int64]) -> None:
        """Ask the valuer; if that fails, query by query, so that one odd rollout does not cost the others theirs."""
        given = [made.rollouts[i] for i in rows]
        if not given:
            return
        try:
            features = self.featurizer.features(given)
            features = replace(features, lean=self._lean(given))
            made.believed(_Part(rows, features, self.valuer.beliefs(features)))
        except PROGRAMMING_ERRORS:
            raise
        except Exception as error:
            queries = list(dict.fromkeys(rollout.query.id for rollout in given))
            if len(queries) > 1:
                for query in queries:
                    self._believe(made, rows[[rollout.query.id == query for rollout in given]])
                return
            reason = self._failed(error, len(rows))
            for i in rows:
                made.reason[i], made.failed[i] = reason, True

    def _lean(self, rollouts: Sequence[Rollout]) -> Floats:
        """What earlier visits say; those of rollouts that memory held before the first step are one visit."""
        given = {rollout.id for rollout in rollouts}.union(self.unmet)
        held = self.memory.groups(self.visits.unseen(rollouts), recent=_FIRST_VISIT)
        self.visits.add([one for group in held for one in group.rollouts if one.id not in given], 0)
        return self.visits.lean(rollouts)

    def _judge(self, made: _Step, rows: NDArray[np.int64]) -> None:
        """Put rollouts into memory, and verdicts on labelled ones into the ledger before anybody sees them."""
        sound = [made.rollouts[i] for i in rows]
        try:
            self.memory.add(groups_of(made.rollouts))
            told = self.ground.judge(sound)
        except PROGRAMMING_ERRORS:
            raise
        except Exception as error:  # no verdict without an entry in the ledger, and no prediction in its place
            lost = Ruling(True, None, str(error), error)
            told = [lost if r.query.id in self.labelled else Ruling(False) for r in sound]
        for i, one in zip(rows, told, strict=True):
            if one.correct is not None:
                made.correct[i] = one.correct
            if not one.labelled:
                continue
            made.labelled[i], made.failed[i] = True, one.correct is None
            if one.correct is not None:
                continue
            if one.error is not None:
                made.reason[i] = self._failed(one.error)
            else:
                made.reason[i] = self._noted(f"cannot verify: {one.reason}")

    def _heed(self, step: int, present: Sequence[Rollout], broken: Collection[str]) -> None:
        """Learn from verdicts that others entered since the last step, e.g. a person in another process.

        What they say of rollouts that this step or a later one meets is learned there, and not twice.
        """
        learned = self.valuer.learned()
        news = [one for one in self.ground.news(learned or ()) if one not in broken and learned is not None]
        met = {rollout.id for rollout in present}.union(self.unmet)
        rollouts = [r for group in self.memory.groups(news, recent=_EARLIER) for r in group.rollouts if r.id not in met]
        known = self.ground.known(rollouts) if rollouts else {}
        if known:
            labels = np.array([known.get(rollout.id, -1) for rollout in rollouts], np.int8)
            self.valuer.observe(self.featurizer.features(rollouts), labels, step)

    def _watch(self, made: _Step, step: int) -> None:
        raised = len(self.monitor.alarms)
        self._guarded(lambda: self.monitor.observe(step, made.blind()))  # the callback is the user's and may fail
        for alarm in self.monitor.alarms[raised:]:
            _LOGGER.warning("%s", alarm)

    def _propose(self, made: _Step, broken: Collection[str]) -> None:
        if self.asking is not None:
            known = self.labelled | self.ground.told
            for _, features, beliefs in made.parts:
                parted = self.monitor.distrusts
                self._guarded(partial(self.asking.consider, features, beliefs, known, broken, parted=parted))

    def _learn(self, made: _Step, step: int) -> None:
        """Let the valuer learn from the step's verdicts, and the next visits from its votes."""
        for rows, features, _ in made.parts:
            labels = made.correct[rows]
            if (labels >= 0).any():
                self._guarded(partial(self.valuer.observe, features, labels, step))
            self._guarded(partial(self.visits.add, [made.rollouts[i] for i in rows], step))

    def _metrics(self, made: _Step, step: int, advantage: Floats) -> dict[str, float]:
        predicted = ~made.labelled & ~np.isnan(made.probability)
        doubtful = (made.probability > 1 - _SURE) & (made.probability < _SURE)
        rewards = np.where(made.labelled, made.verdicts(), made.probability)
        found = {
            "groups_in_doubt": _share(np.unique(made.group[predicted & doubtful]), np.unique(made.group[predicted])),
            "advantage_mean_abs": float(np.abs(advantage).mean()) if len(advantage) else np.nan,
            "advantage_zero": float((np.abs(advantage) < _ZERO).mean()) if len(advantage) else np.nan,
            "reward": float(rewards[~np.isnan(rewards)].mean()) if (~np.isnan(rewards)).any() else np.nan,
            "alarm": float(any(alarm.step == step for alarm in self.monitor.alarms)),
        }
        if self.asking is not None:
            found["asked"] = float(len(self.asking.waiting))
        if self.monitor.history and self.monitor.history[-1].step == step:
            last = self.monitor.history[-1]
            live = {"predicted": last.predicted, "true": last.true, "gap_rise": last.rise}
            live |= {"cosine": last.cosine, "cosine_vote": last.vote_cosine}
            found |= {f"live/{name}": value for name, value in live.items() if value is not None}
        found |= {f"trust/{domain}": weight for domain, weight in self.valuer.trust().items()}
        found |= {f"doubt/{domain}": weight for domain, weight in self.valuer.doubt().items()}
        self._guarded(lambda: found.update(self.ground.spent()))
        return {name: value for name, value in found.items() if not np.isnan(value)}

    def _guarded(self, action: Callable[[], object]) -> None:
        """Run what this step's rewards do not need; a failure is counted and logged."""
        try:
            action()
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception, rollouts: int = 1) -> str:
        known = isinstance(error, MemRewardError)
        return self._noted(f"{type(error).__name__}: {error}", None if known else error, rollouts)

    def _noted(self, reason: str, error: Exception | None = None, rollouts: int = 1) -> str:
        """Count a failure, and log each kind once."""
        if reason not in self.failures:
            _LOGGER.warning("no reward: %s", reason, exc_info=error)
        self.failures[reason] += rollouts
        return reason


def HybridReward(
    predictor: RewardPredictor,
    *,
    labelled: Iterable[str] | None = None,
    rewards: Kind = "advantage",
    budget: Budget | None = None,
    verifiers: Verifiers | None = None,
    on_alarm: Callable[[Alarm], None] | None = None,
    ask: bool = False,
) -> PolicyReward:
    """Return the reward of a warmed-up predictor, which is left as it is: the reward learns on a copy of its model.

    Args:
        labelled: Ids of the queries that may be judged; None takes those of which the ledger holds any verdict,
            whoever gave it.
    """
    memory = predictor.memory
    model = copy.deepcopy(predictor.model, {id(predictor.model.prior): predictor.model.prior})
    if labelled is None:
        labelled = memory.ledger.labelled()
    reward = PolicyReward(
        memory,
        Answers(model),
        featurizer=predictor.featurizer,
        labelled=labelled,
        rewards=rewards,
        budget=budget,
        verifiers=verifiers,
        on_alarm=on_alarm,
    )
    if ask:
        reward.ask()
    return reward


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> float:
    return len(part) / len(whole) if len(whole) else float("nan")
