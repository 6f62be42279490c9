"""From a memory to scores: what users call, with a real store, a real ledger and text in, rewards out."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memreward.features.encoder import HashingEncoder
from memreward.memory import Budget, ExperienceMemory
from memreward.parsing import parse_rollout
from memreward.predict import PredictorConfig, RewardPredictor
from memreward.types import BudgetError, FloatArray, Group, LabelError, Query, Rollout, Score, StoreError, Truth

QUICK = PredictorConfig(hidden=16, epochs=4, folds=3)


def make_groups(count: int, seed: int = 0, prefix: str = "q") -> list[Group]:
    """Sums that are right two times in three; wrong ones are off by a little, each in its own way."""
    draw = random.Random(seed)
    groups = []
    for number in range(count):
        a, b = draw.randint(10, 99), draw.randint(10, 99)
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


@pytest.fixture(scope="module")
def predictor(memory: ExperienceMemory) -> RewardPredictor:
    return RewardPredictor.warmup(memory, budget=Budget(queries=0.5), config=QUICK, encoder=HashingEncoder())


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
    labels = memory.ledger.labels("warmup")
    assert len({label.query_id for label in labels}) == 20 == predictor.provenance.labelled_queries
    assert len(labels) == 120 == predictor.provenance.labels
    assert len(memory.ledger.entries()) == 120


def test_the_budget_is_enforced(memory: ExperienceMemory, predictor: RewardPredictor) -> None:
    with pytest.raises(BudgetError):
        RewardPredictor.warmup(memory, budget=Budget(queries=0.5), seed=1, config=QUICK, encoder=HashingEncoder())


def test_truth_that_was_not_released_changes_nothing() -> None:
    groups = make_groups(30)
    new = rollouts_of(make_groups(5, seed=1, prefix="new"))

    def values(sealed: list[Group]) -> list[Score]:
        memory = ExperienceMemory.in_memory()
        memory.add(sealed)
        warmed = RewardPredictor.warmup(memory, budget=Budget(queries=15), config=QUICK, encoder=HashingEncoder())
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
    assert values(turned) == honest
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
    assert predictor.score(new) == predictor.score(new)
    assert predictor.memory.counts()["rollouts"] == counts


def test_scores_follow_the_order_of_the_rollouts(predictor: RewardPredictor) -> None:
    new = rollouts_of(make_groups(4, seed=4, prefix="order"))
    forward, backward = predictor.score(new), predictor.score(new[::-1])
    assert [s.value for s in backward[::-1]] == pytest.approx([s.value for s in forward], abs=1e-5)


class Choking(HashingEncoder):
    """An encoder that fails on one text."""

    def encode(self, texts: list[str]) -> FloatArray:
        if any("choke" in text for text in texts):
            raise RuntimeError("out of memory while encoding")
        return super().encode(texts)


def test_a_failure_is_an_abstention_with_its_reason_and_hits_no_other_query(
    memory: ExperienceMemory, predictor: RewardPredictor, tmp_path: Path
) -> None:
    predictor.save(tmp_path)
    fragile = RewardPredictor.load(tmp_path, memory, encoder=Choking())
    bad = parse_rollout(Query("bad", "Will you choke?", "math"), "#### 1", id="bad/0")
    good = rollouts_of(make_groups(2, seed=5, prefix="good"))
    scores = fragile.score([good[0], bad, *good[1:]])
    assert scores[1] == Score(None, 0.0, "RuntimeError: out of memory while encoding")
    assert all(s.value is not None for i, s in enumerate(scores) if i != 1)


@pytest.mark.parametrize("wrap", [list, lambda groups: groups[0], lambda groups: groups[0].rollouts[0], str])
def test_what_is_no_list_of_rollouts_is_refused(predictor: RewardPredictor, wrap: Callable[[list[Group]], Any]) -> None:
    with pytest.raises(TypeError, match=r"score\(rollouts\) takes rollouts"):
        predictor.score(wrap(make_groups(2, seed=5, prefix="groups")))


def test_rollouts_may_come_one_by_one(predictor: RewardPredictor) -> None:
    new = rollouts_of(make_groups(2, seed=5, prefix="iterated"))
    assert predictor.score(iter(new)) == predictor.score(new)


def test_a_programming_error_is_no_abstention(
    memory: ExperienceMemory, predictor: RewardPredictor, tmp_path: Path
) -> None:
    class Broken(HashingEncoder):
        def encode(self, texts: list[str]) -> FloatArray:
            return super().encode(texts).nothing  # type: ignore[attr-defined, no-any-return]

    predictor.save(tmp_path)
    broken = RewardPredictor.load(tmp_path, memory, encoder=Broken())
    with pytest.raises(AttributeError, match="nothing"):
        broken.score(rollouts_of(make_groups(2, seed=6, prefix="broken")))


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
    # Equally near neighbours may swap places by rounding, so this is not held to 1e-5.
    assert predictor.score([alone])[0].value == pytest.approx(scores[0].value, abs=1e-3)


def test_no_rollouts_no_scores(predictor: RewardPredictor) -> None:
    assert predictor.score([]) == []


def test_saved_and_loaded_it_scores_the_same(
    predictor: RewardPredictor, memory: ExperienceMemory, tmp_path: Path
) -> None:
    new = rollouts_of(make_groups(4, seed=6, prefix="saved"))
    predictor.save(tmp_path)
    loaded = RewardPredictor.load(tmp_path, memory, encoder=HashingEncoder())
    assert loaded.score(new) == predictor.score(new)
    assert loaded.provenance == predictor.provenance


def test_another_encoder_than_warmup_s_is_refused(
    predictor: RewardPredictor, memory: ExperienceMemory, tmp_path: Path
) -> None:
    predictor.save(tmp_path)
    with pytest.raises(StoreError, match="warmed up with encoder"):
        RewardPredictor.load(tmp_path, memory, encoder=HashingEncoder(32))


def test_an_explanation_has_the_score_of_the_rollout_in_its_group(predictor: RewardPredictor) -> None:
    for group in make_groups(3, seed=8, prefix="group"):
        scores = predictor.score(group.rollouts)
        for row, rollout in enumerate(group.rollouts):
            assert predictor.explain(rollout, beside=group.rollouts).score == scores[row]
        others = predictor.explain(group.rollouts[2], beside=group.rollouts[:2] + group.rollouts[3:]).score
        assert others.value == pytest.approx(scores[2].value, abs=1e-5)
        alone = predictor.explain(group.rollouts[0])
        assert alone.score == predictor.score([group.rollouts[0]])[0]
        assert alone.score.value != pytest.approx(scores[0].value, abs=1e-3)


def test_explaining_reads_the_texts_once(predictor: RewardPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    group, calls = make_groups(1, seed=9, prefix="once")[0], []
    features = predictor.featurizer.features
    monkeypatch.setattr(predictor.featurizer, "features", lambda given: calls.append(len(given)) or features(given))
    predictor.explain(group.rollouts[0], beside=group.rollouts)
    assert calls == [6]


def test_explanation_adds_up_to_the_score_s_evidence(predictor: RewardPredictor) -> None:
    rollout = make_groups(1, seed=7, prefix="why")[0].rollouts[0]
    why = predictor.explain(rollout)
    assert why.score == predictor.score([rollout])[0]
    cosines = [n.cosine for n in why.neighbours]
    assert cosines == sorted(cosines, reverse=True)
    assert all(0 < n.weight <= 1 and 0 <= n.right_share <= 1 for n in why.neighbours)
    features = predictor.featurizer.features([rollout])
    linear, _ = predictor.model.scorer.logits(features)
    bias = np.mean([float(m.linear.bias) for m in predictor.model.scorer.members])
    assert sum(part for _, _, part in why.evidence) + bias == pytest.approx(float(linear.mean()), abs=1e-4)


def test_a_memory_without_labels_is_named() -> None:
    memory = ExperienceMemory.in_memory()
    memory.add([Group(g.query, g.rollouts) for g in make_groups(6)])
    with pytest.raises(LabelError, match="no rollout with a label"):
        RewardPredictor.warmup(memory, config=QUICK, encoder=HashingEncoder())
