"""From a memory to scores: what users call, with a real store, a real ledger and text in, rewards out."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alike import assert_alike
from memreward.answers.prior import RewardPrior, fit_prior
from memreward.domains import parse_rollout
from memreward.features.featurizer import Featurizer
from memreward.memory import FROM_FILE, Budget, ExperienceMemory, Judgement, Told, label
from memreward.memory.label import NOBODY
from memreward.reward.predictor import RewardPredictor, blind_values
from memreward.reward.sources import sources_of
from memreward.types import BudgetError, Group, LabelError, Query, Rollout, Score, StoreError, Truth
from rows import each_row


def make_groups(count: int, seed: int = 0, prefix: str = "q", least: int = 10) -> list[Group]:
    """Sums that are right two times in three; wrong ones are off by a little, each in its own way."""
    draw = random.Random(seed)
    groups = []
    for number in range(count):
        a, b = draw.randint(least, 10 * least), draw.randint(least, 10 * least)
        query = Query(f"{prefix}{number}", f"What is {a} plus {b}?", "math", "sums")
        correct = [draw.random() < 0.65 for _ in range(6)]
        totals = [a + b if right else a + b + draw.randint(1, 9) for right in correct]
        rollouts = [
            parse_rollout(query, f"{a} + {b} = {total}\n#### {total}", id=f"{prefix}{number}/{i}")
            for i, total in enumerate(totals)
        ]
        groups.append(Group(query, tuple(rollouts), Truth(str(a + b), tuple(correct))))
    return groups


@pytest.fixture(scope="module")
def memory() -> ExperienceMemory:
    memory = ExperienceMemory.in_memory()
    memory.add(make_groups(40))
    return memory


def test_references_alone_are_labels_and_a_budget_of_none_opens_nothing(prior: RewardPrior) -> None:
    """A file with references and no verdicts: its rollouts are verified by them."""
    memory = ExperienceMemory.in_memory()
    memory.add([replace(group, truth=replace(group.truth, correct=())) for group in make_groups(5)])
    assert RewardPredictor.warmup(memory, budget=Budget(queries=0), prior=prior).provenance.labels == 0
    assert memory.ledger.totals()["judgements"] == 0
    learned = RewardPredictor.warmup(memory, budget=Budget(queries=3), prior=prior)
    assert (learned.provenance.labelled_queries, learned.provenance.labels) == (3, 18)


@pytest.fixture(scope="module")
def prior() -> RewardPrior:
    """A prior from sums that nobody else asks."""
    groups = make_groups(60, seed=11, prefix="source", least=1000)
    return fit_prior(sources_of("sums", groups, Featurizer()), "sums")


@pytest.fixture(scope="module")
def predictor(memory: ExperienceMemory, prior: RewardPrior) -> RewardPredictor:
    return RewardPredictor.warmup(memory, budget=Budget(share=0.5), prior=prior)


def rollouts_of(groups: list[Group]) -> list[Rollout]:
    return [rollout for group in groups for rollout in group.rollouts]


def test_scores_know_right_from_wrong(predictor: RewardPredictor) -> None:
    new = make_groups(30, seed=1, prefix="new")
    scores = predictor.score(rollouts_of(new))
    truth = np.array([c for group in new for c in group.truth.correct])
    values = np.array([score.value for score in scores], dtype=float)
    assert len(scores) == len(truth)
    assert values[truth].mean() > values[~truth].mean() + 0.2
    assert all(0 <= s.value <= 1 and 0 <= s.confidence <= 1 and s.reason == "" for s in scores)


def test_every_label_that_is_used_is_in_the_ledger(memory: ExperienceMemory, predictor: RewardPredictor) -> None:
    labels = label(memory, memory.ledger.labelled(), NOBODY, use="warmup").labels
    assert len({label.query_id for label in labels}) == 20 == predictor.provenance.labelled_queries
    assert len(labels) == 120 == predictor.provenance.labels
    verdict = {one.rollout_id: one.correct for one in labels}
    for group in memory.groups(memory.ledger.labelled()):
        given = {(r.answer, verdict[r.id]) for r in group.rollouts}
        entered = [entry for entry in memory.ledger.entries() if entry.query_id == group.query.id]
        assert len(entered) == len(given)  # each answer is judged once


def test_the_budget_is_enforced(memory: ExperienceMemory, predictor: RewardPredictor) -> None:
    with pytest.raises(BudgetError):
        label(memory, [f"q{i}" for i in range(40)], FROM_FILE, Budget(share=0.5), "more")


def judged_by_hand(memory: ExperienceMemory, groups: list[Group]) -> None:
    for group in groups:
        for rollout, correct in zip(group.rollouts, group.truth.correct, strict=True):
            label(
                memory,
                None,
                Told("Ada", [Judgement(group.query.id, bool(correct), rollout_id=rollout.id)]),
                use="looked",
            )


def test_twelve_questions_judged_by_a_person_warm_up_at_no_further_cost(prior: RewardPrior) -> None:
    groups = make_groups(30)
    memory = ExperienceMemory.in_memory()
    memory.add([replace(group, truth=Truth()) for group in groups])
    judged_by_hand(memory, groups[:12])
    for budget in (Budget(queries=0), None):
        made = RewardPredictor.warmup(memory, budget=budget, prior=prior)
        assert (made.provenance.labelled_queries, made.provenance.labels) == (12, 72)
        assert memory.ledger.spent() == (12, 72)
    assert {label.source for label in memory.ledger.labels("warmup")} == {"Ada"}


def test_what_a_person_judged_is_learned_from_beside_what_is_bought(prior: RewardPrior) -> None:
    groups = make_groups(40)
    memory = ExperienceMemory.in_memory()
    memory.add([replace(group, truth=Truth()) for group in groups[:6]] + groups[6:])
    judged_by_hand(memory, groups[:6])
    made = RewardPredictor.warmup(memory, budget=Budget(queries=10), prior=prior)
    labelled = {label.query_id for label in memory.ledger.labels("warmup")}
    assert labelled > {group.query.id for group in groups[:6]}
    assert made.provenance.labelled_queries == len(labelled) == memory.ledger.spent()[0] == 10


@pytest.mark.parametrize("round_", [1, 2])
@pytest.mark.slow
def test_a_warmup_that_was_cut_short_in_its_rounds_ends_with_the_same_labels(round_: int, prior: RewardPrior) -> None:
    def labelled(stop: int) -> set[str]:
        def progress(_: str, done: int, __: int) -> None:
            if done == stop:
                raise KeyboardInterrupt

        memory = ExperienceMemory.in_memory()
        memory.add(make_groups(40))
        if stop:
            with pytest.raises(KeyboardInterrupt):
                RewardPredictor.warmup(memory, budget=Budget(queries=10), prior=prior, progress=progress)
            assert 0 < memory.ledger.spent()[0] < 10
        RewardPredictor.warmup(memory, budget=Budget(queries=10), prior=prior)
        return {label.query_id for label in memory.ledger.labels("warmup")}

    assert labelled(round_) == labelled(0)


def test_truth_that_was_not_released_changes_nothing(prior: RewardPrior) -> None:
    groups = make_groups(16)
    new = rollouts_of(make_groups(5, seed=1, prefix="new"))

    def values(sealed: list[Group]) -> list[Score]:
        memory = ExperienceMemory.in_memory()
        memory.add(sealed)
        warmed = RewardPredictor.warmup(memory, budget=Budget(queries=8), prior=prior)
        released.append({label.query_id for label in memory.ledger.labels()})
        return warmed.score(new)

    released: list[set[str]] = []
    honest = values(groups)
    turned = [
        group
        if group.query.id in released[0]
        else replace(group, truth=Truth("0", tuple(not c for c in group.truth.correct if c is not None)))
        for group in groups
    ]
    assert_alike(values(turned), honest)
    assert released[0] == released[1]


def test_earlier_rollouts_of_a_query_in_memory_count_in_its_agreement(predictor: RewardPredictor) -> None:
    query = Query("asked-before", "What is 40 plus 2?", "math", "sums")
    few = [parse_rollout(query, f"#### {n}", id=f"now/{i}") for i, n in enumerate((42, 41))]
    before = predictor.score(few)
    past = [parse_rollout(query, "#### 42", id=f"past/{i}") for i in range(6)]
    predictor.memory.add([Group(query, tuple(past))])
    after = predictor.score(few)
    assert before[0].value == pytest.approx(before[1].value, abs=0.01)
    assert after[0].value > after[1].value + 0.05


def test_scoring_twice_gives_the_same_and_writes_no_rollout(predictor: RewardPredictor) -> None:
    new = rollouts_of(make_groups(4, seed=3, prefix="twice"))
    counts = predictor.memory.counts()["rollouts"]
    assert_alike(predictor.score(new), predictor.score(new))
    assert predictor.memory.counts()["rollouts"] == counts


def test_scores_follow_the_order_of_the_rollouts(predictor: RewardPredictor) -> None:
    new = rollouts_of(make_groups(4, seed=4, prefix="order"))
    forward, backward = predictor.score(new), predictor.score(new[::-1])
    assert [s.value for s in backward[::-1]] == pytest.approx([s.value for s in forward], abs=1e-5)


class Choking:
    """A runner of code that fails on one rollout."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def observe(self, rollouts: Sequence[Rollout]) -> list[Any]:
        if any("choke" in rollout.query.text for rollout in rollouts):
            raise self.error
        return [None] * len(rollouts)


def fragile(predictor: RewardPredictor, memory: ExperienceMemory, folder: Path, error: Exception) -> RewardPredictor:
    predictor.save(folder)
    return RewardPredictor.load(folder, memory, runner=Choking(error))


def test_a_failure_is_an_abstention_with_its_reason_and_hits_no_other_query(
    memory: ExperienceMemory, predictor: RewardPredictor, tmp_path: Path
) -> None:
    bad = parse_rollout(Query("bad", "Will you choke?", "math"), "#### 1", id="bad/0")
    good = rollouts_of(make_groups(2, seed=5, prefix="good"))
    breaks = fragile(predictor, memory, tmp_path, RuntimeError("out of memory"))
    scores = breaks.score([good[0], bad, *good[1:]])
    assert scores[1] == Score(None, 0.0, "RuntimeError: out of memory")
    assert all(s.value is not None for i, s in enumerate(scores) if i != 1)


@each_row("wrap", [lambda groups: [groups, 1], lambda groups: groups[0].rollouts[0], str, dict])
def test_what_is_neither_rollouts_nor_groups_is_refused(
    predictor: RewardPredictor, wrap: Callable[[list[Group]], Any]
) -> None:
    with pytest.raises(TypeError, match=r"give rollouts, groups .*or questions and completions as lists of texts"):
        predictor.score({} if wrap is dict else wrap(make_groups(2, seed=5, prefix="groups")))


def test_groups_and_plain_texts_are_scored_as_their_rollouts(predictor: RewardPredictor) -> None:
    groups = make_groups(2, seed=5, prefix="groups")
    for same in (rollouts_of(groups), iter(groups)):
        assert_alike(predictor.score(groups), predictor.score(same))
    assert_alike(predictor.score(groups[0]), predictor.score(groups[0].rollouts))
    texts = [[rollout.text for rollout in group.rollouts] for group in groups]
    plain = predictor.score([group.query.text for group in groups], texts)
    assert list(plain.values) == pytest.approx(list(predictor.score(groups).values), abs=1e-6)


def test_rollouts_may_come_one_by_one(predictor: RewardPredictor) -> None:
    new = rollouts_of(make_groups(2, seed=5, prefix="iterated"))
    assert_alike(predictor.score(iter(new)), predictor.score(new))


def test_a_programming_error_is_no_abstention(
    memory: ExperienceMemory, predictor: RewardPredictor, tmp_path: Path
) -> None:
    bad = parse_rollout(Query("bad", "Will you choke?", "math"), "#### 1", id="bad/0")
    with pytest.raises(AttributeError, match="nothing"):
        fragile(predictor, memory, tmp_path, AttributeError("nothing")).score([bad])


def test_odd_rollouts_are_scored(predictor: RewardPredictor) -> None:
    texts = ["", "no answer here", "\ud800 broken #### 7", "word " * 20_000 + "#### 7", "#### 7"]
    query = Query("odd", "What is 3 plus 4?", "math", "sums")
    odd = [parse_rollout(query, text, id=f"odd/{i}") for i, text in enumerate(texts)]
    other = parse_rollout(Query("essay", "Write on sums.", "other"), "Sums are fine.", id="essay/0")
    scores = predictor.score([*odd, other])
    assert [s.reason for s in scores] == [""] * 6
    assert all(s.value is not None and 0 <= s.value <= 1 for s in scores)
    assert scores[1].value < scores[4].value


def test_groups_of_one_and_of_sixty_four(predictor: RewardPredictor) -> None:
    query = Query("many", "What is 5 plus 6?", "math", "sums")
    many = [parse_rollout(query, f"#### {11 if i % 3 else i}", id=f"many/{i}") for i in range(64)]
    alone = parse_rollout(Query("single", "What is 1 plus 1?", "math", "sums"), "#### 2", id="single/0")
    scores = predictor.score([alone, *many])
    assert all(s.value is not None for s in scores)
    assert predictor.score([alone])[0].value == pytest.approx(scores[0].value)
    assert scores[0].advantage == 0.0


def test_no_rollouts_no_scores(predictor: RewardPredictor) -> None:
    assert predictor.score([]) == []


def test_saved_and_loaded_it_scores_the_same(
    predictor: RewardPredictor, memory: ExperienceMemory, tmp_path: Path
) -> None:
    new = rollouts_of(make_groups(4, seed=6, prefix="saved"))
    predictor.save(tmp_path)
    loaded = RewardPredictor.load(tmp_path, memory)
    assert_alike(loaded.score(new), predictor.score(new))
    assert loaded.provenance == predictor.provenance
    assert [each.domain for each in loaded.held_out] == [each.domain for each in predictor.held_out]


def test_a_predictor_of_an_older_release_is_named(memory: ExperienceMemory, tmp_path: Path) -> None:
    (tmp_path / "predictor.json").write_text('{"format": 2}')
    with pytest.raises(StoreError, match=r"release 0\.1"):
        RewardPredictor.load(tmp_path, memory)


def test_an_explanation_has_the_score_of_the_rollout_in_its_group(predictor: RewardPredictor) -> None:
    for group in make_groups(3, seed=8, prefix="group"):
        scores = predictor.score(group.rollouts)
        for row, rollout in enumerate(group.rollouts):
            assert_alike(predictor.explain(rollout, beside=group.rollouts).score, scores[row])
        others = predictor.explain(group.rollouts[2], beside=group.rollouts[:2] + group.rollouts[3:]).score
        assert others.value == pytest.approx(scores[2].value, abs=1e-5)
        alone = predictor.explain(group.rollouts[0])
        assert_alike(alone.score, predictor.score([group.rollouts[0]])[0])
        assert alone.score.value != pytest.approx(scores[0].value, abs=1e-3)


def test_explaining_reads_the_texts_once(predictor: RewardPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    group, calls = make_groups(1, seed=9, prefix="once")[0], []
    features = predictor.featurizer.features
    monkeypatch.setattr(predictor.featurizer, "features", lambda given: calls.append(len(given)) or features(given))
    predictor.explain(group.rollouts[0], beside=group.rollouts)
    assert calls == [6]


def test_an_explanation_shows_the_answers_with_their_probabilities(predictor: RewardPredictor) -> None:
    group = make_groups(1, seed=7, prefix="why")[0]
    why = predictor.explain(group.rollouts[0], beside=group.rollouts)
    assert sum(answer.votes for answer in why.answers) == len(group.rollouts)
    chances = [answer.right for answer in why.answers]
    assert chances == sorted(chances, reverse=True)
    assert sum(chances) <= 1
    assert why.answers[why.own].text == group.rollouts[0].answer
    assert why.answers[why.own].right == pytest.approx(why.score.value)
    strengths = [abs(part) for _, part in why.answers[0].reasons]
    assert strengths
    assert strengths == sorted(strengths, reverse=True)


def test_advantages_are_those_of_the_rollouts_scored_together(predictor: RewardPredictor) -> None:
    groups = make_groups(6, seed=10, prefix="together")
    scores = predictor.score(rollouts_of(groups))
    for i, group in enumerate(groups):
        own = scores[6 * i : 6 * i + 6]
        assert sum(s.advantage for s in own) == pytest.approx(0, abs=1e-9)
        assert [s.advantage for s in predictor.score(group.rollouts)] == pytest.approx([s.advantage for s in own])
    assert any(abs(s.advantage) > 0.1 for s in scores)


def test_no_label_is_a_legal_budget_and_nothing_is_checked(prior: RewardPrior) -> None:
    memory = ExperienceMemory.in_memory()
    memory.add([Group(g.query, g.rollouts) for g in make_groups(6)])
    warmed = RewardPredictor.warmup(memory, prior=prior)
    assert warmed.held_out == ()
    assert (warmed.provenance.labelled_queries, warmed.provenance.labels) == (0, 0)
    assert all(s.value is not None for s in warmed.score(rollouts_of(make_groups(2, seed=5, prefix="new"))))


def test_a_memory_without_rollouts_is_named() -> None:
    with pytest.raises(LabelError, match="holds no rollouts"):
        RewardPredictor.warmup(ExperienceMemory.in_memory(), prior="none")


def test_sources_that_share_a_question_with_memory_are_left_out(prior: RewardPrior) -> None:
    memory = ExperienceMemory.in_memory()
    memory.add(make_groups(3, seed=11, prefix="source", least=1000))
    warmed = RewardPredictor.warmup(memory, prior=prior)
    assert warmed.provenance.left_out == 1
    assert warmed.model.prior.factors == ()


def test_held_out_figures_are_blind_to_the_label_they_judge(prior: RewardPrior) -> None:
    """Turning one question's labels moves no value that is measured on it."""
    groups = make_groups(12)
    features = Featurizer().features(rollouts_of(groups))
    labels = np.array([int(c) for g in groups for c in g.truth.correct], np.int8)
    turned = np.where(np.arange(72) < 6, 1 - labels, labels).astype(np.int8)
    one, other = (blind_values(prior, features, given, seed=0) for given in (labels, turned))
    assert other[:6] == pytest.approx(one[:6])
    assert other[6:] != pytest.approx(one[6:])


def sure(number: int) -> Group:
    """A question to which all rollouts give the right answer."""
    query = Query(f"sure{number}", f"What is {number} plus 0?", "math", "sums")
    rollouts = tuple(parse_rollout(query, f"#### {number}", id=f"sure{number}/{i}") for i in range(6))
    return Group(query, rollouts, Truth(str(number), (True,) * 6))


def test_labels_are_spent_where_doubt_is_greatest(prior: RewardPrior) -> None:
    memory = ExperienceMemory.in_memory()
    memory.add([*make_groups(20), *map(sure, range(20))])
    RewardPredictor.warmup(memory, budget=Budget(queries=8), prior=prior)
    chosen = {label.query_id for label in memory.ledger.labels()}
    assert len(chosen) == 8
    assert not any(name.startswith("sure") for name in chosen)
