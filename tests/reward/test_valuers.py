"""What each rule holds of unlabelled rollouts, what that pays, and that it goes on where it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sums import SIZE, Sums, asked, rollouts_of, sample_call

from lab.valuers import Format, Random
from memreward.evaluation.metrics import advantages
from memreward.features.featurizer import Featurizer
from memreward.memory import FROM_FILE, Budget, ExperienceMemory, label
from memreward.reward import Judged, PolicyReward
from memreward.reward.valuers import Graph, HardMajority, Majority, Nothing, Valuer

WRONG = [1, 1, 1]


@pytest.fixture
def store(sums: Sums) -> ExperienceMemory:
    memory = ExperienceMemory.in_memory()
    memory.add(sums.groups())
    return memory


def ask(reward: PolicyReward, sums: Sums, number: int, off: list[int | None], step: int = 0) -> Judged:
    """Judge one group whose answers are off by so much; None says nothing."""
    texts = ["I do not know." if one is None else sums.text(number, off=one) for one in off]
    return reward.step(rollouts_of(sums, [number] * len(off), texts, step), step)


def standardised(rewards: list[float]) -> list[float]:
    return advantages(rewards, np.zeros(len(rewards)), scaled=True).tolist()


@pytest.mark.parametrize("valuer", [Nothing(), Majority(), HardMajority(), Format(), Random()])
def test_labelled_rows_get_ground_truth_whatever_the_rule(valuer: Valuer, store: ExperienceMemory, sums: Sums) -> None:
    judged = ask(PolicyReward(store, valuer, labelled={"q1"}), sums, 1, [*WRONG, 0, None])
    assert judged.correct.tolist() == [0, 0, 0, 1, 0]
    assert judged.reward.tolist() == pytest.approx(standardised([0, 0, 0, 1, 0]))
    judgements = [entry for entry in store.ledger.entries() if entry.rollout_id is not None]
    assert {entry.query_id for entry in judgements} == {"q1"}
    assert len(judgements) == 3  # two answers and none, each judged once


def test_what_is_not_labelled_costs_nothing_and_gets_what_the_rule_pays(store: ExperienceMemory, sums: Sums) -> None:
    def paid(valuer: Valuer, off: list[int | None]) -> list[float]:
        judged = ask(PolicyReward(store, valuer, labelled={"q1"}), sums, 2, off)
        return judged.reward.tolist()

    assert paid(Format(), [0, None]) == pytest.approx(standardised([1, 0]))
    assert paid(Format(), [0, 1]) == [0, 0]
    assert paid(HardMajority(), [*WRONG, 0, 0]) == pytest.approx(standardised([1, 1, 1, 0, 0]))
    assert paid(HardMajority(), [0, 1, 0, 1]) == [0.0] * 4  # several are most frequent
    assert paid(HardMajority(), [None, None, 0, 1]) == pytest.approx(standardised([0, 0, 1, 1]))
    assert store.ledger.entries() == []


def test_bare_shares_are_paid_the_expectation_over_which_answer_is_right(store: ExperienceMemory, sums: Sums) -> None:
    """By enumeration: three of five agree with probability 3/5, the other two with 2/5."""
    never_visited = ExperienceMemory.in_memory()
    never_visited.add(group.question() for group in sums.groups())
    judged = ask(PolicyReward(never_visited, Majority()), sums, 2, [*WRONG, 0, 0])
    if_three, if_two = np.array(standardised([1, 1, 1, 0, 0])), np.array(standardised([0, 0, 0, 1, 1]))
    np.testing.assert_allclose(judged.reward, 0.6 * if_three + 0.4 * if_two)
    np.testing.assert_allclose(judged.probability, [0.6] * 3 + [0.4] * 2)
    # The vote is its own expert here: what is live is the same twice.
    live = ask(PolicyReward(never_visited, Majority(), labelled={"q3"}), sums, 3, [*WRONG, 0, 0]).metrics
    assert live["live/cosine"] == pytest.approx(live["live/cosine_vote"])


def test_abstaining_by_intention_is_no_failure(store: ExperienceMemory, sums: Sums) -> None:
    judged = ask(PolicyReward(store, Nothing()), sums, 2, [0, 1])
    assert judged.source == ("abstained",) * 2
    assert judged.reward.tolist() == [0.0, 0.0]
    assert np.isnan(judged.probability).all()
    assert not judged.failed.any()
    assert judged.reason == ("", "")


@pytest.mark.slow
def test_chance_pays_half_is_repeatable_and_goes_on_where_it_was(
    tmp_path: Path, store: ExperienceMemory, sums: Sums
) -> None:
    def drawn(seed: int) -> list[float]:
        reward = PolicyReward(store, Random(seed), rewards="threshold")
        return [one for step in range(40) for one in ask(reward, sums, 4, [0] * 10, step).reward.tolist()]

    assert sum(drawn(0)) == pytest.approx(200, abs=4 * 10)
    assert drawn(0) == drawn(0) != drawn(1)
    first = PolicyReward(store, Random(), labelled={"q1"})
    ask(first, sums, 1, [0, 1])
    first.save(tmp_path)
    second = PolicyReward(store, Random(), labelled={"q1"})
    second.restore(tmp_path)
    assert (second.seen, second.ground.spent()) == (first.seen, first.ground.spent())


@pytest.mark.slow
def test_the_papers_network_stays_as_warmup_left_it(store: ExperienceMemory, sums: Sums) -> None:
    from memreward.network.encoder import NgramEncoder
    from memreward.network.scorer import paper

    featurizer = Featurizer(NgramEncoder())
    chosen = store.ledger.choose(Budget(share=0.5), 0)
    verdict = {one.rollout_id: one.correct for one in label(store, chosen, FROM_FILE, use="warmup").labels}
    rollouts = store.rollouts_of(chosen)
    labels = np.array([verdict[rollout.id] for rollout in rollouts], np.int8)
    network = paper(0, hidden=16, epochs=4)
    network.fit(featurizer.features(rollouts), labels)
    others = sorted(set(range(sums.count)) - {int(name[1:]) for name in chosen})[:2]
    call = sample_call(sums, others, seed=0)
    values = network.predict(featurizer.features(rollouts_of(sums, call.numbers, call.texts))).value
    reward = PolicyReward(
        store,
        Graph(network),
        featurizer=featurizer,
        labelled=chosen,
        rewards="threshold",
    )
    for step in range(2):
        asked(reward, sums, [int(name[1:]) for name in chosen[:4]], step=step)
        _, judged = asked(reward, sums, others, step=step, seed=0)
        np.testing.assert_allclose(judged.probability, values, atol=1e-6)
        assert judged.reward.tolist() == (values >= 0.5).tolist()
    assert len(judged.reward) == 2 * SIZE
