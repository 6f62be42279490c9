"""Which queries are labelled next: contested ones, and far from those labelled before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from memreward.features.choosing import contested_order, spread_order
from memreward.network.encoder import NgramEncoder
from memreward.types import Group, Query, Rollout, Truth


def group(name: str, text: str, agree: int, of: int = 8) -> Group:
    """A question on which `agree` of `of` rollouts give one answer and the others one each."""
    query = Query(name, text, "math")
    answers = ["0"] * agree + [str(10 + i) for i in range(of - agree)]
    return Group(query, tuple(Rollout(query, a, "", a, f"{name}/{i}") for i, a in enumerate(answers)))


SUMS = [group(f"sum{n}", f"What is {n}+{n + 2}?", share) for n, share in enumerate((8, 4, 5, 7, 4))]
OTHERS = [group("less", "Which number is 3 less than 70?", 6), group("code", "def f(x): return twice x", 7)]


def test_the_nearest_to_half_come_first() -> None:
    order = contested_order([*SUMS, *OTHERS], seed=0)
    assert set(order[:2]) == {"sum1", "sum4"}
    assert order[2:4] == ["sum2", "less"]
    assert set(order[4:6]) == {"sum3", "code"}
    assert order[6] == "sum0"


def test_the_seed_decides_between_equals_alone() -> None:
    orders = {tuple(contested_order(SUMS, seed)) for seed in range(8)}
    assert {order[:2] for order in orders} == {("sum1", "sum4"), ("sum4", "sum1")}
    assert len({order[2:] for order in orders}) == 1


def test_spread_takes_a_question_of_each_template_before_a_second_of_one() -> None:
    order = spread_order([*SUMS, *OTHERS], NgramEncoder(), seed=0)
    assert set(order[:3]) & {"less", "code"} == {"less", "code"}
    assert order[0] in {"sum1", "sum4"}
    assert sorted(order) == sorted(contested_order([*SUMS, *OTHERS], seed=0))
    assert order[-1] == "sum0"


def test_spread_may_stop_early_and_then_goes_on_by_openness() -> None:
    whole = spread_order([*SUMS, *OTHERS], NgramEncoder(), seed=3)
    begun = spread_order([*SUMS, *OTHERS], NgramEncoder(), seed=3, count=3)
    assert begun[:3] == whole[:3]
    assert begun[3:] == [name for name in contested_order([*SUMS, *OTHERS], seed=3) if name not in begun[:3]]


@pytest.mark.parametrize("order", [contested_order, lambda groups, seed: spread_order(groups, NgramEncoder(), seed)])
def test_no_label_is_looked_at(order: object) -> None:
    def judged(verdict: bool) -> list[Group]:
        return [replace(g, truth=Truth("0", (verdict,) * len(g.rollouts))) for g in SUMS]

    assert callable(order)
    assert order(judged(True), 0) == order(judged(False), 0) == order(SUMS, 0)


def test_rollouts_without_answers_and_no_questions_at_all() -> None:
    silent = replace(SUMS[1], rollouts=tuple(replace(r, answer=None) for r in SUMS[1].rollouts))
    assert contested_order([silent, SUMS[2]], 0) == ["sum2", "sum1"]
    nobody: Sequence[Group] = []
    assert contested_order(nobody, 0) == spread_order(nobody, NgramEncoder(), 0) == []


def test_more_of_the_same_template_are_worth_less_each_time() -> None:
    same = [group(f"s{n}", f"What is {n}+{n}?", 4) for n in range(20)]
    rare = group("rare", "Name a prime above one hundred.", 7)
    assert "rare" in spread_order([*same, rare], NgramEncoder(), 0)[:2]
    assert np.argmax([name == "rare" for name in contested_order([*same, rare], 0)]) == 20
