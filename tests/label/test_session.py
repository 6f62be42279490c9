"""A labelling: what is asked, kept, taken back, shared out; without any page."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from label_toys import answer, answer_of, group, groups, labelling, truth

from alike import assert_alike
from memreward.label.session import Labelling
from memreward.label.start import begin
from memreward.memory import ExperienceMemory
from memreward.memory.label import Judgement, Told, label
from memreward.memory.labelling import FILE, Journal, Proposed
from memreward.types import BudgetError, DataError, LabelError


def beliefs(session: Labelling, query_id: str) -> dict[int, float]:
    """How probable the model holds each of a question's answers."""
    outlook, q = session.outlook, session.outlook.place(query_id)
    assert q is not None
    rows = session._predicted(q, outlook.beliefs(np.array([q])))
    return {a: row["model"] for a, row in zip(outlook.answers(q), rows, strict=True)}


def test_one_decision_settles_every_equivalent_rollout_and_counts_as_one_question() -> None:
    session = labelling(groups())
    right = answer_of(session, "q0", "2")
    session.decide("ann", "q0", [right])
    labels = session.door.labels()
    assert {key: labels[key] for key in labels if key.startswith("q0/")} == {
        "q0/0": True,
        "q0/1": True,
        "q0/2": False,
        "q0/3": False,
        "q0/4": False,
        "q0/5": False,
    }
    assert session.progress().questions == 1


def test_this_answer_is_wrong_says_nothing_of_the_others() -> None:
    session = labelling(groups())
    wrong = answer_of(session, "q0", "3")
    session.decide("ann", "q0", [], asked=wrong)
    assert [key for key in session.door.labels() if key.startswith("q0/")] == ["q0/2", "q0/3"]
    assert not any(session.door.labels().values())
    kept = answer_of(session, "q0", "2")
    session.decide("ann", "q0", [kept], asked=kept)
    assert sum(session.door.labels().values()) == 2


def test_none_is_right_makes_all_wrong() -> None:
    session = labelling(groups())
    session.decide("ann", "q3", [])
    assert [v for k, v in session.door.labels().items() if k.startswith("q3/")] == [False] * 6


def test_the_most_telling_question_comes_first_and_nothing_twice() -> None:
    session = labelling(groups(), twice=0.0)
    ranking = session._ranking
    asked = []
    while (task := session.next("ann")) is not None and len(asked) < 12:
        asked.append(task.query_id)
        if len(asked) == 1:
            assert task.query_id == session.outlook.features.query_ids[ranking[0].question]
        answer(session, "ann", task)
        if task.asked not in (-1, answer_of(session, task.query_id, truth(task.query_id))):
            asked.pop()  # "wrong" leaves the question open
    assert len(asked) == len(set(asked)) == 12


def test_undo_takes_the_judgement_back_in_the_ledger_and_asks_it_again() -> None:
    session = labelling(groups())
    before = session.outlook.model.trust()
    first = session.next("ann")
    assert first is not None
    answer(session, "ann", first)
    assert session.door.labels()
    undone = session.undo("ann")
    assert undone is not None
    assert undone.query_id == first.query_id
    assert session.door.labels() == {}
    assert session.outlook.model.trust() == before
    again = session.next("ann")
    assert again is not None
    assert again.query_id == first.query_id
    entries = session.door._memory.ledger.entries()
    assert len(entries) > 1, "what was entered and taken back stays to be read"
    assert session.undo("ann") is None


def test_undo_of_a_second_opinion_leaves_the_first() -> None:
    session = labelling(groups())
    right, wrong = answer_of(session, "q0", "2"), answer_of(session, "q0", "3")
    session.decide("ann", "q0", [right])
    session.decide("bob", "q0", [wrong])
    assert session.door.labels()["q0/0"] is False
    session.undo("bob")
    assert session.door.labels()["q0/0"] is True
    assert session.door.labels()["q0/2"] is False


def test_skipped_questions_go_to_others_and_broken_ones_to_nobody() -> None:
    session = labelling(groups())
    first = session.next("ann")
    assert first is not None
    session.skip("ann", first.query_id, "I cannot tell")
    following = session.next("ann")
    assert following is not None
    assert following.query_id != first.query_id
    taken = session.next("bob")
    assert taken is not None
    assert taken.query_id == first.query_id
    session.flag("bob", first.query_id)
    for who in ("ann", "bob", "eve"):
        task = session.next(who)
        assert task is not None
        assert task.query_id != first.query_id
    assert session.broken() == {first.query_id}
    progress = session.progress()
    assert (progress.skipped, progress.broken) == (1, 1)
    session.undo("bob")
    assert session.broken() == frozenset()


def test_nothing_is_learned_from_a_broken_question() -> None:
    session = labelling(groups())
    start = session.outlook.model.trust()
    session.decide("ann", "q1", [])
    assert session.outlook.model.trust() != start
    session.flag("ann", "q1")
    assert session.outlook.model.trust() == start


def test_nobody_is_given_what_another_has_open_until_the_lease_expires() -> None:
    now = [1000.0]
    session = labelling(groups(), clock=lambda: now[0], twice=0.0)
    session.lease = 60.0
    one, two = session.next("ann"), session.next("bob")
    assert one is not None
    assert two is not None
    assert one.query_id != two.query_id
    assert session.next("ann") == one, "the same after a reload"
    now[0] += 61
    late = session.next("eve")
    assert late is not None
    assert late.query_id == one.query_id


def test_a_share_is_judged_twice_blind_to_the_first() -> None:
    session = labelling(groups(), twice=1.0)
    first = session.next("ann")
    assert first is not None
    answer(session, "ann", first)
    second = session.next("bob")
    assert second is not None
    assert second.query_id == first.query_id
    assert second.second
    assert second.kind == first.kind
    assert sorted(second.answers) == sorted(first.answers)
    answer(session, "bob", second)
    assert session.progress().twice == 1
    assert session.next("eve").query_id != first.query_id  # type: ignore[union-attr]


def test_second_opinions_come_one_at_a_time_and_to_one_person_at_a_time() -> None:
    session = labelling(groups(), twice=1.0)
    for _ in range(3):
        answer(session, "ann", session.next("ann"))
    second = session.next("bob")
    assert second is not None
    assert second.second
    assert session.next("eve").query_id != second.query_id  # type: ignore[union-attr]
    seen = []
    for _ in range(4):
        task = session.next("bob")
        assert task is not None
        seen.append(task.second)
        answer(session, "bob", task)
    assert seen == [True, False, True, False]


def test_disagreement_teaches_nothing_until_it_is_settled() -> None:
    session = labelling(groups())
    start = session.outlook.model.trust()
    right, wrong = answer_of(session, "q2", "6"), answer_of(session, "q2", "13")
    session.decide("ann", "q2", [right])
    session.decide("bob", "q2", [wrong])
    assert session.progress().disputed == ("q2",)
    assert session.outlook.model.trust() == start
    task = session.open("eve", "q2")
    assert task is not None
    assert task.settles
    session.decide("eve", "q2", [right])
    assert session.progress().disputed == ()
    assert session.outlook.model.trust() != start
    assert session.door.labels()["q2/0"] is True


def test_the_budget_holds_and_what_is_paid_for_goes_on() -> None:
    session = labelling(groups(), questions=2, twice=0.0)
    wrong = answer_of(session, "q0", "3")
    session.decide("ann", "q0", [], asked=wrong)
    session.decide("ann", "q1", [answer_of(session, "q1", "4")])
    with pytest.raises(BudgetError):
        session.decide("ann", "q2", [])
    task = session.next("ann")
    assert task is not None
    assert task.query_id == "q0"
    answer(session, "ann", task)
    assert session.next("ann") is None or session.next("ann").query_id == "q0"  # type: ignore[union-attr]


def test_each_question_is_predicted_before_its_answer_is_used() -> None:
    session = labelling(groups())
    believed = beliefs(session, "q5")
    right = answer_of(session, "q5", "12")
    seen = session.decide("ann", "q5", [right])
    assert {row.answer: row.believed for row in seen} == believed
    event = session.said("q5")[0]
    assert [row["model"] for row in event.data["predicted"]] == [believed[a] for a in session.answers("q5")]
    assert len(session.progress().foretold.model) == 1


def test_a_question_asked_answer_by_answer_is_foretold_once_and_before_any_of_it() -> None:
    session = labelling(groups())
    believed = beliefs(session, "q1")
    wrong, right = answer_of(session, "q1", "5"), answer_of(session, "q1", "4")
    session.decide("ann", "q1", [], asked=wrong)
    seen = session.decide("ann", "q1", [right], asked=right)
    assert {row.answer: row.believed for row in seen} == believed
    called = session.progress().foretold
    hits = sum(row.votes for row in seen if (row.believed >= 0.5) == (row.answer == right))
    assert called.model[-1] == pytest.approx(hits / 6)
    shares = [row.votes / 6 for row in seen]
    assert called.majority[-1] == pytest.approx(
        sum(row.votes for row, share in zip(seen, shares, strict=True) if (share >= 0.5) == (row.answer == right)) / 6
    )


def test_answers_are_shuffled_for_each_person_and_the_same_after_a_reload() -> None:
    session = labelling(groups())
    orders = {tuple(session._made("q0", f"person {i}").answers) for i in range(20)}
    assert len(orders) > 3
    assert session._made("q0", "ann") == session._made("q0", "ann")


def test_a_session_is_taken_up_where_it_stopped(tmp_path: Path) -> None:
    memory = ExperienceMemory.open(tmp_path / "memory")
    session = labelling(groups(), memory=memory, journal=Journal(tmp_path / "journal"))
    for _ in range(4):
        task = session.next("ann")
        assert task is not None
        answer(session, "ann", task)
    waiting, progress, trust = session.next("ann"), session.progress(), session.outlook.model.trust()
    session.close()
    again = labelling((), memory=ExperienceMemory.open(tmp_path / "memory"), journal=Journal(tmp_path / "journal"))
    assert_alike(again.next("ann"), waiting)
    assert_alike(again.progress(), progress)
    assert_alike(again.outlook.model.trust(), trust)


def test_two_processes_see_what_the_other_did(tmp_path: Path) -> None:
    memory = ExperienceMemory.open(tmp_path / "memory")
    one = labelling(groups(), memory=memory, journal=Journal(tmp_path / "journal"), twice=0.0)
    two = labelling((), memory=memory, journal=Journal(tmp_path / "journal"), twice=0.0)
    first, second = one.next("ann"), two.next("bob")
    assert first is not None
    assert second is not None
    assert first.query_id != second.query_id
    answer(one, "ann", first)
    answer(two, "bob", second)
    assert one.next("ann") is not None
    assert one.progress().judgements == two.progress().judgements == 2
    assert_alike(one.outlook.model.trust(), two.outlook.model.trust())


_KILLED = """
import os, sys
sys.path[:0] = {paths!r}
from label_toys import answer, groups, labelling
from memreward.memory.labelling import Journal
from memreward.memory import ExperienceMemory
session = labelling(groups(), memory=ExperienceMemory.open({memory!r}), journal=Journal({journal!r}))
while (task := session.next("ann")) is not None:
    answer(session, "ann", task)
    print(task.query_id, flush=True)
"""


@pytest.mark.slow
def test_kill_in_the_middle_loses_nothing_that_was_said_to_be_kept(tmp_path: Path) -> None:
    places = {"memory": str(tmp_path / "memory"), "journal": str(tmp_path / "journal")}
    code = _KILLED.format(paths=[p for p in (str(Path(__file__).parent), *sys.path) if p], **places)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        kept = [process.stdout.readline().strip() for _ in range(3)]
        os.kill(process.pid, signal.SIGKILL)
    again = labelling((), memory=ExperienceMemory.open(places["memory"]), journal=Journal(places["journal"]))
    assert all(kept)
    assert set(kept) <= {event.query_id for event in again.journal.events()}
    labelled = {key.partition("/")[0] for key in again.door.labels()}
    assert set(kept) <= labelled


def test_what_cannot_be_is_refused() -> None:
    session = labelling(groups())
    with pytest.raises(DataError, match="not among those"):
        session.decide("ann", "nothing", [])
    with pytest.raises(DataError, match="no answer"):
        session.decide("ann", "q0", [answer_of(session, "q1", "4")])
    assert session.door.labels() == {}


def test_code_may_have_several_right_answers() -> None:
    code = [f"```python\ndef f(x):\n    return x + {n}\n```" for n in (1, 1, 2, 3)]
    session = labelling([group("c", "Write f.", code, domain="code")])
    task = session.open("ann", "c")
    assert task is not None
    assert task.several
    first, second = task.answers[:2]
    session.decide("ann", "c", [first], asked=first)
    assert sum(session.door.labels().values()) == len(session.outlook.rows(first))
    assert set(session.door.labels().values()) == {True}
    session.decide("ann", "c", [first, second])
    assert len(session.door.labels()) == 4


def test_learning_in_the_background_ends_where_learning_at_once_does() -> None:
    one, two = labelling(groups(), background=True), labelling(groups())
    for session in (one, two):
        for name in ("q0", "q5", "q7"):
            session.decide("ann", name, [answer_of(session, name, truth(name))])
        session.settled()
    assert_alike(one.outlook.model.trust(), two.outlook.model.trust())
    assert [c.question for c in one._ranking] == [c.question for c in two._ranking]
    one.close()


def test_a_memory_that_lies_in_no_folder_leaves_none_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    memory = ExperienceMemory.in_memory()
    memory.add(groups())
    assert begin(memory).next("ann") is not None
    assert not list(tmp_path.iterdir())


def wait_for(session: Labelling, questions: int) -> None:
    """Until the thread that reads the other questions has read them: no test leaves it to the next one."""
    until = time.monotonic() + 120
    while len(session.outlook) < questions and time.monotonic() < until:
        time.sleep(0.05)
    assert len(session.outlook) == questions


def test_the_first_questions_are_asked_while_the_others_are_still_read() -> None:
    memory = ExperienceMemory.in_memory()
    memory.add(groups())
    label(memory, None, Told("ann", [Judgement("q11", False)]), use="before")
    session = begin(memory, journal=Journal(None), at_once=4)
    assert session.outlook.place("q11") is not None, "what has a label is read first"
    assert session.next("ann") is not None
    wait_for(session, 12)
    assert sorted(session.pool.groups) == sorted(f"q{n}" for n in range(12))
    assert {session.outlook.features.query_ids[q] for q in session._labelled} == {"q11"}
    at_once = begin(memory, journal=Journal(None))
    order = [at_once.outlook.place(q) for q in session.outlook.features.query_ids]
    one, other = session.outlook.beliefs(np.arange(12)).right, at_once.outlook.beliefs(np.array(order)).right
    assert one == pytest.approx(other)
    kept = [session.key(a) for a in session.answers("q3")]
    assert kept == [at_once.key(a) for a in at_once.answers("q3")], "answers keep their names, whatever their numbers"


def test_what_a_training_proposes_is_asked_first_also_where_it_came_to_memory_later(tmp_path: Path) -> None:
    memory = ExperienceMemory.open(tmp_path / "memory")
    memory.add(groups(6))
    session, training = begin(memory), Journal(tmp_path / "memory" / FILE)
    before = session.next("ann")
    assert before is not None
    assert before.why == ""
    session.skip("ann", before.query_id, "later")
    memory.add(groups(12)[9:])
    training.propose({"q9": Proposed(2.0, "it is new"), "absent": Proposed(1.0, "it is nowhere")})
    task = session.next("ann")
    assert task is not None
    assert (task.query_id, task.why) == ("q9", "it is new")
    answer(session, "ann", task._replace(kind="whole", asked=-1))
    assert session.door.labelled() == ["q9"]
    training.propose({})
    following = session.next("ann")
    assert following is not None
    assert (following.query_id in {f"q{n}" for n in range(6)}, following.why) == (True, "")
    assert session.undo("ann") is not None, "what a training did is not a person's to undo"
    assert session.door.labelled() == []
    training.propose({"q10": Proposed(1.0, "it is new")})
    again = begin(memory, at_once=1)
    assert next(iter(again.pool.groups)) == "q10", "what is proposed is read first"
    wait_for(again, len(memory.query_ids(answered=True)))


def test_a_memory_without_rollouts_is_named() -> None:
    with pytest.raises(LabelError, match="holds no rollouts"):
        begin(ExperienceMemory.in_memory(), journal=Journal(None))
