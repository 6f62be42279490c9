"""Rewards that need no predictor: ground truth alone, majority vote, format, and chance, to compare with."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from memreward.features.evidence.behaviour import Comparison
from memreward.features.evidence.pools import Pools
from memreward.features.featurizer import RolloutRunner
from memreward.memory import Budget, ExperienceMemory
from memreward.reward.hybrid import ABSTAINED, PREDICTED, TRUTH, Observer
from memreward.reward.ranks import decide_together
from memreward.reward.rows import Row, RowReader, rows_of
from memreward.reward.state import reading_state, write_state
from memreward.reward.truth import GroundTruth, groups_of
from memreward.types import ConfigurationError, Rollout, content_hash
from memreward.verify import Verifiers

Rule = Literal["nothing", "majority", "format", "random"]
RULES: tuple[Rule, ...] = ("nothing", "majority", "format", "random")
_Rewards = list[float | None]


class BaselineReward:
    """A reward function for TRL's `GRPOTrainer`: ground truth for labelled queries, a plain rule for the others.

    Args:
        memory: Holds the references, sealed, and the ledger; labelled rollouts enter it.
        rule: For rollouts without ground truth. "nothing" abstains; "majority" pays 1 for the most frequent answer of
            the group, all of them where several are; "format" pays 1 where an answer can be read; "random" pays 1 to
            a rollout in two.
        labelled: Ids of the queries that may be judged.
        budget: Holds over the whole ledger; None does not limit.
        verifiers: Judge by domain; None makes the default ones.
        runner: Runs solutions, so that "majority" counts those as equal that do the same; None compares their text.
        seed: Of the rule "random".

    Attributes:
        truth: Who is labelled, and judges it.
        observer: Told of each step's rollouts and rewards, if it is set.

    Raises:
        ConfigurationError: the rule is unknown.
    """

    def __init__(
        self,
        memory: ExperienceMemory,
        rule: Rule,
        *,
        labelled: Iterable[str] = (),
        budget: Budget | None = None,
        verifiers: Verifiers | None = None,
        runner: RolloutRunner | None = None,
        seed: int = 0,
    ) -> None:
        if rule not in RULES:
            raise ConfigurationError(f"rule={rule!r} is unknown; use one of {', '.join(RULES)}")
        self.__name__ = f"{rule}_reward"
        self.memory, self.rule, self.runner, self.seed = memory, rule, runner, seed
        self.truth = GroundTruth(memory, labelled, budget=budget, verifiers=verifiers)
        self.observer: Observer | None = None
        self._rows = RowReader(memory)

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Any] | None = None,  # noqa: ARG002  TRL passes it by name
        *,
        trainer_state: Any = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,  # noqa: ARG002
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> _Rewards:
        """Return one reward a completion, None where it abstains; the arguments are those of `HybridReward`.

        Raises:
            MemRewardError: a row does not say enough, or the ledger refuses a label.
            Exception: what a verifier or the observer raises. Of several processes all raise, the first one that.
        """
        started = time.monotonic()
        step = int(getattr(trainer_state, "global_step", 0) or 0)
        rewards, metrics = decide_together(rows_of(prompts, completions, columns, step), self._decide)
        if log_metric is not None:
            for name, value in {**metrics, "seconds": time.monotonic() - started}.items():
                log_metric(f"memreward/{name}", value)
        return rewards

    def save(self, folder: str | Path) -> None:
        """Write the count of rows, which names rollouts, what was used of the ledger, and the memory's position.

        Raises:
            StoreError: the folder cannot be written.
        """
        write_state(folder, {"spent": self.truth.used.to_json(), **self._rows.position()})

    def restore(self, folder: str | Path) -> None:
        """Read what `save` wrote, and go on from there; see `HybridReward.restore`.

        Raises:
            StoreError: the file is absent or damaged.
        """
        with reading_state(folder) as state:
            self._rows.rewind(state)
            self.truth.used.restore(state["spent"])

    def _decide(self, rows: list[Row]) -> tuple[_Rewards, dict[str, float]]:
        self._rows.look_up(rows)
        rollouts = [self._rows.rollout(row) for row in rows]
        labelled = [i for i, rollout in enumerate(rollouts) if rollout.query.id in self.truth.labelled]
        self.memory.add(groups_of([rollouts[i] for i in labelled], [rows[i].reference for i in labelled]))
        judged = dict(zip(labelled, self.truth.judge([rollouts[i] for i in labelled]), strict=True))
        if error := next((one.error for one in judged.values() if one.error is not None), None):
            raise error
        others = [i for i in range(len(rows)) if i not in judged]
        ruled = dict(zip(others, self._ruled([rollouts[i] for i in others]), strict=True))
        rewards = [_paid(judged[i].correct) if i in judged else ruled[i] for i in range(len(rows))]
        if self.observer is not None:
            self.observer(rollouts, rewards, rewards)
        sources = Counter(
            ABSTAINED if reward is None else TRUTH if i in judged else PREDICTED for i, reward in enumerate(rewards)
        )
        shares = {name: sources[name] / max(len(rows), 1) for name in (TRUTH, PREDICTED, ABSTAINED)}
        return rewards, shares | self.truth.spent()

    def _ruled(self, rollouts: list[Rollout]) -> _Rewards:
        if self.rule == "nothing" or not rollouts:
            return [None] * len(rollouts)
        if self.rule == "format":
            return [float(rollout.answer is not None) for rollout in rollouts]
        if self.rule == "random":
            return [float(int(content_hash(f"{self.seed} {rollout.id}")[0], 16) < 8) for rollout in rollouts]
        return self._majority(rollouts)

    def _majority(self, rollouts: list[Rollout]) -> _Rewards:
        keys = None if self.runner is None else Comparison.of(rollouts, self.runner.observe(rollouts)).keys
        pools = Pools.of(rollouts, keys)
        votes = pools.cluster_size
        return [float(won) for won in (votes > 0) & (votes == pools.maximum(np.where(votes > 0, votes, np.nan)))]


def _paid(correct: bool | None) -> float | None:
    return None if correct is None else float(correct)
