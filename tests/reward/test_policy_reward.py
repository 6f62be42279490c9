"""The reward of a step, over a real memory, a real ledger and a real answer model."""

from __future__ import annotations

import json
import logging
import pickle
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sums import SIZE, Sums, asked, rollouts_of, sample_call, toy_prior

from alike import ROUNDING
from memreward.answers.beliefs import AnswerBeliefs
from memreward.answers.model import AnswerModel
from memreward.domains import Verifiers, parse_rollout
from memreward.domains.math.verify import MathVerifier
from memreward.evaluation.metrics import advantages
from memreward.memory import Budget, ExperienceMemory, Judgement, Told, label
from memreward.memory.labelling import BROKEN, FILE, FLAGGED, UNDONE, Journal
from memreward.reward import HybridReward, Judged, PolicyReward
from memreward.reward.judged import filled
from memreward.reward.predictor import RewardPredictor
from memreward.reward.truth import SPENT, TRAINING
from memreward.reward.valuers import Answers
from memreward.reward.visits import EarlierVisits
from memreward.types import Claim, ConfigurationError, Query, Rollout, StoreError, Verdict
from rows import each_row

GROUPS = np.repeat([0, 1], SIZE)


def beliefs_at_first_sight(
    predictor: RewardPredictor, rollouts: Sequence[Rollout], memory: ExperienceMemory | None = None
) -> AnswerBeliefs:
    """What is held of rollouts at the first step: what memory held before is an earlier visit."""
    past = EarlierVisits()
    past.add((memory or predictor.memory).rollouts_of([r.query.id for r in rollouts]), 0)
    return predictor.model.beliefs(replace(predictor.featurizer.features(rollouts), lean=past.lean(rollouts)))


class OddVerifier:
    """Fails in a way that a test chooses."""

    name = "odd"

    def __init__(self, failure: str) -> None:
        self.failure = failure

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        if self.failure == "raises":
            raise ZeroDivisionError("odd")
        if self.failure == "careless":
            return [Verdict(claim.no_such_field) for claim in claims]  # type: ignore[attr-defined]
        verdicts = [Verdict(None, "timed out after 1 s")] * len(claims)
        return verdicts if self.failure == "cannot tell" else [verdicts[0], *MathVerifier().verify(claims[1:])]


def right(sums: Sums, numbers: list[int], texts: list[str]) -> np.ndarray[Any, Any]:
    return np.array([sums.right(n, t) for n, t in zip(numbers, texts, strict=True)], float)


def test_a_labelled_group_is_paid_its_true_advantage_and_another_the_expected_one(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int]
) -> None:
    call = sample_call(sums, [labelled[0], unlabelled[0]], seed=1)
    rollouts = rollouts_of(sums, call.numbers, call.texts)
    expected = beliefs_at_first_sight(predictor, rollouts[SIZE:])
    judged = HybridReward(predictor).step(rollouts, 0)
    true = advantages(right(sums, call.numbers, call.texts)[:SIZE], np.zeros(SIZE), scaled=True)
    assert np.ptp(true) > 0
    np.testing.assert_allclose(judged.reward, [*true, *expected.advantages()], atol=1e-9)
    np.testing.assert_allclose(judged.advantage, judged.reward)
    np.testing.assert_allclose(judged.probability[SIZE:], expected.right, atol=1e-9)
    assert np.ptp(judged.reward[SIZE:]) > 0
    assert np.bincount(GROUPS, judged.reward) == pytest.approx([0, 0], abs=1e-9)
    assert judged.source == ("truth",) * SIZE + ("predicted",) * SIZE
    assert judged.correct.tolist() == [*right(sums, call.numbers, call.texts)[:SIZE], *[-1] * SIZE]
    assert judged.reason == ("",) * 2 * SIZE
    assert not judged.failed.any()


def test_probabilities_and_thresholds_are_paid_where_the_trainer_standardises(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int]
) -> None:
    paid = {}
    for rewards in ("probability", "threshold"):
        reward = HybridReward(predictor, rewards=rewards)  # type: ignore[arg-type]
        call, judged = asked(reward, sums, [labelled[0], unlabelled[0]])
        assert judged.reward[:SIZE].tolist() == right(sums, call.numbers, call.texts)[:SIZE].tolist()
        assert not reward.pays_advantages
        paid[rewards] = judged
    soft, hard = paid["probability"], paid["threshold"]
    np.testing.assert_allclose(soft.reward[SIZE:], soft.probability[SIZE:])
    assert hard.reward[SIZE:].tolist() == (soft.probability[SIZE:] >= 0.5).tolist()
    np.testing.assert_allclose(soft.advantage, hard.advantage)
    with pytest.raises(ConfigurationError, match="rewards='soft' is unknown"):
        HybridReward(predictor, rewards="soft")  # type: ignore[arg-type]


def test_the_order_of_rollouts_and_of_groups_changes_nothing(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int]
) -> None:
    call = sample_call(sums, [labelled[0], unlabelled[0], unlabelled[1]], seed=1)
    rollouts = rollouts_of(sums, call.numbers, call.texts)
    order = [*range(2 * SIZE - 1, SIZE - 1, -1), *range(SIZE), *range(2 * SIZE, 3 * SIZE)]
    one = HybridReward(predictor).step(rollouts, 0)
    other = HybridReward(predictor).step([rollouts[i] for i in order], 0)
    np.testing.assert_allclose(other.reward, one.reward[order], atol=1e-9)
    np.testing.assert_allclose(other.probability, one.probability[order], atol=1e-9)


def test_two_groups_of_one_question_in_a_step_are_two_groups_only_where_they_stand_apart(
    sums: Sums, predictor: RewardPredictor, unlabelled: list[int]
) -> None:
    call = sample_call(sums, [unlabelled[0], unlabelled[1], unlabelled[0]], seed=2)
    judged = HybridReward(predictor).step(rollouts_of(sums, call.numbers, call.texts), 0)
    sums_of = judged.reward.reshape(3, SIZE).sum(axis=1)
    assert sums_of == pytest.approx(0, abs=1e-9)


def test_what_is_predicted_is_predicted_before_the_labels_of_the_step_are_read(
    tmp_path: Path, sums: Sums, predictor: RewardPredictor, unlabelled: list[int]
) -> None:
    predictor.memory.export(tmp_path / "exported")
    apart = ExperienceMemory.in_memory()
    apart.import_(tmp_path / "exported")
    alone = RewardPredictor(apart, predictor.featurizer, predictor.model, predictor.provenance)
    told = HybridReward(predictor, labelled=[f"q{n}" for n in unlabelled[:4]])
    blind = HybridReward(alone, labelled=[])
    one, other = (asked(reward, sums, unlabelled[:4])[1] for reward in (blind, told))
    np.testing.assert_allclose(one.probability, other.probability, atol=ROUNDING)
    assert one.source != other.source
    # Only afterwards did it learn from them.
    later = [asked(reward, sums, unlabelled[4:6], step=1)[1] for reward in (told, blind)]
    assert np.abs(later[0].probability - later[1].probability).max() > 1e-4


def test_it_learns_at_every_step_from_the_verdicts_of_that_step(
    sums: Sums, predictor: RewardPredictor, labelled: list[int]
) -> None:
    told: list[np.ndarray[Any, Any]] = []

    class Listening(Answers):
        def observe(self, features: Any, labels: Any, step: int) -> None:
            told.append(labels)
            super().observe(features, labels, step)

    reward = PolicyReward(predictor.memory, Listening(predictor.model), labelled=[f"q{n}" for n in labelled])
    before = predictor.model.trust()["math"]
    for step in range(3):
        call, judged = asked(reward, sums, labelled[:2], step=step)
        assert judged.probability.shape == (2 * SIZE,)
        assert told[-1].tolist() == right(sums, call.numbers, call.texts).tolist()
    assert predictor.model.trust()["math"] != before


def test_a_predictor_is_left_as_it_is(sums: Sums, predictor: RewardPredictor, labelled: list[int]) -> None:
    before = predictor.model.trust()
    reward = HybridReward(predictor)
    asked(reward, sums, labelled)
    assert predictor.model.trust() == before
    assert isinstance(reward.valuer, Answers)
    assert reward.valuer.trust() != before


def test_the_log_says_what_was_predicted_and_what_was_true(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int]
) -> None:
    reward = HybridReward(predictor)
    call, judged = asked(reward, sums, [labelled[0], unlabelled[0]])
    true, logged = right(sums, call.numbers, call.texts)[:SIZE], judged.metrics
    assert logged["live/predicted"] == pytest.approx(judged.probability[:SIZE].mean())
    assert logged["live/true"] == pytest.approx(true.mean())
    memory = ExperienceMemory.in_memory()
    memory.add(sums.groups())
    rollouts = rollouts_of(sums, call.numbers[:SIZE], call.texts[:SIZE])
    expected = beliefs_at_first_sight(predictor, rollouts, memory).advantages()
    truly = judged.advantage[:SIZE]
    cosine = expected @ truly / np.sqrt(expected @ expected * (truly @ truly))
    assert logged["live/cosine"] == pytest.approx(cosine)
    assert -1 <= logged["live/cosine_vote"] <= 1
    assert logged["reward"] == pytest.approx(np.mean([*true, *judged.probability[SIZE:]]))
    assert logged["advantage_mean_abs"] == pytest.approx(np.abs(judged.advantage).mean())
    assert logged["advantage_zero"] == pytest.approx((np.abs(judged.advantage) < 1e-6).mean())
    doubtful = (judged.probability[SIZE:] > 0.1) & (judged.probability[SIZE:] < 0.9)
    assert logged["groups_in_doubt"] == float(doubtful.any())
    assert logged["trust/math"] == pytest.approx(reward.valuer.trust()["math"])
    assert (logged["truth"], logged["predicted"], logged["abstained"]) == (0.5, 0.5, 0)
    assert (logged["failures"], logged["alarm"]) == (0, 0)
    assert logged["seconds"] > 0


def test_every_ground_truth_is_in_the_ledger_and_no_other_is_opened(
    sums: Sums, memory: ExperienceMemory, predictor: RewardPredictor, unlabelled: list[int]
) -> None:
    before = memory.ledger.totals()
    named = {f"q{number}" for number in unlabelled[:3]}
    call, judged = asked(HybridReward(predictor, labelled=named), sums, unlabelled)
    entries = [entry for entry in memory.ledger.entries() if entry.use == TRAINING]
    assert {entry.query_id for entry in entries} == named
    assert sum(entry.rollout_id is None for entry in entries) == 3
    verdicts = {entry.rollout_id: entry.correct for entry in entries if entry.rollout_id}
    assert len(verdicts) == len(set(zip(call.numbers[: 3 * SIZE], call.texts, strict=False))), "one for each answer"
    assert {entry.source for entry in entries if entry.rollout_id} == {MathVerifier().name}
    assert (judged.correct == 1).sum() == right(sums, call.numbers, call.texts)[: 3 * SIZE].sum()
    assert memory.ledger.totals()["queries"] == before["queries"] + 3


def test_the_reference_of_an_unlabelled_query_changes_nothing(
    tmp_path: Path, sums: Sums, unlabelled: list[int], labelled: list[int]
) -> None:
    results = []
    for name, spoil in (("true", False), ("spoilt", True)):
        memory = ExperienceMemory.open(tmp_path / name)
        secret = {f"q{n}" for n in unlabelled}
        memory.add(
            replace(g, truth=replace(g.truth, reference="-1", correct=tuple(not c for c in g.truth.correct)))
            if spoil and g.query.id in secret
            else g
            for g in sums.groups()
        )
        made = RewardPredictor.warmup(memory, budget=Budget(share=0.5), prior=toy_prior(), choose="random")
        results.append(asked(HybridReward(made), sums, [labelled[0], *unlabelled[:4]])[1].reward)
    np.testing.assert_allclose(results[0], results[1], atol=ROUNDING)


@each_row(("failure", "reason"), [("raises", "ZeroDivisionError"), ("cannot tell", "timed out")])
@each_row("rewards", ["advantage", "probability"])
def test_a_labelled_group_without_a_verdict_abstains_and_adds_nothing(
    sums: Sums,
    predictor: RewardPredictor,
    unlabelled: list[int],
    failure: str,
    reason: str,
    rewards: Any,
) -> None:
    verifiers = Verifiers(own={"math": OddVerifier(failure)})
    named = [f"q{unlabelled[1]}"]
    reward = HybridReward(predictor, labelled=named, rewards=rewards, verifiers=verifiers)
    _, judged = asked(reward, sums, [unlabelled[1], unlabelled[0]])
    assert judged.source == ("abstained",) * SIZE + ("predicted",) * SIZE
    assert np.ptp(judged.reward[:SIZE]) == 0
    assert judged.advantage[:SIZE].tolist() == [0.0] * SIZE
    assert rewards == "probability" or judged.reward[0] == 0
    assert all(reason in text for text in judged.reason[:SIZE])
    assert judged.failed.tolist() == [True] * SIZE + [False] * SIZE
    assert judged.metrics["failures"] >= 1
    assert all(entry.rollout_id is None for entry in reward.memory.ledger.entries() if entry.use == TRAINING)


def test_a_rollout_that_cannot_be_judged_costs_its_own_reward_alone(
    sums: Sums, predictor: RewardPredictor, unlabelled: list[int]
) -> None:
    verifiers = Verifiers(own={"math": OddVerifier("first")})
    reward = HybridReward(predictor, labelled=[f"q{unlabelled[0]}"], verifiers=verifiers)
    call, judged = asked(reward, sums, unlabelled[:1], step=7)
    untold = np.array([text == call.texts[0] for text in call.texts])  # equal texts are judged once
    assert untold.any()
    assert not untold.all()
    truth = np.where(untold, np.nan, right(sums, call.numbers, call.texts))
    np.testing.assert_allclose(judged.reward, advantages(truth, np.zeros(SIZE), scaled=True))
    assert [source == "abstained" for source in judged.source] == untold.tolist()
    assert ["timed out" in reason for reason in judged.reason] == untold.tolist()


def test_features_that_fail_are_an_abstention_never_ground_truth(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reward = HybridReward(predictor)

    def full(rollouts: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(reward.featurizer, "features", full)
    call, judged = asked(reward, sums, [labelled[0], unlabelled[0]])
    assert judged.reward[SIZE:].tolist() == [0.0] * SIZE
    assert judged.source == ("truth",) * SIZE + ("abstained",) * SIZE
    true = advantages(right(sums, call.numbers, call.texts)[:SIZE], np.zeros(SIZE), scaled=True)
    np.testing.assert_allclose(judged.reward[:SIZE], true)
    assert sum(reward.failures.values()) == 2 * SIZE


def test_one_odd_query_costs_the_others_nothing(
    sums: Sums, predictor: RewardPredictor, unlabelled: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    call = sample_call(sums, unlabelled[:3], seed=3)
    rollouts = rollouts_of(sums, call.numbers, call.texts)
    whole = HybridReward(predictor).step(rollouts, 0)
    plain = predictor.featurizer.features

    def odd(given: Sequence[Any]) -> Any:
        if any(rollout.query.id == f"q{unlabelled[1]}" for rollout in given):
            raise ZeroDivisionError("odd")
        return plain(given)

    monkeypatch.setattr(predictor.featurizer, "features", odd)
    reward = HybridReward(predictor)
    judged = reward.step(rollouts, 0)
    kept = np.r_[0:SIZE, 2 * SIZE : 3 * SIZE]
    np.testing.assert_allclose(judged.reward[kept], whole.reward[kept], atol=1e-9)
    assert judged.failed.tolist() == [SIZE <= i < 2 * SIZE for i in range(3 * SIZE)]
    assert "ZeroDivisionError" in judged.reason[SIZE]


def test_a_programming_error_is_raised(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int]
) -> None:
    verifiers = Verifiers(own={"math": OddVerifier("careless")})
    reward = HybridReward(predictor, labelled=[f"q{unlabelled[0]}"], verifiers=verifiers)
    with pytest.raises(AttributeError, match="no_such_field"):
        asked(reward, sums, unlabelled[:1])
    reward = HybridReward(predictor)
    reward.valuer.model = None  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        asked(reward, sums, labelled[:1])


def test_a_memory_that_cannot_be_written_gives_no_ground_truth(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reward = HybridReward(predictor)

    def full(groups: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(reward.memory, "add", full)
    _, judged = asked(reward, sums, [labelled[0], unlabelled[0]])
    assert judged.source == ("abstained",) * SIZE + ("predicted",) * SIZE
    assert (judged.correct == -1).all()
    assert "the disk is full" in judged.reason[0]


def test_what_the_budget_refuses_costs_the_others_nothing(
    sums: Sums, memory: ExperienceMemory, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int]
) -> None:
    numbers = [labelled[0], unlabelled[0], labelled[1]]
    named = [f"q{n}" for n in numbers]
    reward = HybridReward(predictor, labelled=named, budget=Budget(queries=len(labelled)))
    _, judged = asked(reward, sums, numbers)
    assert judged.source == ("truth",) * SIZE + ("abstained",) * SIZE + ("truth",) * SIZE
    assert all("label budget" in reason for reason in judged.reason[SIZE : 2 * SIZE])
    assert judged.metrics["failures"] == SIZE
    assert memory.ledger.totals()["queries"] == len(labelled)
    # Two references and the verdicts on one group are left.
    fresh = unlabelled[1:3]
    answers = len(set(sample_call(sums, fresh, seed=1).texts[:SIZE]))
    left = Budget(judgements=memory.ledger.spent()[1] + 2 + answers)
    reward = HybridReward(predictor, labelled=[f"q{n}" for n in fresh], budget=left)
    _, judged = asked(reward, sums, fresh, step=1)
    assert sorted(judged.source) == ["abstained"] * SIZE + ["truth"] * SIZE
    assert judged.metrics["judgements"] == memory.ledger.spent()[1] == left.judgements


def test_a_verifier_that_raises_costs_the_other_domains_nothing(
    sums: Sums, memory: ExperienceMemory, predictor: RewardPredictor, labelled: list[int]
) -> None:
    query = Query("new", "Which one?", "qa")
    group = replace(sums.groups()[0], query=query, rollouts=(), truth=replace(sums.groups()[0].truth, correct=()))
    memory.add([group])
    reward = HybridReward(
        predictor, labelled=[f"q{labelled[0]}", "new"], verifiers=Verifiers(own={"qa": OddVerifier("raises")})
    )
    call = sample_call(sums, [labelled[0]], seed=1)
    others = [parse_rollout(query, text, id=f"new{text}") for text in ("A", "B")]
    judged = reward.step([*rollouts_of(sums, call.numbers, call.texts), *others], 0)
    assert judged.source == ("truth",) * SIZE + ("abstained",) * 2
    assert all("ZeroDivisionError" in reason for reason in judged.reason[SIZE:])


def test_failures_are_logged_once_a_kind(
    sums: Sums, predictor: RewardPredictor, unlabelled: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    verifiers = Verifiers(own={"math": OddVerifier("cannot tell")})
    reward = HybridReward(predictor, labelled=[f"q{unlabelled[0]}"], verifiers=verifiers)
    with caplog.at_level(logging.WARNING):
        for step in range(3):
            asked(reward, sums, unlabelled[:1], step=step)
    assert len(caplog.messages) == 1
    assert sum(reward.failures.values()) == 3 * SIZE


def test_what_a_person_enters_in_another_process_counts_from_the_next_step_on(
    sums: Sums, memory: ExperienceMemory, predictor: RewardPredictor, unlabelled: list[int]
) -> None:
    known, told = f"q{unlabelled[0]}", []

    class Listening(Answers):
        def observe(self, features: Any, labels: Any, step: int) -> None:
            told.append({q: labels[features.group == i].tolist() for i, q in enumerate(features.query_ids)})
            super().observe(features, labels, step)

    reward = PolicyReward(memory, Listening(predictor.model), labelled=[])
    _, judged = asked(reward, sums, unlabelled[:2])
    assert judged.source == ("predicted",) * 2 * SIZE
    assert told == []
    person = ExperienceMemory.open(memory.uri, create=False)  # as another process would
    answer = str(sum(sums.asked[unlabelled[0]]))
    entry = label(person, None, Told("Ann", [Judgement(known, True, answers=(answer,))]), use="page").entered[0]
    call, judged = asked(reward, sums, unlabelled[:2], step=1)
    assert judged.source == ("truth",) * SIZE + ("predicted",) * SIZE
    assert judged.correct[:SIZE].tolist() == right(sums, call.numbers, call.texts)[:SIZE].tolist()
    assert [list(one) for one in told] == [[known], [known, f"q{unlabelled[1]}"]]
    assert {1} <= set(told[0][known]) <= {0, 1}, "what memory holds of the question is learned from at once"
    other, answer = f"q{unlabelled[1]}", str(sum(sums.asked[unlabelled[1]]))
    late = label(person, None, Told("Ann", [Judgement(other, True, answers=(answer,))]), use="page").entered[0]
    told.clear()
    asked(reward, sums, unlabelled[:2], step=1)  # made again, with the rollouts that memory has of it already
    assert [len(one[other]) for one in told] == [len(memory.rollouts_of([other])) - SIZE, SIZE], "none is learned twice"
    spent = memory.ledger.spent()
    for one in (entry, late):
        person.ledger.withdraw(one.id, source="Ann")
    _, judged = asked(reward, sums, unlabelled[:2], step=2)
    assert judged.source == ("predicted",) * 2 * SIZE
    assert memory.ledger.spent() == spent


def test_what_a_person_said_of_single_rollouts_is_learned_from_and_the_group_is_predicted(
    sums: Sums, memory: ExperienceMemory, predictor: RewardPredictor, unlabelled: list[int]
) -> None:
    number = unlabelled[0]
    label(memory, None, Told("Ann", [Judgement(f"q{number}", False, answers=("1",))]), use="page")
    reward = HybridReward(predictor, labelled=[])
    texts = [sums.text(number, off=1 - sum(sums.asked[number])), *[sums.text(number)] * 3]
    judged = reward.step(rollouts_of(sums, [number] * 4, texts), 0)
    assert judged.source == ("predicted",) * 4
    assert judged.correct.tolist() == [0, -1, -1, -1]


def test_whoever_watches_sees_rollouts_and_what_came_of_them(
    sums: Sums, predictor: RewardPredictor, labelled: list[int]
) -> None:
    seen: list[tuple[Sequence[Any], Judged]] = []
    reward = HybridReward(predictor)
    reward.observer = lambda rollouts, judged: seen.append((rollouts, judged))
    call, judged = asked(reward, sums, labelled[:2])
    assert [rollout.text for rollout in seen[0][0]] == call.texts
    assert seen[0][1] is judged

    def fail(*_: object) -> None:
        raise RuntimeError("not today")

    reward.observer = fail
    _, judged = asked(reward, sums, labelled[:2], step=1)
    assert judged.source == ("truth",) * 2 * SIZE
    assert "RuntimeError: not today" in reward.failures


def test_kill_and_resume_keep_the_posterior(
    tmp_path: Path, sums: Sums, memory: ExperienceMemory, predictor: RewardPredictor, labelled: list[int]
) -> None:
    """A reward that goes back to what it saved says the same again, in this process and as another one would."""
    reward = HybridReward(predictor)
    numbers = list(range(6))
    for step in range(2):
        asked(reward, sums, numbers, step=step)
    reward.save(tmp_path / "state")
    held = len(memory.rollouts_of(memory.query_ids()))
    expected = [asked(reward, sums, numbers, step=step)[1] for step in (2, 3)]
    for again in (HybridReward(predictor), reward):
        again.restore(tmp_path / "state")
        assert len(memory.rollouts_of(memory.query_ids())) == held
        assert again.seen == 2 * 6 * SIZE
        found = [asked(again, sums, numbers, step=step)[1] for step in (2, 3)]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one.probability, other.probability, rtol=0, atol=1e-12)
            np.testing.assert_allclose(one.reward, other.reward, rtol=0, atol=1e-12)
            assert untimed(one) == pytest.approx(untimed(other))
    assert again.monitor.history == reward.monitor.history


def untimed(judged: Judged) -> dict[str, float]:
    """Without what never goes back: time, and the ledger."""
    return {name: value for name, value in judged.metrics.items() if name not in ("seconds", *SPENT)}


def test_a_save_that_is_killed_leaves_the_state_before_it_whole(
    tmp_path: Path, sums: Sums, predictor: RewardPredictor, labelled: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reward = HybridReward(predictor)
    asked(reward, sums, labelled[:2])
    reward.save(tmp_path / "state")
    asked(reward, sums, labelled[:2], step=1)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            reward.save(tmp_path / "state")
    other = HybridReward(predictor)
    other.restore(tmp_path / "state")
    assert other.seen == 2 * SIZE
    assert len(other.monitor.history) == 1


def test_states_that_are_absent_damaged_or_of_an_older_release_are_named(
    tmp_path: Path, predictor: RewardPredictor
) -> None:
    reward = HybridReward(predictor)
    with pytest.raises(StoreError, match="name a folder"):
        reward.restore(tmp_path / "nothing")
    reward.save(tmp_path)
    (tmp_path / "reward.safetensors").write_bytes(b"none")
    with pytest.raises(StoreError, match="name a folder"):
        reward.restore(tmp_path)
    for old in ({"live": {}, "monitor": {}}, {"rows_seen": 3, "memory": 0, "spent": {}}):
        (tmp_path / "reward.json").write_text(json.dumps(old), encoding="utf-8")
        with pytest.raises(StoreError, match=r"release 0\.1"):
            reward.restore(tmp_path)


def test_it_survives_pickling_and_goes_on_alike(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int]
) -> None:
    reward = HybridReward(predictor)
    asked(reward, sums, labelled[:3])
    other = pickle.loads(pickle.dumps(reward))
    one, two = (asked(each, sums, [labelled[3], unlabelled[0]], step=1)[1] for each in (reward, other))
    np.testing.assert_allclose(one.reward, two.reward, atol=ROUNDING)


def test_a_memory_of_this_process_cannot_be_sent() -> None:
    with pytest.raises(StoreError, match="open it in a folder"):
        pickle.dumps(ExperienceMemory.in_memory())


@pytest.mark.slow
def test_a_step_costs_the_same_after_hundreds_of_steps(sums: Sums, predictor: RewardPredictor) -> None:
    """The model refits on what still counts; what has faded, or is beyond what a refit can take in, is let go."""
    features = predictor.featurizer.features(rollouts_of(sums, *_many(sums, 26)))
    labels = (np.arange(len(features)) % 3 == 0).astype(np.int8)
    model = AnswerModel(toy_prior()).fit(features, labels)
    taken = []
    for step in range(1, 241):
        started = time.process_time()
        model.observe(features, labels, step, 50.0)
        taken.append(time.process_time() - started)
    assert np.median(taken[-20:]) < 2 * np.median(taken[100:120])


def _many(sums: Sums, count: int) -> tuple[list[int], list[str]]:
    call = sample_call(sums, list(range(count)), seed=0, size=4)
    return call.numbers, call.texts


def test_an_abstention_is_filled_with_what_adds_nothing() -> None:
    nan = float("nan")
    assert filled([1.0, nan, 0.0, nan, nan], [0, 0, 0, 1, 1]).tolist() == [1.0, 0.5, 0.0, 0.5, 0.5]
    assert filled([nan, nan], [0, 1]).tolist() == [0.0, 0.0]
    assert filled([], []).tolist() == []


@pytest.mark.parametrize("paid", ["advantage", "probability"])
def test_a_question_that_people_flagged_as_broken_abstains_as_a_group_until_that_is_taken_back(
    predictor: RewardPredictor, sums: Sums, labelled: list[int], unlabelled: list[int], paid: Any
) -> None:
    journal = Journal(Path(predictor.memory.uri) / FILE)
    numbers = [labelled[0], unlabelled[0], unlabelled[1]]
    events = [journal.add(BROKEN, f"q{number}", "ann") for number in numbers[:2]]
    call = sample_call(sums, numbers, seed=3)
    rollouts = rollouts_of(sums, call.numbers, call.texts)
    reward = HybridReward(predictor, rewards=paid)
    judged = reward.step(rollouts, 0)
    assert judged.source == ("abstained",) * 2 * SIZE + ("predicted",) * SIZE
    assert set(judged.reason[: 2 * SIZE]) == {FLAGGED}
    assert not judged.failed.any()
    assert len(set(judged.reward[:SIZE])) == 1
    assert (judged.correct == -1).all()
    scores = predictor.score(rollouts)
    assert [one.value is None for one in scores] == [True] * 2 * SIZE + [False] * SIZE
    assert scores[0].reason == FLAGGED
    for event in events:
        journal.add(UNDONE, event.query_id, "ann", {"event": event.id})
    again = reward.step([replace(rollout, id=f"{rollout.id}+") for rollout in rollouts], 1)
    assert again.source == ("truth",) * SIZE + ("predicted",) * 2 * SIZE
