"""Sums as questions, and a policy of strings that is as good or as sly as a test wants it."""

from __future__ import annotations

import functools
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from memreward.answers.prior import RewardPrior, fit_prior
from memreward.domains import parse_rollout
from memreward.reward import Judged, PolicyReward
from memreward.types import Group, Query, Rollout, Truth

sys.path.append(str(Path(__file__).resolve().parents[1] / "answers"))

from answer_toys import known_weights, source_of

SIZE = 6


@functools.cache
def toy_prior() -> RewardPrior:
    """Learned from made-up sources in which votes, and words that others use too, speak for an answer."""
    rng = np.random.default_rng(0)
    return fit_prior([source_of(f"s{i}", known_weights(rng, 0.2), i, questions=60) for i in range(3)], "toy")


@dataclass
class State:
    """What of TRL's trainer state is read."""

    global_step: int = 0


@dataclass
class Sums:
    """Questions `a plus b`, and rollouts of them."""

    count: int = 40
    seed: int = 0
    asked: list[tuple[int, int]] = field(init=False)

    def __post_init__(self) -> None:
        draw = random.Random(self.seed)
        self.asked = [(draw.randint(10, 99), draw.randint(10, 99)) for _ in range(self.count)]

    def query(self, number: int) -> Query:
        a, b = self.asked[number]
        return Query(f"q{number}", f"What is {a} plus {b}?", "math", "sums")

    def text(self, number: int, *, off: int = 0) -> str:
        a, b = self.asked[number]
        return f"{a} + {b} = {a + b + off}\n#### {a + b + off}"

    def sampled(self, number: int, draw: random.Random, accuracy: float, size: int = SIZE) -> list[str]:
        """Rollouts that are right that often; wrong ones are wrong each in its own way."""
        return [self.text(number, off=0 if draw.random() < accuracy else draw.randint(1, 9)) for _ in range(size)]

    def right(self, number: int, text: str) -> bool:
        return text == self.text(number)

    def groups(self, accuracy: float = 0.6) -> list[Group]:
        draw = random.Random(self.seed + 1)
        groups = []
        for number in range(self.count):
            query, texts = self.query(number), self.sampled(number, draw, accuracy)
            rollouts = tuple(parse_rollout(query, text, id=f"q{number}/{i}") for i, text in enumerate(texts))
            correct = tuple(self.right(number, text) for text in texts)
            groups.append(Group(query, rollouts, Truth(str(sum(self.asked[number])), correct)))
        return groups


def rollouts_of(sums: Sums, numbers: list[int], texts: list[str], step: int = 0) -> list[Rollout]:
    """As a trainer would hand them over."""
    return [
        parse_rollout(sums.query(number), text, id=f"q{number}@{step}/{place}")
        for place, (number, text) in enumerate(zip(numbers, texts, strict=True))
    ]


def asked(reward: PolicyReward, sums: Sums, numbers: list[int], step: int = 0, **sampling: Any) -> tuple[Call, Judged]:
    """Sample a group of each question, seeded by the step, and reward them."""
    call = sample_call(sums, numbers, **{"seed": step, **sampling})
    return call, reward.step(rollouts_of(sums, call.numbers, call.texts, step), step)


@dataclass
class Call:
    """One call of a reward function: rows in, rewards and what was logged out."""

    numbers: list[int]
    texts: list[str]
    rewards: list[float] = field(default_factory=list)
    extra: dict[str, list[Any]] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)

    def of(self, reward: Callable[..., list[float]], sums: Sums, step: int = 0, **columns: Any) -> Call:
        columns = {"query_id": [f"q{number}" for number in self.numbers], **columns}
        self.rewards = reward(
            prompts=[sums.query(number).text for number in self.numbers],
            completions=self.texts,
            completion_ids=[[1]] * len(self.texts),
            trainer_state=State(step),
            log_extra=self.extra.__setitem__,
            log_metric=self.metrics.__setitem__,
            **columns,
        )
        return self


def sample_call(sums: Sums, numbers: list[int], seed: int, accuracy: float = 0.6, size: int = SIZE) -> Call:
    draw = random.Random(seed)
    texts = [text for number in numbers for text in sums.sampled(number, draw, accuracy, size)]
    return Call([number for number in numbers for _ in range(size)], texts)
