"""Rewards go on from what they saved: plain ones too, since the count of rows names rollouts and decides chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sums import State, Sums

from memreward.memory import ExperienceMemory
from memreward.reward.baselines import BaselineReward
from memreward.reward.state import reading_state, write_state
from memreward.types import StoreError


def asked(reward: BaselineReward, sums: Sums, step: int) -> list[float | None]:
    texts = [sums.text(number) for number in range(20)]
    columns: dict[str, Any] = {
        "query_id": [f"q{number}" for number in range(20)],
        "domain": ["math"] * 20,
        "query": [sums.query(number).text for number in range(20)],
    }
    return reward(["?"] * 20, texts, trainer_state=State(step), **columns)


def test_chance_goes_on_where_it_was(tmp_path: Path, sums: Sums) -> None:
    memory = ExperienceMemory.in_memory()
    memory.add(sums.groups())
    first, second, fresh = (BaselineReward(memory, "random", labelled={"q0"}) for _ in range(3))
    asked(first, sums, 0)
    first.save(tmp_path / "state")
    expected = asked(first, sums, 1)
    held = [group.rollouts for group in memory.groups(["q0"])]
    second.restore(tmp_path / "state")
    assert [group.rollouts for group in memory.groups(["q0"])] != held
    assert asked(second, sums, 1) == expected
    assert [group.rollouts for group in memory.groups(["q0"])] == held
    assert asked(fresh, sums, 1) != expected


def test_a_damaged_state_is_named(tmp_path: Path, sums: Sums) -> None:
    reward = BaselineReward(ExperienceMemory.in_memory(), "format")
    with pytest.raises(StoreError, match="name a folder that `save` wrote"):
        reward.restore(tmp_path / "nothing")
    write_state(tmp_path, {"rows_seen": 3})
    with pytest.raises(StoreError, match="'memory'"):
        reward.restore(tmp_path)
    with reading_state(tmp_path) as state:
        assert state == {"rows_seen": 3}
