"""Labels that a verifier gives by references: which queries are drawn, and verdicts entered many at once."""

from __future__ import annotations

import pytest

from memreward.domains import parse_rollout
from memreward.memory import Budget, ExperienceMemory, LabelLedger
from memreward.types import BudgetError, DataError, Group, Query, Truth


def groups(count: int, rollouts: int = 3) -> list[Group]:
    """Questions with references and no verdicts; every third has neither."""
    made = []
    for number in range(count):
        query = Query(f"q{number}", f"What is {number}?", "math", "numbers")
        answers = tuple(parse_rollout(query, str(number), id=f"q{number}/{k}") for k in range(rollouts))
        made.append(Group(query, answers, Truth(None if number % 3 == 2 else str(number))))
    return made


def test_queries_with_a_reference_are_drawn_though_none_has_a_verdict() -> None:
    ledger = LabelLedger.detached(groups(9))
    assert ledger.choose(None, 0) == []
    drawn = ledger.choose(None, 0, by="references")
    assert sorted(drawn) == ["q0", "q1", "q3", "q4", "q6", "q7"]
    assert ledger.choose(Budget(queries=2), 0, by="references") == drawn[:2]


def test_a_query_costs_its_reference_and_its_rollouts() -> None:
    ledger = LabelLedger.detached(groups(9, rollouts=3))
    assert len(ledger.choose(Budget(judgements=8), 0, by="references")) == 2
    assert len(ledger.choose(Budget(judgements=7), 0, by="references")) == 1


@pytest.mark.parametrize("stored", [False, True], ids=["detached", "in a memory"])
def test_many_judgements_are_entered_at_once_or_not_at_all(stored: bool) -> None:
    memory = ExperienceMemory.in_memory()
    memory.add(groups(4))
    ledger = memory.ledger if stored else LabelLedger.detached(groups(4))
    found = {"q0": {"q0/0": True, "q0/1": False}, "q1": {"q1/2": True}}
    with pytest.raises(DataError, match="'q1/9'"):
        ledger.judge_all(found | {"q1": {"q1/9": True}}, source="rules-1", use="verify")
    with pytest.raises(BudgetError):
        ledger.judge_all(found, source="rules-1", use="verify", budget=Budget(queries=1))
    assert ledger.entries() == []
    labels = ledger.judge_all(found, source="rules-1", use="verify", budget=Budget(queries=2))
    assert [(label.rollout_id, label.correct) for label in labels] == [("q0/0", True), ("q0/1", False), ("q1/2", True)]
    assert {(entry.source, entry.use) for entry in ledger.entries()} == {("rules-1", "verify")}
    ledger.judge_all(found, source="rules-1", use="verify")
    assert len(ledger.entries()) == 3
