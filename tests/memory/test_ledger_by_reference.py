"""Labels that a verifier gives by references: which queries are drawn, and verdicts entered many at once."""

from __future__ import annotations

import pytest

from memreward.domains import parse_rollout
from memreward.memory import Budget, ExperienceMemory, LabelLedger, Told, label
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


def test_a_query_costs_its_reference_and_its_distinct_answers() -> None:
    ledger = LabelLedger.detached(groups(9, rollouts=3))
    assert len(ledger.choose(Budget(judgements=4), 0, by="references")) == 2
    assert len(ledger.choose(Budget(judgements=3), 0, by="references")) == 1


@pytest.mark.parametrize("stored", [False, True], ids=["detached", "in a memory"])
def test_many_judgements_are_entered_at_once_or_not_at_all(stored: bool) -> None:
    memory = ExperienceMemory.in_memory()
    memory.add(groups(4))
    ledger = memory.ledger if stored else LabelLedger.detached(groups(4))
    found = {"q0": {"q0/0": True, "q0/1": False}, "q1": {"q1/2": True}}
    with pytest.raises(DataError, match="'q1/9'"):
        label(ledger, None, Told.of_rollouts("rules-1", found | {"q1": {"q1/9": True}}), None, "verify")
    with pytest.raises(BudgetError):
        label(ledger, None, Told.of_rollouts("rules-1", found), Budget(queries=1), "verify")
    assert ledger.entries() == []
    labels = label(ledger, None, Told.of_rollouts("rules-1", found), Budget(queries=2), "verify").labels
    assert {one.rollout_id: one.correct for one in labels} == {
        **{"q0/0": True, "q0/1": False, "q0/2": False},  # all give one answer, and the latest verdict stands for it
        **{f"q1/{index}": True for index in range(3)},
    }
    assert {(entry.source, entry.use) for entry in ledger.entries()} == {("rules-1", "verify")}
    label(ledger, None, Told.of_rollouts("rules-1", found), None, "verify")
    assert len(ledger.entries()) == 3
