"""A memory that goes back to an earlier position: later rollouts are set aside, and the ledger forgets nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from memreward.memory import Budget, ExperienceMemory, Told, label
from memreward.types import Group

Make = Callable[..., Group]


@pytest.fixture(params=["a folder", "this process"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> ExperienceMemory:
    return ExperienceMemory.in_memory() if request.param == "this process" else ExperienceMemory.open(tmp_path / "m")


def seen(memory: ExperienceMemory, *, recent: int | None = None) -> dict[str, list[str]]:
    return {group.query.id: [r.id for r in group.rollouts] for group in memory.groups(recent=recent)}


def test_later_rollouts_are_not_read_until_they_are_added_again(memory: ExperienceMemory, make_group: Make) -> None:
    memory.add([make_group("a")])
    before = seen(memory)
    position = memory.position()
    later = [make_group("a", rollouts=2, prefix="late"), make_group("b")]
    memory.add(later)
    after, newest = seen(memory), seen(memory, recent=2)
    assert newest["a"] == ["a/late0", "a/late1"]

    assert memory.rewind(position) == 5
    assert seen(memory) == before | {"b": []}
    assert seen(memory, recent=2)["a"] == before["a"][-2:]
    assert memory.rewind(position) == 0
    assert memory.counts()["rollouts"] == 8

    assert memory.add(later).new_rollouts == 0
    assert (seen(memory), seen(memory, recent=2)) == (after, newest)
    assert memory.counts()["rollouts"] == 8
    assert memory.rewind(position) == 5


def test_what_is_added_again_takes_its_new_place(memory: ExperienceMemory, make_group: Make) -> None:
    position = memory.position()
    memory.add([make_group("a", prefix="first")])
    memory.add([make_group("a", prefix="second")])
    memory.rewind(position)
    memory.add([make_group("a", prefix="second")])
    memory.add([make_group("a", prefix="first")])
    assert seen(memory, recent=3)["a"] == ["a/first0", "a/first1", "a/first2"]


def test_the_ledger_keeps_its_entries_and_takes_them_again_for_nothing(
    memory: ExperienceMemory, make_group: Make
) -> None:
    memory.add([make_group("a"), make_group("b")])
    position = memory.position()
    late = make_group("a", rollouts=1, prefix="late", correct=())
    memory.add([late])
    budget = Budget(queries=1)
    judged = {"a": {"a/late0": True}}
    label(memory, None, Told.of_rollouts("me", judged), budget, "training")
    entries, totals = memory.ledger.entries(), memory.ledger.totals()
    memory.rewind(position)
    assert memory.ledger.entries() == entries
    memory.add([late])
    label(memory, None, Told.of_rollouts("me", judged), budget, "training")
    assert memory.ledger.entries() == entries
    assert memory.ledger.totals() == totals


def test_what_was_set_aside_stays_so_where_the_memory_is_opened_or_copied(tmp_path: Path, make_group: Make) -> None:
    memory = ExperienceMemory.open(tmp_path / "memory")
    memory.add([make_group("a")])
    position = memory.position()
    memory.add([make_group("a", prefix="late")])
    memory.rewind(position)
    memory.export(tmp_path / "export")
    other = ExperienceMemory.in_memory()
    other.import_(tmp_path / "export")
    assert seen(other) == seen(ExperienceMemory.open(tmp_path / "memory")) == {"a": ["a/0", "a/1", "a/2"]}
    assert other.counts()["rollouts"] == 6
