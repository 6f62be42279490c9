from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from echo import Echo

from memreward.memory import Budget, ExperienceMemory, FromFile, Judgement, LabelLedger, Told, label
from memreward.types import BudgetError, ConfigurationError, DataError, Group, Label, Verdict
from rows import each_row

MakeGroup = Callable[..., Group]
MakeLedger = Callable[[list[Group]], LabelLedger]


@pytest.fixture(params=["folder", "in_memory", "detached"])
def make_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> MakeLedger:
    def make(groups: list[Group]) -> LabelLedger:
        if request.param == "detached":
            return LabelLedger.detached(groups)
        folder = request.param == "folder"
        memory = ExperienceMemory.open(tmp_path / "memory") if folder else ExperienceMemory.in_memory()
        memory.add(groups)
        return memory.ledger

    return make


def spent(ledger: LabelLedger) -> tuple[int, int]:
    totals = ledger.totals()
    return totals["queries"], totals["judgements"]


def release(
    ledger: LabelLedger, query_ids: list[str], *, use: str, budget: Budget | None = None, source: str = "file"
) -> list[Label]:
    """What came with the rollouts, each of these with an answer of its own."""
    return label(ledger, query_ids, FromFile(source), budget, use).labels


class Silent(Echo):
    """Can never tell."""

    def verify(self, claims: Any) -> list[Verdict]:
        self.asked += claims
        return [Verdict(None, "cannot tell")] * len(claims)


def judge(
    ledger: LabelLedger,
    query_id: str,
    rollout_id: str,
    correct: bool,
    *,
    source: str,
    use: str,
    budget: Budget | None = None,
) -> Label:
    """What a person says of one rollout, and what is told of it then."""
    told = Told(source, [Judgement(query_id, correct, rollout_id=rollout_id)])
    found = label(ledger, None, told, budget, use).labels
    return next(one for one in found if one.rollout_id == rollout_id)


@each_row(
    ("unit", "value"),
    [
        *[(unit, value) for unit in ("queries", "judgements") for value in (-1, 0.5, 1.0, True, "20%", float("nan"))],
        *[("share", value) for value in (0, 0.0, 1.5, -0.2, 2, True, "0.2", float("nan"))],
    ],
)
def test_a_budget_is_a_share_or_a_count(unit: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"budget {unit}="):
        Budget(**{unit: value})


def test_a_budget_limits_something_and_queries_once() -> None:
    with pytest.raises(ConfigurationError, match="must limit something"):
        Budget()
    with pytest.raises(ConfigurationError, match="not both"):
        Budget(share=0.2, queries=20)


def test_shares_are_rounded_down_to_at_least_one() -> None:
    assert Budget(share=0.29, judgements=3).limits(100) == (29, 3)
    assert Budget(queries=1).limits(100) == (1, None)
    assert Budget(queries=0).limits(100) == (0, None)
    assert Budget(share=0.001).limits(10) == (1, None)
    assert Budget(share=1.0).limits(7) == Budget(share=1).limits(7) == (7, None)
    assert Budget(judgements=5).limits(100) == (None, 5)


@each_row(
    ("labels", "queries"),
    [
        *[(0.29, 29), (1, 1), (2, 2), (2.0, 2), (0, 0), ("all", 100)],
        *[("29%", 29), ("0.29", 29), ("1", 1), ("0", 0), ("100%", 100), (" 7 ", 7), ("0%", 0)],
        *[("1.0", 100), ("All", 100), (".5", 50), ("12.5%", 12), ("200", 200), ("0.0", 0)],
    ],
)
def test_one_is_one_query_and_a_share_is_said_with_a_point_or_a_percent_sign(labels: Any, queries: int) -> None:
    assert Budget.of(labels).limits(100) == (queries, None)


@each_row("labels", [-0.5, 1.5, 1.0, float("nan"), float("inf"), "a few", "120%", "2.0", "-3", "1e3", "²", True, ""])
def test_what_is_no_count_is_refused(labels: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"write|give"):
        Budget.of(labels)


def test_a_release_opens_the_verdicts_and_enters_them(make_ledger: MakeLedger, make_group: MakeGroup) -> None:
    ledger = make_ledger([make_group("a", correct=(True, None, False)), make_group("b")])
    before = time.time()
    labels = release(ledger, ["a"], use="warmup", source="gold")
    assert [(label.query_id, label.rollout_id, label.correct) for label in labels] == [
        ("a", "a/0", True),
        ("a", "a/2", False),
    ]
    assert all((label.source, label.use) == ("gold", "warmup") for label in labels)
    assert all(before <= label.time <= time.time() for label in labels)
    assert ledger.labels() == ledger.labels("warmup") == labels
    assert ledger.labels("evaluation") == []
    assert spent(ledger) == (1, 2)


def test_releasing_again_costs_nothing(make_ledger: MakeLedger, make_group: MakeGroup) -> None:
    ledger = make_ledger([make_group(name) for name in "abc"])
    budget = Budget(queries=1, judgements=3)
    labels = release(ledger, ["a"], use="warmup", budget=budget)
    assert release(ledger, ["a", "a"], use="warmup", budget=budget) == labels
    assert len(ledger.entries()) == 3
    again = release(ledger, ["a"], use="calibration", budget=budget)
    assert [(label.rollout_id, label.correct) for label in again] == [
        (label.rollout_id, label.correct) for label in labels
    ]
    assert len(ledger.entries()) == 6
    assert spent(ledger) == (1, 3)
    assert ledger.totals()["uses"] == {
        "calibration": {"queries": 1, "judgements": 3, "references": 0},
        "warmup": {"queries": 1, "judgements": 3, "references": 0},
    }


@pytest.mark.parametrize(
    ("budget", "unit", "allowed"),
    [(Budget(queries=2), "queries", 2), (Budget(share=0.5), "queries", 2), (Budget(judgements=7), "judgements", 7)],
)
def test_the_budget_holds_over_the_whole_ledger(
    make_ledger: MakeLedger, make_group: MakeGroup, budget: Budget, unit: str, allowed: int
) -> None:
    ledger = make_ledger([make_group(name) for name in "abcd"])
    release(ledger, ["a"], use="warmup", budget=budget)
    release(ledger, ["b"], use="checkpoint", budget=budget)
    before, used = ledger.entries(), 2 if unit == "queries" else 6
    more = 2 if unit == "queries" else 6
    with pytest.raises(BudgetError) as caught:
        release(ledger, ["b", "c", "d"], use="warmup", budget=budget)
    message = str(caught.value)
    assert f"{used} {unit} are spent, {more} more were asked for, {allowed} are allowed" in message
    assert f"ask for at most {allowed - used} or raise the budget" in message
    assert ledger.entries() == before
    assert len(release(ledger, ["b"], use="warmup", budget=budget)) == 3
    assert len(release(ledger, ["c", "d"], use="warmup")) == 6


def test_a_share_is_of_the_queries_with_ground_truth(make_ledger: MakeLedger, make_group: MakeGroup) -> None:
    unlabelled = [make_group(f"u{index}", correct=(), reference=None) for index in range(10)]
    ledger = make_ledger([*unlabelled, *(make_group(f"q{index}") for index in range(4))])
    with pytest.raises(BudgetError, match="2 are allowed"):
        release(ledger, ["q0", "q1", "q2"], use="warmup", budget=Budget(share=0.5))
    assert release(ledger, ["u0", "nowhere"], use="warmup", budget=Budget(share=0.5)) == []
    assert spent(ledger) == (0, 0)


def test_a_reference_is_a_judgement(make_ledger: MakeLedger, make_group: MakeGroup) -> None:
    ledger = make_ledger([make_group("a", reference="42"), make_group("b", reference=None)])
    verifier = Silent()
    for asked in (["a", "b"], ["a"]):
        assert label(ledger, asked, verifier, Budget(judgements=1), "verify").labels == []
    assert {claim.reference for claim in verifier.asked} == {"42"}
    (entry,) = ledger.entries()
    assert (entry.query_id, entry.rollout_id, entry.correct, entry.use) == ("a", None, None, "verify")
    assert ledger.labels() == []
    assert ledger.totals()["references"] == 1
    with pytest.raises(BudgetError, match="1 judgements are spent, 3 more"):
        release(ledger, ["a"], use="warmup", budget=Budget(judgements=3))
    assert release(ledger, ["a"], use="warmup", budget=Budget(queries=1)) != []


def test_a_judgement_is_entered_and_the_last_one_prevails(make_ledger: MakeLedger, make_group: MakeGroup) -> None:
    ledger = make_ledger([make_group("a", correct=(None, None, None), reference=None)])
    budget = Budget(judgements=2)
    for correct in (True, True, False, True):
        label = judge(ledger, "a", "a/0", correct, source="Ada", use="warmup", budget=budget)
        assert (label.correct, label.source) == (correct, "Ada")
        assert [known.correct for known in ledger.labels()] == [correct]
    assert [entry.correct for entry in ledger.entries()] == [True, False, True]
    assert spent(ledger) == (1, 2)
    with pytest.raises(BudgetError, match="2 judgements are spent, 1 more were asked for, 2 are allowed"):
        judge(ledger, "a", "a/1", True, source="Ada", use="warmup", budget=budget)
    assert judge(ledger, "a", "a/0", True, source="Bob", use="warmup", budget=budget).source == "Bob"
    assert ledger.totals()["sources"]["Bob"] == {"queries": 1, "judgements": 1, "references": 0}


def test_a_judgement_of_an_unknown_rollout_is_refused(make_ledger: MakeLedger, make_group: MakeGroup) -> None:
    ledger = make_ledger([make_group("a")])
    for query_id, rollout_id in (("a", "a/9"), ("b", "a/0")):
        with pytest.raises(DataError, match=f"'{rollout_id}' of query '{query_id}' is not in the memory"):
            judge(ledger, query_id, rollout_id, True, source="Ada", use="warmup")
    assert ledger.entries() == []


def test_entries_survive_and_bind_the_next_process(tmp_path: Path, make_group: MakeGroup) -> None:
    memory = ExperienceMemory.open(tmp_path / "m")
    memory.add([make_group("a"), make_group("b \ud800", correct=(True,) * 3)])
    release(memory.ledger, ["a", "b \ud800"], use="warmup \udfff")
    label(memory, ["a"], Silent(), use="verify")
    again = ExperienceMemory.open(tmp_path / "m").ledger
    assert again.entries() == memory.ledger.entries()
    assert {entry.query_id for entry in again.entries()} == {"a", "b \ud800"}
    memory.add([make_group("c")])
    with pytest.raises(BudgetError, match="2 queries are spent"):
        release(again, ["c"], use="warmup", budget=Budget(queries=2))


def test_new_rollouts_of_a_released_query_cost_judgements_only(tmp_path: Path, make_group: MakeGroup) -> None:
    memory = ExperienceMemory.open(tmp_path / "m")
    memory.add([make_group("a")])
    release(memory.ledger, ["a"], use="warmup")
    memory.add([make_group("a", prefix="new-", rollouts=5)])
    labels = release(memory.ledger, ["a"], use="warmup", budget=Budget(queries=1, judgements=5))
    assert len(labels) == 8
    assert spent(memory.ledger) == (1, 5)  # three of the new answers are known already


def mixed(make_group: MakeGroup) -> list[Group]:
    sizes = {"big": 300, "middle": 90, "small": 10}
    return [make_group(f"{name}-{index}", dataset=name) for name, size in sizes.items() for index in range(size)]


def test_the_draw_depends_on_seed_and_ids_alone(make_ledger: MakeLedger, make_group: MakeGroup) -> None:
    groups = mixed(make_group)[280:330]
    forward, backward = LabelLedger.detached(groups), make_ledger(groups[::-1])
    budget = Budget(share=0.2)
    assert forward.choose(budget, 3) == backward.choose(budget, 3)
    assert forward.choose(budget, 3) != forward.choose(budget, 4)
    assert len(forward.choose(budget, 3)) == 10
    assert sorted(forward.choose(None, 3)) == sorted(group.query.id for group in groups)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_the_draw_is_stratified_and_grows_by_prefix(make_group: MakeGroup, share: float) -> None:
    ledger = LabelLedger.detached(mixed(make_group))
    for seed in range(3):
        drawn = ledger.choose(Budget(share=share), seed)
        counts = Counter(query_id.split("-")[0] for query_id in drawn)
        for name, size in (("big", 300), ("middle", 90), ("small", 10)):
            assert abs(counts[name] - share * size) <= 1.5
        assert ledger.choose(None, seed)[: len(drawn)] == drawn


def test_every_query_is_drawn_equally_often(make_group: MakeGroup) -> None:
    groups = [make_group(f"a{i}", dataset="a") for i in range(17)] + [make_group("lone", dataset="b")]
    groups += [make_group(f"c{i}", dataset="c") for i in range(2)]
    ledger = LabelLedger.detached(groups)
    draws = 300
    counts = Counter(q for seed in range(draws) for q in ledger.choose(Budget(share=0.2), seed))
    for group in groups:
        # Four standard deviations of a fair draw, and the stratified draw's rounding.
        assert abs(counts[group.query.id] / draws - 0.2) < 4 * (0.2 * 0.8 / draws) ** 0.5 + 0.02


def test_only_queries_with_a_verdict_are_drawn(make_ledger: MakeLedger, make_group: MakeGroup) -> None:
    groups = [
        make_group("good"),
        make_group("null", correct=(None, None, None)),
        make_group("bare", rollouts=0, correct=()),
        make_group("none", correct=(), reference=None),
    ]
    ledger = make_ledger(groups)
    assert ledger.choose(None, 0) == ["good"]
    assert ledger.ineligible() == ["null", "bare", "none"]
    assert ledger.choose(None, 0, among=["null", "bare", "nowhere"]) == []
    assert ledger.ineligible(["good", "null", "nowhere"]) == ["null", "nowhere"]


def test_a_draw_among_some_stays_among_them(make_group: MakeGroup) -> None:
    ledger = LabelLedger.detached(mixed(make_group))
    among = [f"big-{index}" for index in range(0, 300, 7)]
    assert sorted(ledger.choose(Budget(queries=10_000), 0, among=among)) == sorted(among)
    assert set(ledger.choose(Budget(queries=5), 0, among=among)) < set(among)


def test_a_draw_keeps_to_judgements(make_ledger: MakeLedger, make_group: MakeGroup) -> None:
    groups = [make_group(f"q{index}", rollouts=4) for index in range(12)]
    ledger = make_ledger(groups)
    drawn = ledger.choose(Budget(judgements=10), 0)
    assert drawn == ledger.choose(None, 0)[:2]
    assert len(release(ledger, drawn, use="warmup", budget=Budget(judgements=10))) == 8
    assert len(ledger.choose(Budget(judgements=24, queries=5), 0)) == 5


def test_a_detached_ledger_leaves_the_memory_alone(make_group: MakeGroup) -> None:
    memory = ExperienceMemory.in_memory()
    memory.add([make_group("a")])
    detached = LabelLedger.detached([make_group("a")])
    labels = release(detached, ["a"], use="evaluation")
    assert all(isinstance(label, Label) for label in labels)
    assert memory.ledger.entries() == []
    assert release(LabelLedger.detached(memory.groups()), ["a"], use="evaluation") == []


def unjudged(make_group: MakeGroup, count: int) -> list[Group]:
    return [make_group(f"q{index}", correct=(), reference=None) for index in range(count)]


def test_a_persons_judgements_are_released_for_every_use_and_cost_nothing_again(
    make_ledger: MakeLedger, make_group: MakeGroup
) -> None:
    ledger = make_ledger(unjudged(make_group, 3))
    for rollout, correct in (("q1/0", True), ("q1/2", False)):
        judge(ledger, "q1", rollout, correct, source="Ada", use="looked at")
    assert ledger.ineligible() == ["q0", "q2"]
    assert ledger.choose(Budget(share=0.2), 0) == ledger.choose(Budget(queries=0), 0) == ["q1"]
    labels = release(ledger, ["q0", "q1", "q2"], use="warmup", budget=Budget(queries=0))
    assert [(label.rollout_id, label.correct, label.source, label.use) for label in labels] == [
        ("q1/0", True, "Ada", "warmup"),
        ("q1/2", False, "Ada", "warmup"),
    ]
    assert spent(ledger) == (1, 2)
    assert release(ledger, ["q1"], use="warmup") == labels == ledger.labels("warmup")


def test_a_person_overrules_the_file_whose_verdict_stays_sealed(make_ledger: MakeLedger, make_group: MakeGroup) -> None:
    ledger = make_ledger([make_group("a", correct=(True, True, False))])
    judge(ledger, "a", "a/1", False, source="Ada", use="review")
    labels = release(ledger, ["a"], use="warmup", budget=Budget(judgements=3))
    assert [(label.rollout_id, label.correct, label.source) for label in labels] == [
        ("a/0", True, "file"),
        ("a/1", False, "Ada"),
        ("a/2", False, "file"),
    ]
    assert ("a/1", True) not in {(entry.rollout_id, entry.correct) for entry in ledger.entries()}
    for correct in (True, False, True):  # whoever judges last is heard, however often
        judge(ledger, "a", "a/1", correct, source="Bob", use="review")
        assert release(ledger, ["a"], use="warmup")[1].correct is correct
        assert {label.rollout_id: label.correct for label in ledger.labels("warmup")}["a/1"] is correct


def test_labelled_queries_come_first_and_the_rest_of_the_budget_is_drawn(
    make_ledger: MakeLedger, make_group: MakeGroup
) -> None:
    groups = [make_group(f"f{index}") for index in range(20)]
    ledger = make_ledger([*unjudged(make_group, 3), *groups])
    for query in ("q2", "q0"):
        judge(ledger, query, f"{query}/0", True, source="Ada", use="review")
    budget = Budget(queries=5)
    chosen = ledger.choose(budget, 0)
    assert set(chosen[:2]) == {"q0", "q2"}
    untouched = LabelLedger.detached(groups)
    assert chosen[2:] == untouched.choose(Budget(queries=3), 0)
    assert ledger.choose(budget, 0, order=["f7", "q1", "f3", "f1", "f9"]) == ["q0", "q2", "f7", "f3", "f1"]
    assert ledger.choose(budget, 0, among=["q0", "f5"]) == ["q0", "f5"]
    release(ledger, chosen, use="warmup", budget=budget)
    assert spent(ledger)[0] == 5
    assert set(ledger.choose(budget, seed=9)) == set(chosen)  # another seed buys nothing more
    assert len(ledger.choose(Budget(queries=6), seed=9)) == 6


def test_judgements_left_over_go_to_what_they_suffice_for(make_ledger: MakeLedger, make_group: MakeGroup) -> None:
    ledger = make_ledger([make_group("part"), make_group("other"), *unjudged(make_group, 1)])
    judge(ledger, "part", "part/0", True, source="Ada", use="review")
    judge(ledger, "q0", "q0/0", True, source="Ada", use="review")
    assert ledger.choose(Budget(judgements=2), 0) == ["q0"]
    assert set(ledger.choose(Budget(judgements=4), 0)) == {"part", "q0"}
    chosen = ledger.choose(Budget(judgements=7), 0)
    assert set(chosen) == {"part", "q0", "other"}
    assert len(release(ledger, chosen, use="warmup", budget=Budget(judgements=7))) == 7
