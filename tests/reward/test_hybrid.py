"""The reward function as a trainer calls it, over a real memory, a real ledger and a real predictor."""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sums import QUICK, SIZE, Call, State, Sums, sample_call

from memreward.features.encoder import HashingEncoder
from memreward.memory import Budget, ExperienceMemory
from memreward.parsing import parse_rollout
from memreward.predict import RewardPredictor
from memreward.predict.metrics import advantages
from memreward.reward import DebiasConfig, GrowthConfig, HybridConfig, HybridReward, MonitorConfig, ShapingConfig
from memreward.reward.debias import fit_coefficient
from memreward.reward.growth import TRAINING
from memreward.reward.shaping import shape
from memreward.reward.state import reading_state, write_state
from memreward.types import Claim, StoreError, Verdict
from memreward.verify import MathVerifier, Verifiers

STILL = GrowthConfig(recalibrate=False, refresh_every=0, refresh_drop=0.0)
ALONE = HybridConfig(growth=replace(STILL, grow=False))


class OddVerifier:
    """Fails in a way that a test chooses."""

    name = "odd"

    def __init__(self, failure: str) -> None:
        self.failure = failure

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        if self.failure == "raises":
            raise ZeroDivisionError("odd")
        verdicts = [Verdict(None, "timed out after 1 s")] * len(claims)
        return verdicts if self.failure == "cannot tell" else [verdicts[0], *MathVerifier().verify(claims[1:])]

    async def verify_async(self, claims: Sequence[Claim]) -> list[Verdict]:
        return await asyncio.to_thread(self.verify, claims)


def test_rows_go_to_ground_truth_or_to_the_predictor(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int]
) -> None:
    reward = HybridReward(predictor, config=HybridConfig(growth=STILL, shaping=ShapingConfig(gate=0.0)))
    call = sample_call(sums, [labelled[0], unlabelled[0], labelled[1], unlabelled[1]], seed=1).of(reward, sums)
    for number, text, got, source in zip(
        call.numbers, call.texts, call.rewards, call.extra["memreward/source"], strict=True
    ):
        if number in labelled:
            assert (got, source) == (float(sums.right(number, text)), "truth")
        else:
            assert source == "predicted"
            assert got is not None
            assert 0 < got < 1
    assert call.metrics["memreward/truth"] == call.metrics["memreward/predicted"] == 0.5
    assert call.metrics["memreward/abstained"] == call.metrics["memreward/failures"] == 0
    assert call.metrics["memreward/seconds"] > 0
    assert reward.__name__ == "hybrid_reward"


def test_the_log_says_what_was_predicted_and_what_was_true(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int]
) -> None:
    reward = HybridReward(predictor, config=HybridConfig(growth=STILL))
    call = sample_call(sums, [labelled[0], unlabelled[0]], seed=1)
    rollouts = [
        parse_rollout(sums.query(n), t, id=f"x{i}")
        for i, (n, t) in enumerate(zip(call.numbers, call.texts, strict=True))
    ]
    expected = [score.confidence for score in predictor.score(rollouts)]
    call.of(reward, sums)
    true = [float(sums.right(n, t)) for n, t in zip(call.numbers, call.texts, strict=True)][:SIZE]
    values = call.extra["memreward/value"]
    assert call.metrics["memreward/gap"] == pytest.approx(np.mean(values[:SIZE]) - np.mean(true))
    assert call.metrics["memreward/reward"] == pytest.approx(np.mean(np.array(call.rewards, float)))
    assert call.metrics["memreward/threshold"] == predictor.threshold
    assert call.metrics["memreward/alarm"] == 0
    np.testing.assert_allclose(call.extra["memreward/confidence"], expected, atol=1e-6)
    assert min(expected) > 0
    assert call.extra["memreward/reason"] == [""] * 2 * SIZE


def test_an_alarm_is_logged_in_its_step(sums: Sums, predictor: RewardPredictor, labelled: list[int]) -> None:
    watchful = MonitorConfig(groups=2, first=2, fewest=2, rise=0.05, deviations=0.0, steps=1)
    reward = HybridReward(predictor, config=HybridConfig(growth=STILL, monitor=watchful))
    sly = Call([labelled[0]] * SIZE, [sums.text(labelled[0], off=5)] * SIZE)
    logged = []
    for step, call in enumerate([sample_call(sums, labelled[:2], 0, 0.9), *[Call(sly.numbers, sly.texts)] * 4]):
        logged.append(call.of(reward, sums, step).metrics["memreward/alarm"])
    assert [alarm.step for alarm in reward.monitor.alarms] == [logged.index(1.0)]
    assert sum(logged) == 1


def test_predicted_rewards_are_those_of_the_predictor(
    sums: Sums, predictor: RewardPredictor, unlabelled: list[int]
) -> None:
    call = sample_call(sums, unlabelled[:3], seed=1)

    rollouts = [
        parse_rollout(sums.query(n), t, id=f"x{i}")
        for i, (n, t) in enumerate(zip(call.numbers, call.texts, strict=True))
    ]
    expected = [score.value for score in predictor.score(rollouts)]
    reward = HybridReward(predictor, config=HybridConfig(growth=STILL, shaping=ShapingConfig(gate=0.0)))
    np.testing.assert_allclose(np.array(call.of(reward, sums).rewards, float), np.array(expected, float), atol=1e-6)
    paper = HybridReward(predictor, config=HybridConfig.paper())
    hard = sample_call(sums, unlabelled[3:6], seed=2).of(paper, sums)
    assert set(hard.rewards) <= {0.0, 1.0}
    assert [r == 1.0 for r in hard.rewards] == [v >= 0.5 for v in hard.extra["memreward/value"]]


def test_every_ground_truth_is_in_the_ledger_and_no_other_is_opened(
    sums: Sums, memory: ExperienceMemory, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int]
) -> None:
    before = memory.ledger.totals()
    reward = HybridReward(predictor)
    call = sample_call(sums, [*labelled[:3], *unlabelled], seed=1).of(reward, sums)
    entries = [entry for entry in memory.ledger.entries() if entry.use == TRAINING]
    assert {entry.query_id for entry in entries} == {f"q{number}" for number in labelled[:3]}
    assert sum(entry.rollout_id is None for entry in entries) == 3
    verdicts = {entry.rollout_id: entry.correct for entry in entries if entry.rollout_id}
    assert len(verdicts) == 3 * SIZE
    assert {entry.source for entry in entries if entry.rollout_id} == {MathVerifier().name}
    assert sum(verdicts.values()) == sum(r == 1.0 for r in call.rewards[: 3 * SIZE])
    assert memory.ledger.totals()["queries"] == before["queries"]


def test_the_reference_of_an_unlabelled_query_changes_nothing(
    tmp_path: Path, sums: Sums, unlabelled: list[int], labelled: list[int]
) -> None:
    """Neither sealed in memory nor given as a column of the data set."""
    call = sample_call(sums, [labelled[0], *unlabelled[:4]], seed=1)
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
        made = RewardPredictor.warmup(memory, budget=Budget(queries=0.5), config=QUICK, encoder=HashingEncoder())
        column = ["-7" if spoil and n in unlabelled else str(sum(sums.asked[n])) for n in call.numbers]
        results.append(Call(call.numbers, call.texts).of(HybridReward(made), sums, reference=column).rewards)
    assert results[0] == results[1]


def test_a_new_question_needs_its_columns_alone(sums: Sums, predictor: RewardPredictor) -> None:
    reward = HybridReward(predictor, labelled=["new1"], config=HybridConfig(growth=STILL))
    chats = [
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"What is 1 plus {n}?"}]
        for n in (1, 2)
    ]
    answers = ["#### 2", "#### 4"]
    got = reward(
        prompts=[chats[0], chats[0], chats[1]],
        completions=[[{"role": "assistant", "content": text}] for text in [*answers, "#### 3"]],
        completion_ids=[[0]] * 3,
        trainer_state=State(),
        query_id=["new1", "new1", "new2"],
        domain=["math"] * 3,
        reference=["2", "2", "3"],
    )
    assert got[:2] == [1.0, 0.0]
    assert got[2] is not None
    known = {group.query.id: group for group in reward.memory.groups(["new1", "new2"])}
    assert known["new1"].query.text == "What is 1 plus 1?"
    assert [r.answer for r in known["new1"].rollouts] == ["2", "4"]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"query_id": None}, "column 'query_id'"),
        ({"query_id": ["nobody knows"] * 2}, "column 'domain'"),
        ({"query_id": ["nobody knows"] * 2, "domain": ["cookery"] * 2}, "cookery"),
        ({"query_id": ["q0"]}, "IndexError"),
        ({"query_id": [7, 8]}, "column 'query_id'"),
    ],
)
def test_rows_that_cannot_be_read_abstain_with_their_reason(
    sums: Sums,
    predictor: RewardPredictor,
    caplog: pytest.LogCaptureFixture,
    columns: dict[str, object],
    reason: str,
) -> None:
    reward = HybridReward(predictor)
    call = Call([0, 0], [sums.text(0), sums.text(0, off=1)]).of(reward, sums, **columns)
    assert call.rewards == [None, None]
    assert sum(reward.failures.values()) >= 1
    assert any(reason in text for text in reward.failures)
    assert any(reason in message for message in caplog.messages)
    assert call.metrics["memreward/abstained"] == 1.0
    assert set(call.extra["memreward/source"]) == {"abstained"}


def test_one_odd_row_costs_the_others_nothing(sums: Sums, predictor: RewardPredictor, unlabelled: list[int]) -> None:
    call = sample_call(sums, [unlabelled[0]], seed=3)
    whole = HybridReward(predictor, config=ALONE)
    alone = Call(call.numbers, call.texts).of(whole, sums)
    odd = Call([*call.numbers, 0], [*call.texts, "?"])
    odd.of(whole, sums, query_id=[*(f"q{n}" for n in call.numbers), "nobody knows"])
    assert odd.rewards == [*alone.rewards, None]
    assert "column 'domain'" in odd.extra["memreward/reason"][-1]


@pytest.mark.parametrize(("failure", "reason"), [("raises", "ZeroDivisionError"), ("cannot tell", "timed out")])
def test_a_verifier_that_fails_is_an_abstention(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int], failure: str, reason: str
) -> None:
    reward = HybridReward(predictor, verifiers=Verifiers(own={"math": OddVerifier(failure)}))
    call = sample_call(sums, [labelled[0], unlabelled[0]], seed=1).of(reward, sums)
    assert call.rewards[:SIZE] == [None] * SIZE
    assert all(r is not None for r in call.rewards[SIZE:])
    assert all(reason in text for text in call.extra["memreward/reason"][:SIZE])
    assert call.metrics["memreward/failures"] >= 1
    assert all(entry.rollout_id is None for entry in reward.memory.ledger.entries() if entry.use == TRAINING)


def test_a_predictor_that_fails_is_an_abstention_never_ground_truth(
    sums: Sums,
    predictor: RewardPredictor,
    labelled: list[int],
    unlabelled: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reward = HybridReward(predictor, config=HybridConfig(growth=STILL))
    reward.live.begin()

    def full(rollouts: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(reward.live.predictor, "features", full)
    call = sample_call(sums, [labelled[0], unlabelled[0]], seed=1).of(reward, sums)
    assert call.rewards[SIZE:] == [None] * SIZE
    assert (
        call.rewards[:SIZE] == [float(sums.right(n, t)) for n, t in zip(call.numbers, call.texts, strict=True)][:SIZE]
    )
    assert sum(reward.failures.values()) == 2 * SIZE


def test_a_programming_error_of_predictor_or_verifier_is_raised(
    sums: Sums, predictor: RewardPredictor, labelled: list[int]
) -> None:
    class Careless(OddVerifier):
        def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
            return [Verdict(claim.no_such_field) for claim in claims]  # type: ignore[attr-defined]

    reward = HybridReward(predictor, verifiers=Verifiers(own={"math": Careless("")}))
    with pytest.raises(AttributeError, match="no_such_field"):
        sample_call(sums, [labelled[0]], seed=1).of(reward, sums)
    reward = HybridReward(predictor, config=HybridConfig(growth=STILL))
    reward.live.begin()
    reward.live.predictor.featurizer = None  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        sample_call(sums, [labelled[0]], seed=1).of(reward, sums)


def test_a_memory_that_cannot_be_written_gives_no_ground_truth(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reward = HybridReward(predictor)

    def full(groups: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(reward.memory, "add", full)
    call = sample_call(sums, [labelled[0], unlabelled[0]], seed=1).of(reward, sums)
    assert call.rewards[:SIZE] == [None] * SIZE
    assert all(r is not None for r in call.rewards[SIZE:])
    assert "the disk is full" in call.extra["memreward/reason"][0]


def test_the_budget_is_kept(
    sums: Sums, memory: ExperienceMemory, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int]
) -> None:
    named = [*labelled, unlabelled[0]]
    reward = HybridReward(predictor, labelled=[f"q{n}" for n in named], budget=Budget(queries=len(labelled)))
    inside = sample_call(sums, [labelled[0]], seed=1).of(reward, sums)
    assert None not in inside.rewards
    beyond = sample_call(sums, [unlabelled[0]], seed=1).of(reward, sums)
    assert beyond.rewards == [None] * SIZE
    assert "label budget" in beyond.extra["memreward/reason"][0]
    assert memory.ledger.totals()["queries"] == len(labelled)


def test_what_the_budget_refuses_costs_the_others_nothing(
    sums: Sums, memory: ExperienceMemory, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int]
) -> None:
    numbers = [labelled[0], unlabelled[0], labelled[1]]
    named = [f"q{n}" for n in numbers]
    reward = HybridReward(predictor, labelled=named, budget=Budget(queries=len(labelled)))
    call = sample_call(sums, numbers, seed=1).of(reward, sums)
    sources, reasons = call.extra["memreward/source"], call.extra["memreward/reason"]
    assert sources == ["truth"] * SIZE + ["abstained"] * SIZE + ["truth"] * SIZE
    assert all("label budget" in reason for reason in reasons[SIZE : 2 * SIZE])
    assert call.metrics["memreward/failures"] == SIZE
    # Two references and the verdicts on one group are left.
    left = Budget(judgements=memory.ledger.spent()[1] + SIZE)
    reward = HybridReward(predictor, labelled=named, budget=left)
    call = sample_call(sums, [labelled[0], labelled[1]], seed=2).of(reward, sums, step=1)
    assert sorted(call.extra["memreward/source"]) == ["abstained"] * SIZE + ["truth"] * SIZE
    assert call.metrics["memreward/judgements"] == memory.ledger.spent()[1] == left.judgements


def test_a_verifier_that_raises_costs_the_other_domains_nothing(
    sums: Sums, predictor: RewardPredictor, labelled: list[int]
) -> None:
    verifiers = Verifiers(own={"qa": OddVerifier("raises")})
    reward = HybridReward(predictor, labelled=[f"q{labelled[0]}", "new"], verifiers=verifiers)
    call = sample_call(sums, [labelled[0]], seed=1)
    call.numbers, call.texts = [*call.numbers, 0, 0], [*call.texts, "A", "B"]
    names, others = [f"q{labelled[0]}"] * SIZE + ["new"] * 2, [None] * SIZE
    call.of(reward, sums, query_id=names, domain=[*others, "qa", "qa"], reference=[*others, "A", "A"])
    assert call.extra["memreward/source"] == ["truth"] * SIZE + ["abstained"] * 2
    assert all("ZeroDivisionError" in reason for reason in call.extra["memreward/reason"][SIZE:])


def test_live_rates_are_counted_on_labelled_rows(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int]
) -> None:
    reward = HybridReward(predictor, config=HybridConfig(growth=STILL))
    call = sample_call(sums, [*labelled, *unlabelled[:2]], seed=4).of(reward, sums)
    rows = [i for i, n in enumerate(call.numbers) if n in labelled]
    held = np.array([call.extra["memreward/value"][i] >= predictor.threshold for i in rows])
    right = np.array([call.rewards[i] == 1.0 for i in rows])
    tpr, fpr = held[right].mean(), held[~right].mean()
    for domain in ("all", "math"):
        assert call.metrics[f"memreward/{domain}/tpr"] == pytest.approx(tpr)
        assert call.metrics[f"memreward/{domain}/fpr"] == pytest.approx(fpr)
        assert call.metrics[f"memreward/{domain}/j"] == pytest.approx(tpr - fpr)
    assert "memreward/qa/j" not in call.metrics
    assert tpr - fpr > 0.2


def test_labelled_rows_are_predicted_blind(sums: Sums, predictor: RewardPredictor, labelled: list[int]) -> None:
    """By the one member that has not seen their labels, whatever the verifier says of them."""
    calls = []
    for turned in (False, True):
        reward = HybridReward(predictor, labelled=[] if turned else None, config=ALONE)
        calls.append(sample_call(sums, labelled[:4], seed=5).of(reward, sums))
    assert calls[0].extra["memreward/value"] == calls[1].extra["memreward/value"]
    assert calls[0].extra["memreward/source"] != calls[1].extra["memreward/source"]


def test_debiased_rewards_are_advantages_of_full_supervision_on_average(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int]
) -> None:
    share = len(labelled) / sums.count
    config = HybridConfig(growth=STILL, debias=DebiasConfig(share=share, coefficient=0.5))
    call = sample_call(sums, [labelled[0], unlabelled[0]], seed=7).of(HybridReward(predictor, config=config), sums)
    plain = sample_call(sums, [labelled[0], unlabelled[0]], seed=7)
    shaped = plain.of(HybridReward(predictor, labelled=[], config=ALONE), sums)
    group = np.repeat([0, 1], SIZE)
    guessed = advantages(np.array(shaped.rewards, float), group, 0.0)
    true = advantages([float(sums.right(n, t)) for n, t in zip(call.numbers, call.texts, strict=True)], group, 0.0)
    expected = np.where(group == 0, true / share - 0.5 * (1 / share - 1) * guessed, 0.5 * guessed)
    np.testing.assert_allclose(np.array(call.rewards, float), expected, atol=1e-6)
    assert call.metrics["memreward/lambda"] == 0.5


@pytest.mark.parametrize(("failure", "reason"), [("raises", "ZeroDivisionError"), ("cannot tell", "timed out")])
def test_with_debiasing_a_labelled_group_without_a_verdict_abstains(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int], failure: str, reason: str
) -> None:
    config = HybridConfig(growth=STILL, debias=DebiasConfig(share=0.5, coefficient=0.5))
    reward = HybridReward(predictor, config=config, verifiers=Verifiers(own={"math": OddVerifier(failure)}))
    call = sample_call(sums, [labelled[0], unlabelled[0]], seed=7).of(reward, sums)
    assert call.rewards[:SIZE] == [None] * SIZE
    assert None not in call.rewards[SIZE:]
    assert call.extra["memreward/source"] == ["abstained"] * SIZE + ["predicted"] * SIZE
    assert all(reason in text for text in call.extra["memreward/reason"][:SIZE])


def test_with_debiasing_a_rollout_that_cannot_be_told_keeps_its_predicted_part_and_is_not_called_truth(
    sums: Sums, predictor: RewardPredictor, labelled: list[int]
) -> None:
    config = HybridConfig(growth=STILL, debias=DebiasConfig(share=0.5, coefficient=0.5))
    reward = HybridReward(predictor, config=config, verifiers=Verifiers(own={"math": OddVerifier("first")}))
    call = sample_call(sums, labelled[:1], seed=7).of(reward, sums)
    values = np.array(call.extra["memreward/value"])
    guessed = advantages(shape(values, np.zeros(SIZE), config.shaping, predictor.threshold), np.zeros(SIZE), 0.0)
    assert call.rewards[0] == pytest.approx(-0.5 * guessed[0], abs=1e-6)
    assert sum(np.array(call.rewards, float)) == pytest.approx(0, abs=1e-6)
    untold = [text == call.texts[0] for text in call.texts]  # equal texts are judged once
    assert any(untold)
    assert not all(untold)
    assert call.extra["memreward/source"] == ["predicted" if one else "truth" for one in untold]
    assert ["timed out" in reason for reason in call.extra["memreward/reason"]] == untold


def test_whoever_watches_is_told_the_rewards_before_debiasing_too(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int]
) -> None:
    seen: list[tuple[Sequence[float | None], Sequence[float | None]]] = []
    calls = []
    for share in (None, 0.5):
        config = HybridConfig(growth=replace(STILL, grow=False), debias=DebiasConfig(share=share, coefficient=0.5))
        reward = HybridReward(predictor, config=config)
        reward.observer = lambda rollouts, rewards, stated: seen.append((rewards, stated))
        calls.append(sample_call(sums, [labelled[0], unlabelled[0]], seed=7).of(reward, sums))
        assert reward.failures.total() == 0
    (plain, stated), (debiased, before) = seen
    assert list(plain) == list(stated) == list(before) == calls[0].rewards
    assert list(debiased) == calls[1].rewards != calls[0].rewards


def test_lambda_is_fitted_on_labelled_rollouts_predicted_blind(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int]
) -> None:
    config = HybridConfig(growth=STILL, debias=DebiasConfig(share=0.5))
    call = sample_call(sums, unlabelled[:1], seed=8).of(HybridReward(predictor, config=config), sums)
    groups = [group for group in predictor.memory.groups() if int(group.query.id[1:]) in labelled]
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    group = np.repeat(np.arange(len(groups)), SIZE)
    right = [float(sums.right(int(rollout.query.id[1:]), rollout.text)) for rollout in rollouts]
    blind = np.array([score.value for score in predictor.score(rollouts)])
    shaped = shape(blind, group, config.shaping, predictor.threshold)
    true = advantages(right, group, 0.0)
    assert call.metrics["memreward/lambda"] == pytest.approx(fit_coefficient(true, advantages(shaped, group, 0.0)))
    assert 0 < call.metrics["memreward/lambda"] < 1


def test_it_survives_pickling_and_goes_on_alike(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int]
) -> None:
    reward = HybridReward(predictor, config=ALONE)
    sample_call(sums, labelled[:3], seed=1).of(reward, sums)
    other = pickle.loads(pickle.dumps(reward))
    assert other.__name__ == reward.__name__
    assert len(other.live.window) == len(reward.live.window) > 0
    calls = [sample_call(sums, [labelled[3], unlabelled[0]], seed=2).of(each, sums, step=1) for each in (reward, other)]
    assert calls[0].rewards == calls[1].rewards


def test_a_memory_of_this_process_cannot_be_sent(sums: Sums) -> None:
    memory = ExperienceMemory.in_memory()
    with pytest.raises(StoreError, match="open it in a folder"):
        pickle.dumps(memory)


def test_it_is_saved_and_restored(
    tmp_path: Path, sums: Sums, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int]
) -> None:
    reward = HybridReward(predictor, config=HybridConfig(growth=GrowthConfig(grow=False, refresh_every=0)))
    for step in range(3):
        sample_call(sums, labelled, seed=step).of(reward, sums, step=step)
    reward.save(tmp_path / "state")
    other = HybridReward(predictor, config=reward.config)
    other.restore(tmp_path / "state")
    assert other.live.threshold == reward.live.threshold
    assert other.monitor.history == reward.monitor.history
    calls = [sample_call(sums, [labelled[3], unlabelled[0]], seed=9).of(each, sums, step=3) for each in (reward, other)]
    assert calls[0].rewards == calls[1].rewards
    calls[0].metrics.pop("memreward/seconds")
    assert calls[0].metrics == {key: calls[1].metrics[key] for key in calls[0].metrics}
    with pytest.raises(StoreError, match="name a folder"):
        other.restore(tmp_path / "nothing")
    with reading_state(tmp_path / "state") as state:
        write_state(tmp_path / "state", {name: state[name] for name in state if name not in ("memory", "spent")})
    other.restore(tmp_path / "state")  # as release 0.1 wrote it


def test_a_restored_network_says_what_it_was_trained_on(
    tmp_path: Path, sums: Sums, predictor: RewardPredictor, labelled: list[int]
) -> None:
    reward = HybridReward(predictor, config=HybridConfig(growth=replace(STILL, refresh_every=1)))
    for step in range(2):
        sample_call(sums, labelled[:2], seed=step).of(reward, sums, step=step)
    reward.save(tmp_path / "state")
    other = HybridReward(predictor, config=reward.config)
    other.restore(tmp_path / "state")
    assert other.live.predictor.provenance == reward.live.predictor.provenance
    assert other.live.predictor.provenance.labels > predictor.provenance.labels


def test_failures_are_logged_once_a_kind(
    sums: Sums, predictor: RewardPredictor, caplog: pytest.LogCaptureFixture
) -> None:
    reward = HybridReward(predictor)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            Call([0, 0], ["a", "b"]).of(reward, sums, query_id=None)
    assert len(caplog.messages) == 1
    assert sum(reward.failures.values()) == 6
