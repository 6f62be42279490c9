"""The one door to ground truth: what a judgement settles, what it costs, who is heard, and what is taken back."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

import pytest
from echo import Echo

import memreward
from memreward.domains import Verifiers
from memreward.memory import (
    FROM_FILE,
    NOBODY,
    Budget,
    ExperienceMemory,
    Judgement,
    LabelLedger,
    Told,
    label,
    measured,
    seal_verdicts,
    sealed_verdicts,
)
from memreward.types import BudgetError, DataError, Domain, Group, Query, Rollout, Truth
from rows import each_row

QUESTION = "What is 2 + 3? (of {})"
SOURCES = ("def f():\n    return 1", "def f():\n    return 2")
SPELLINGS = ("5", "5.0", "\\boxed{5}", "7", "7.00", None)


def group(
    name: str = "q",
    answers: Sequence[str | None] = SPELLINGS,
    *,
    domain: Domain = "math",
    correct: Sequence[bool | None] = (),
    reference: str | None = "5",
) -> Group:
    query = Query(name, QUESTION.format(name), domain, "sums")
    rollouts = tuple(Rollout(query, f"So {a}", "So", a, f"{name}/{i}") for i, a in enumerate(answers))
    return Group(query, rollouts, Truth(reference, tuple(correct)))


@pytest.fixture(params=["memory", "detached"])
def opened(request: pytest.FixtureRequest) -> object:
    def open_(*groups: Group) -> ExperienceMemory | LabelLedger:
        if request.param == "detached":
            return LabelLedger.detached(groups)
        memory = ExperienceMemory.in_memory()
        memory.add(groups)
        return memory

    return open_


def ledger_of(memory: ExperienceMemory | LabelLedger) -> LabelLedger:
    return memory if isinstance(memory, LabelLedger) else memory.ledger


def told(memory, *queries: str) -> dict[str, bool]:
    return {one.rollout_id: one.correct for one in label(memory, queries or ["q"], NOBODY, use="told").labels}


def test_a_file_is_asked_once_for_each_distinct_answer(opened) -> None:
    memory = opened(group(correct=(True, True, True, False, False, False)))
    found = label(memory, ["q"], FROM_FILE, Budget(judgements=3), "warmup")
    assert [(one.rollout_id, one.correct) for one in found.labels] == [
        *[(f"q/{i}", True) for i in range(3)],
        *[(f"q/{i}", False) for i in range(3, 6)],
    ]
    assert [entry.rollout_id for entry in found.entered] == ["q/0", "q/3", "q/5"]
    assert ledger_of(memory).spent() == (1, 3)
    assert ledger_of(memory).choose(Budget(judgements=3), 0) == ["q"]
    fresh = opened(group(correct=(True,) * 6))
    assert ledger_of(fresh).choose(Budget(judgements=2), 0) == []
    with pytest.raises(BudgetError, match="3 more were asked for, 2 are allowed"):
        label(fresh, ["q"], FROM_FILE, Budget(judgements=2), "warmup")


def test_where_one_measures_every_verdict_is_read(opened) -> None:
    memory = opened(group(correct=(True, False, True, False, None, None)))
    found = label(memory, ["q"], FROM_FILE, use="evaluation", settle=False)
    assert {one.rollout_id: one.correct for one in found.labels} == {
        "q/0": True,
        "q/1": False,
        "q/2": True,
        "q/3": False,
    }
    assert measured([group(correct=(True, False, True, False, None, None))])["q/1"] is False


def test_a_verifier_is_asked_about_one_rollout_of_each_answer_and_told_no_more(opened) -> None:
    memory, verifier = opened(group()), Echo()
    found = label(memory, ["q", "nowhere"], verifier, Budget(queries=1), "verify")
    assert [claim.rollout.id for claim in verifier.asked] == ["q/0", "q/3", "q/5"]
    assert {claim.reference for claim in verifier.asked} == {"5"}
    assert {one.rollout_id: one.correct for one in found.labels} == {f"q/{i}": i < 3 for i in range(5)}
    assert {one.source for one in found.labels} == {"echo"}
    assert found.verdicts["q/1"].reason == "compared"
    assert ledger_of(memory).totals()["references"] == 1
    label(memory, ["q"], verifier, Budget(queries=1), "verify")
    assert [claim.rollout.id for claim in verifier.asked[3:]] == ["q/5"], "only what it could not tell is asked again"


def test_where_one_solution_does_not_settle_another_each_is_asked(opened) -> None:
    source = "def f():\n    return 1"
    verifier = Echo()
    label(opened(group("c", (source, source), domain="code", reference=source)), ["c"], verifier, use="verify")
    assert len(verifier.asked) == 2


def test_a_new_rollout_with_a_known_answer_is_settled_without_a_judgement() -> None:
    memory = ExperienceMemory.in_memory()
    memory.add([group(answers=("5", "7"))])
    label(memory, ["q"], Echo(), use="warmup")
    spent, verifier = memory.ledger.spent(), Echo()
    late = group("q", ("5.0", "8"))
    new = tuple(Rollout(late.query, "x", "x", r.answer, f"late/{i}") for i, r in enumerate(late.rollouts))
    memory.add([Group(late.query, new)])
    found = label(memory, ["q"], verifier, use="training", rollouts=new)
    assert {one.rollout_id: one.correct for one in found.labels} == {"late/0": True, "late/1": False}
    assert [claim.rollout.id for claim in verifier.asked] == ["late/1"]
    assert memory.ledger.spent() == (spent[0], spent[1] + 1)


def test_a_person_judges_answers(opened) -> None:
    memory = opened(group("right"), group("wrong"), group("none"), group("new"), group("code", SOURCES, domain="code"))
    said = [
        Judgement("right", True, answers=("5",)),
        Judgement("wrong", False, answers=("7",)),
        Judgement("none", False),
        Judgement("new", True, answers=("11",)),
        Judgement("code", True, answers=SOURCES[:1]),
    ]
    label(memory, None, Told("Ann", said), Budget(queries=5, judgements=5), "page")
    assert told(memory, "right") == {f"right/{i}": i < 3 for i in range(6)}
    assert told(memory, "wrong") == {"wrong/3": False, "wrong/4": False}
    assert told(memory, "none") == {f"none/{i}": False for i in range(5)}
    assert told(memory, "new") == {f"new/{i}": False for i in range(6)}
    assert told(memory, "code") == {"code/0": True}, "of code several answers may be right"
    assert ledger_of(memory).spent() == (5, 5)
    assert set(ledger_of(memory).labelled()) == {"right", "wrong", "none", "new", "code"}
    assert ledger_of(memory).ineligible() == []


def test_what_was_said_of_a_rollout_itself_precedes_what_settles_it_and_the_latest_stands(opened) -> None:
    memory = opened(group(answers=("5", "5.0", "5.00"), correct=(True, None, None)))
    label(memory, ["q"], FROM_FILE, use="warmup")
    label(memory, None, Told("Ann", [Judgement("q", False, rollout_id="q/1")]), use="page")
    assert told(memory) == {"q/0": True, "q/1": False, "q/2": False}
    label(memory, None, Told("Bob", [Judgement("q", True, answers=("5",))]), use="page")
    assert told(memory) == {"q/0": True, "q/1": False, "q/2": True}


def test_a_verdict_is_taken_back_in_the_open(opened) -> None:
    memory = opened(group(correct=(True, None, None, None, None, None)))
    label(memory, ["q"], FROM_FILE, use="warmup")
    slip = label(memory, None, Told("Ann", [Judgement("q", False, answers=("5.0",))]), use="page").entered[0]
    assert told(memory)["q/1"] is False
    ledger, spent = ledger_of(memory), ledger_of(memory).spent()
    before = ledger.entries()
    gone = ledger.withdraw(slip.id, source="Bob")
    assert list(ledger.totals()["sources"]) == ["Ann", "file"], "who takes a verdict back gave none"
    assert told(memory) == {f"q/{i}": True for i in range(3)}, "what it had overruled stands again"
    assert ledger.entries()[: len(before)] == before
    assert (gone.withdraws, gone.query_id, gone.answers) == (slip.id, "q", ("5.0",))
    assert ledger.spent() == spent, "it was told, and it counts"
    for identity in (slip.id, gone.id, "nothing"):
        with pytest.raises(DataError, match="not a verdict that stands"):
            ledger.withdraw(identity, source="Ann")
    again = label(
        memory, None, Told("Ann", [Judgement("q", False, answers=("5.0",))]), Budget(judgements=spent[1]), "page"
    )
    assert again.entered[0].id != slip.id
    assert told(memory)["q/1"] is False
    assert ledger.spent() == spent


def test_withdrawals_and_judgements_on_answers_survive(tmp_path: Path) -> None:
    memory = ExperienceMemory.open(tmp_path / "m")
    memory.add([group()])
    made = label(memory, None, Told("Ann", [Judgement("q", False)]), use="page").entered[0]
    memory.ledger.withdraw(made.id, source="Bob \ud800")
    again = ExperienceMemory.open(tmp_path / "m").ledger
    assert again.entries() == memory.ledger.entries()
    assert again.entries()[0].answers == ("5", "5.0", "\\boxed{5}", "7", "7.00")
    assert again.labelled() == []
    assert len(again) == 2


@each_row(
    "wrong",
    [
        Judgement("nowhere", True, answers=("5",)),
        Judgement("q", True, rollout_id="q/9"),
        Judgement("q", True),
        Judgement("q", True, answers=("5", "7")),
        Judgement("q", True, rollout_id="q/0", answers=("5",)),
    ],
)
def test_what_cannot_be_entered_is_refused_whole(opened, wrong: Judgement) -> None:
    memory = opened(group())
    with pytest.raises(DataError):
        label(memory, None, Told("Ann", [Judgement("q", True, rollout_id="q/0"), wrong]), use="page")
    assert ledger_of(memory).entries() == []


def test_references_judge_what_came_without_verdicts_but_run_no_code() -> None:
    memory = ExperienceMemory.in_memory()
    memory.add([group(), group("code", SOURCES, domain="code"), group("told", ("5",), correct=(False,))])
    echo = Echo()
    assert seal_verdicts(memory, echo) == 1
    assert {claim.rollout.query.id for claim in echo.asked} == {"q"}
    assert memory.ledger.entries() == [], "they stay sealed"
    assert label(memory, ["q"], FROM_FILE).labels[0].correct is True


def test_each_query_may_fail_alone(opened) -> None:
    memory = opened(*(group(f"q{i}", ("5", "6")) for i in range(3)), group("words", ("5",), domain="other"))
    echo = Echo()
    found = label(memory, ["q0", "q1", "q2"], echo, Budget(queries=2), "verify", each=True)
    assert list(found.failed) == ["q2"]
    assert {claim.rollout.query.id for claim in echo.asked} == {"q0", "q1"}, "it sees no reference that was refused"
    assert isinstance(found.failed["q2"], BudgetError)
    assert {one.query_id for one in found.labels} == {"q0", "q1"}

    class Broken(Echo):
        def verify(self, claims):
            if claims[0].rollout.query.domain == "math":
                raise ValueError("odd reply")
            return super().verify(claims)

    found = label(memory, ["q0", "q2", "words"], Broken(), use="again", each=True)
    assert list(found.failed) == ["q2"]
    assert {one.query_id for one in found.labels} == {"q0", "words"}, "another domain loses nothing"
    with pytest.raises(ValueError, match="odd reply"):
        label(memory, ["q2"], Broken(), use="again")


def test_a_verifier_may_judge_without_a_reference(opened) -> None:
    class Reader(Echo):
        needs_reference = False

        def verify(self, claims):
            assert {claim.reference for claim in claims} == {""}
            return super().verify(claims)

    memory = opened(group("t", ("yes", "Yes."), domain="other", reference=None))
    found = label(memory, ["t"], Reader(), use="judge")
    assert [entry.rollout_id for entry in found.entered] == ["t/0"]
    assert {one.rollout_id: one.correct for one in found.labels} == {"t/0": False, "t/1": False}


def test_what_a_verifier_found_may_stay_sealed() -> None:
    judged = sealed_verdicts([group(), group("r", reference=None)], Verifiers())
    assert measured(judged) == {f"q/{i}": i < 3 for i in range(6)}


OPENS = {
    "types.py": "what is done with a group whose truth stays sealed",
    "memory/ledger.py": "asks whether there is any, and what it would cost",
    "memory/sealed.py": "keeps it, sealed, and hands it to the door",
    "memory/label.py": "the door",
    "memory/store.py": "keeps it, sealed",
    "data/records.py": "the format of rollout files",
}


OPENS_OUTSIDE = {"verifiers.py": "asks verifiers about references of labelled files, to measure the verifiers"}


def test_no_other_module_touches_the_truth() -> None:
    package = Path(memreward.__file__).parent
    found = {}
    for root in (package, *(package.parents[1] / folder for folder in ("lab", "benchmarks"))):
        for path in root.rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            nodes = ast.walk(ast.parse(text)) if ".truth" in text else ()
            lines = [
                node.lineno for node in nodes if isinstance(node, ast.Attribute) and node.attr in {"truth", "truths"}
            ]
            name = path.relative_to(root).as_posix()
            if lines and name not in (OPENS if root == package else OPENS_OUTSIDE):
                found[name] = lines
    assert found == {}
