"""Questions of addition with judged answers, as if a policy had been asked them."""

from __future__ import annotations

import random

from memreward.domains import parse_rollout
from memreward.types import Group, Query, Truth


def sums(count: int = 12) -> list[Group]:
    """Questions with four judged answers each."""
    draw = random.Random(0)
    made = []
    for number in range(count):
        a, b = draw.randint(1, 4), draw.randint(1, 4)
        query = Query(f"q{number}", f"{a}+{b}=?", "math", "sums")
        correct = [draw.random() < 0.6 for _ in range(4)]
        answers = [a + b if right else a + b + draw.randint(1, 2) for right in correct]
        rollouts = tuple(parse_rollout(query, f"#### {x}", id=f"q{number}/{i}") for i, x in enumerate(answers))
        made.append(Group(query, rollouts, Truth(str(a + b), tuple(correct))))
    return made
