"""What a training has used of the ledger: the ledger's totals, and where training goes back, what they were then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sums import Sums, asked

from memreward.memory import ExperienceMemory
from memreward.reward import HybridReward, PolicyReward
from memreward.reward.predictor import RewardPredictor
from memreward.reward.truth import SPENT
from memreward.reward.valuers import Nothing

STEPS = 4


@pytest.fixture(params=["hybrid", "nothing"])
def make(request: pytest.FixtureRequest, predictor: RewardPredictor, unlabelled: list[int]) -> Any:
    """Makes the reward anew, as another process would."""
    queries = [f"q{number}" for number in unlabelled]

    def made() -> PolicyReward:
        if request.param == "hybrid":
            return HybridReward(predictor, labelled=queries)
        return PolicyReward(predictor.memory, Nothing(), labelled=queries)

    return made


def step(reward: Any, sums: Sums, unlabelled: list[int], number: int) -> tuple[float, ...]:
    """Totals logged by a step with one query of the step before and one that is new."""
    _, judged = asked(reward, sums, unlabelled[number : number + 2], step=number)
    return tuple(judged.metrics[name] for name in SPENT)


def test_they_are_the_ledgers_where_nobody_interrupts(
    sums: Sums, memory: ExperienceMemory, unlabelled: list[int], make: Any
) -> None:
    reward = make()
    for number in range(STEPS):
        before = memory.ledger.spent()
        assert step(reward, sums, unlabelled, number) == memory.ledger.spent() > before


def test_what_was_judged_before_training_counts_once(
    sums: Sums, memory: ExperienceMemory, unlabelled: list[int], make: Any
) -> None:
    for number in range(2):
        step(make(), sums, unlabelled, number)
    before, reward = memory.ledger.spent(), make()
    assert step(reward, sums, unlabelled, 0) == before  # the same texts in the same step: the same rollouts
    assert step(reward, sums, unlabelled, 2) == memory.ledger.spent() > before


@pytest.mark.slow
def test_a_training_that_goes_back_logs_what_it_logged(
    tmp_path: Path, sums: Sums, memory: ExperienceMemory, unlabelled: list[int], make: Any
) -> None:
    reward = make()
    reward.save(tmp_path / "0")  # before its first step
    logged = []
    for number in range(STEPS):
        logged.append(step(reward, sums, unlabelled, number))
        reward.save(tmp_path / f"{number + 1}")
    spent = memory.ledger.spent()
    assert logged[-1] == spent
    for back in (0, 2):
        for again in (make(), reward):  # in another process, and in the same
            again.restore(tmp_path / f"{back}")
            assert [step(again, sums, unlabelled, number) for number in range(back, STEPS)] == logged[back:]
    assert memory.ledger.spent() == spent
