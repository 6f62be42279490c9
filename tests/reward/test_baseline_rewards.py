"""Rewards without a predictor: who gets ground truth, what each rule pays, what the ledger counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sums import State, Sums

from memreward.memory import Budget, ExperienceMemory
from memreward.reward.baselines import RULES, BaselineReward
from memreward.types import BudgetError, ConfigurationError, DataError, Rollout

WRONG = [1, 1, 1]


def ask(reward: BaselineReward, sums: Sums, number: int, off: list[int | None], step: int = 0) -> list[float | None]:
    """Rewards of one group whose answers are off by so much; None says nothing."""
    texts = ["I do not know." if one is None else sums.text(number, off=one) for one in off]
    columns: dict[str, Any] = {name: [value] * len(off) for name, value in {"query_id": f"q{number}"}.items()}
    columns |= {"domain": ["math"] * len(off), "query": [sums.query(number).text] * len(off)}
    return reward(["?"] * len(off), texts, trainer_state=State(step), **columns)


@pytest.fixture
def store(sums: Sums) -> ExperienceMemory:
    memory = ExperienceMemory.in_memory()
    memory.add(sums.groups())
    return memory


def test_a_question_that_memory_knows_needs_its_name_alone(store: ExperienceMemory, sums: Sums) -> None:
    reward = BaselineReward(store, "nothing", labelled={"q1"})
    assert reward(["?"] * 2, [sums.text(1), sums.text(1, off=1)], query_id=["q1"] * 2) == [1.0, 0.0]
    with pytest.raises(DataError, match="column 'domain'"):
        reward(["?"], ["1"], query_id=["nobody knows"])
    with pytest.raises(DataError, match="column 'query_id'"):
        reward(["?"], ["1"])


def test_what_the_ledger_refuses_is_raised(store: ExperienceMemory, sums: Sums) -> None:
    reward = BaselineReward(store, "nothing", labelled={"q1", "q2"}, budget=Budget(queries=1))
    assert ask(reward, sums, 1, [0]) == [1.0]
    with pytest.raises(BudgetError, match="label budget"):
        ask(reward, sums, 2, [0])


@pytest.mark.parametrize("rule", RULES)
def test_labelled_rows_get_ground_truth_whatever_the_rule(rule: Any, store: ExperienceMemory, sums: Sums) -> None:
    reward = BaselineReward(store, rule, labelled={"q1"})
    assert ask(reward, sums, 1, [*WRONG, 0, None]) == [0.0, 0.0, 0.0, 1.0, 0.0]
    judged = [entry for entry in store.ledger.entries() if entry.rollout_id is not None]
    assert {entry.query_id for entry in judged} == {"q1"}
    assert len(judged) == 5


def test_what_is_not_labelled_costs_nothing_and_gets_what_the_rule_pays(store: ExperienceMemory, sums: Sums) -> None:
    def rewarded(rule: Any, off: list[int | None]) -> list[float | None]:
        return ask(BaselineReward(store, rule, labelled={"q1"}), sums, 2, off)

    assert rewarded("nothing", [0, 1]) == [None, None]
    assert rewarded("format", [0, 1]) == [1.0, 1.0]
    assert rewarded("majority", [*WRONG, 0, 0]) == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert rewarded("majority", [0, 1, 0, 1]) == [1.0] * 4  # several are most frequent
    assert store.ledger.entries() == []


def test_the_order_of_the_rows_changes_no_vote(store: ExperienceMemory, sums: Sums) -> None:
    reward = BaselineReward(store, "majority")
    off: list[int | None] = [0, 1, 1, 2, 1]
    paid = ask(reward, sums, 3, off)
    assert ask(reward, sums, 3, off[::-1]) == paid[::-1]


def test_chance_pays_half_and_is_repeatable(store: ExperienceMemory, sums: Sums) -> None:
    def drawn(seed: int) -> list[float | None]:
        reward = BaselineReward(store, "random", seed=seed)
        return [one for step in range(40) for one in ask(reward, sums, 4, [0] * 10, step)]

    assert sum(value or 0 for value in drawn(0)) == pytest.approx(200, abs=4 * 10)
    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)


def test_whoever_watches_sees_rollouts_and_rewards_in_order(store: ExperienceMemory, sums: Sums) -> None:
    seen: list[tuple[list[Rollout], list[float | None]]] = []
    reward = BaselineReward(store, "majority", labelled={"q5"})

    def see(rollouts: Sequence[Rollout], rewards: Sequence[float | None], stated: Sequence[float | None]) -> None:
        assert list(rewards) == list(stated)
        seen.append((list(rollouts), list(rewards)))

    reward.observer = see
    paid = ask(reward, sums, 5, [0, 3])
    assert [(r.text, value) for r, value in zip(*seen[0], strict=True)] == [
        (sums.text(5), paid[0]),
        (sums.text(5, off=3), paid[1]),
    ]


def test_an_unknown_rule_is_refused(store: ExperienceMemory) -> None:
    with pytest.raises(ConfigurationError, match="use one of nothing, majority"):
        BaselineReward(store, "best")  # type: ignore[arg-type]
