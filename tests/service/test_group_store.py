"""The group store by itself: what it answers, and that it keeps its word over restarts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving import group, query, texts_of
from serving import made_store as unclosed_store

from memreward.answers.model import AnswerModel
from memreward.domains import parse_rollout
from memreward.integrations.client import Scored
from memreward.memory import ExperienceMemory
from memreward.reward import PolicyReward
from memreward.reward.valuers import Answers, Majority
from memreward.service.config import ServiceConfig
from memreward.service.messages import AskedGroup, ConflictError, GroupMessage
from memreward.service.store import GroupStore
from memreward.types import BudgetError, DataError, FaultError, Group, Query, Rollout, StoreError

OPEN: list[GroupStore] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


def made_store(folder: Path | None = None, config: ServiceConfig | None = None) -> GroupStore:
    OPEN.append(unclosed_store(folder, config))
    return OPEN[-1]


def asked(number: int = 0, step: int = 0, **more: Any) -> AskedGroup:
    return GroupMessage(**group(number, step, **more)).group()


def answers(store: GroupStore, *groups: AskedGroup) -> list[list[Scored]]:
    found = store.score(groups)
    assert all(isinstance(one, list) for one in found), found
    return found  # type: ignore[return-value]


def test_a_group_gets_what_the_reward_pays_and_sums_to_nothing() -> None:
    (given,) = answers(made_store(), asked(2))
    own = Query("q2", "What is 2 + 3?", "math")
    rollouts = [parse_rollout(own, text, id=str(i)) for i, text in enumerate(texts_of(2))]
    judged = PolicyReward(ExperienceMemory.in_memory(), Answers(AnswerModel().begin())).step(rollouts, 0)
    np.testing.assert_allclose([one.reward for one in given], judged.reward, atol=1e-12)
    assert sum(one.reward for one in given) == pytest.approx(0, abs=1e-9)
    assert given[0].reward > given[2].reward
    assert {one.source for one in given} == {"predicted"}


def test_how_groups_are_put_together_in_calls_changes_nothing() -> None:
    groups = [asked(number, step) for step in (0, 1) for number in range(5)]
    together = answers(made_store(), *groups)
    other = made_store()
    apart = [answers(other, one)[0] for one in reversed(groups)][::-1]
    # Sums over a batch may come in another order in another one.
    paid = [one.reward for given in apart for one in given]
    assert [one.reward for given in together for one in given] == pytest.approx(paid, abs=1e-12)
    assert [[one.rollout for one in given] for given in together] == [[one.rollout for one in given] for given in apart]


def test_groups_of_one_call_are_rewarded_each_at_its_own_step(monkeypatch: pytest.MonkeyPatch) -> None:
    store, steps, step = made_store(), [], PolicyReward.step

    def seen(reward: PolicyReward, rollouts: list[Rollout], at: int) -> Any:
        steps.append((at, {rollout.policy_version for rollout in rollouts}))
        return step(reward, rollouts, at)

    monkeypatch.setattr(PolicyReward, "step", seen)
    answers(store, asked(1, 3), asked(2, 4), asked(3, 3))
    assert steps == [(3, {"step-3"}), (4, {"step-4"})]


def test_what_is_asked_again_is_answered_again_and_not_done_again(tmp_path: Path) -> None:
    store = made_store(tmp_path)
    first = answers(store, asked(1), asked(2))
    counts = store.memory()
    assert answers(store, asked(2), asked(1), asked(1)) == [first[1], first[0], first[0]]
    assert store.memory() == counts
    OPEN.pop().close()
    again = made_store(tmp_path)
    assert answers(again, asked(1)) == [first[0]]
    assert again.memory() == counts


def test_a_name_that_stands_for_something_else_is_a_conflict_and_costs_the_others_nothing() -> None:
    store = made_store()
    answers(store, asked(1))
    other_text = asked(1, texts=["The answer is 4.", *texts_of(1)[1:]])
    more = asked(1, texts=[*texts_of(1), "The answer is 7."])
    question = GroupMessage(**{**group(1), "id": "new", "query": {**query(1), "text": "What is 1 + 4?"}}).group()
    found = store.score([other_text, more, question, asked(3)])
    assert [isinstance(one, ConflictError) for one in found] == [True, True, True, False]


def test_references_are_read_through_the_ledger_as_long_as_labels_last() -> None:
    store = made_store(config=ServiceConfig(labels=2))
    found = answers(store, *(asked(number, reference=str(number + 3)) for number in range(4)))
    assert [{one.source for one in given} for given in found] == [{"truth"}, {"truth"}, {"predicted"}, {"predicted"}]
    assert [one.correct for one in found[0]] == [True, True, False, False]
    assert store.ledger()["queries"] == 2
    assert store.figures()["labelled_queries"] == 2
    assert store.figures()["live_right"] == store.figures()["live_wrong"] == 4
    sealed = made_store()
    assert {one.source for one in answers(sealed, asked(0, reference="3"))[0]} == {"predicted"}
    assert sealed.ledger()["judgements"] == 0


def test_a_restart_goes_on_with_what_was_learned_and_who_is_labelled(tmp_path: Path) -> None:
    config = ServiceConfig(labels=30)
    groups = [asked(number, reference=str(number + 3)) for number in range(30)]
    store = made_store(tmp_path, config)
    before = answers(store, asked(50))
    answers(store, *groups)
    learned = answers(store, asked(51))
    spent = store.ledger()
    OPEN.pop().close()
    again = made_store(tmp_path, config)
    assert [one.probability for one in answers(again, asked(51, step=1))[0]] == pytest.approx(
        [one.probability for one in learned[0]], abs=1e-9
    )
    assert [one.probability for one in learned[0]] != [one.probability for one in before[0]]
    assert {one.source for one in answers(again, asked(7, step=1))[0]} == {"truth"}
    assert again.ledger()["queries"] == spent["queries"] == 30


def test_labels_from_outside_are_counted_once_and_learned_once(tmp_path: Path) -> None:
    store = made_store(tmp_path)
    given = answers(store, *(asked(number) for number in range(20)))
    before = answers(store, asked(100))[0]
    verdicts = {f"q{number}": {one[0].rollout: True, one[2].rollout: False} for number, one in enumerate(given)}
    assert store.label(verdicts, source="Ada", use="service") == {"labels": 40, "new": 40}
    after = answers(store, asked(100, step=1))[0]
    assert after[0].probability > before[0].probability
    assert store.label(verdicts, source="Ada", use="service") == {"labels": 40, "new": 0}
    assert answers(store, asked(100, step=2))[0][0].probability == pytest.approx(after[0].probability, abs=1e-12)
    OPEN.pop().close()
    again = made_store(tmp_path)
    assert again.label(verdicts, source="Ada", use="service") == {"labels": 40, "new": 0}
    assert answers(again, asked(100, step=3))[0][0].probability == pytest.approx(after[0].probability, abs=1e-9)
    assert again.ledger()["judgements"] == 40


def test_labels_that_cannot_be_entered_are_refused_whole() -> None:
    store = made_store(config=ServiceConfig(labels=1))
    given = answers(store, asked(1), asked(2))
    both = {f"q{1 + place}": {one[0].rollout: True} for place, one in enumerate(given)}
    with pytest.raises(BudgetError):
        store.label(both, source="Ada", use="service")
    with pytest.raises(DataError, match="not in the memory"):
        store.label({"q1": {"nobody": True}}, source="Ada", use="service")
    assert store.ledger()["judgements"] == 0


class _Odd(Majority):
    """Raises on one question."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def beliefs(self, features: Any) -> Any:
        if "q13" in features.query_ids:
            raise self.error
        return super().beliefs(features)


def test_a_text_that_nothing_can_be_said_of_costs_the_others_nothing() -> None:
    store = GroupStore(PolicyReward(ExperienceMemory.in_memory(), _Odd(ValueError("too odd"))))
    found = answers(store, asked(12), asked(13), asked(14))
    assert [{one.source for one in given} for given in found] == [{"predicted"}, {"abstained"}, {"predicted"}]
    assert [one.reward for one in found[1]] == [0, 0, 0, 0]
    assert all(one.failed and "too odd" in one.reason for one in found[1])


def test_a_bug_is_an_error_and_no_abstention_and_costs_the_others_nothing() -> None:
    odd = _Odd(AttributeError("a bug"))
    store = GroupStore(PolicyReward(ExperienceMemory.in_memory(), odd))
    first, fault, last = store.score([asked(12), asked(13), asked(14)])
    assert isinstance(fault, FaultError)
    assert "q13" in str(fault)
    assert "a bug" in str(fault)
    assert [one.source for given in (first, last) for one in given] == ["predicted"] * 8  # type: ignore[union-attr]
    odd.error = ValueError("mended")  # what was not answered is asked anew, and answered
    assert {one.source for one in answers(store, asked(13))[0]} == {"abstained"}


def killed(store: GroupStore) -> None:
    """Let go of the folder without a word, as the system does for a process that is killed."""
    OPEN.remove(store)
    assert store._held is not None
    store._held.close()


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, math.inf])
def test_a_killed_store_goes_on_exactly_as_one_that_was_not(
    seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memreward.service.store._SAVE_AFTER", seconds)
    monkeypatch.setattr("memreward.service.store._SAVE_SHARE", math.inf)
    config = ServiceConfig(labels=8)
    steps = [
        [asked(n, step, reference=str(n + 3)) for n in ((2 * step + k) % 12 for k in range(3))] for step in range(12)
    ]

    def rewards(store: GroupStore, groups: list[AskedGroup]) -> list[list[float]]:
        return [[one.reward for one in given] for given in answers(store, *groups)]

    steady, store = made_store(tmp_path / "steady", config), made_store(tmp_path / "killed", config)
    for number, groups in enumerate(steps):
        assert rewards(store, groups) == rewards(steady, groups), number
        if number % 3 == 2:
            killed(store)
            store = made_store(tmp_path / "killed", config)
        assert store.figures() == steady.figures()
        assert store.ledger()["judgements"] == steady.ledger()["judgements"]
    assert store.ledger()["queries"] == 8


def test_a_labelled_batch_writes_a_few_rows_and_not_the_whole_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memreward.service.store._SAVE_AFTER", math.inf)
    store = made_store(tmp_path, ServiceConfig(labels=30))

    def states() -> dict[str, int]:
        return {file.name: file.stat().st_mtime_ns for file in (tmp_path / "service").glob("state-*/*")}

    before = states()
    answers(store, *(asked(number, reference=str(number + 3)) for number in range(5)))
    assert len(before) == 1
    assert states() == before
    assert len(store._journal.undone()) == 1
    OPEN.pop().close()
    assert list(states()) == list(before)
    assert states() != before
    assert made_store(tmp_path)._journal.undone() == []


def test_what_could_not_be_kept_was_not_answered_and_is_learned_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, groups = ServiceConfig(labels=30), [asked(number, reference=str(number + 3)) for number in range(20)]
    steady, store = made_store(tmp_path / "steady", config), made_store(tmp_path / "full", config)
    answers(steady, *groups)
    with monkeypatch.context() as full:
        full.setattr(store._journal, "commit", lambda *_: (_ for _ in ()).throw(StoreError("no space")))
        with pytest.raises(StoreError, match="no space"):
            store.score(groups)
    answers(store, *groups)
    assert answers(store, asked(50)) == answers(steady, asked(50))
    assert store.ledger()["judgements"] == steady.ledger()["judgements"]


def test_rollouts_that_are_given_are_in_memory(tmp_path: Path) -> None:
    store = made_store(tmp_path)
    own = Query("q", "What is 1 + 1?", "math")
    rollout: Rollout = parse_rollout(own, "2", id="mine")
    assert store.add([Group(own, (rollout,))]).new_rollouts == 1
    OPEN.pop().close()
    assert ExperienceMemory.open(tmp_path).rollouts_of(["q"]) == [rollout]


def test_a_folder_has_one_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memreward.service.store._LETTING_GO", 0.1)  # else it waits for one that is dying
    made_store(tmp_path)
    with pytest.raises(StoreError, match="a service that runs"):
        made_store(tmp_path)
    OPEN.pop().close()
    made_store(tmp_path)
