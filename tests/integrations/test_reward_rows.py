"""What the sampler says of a rollout reaches memory and evidence with it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rewarding import reward_of
from sums import Call, Sums, sample_call

from memreward.data.chat import text_of
from memreward.features.evidence import compute_evidence
from memreward.integrations.rows import cut_off, rollout_of, rows_of
from memreward.reward.predictor import RewardPredictor
from rows import each_row


def test_log_probabilities_of_sampling_enter_memory_with_the_rollout(
    sums: Sums, predictor: RewardPredictor, unlabelled: list[int]
) -> None:
    reward = reward_of(predictor)
    call = sample_call(sums, unlabelled[:2], seed=3)
    logprobs = [[-0.1 * row, -1.0, -4.0] for row in range(len(call.texts))]
    truncated = [row % 2 == 0 for row in range(len(call.texts))]
    call.of(reward, sums, 7, token_logprobs=logprobs, truncated=truncated)
    kept = [r for r in predictor.memory.rollouts_of([f"q{n}" for n in unlabelled[:2]]) if r.policy_version == "step-7"]
    assert sorted(r.token_logprobs or () for r in kept) == sorted(map(tuple, logprobs))
    assert sorted((r.token_logprobs or ())[0] for r in kept if r.truncated) == sorted(x[0] for x in logprobs[::2])
    evidence = compute_evidence(kept)
    column = evidence.values[:, evidence.names.index("logprob_mean")]
    np.testing.assert_allclose(column, [np.mean(r.token_logprobs or ()) for r in kept], rtol=1e-6)


def test_rows_without_the_samplers_columns_have_none(sums: Sums) -> None:
    (row,) = rows_of(["?"], ["#### 1"], {"query_id": ["q0"]}, 0)
    rollout = rollout_of(row, sums.query(0), 1)
    assert rollout.token_logprobs is None
    assert rollout.truncated is None


def test_a_completion_that_fills_the_limit_and_does_not_end_was_cut_off() -> None:
    trainer = SimpleNamespace(max_completion_length=3, eos_token_ids=[0, 9])
    assert cut_off([[1, 2, 3], [1, 2, 0], [1, 9], [1, 2]], trainer) == [True, False, False, False]
    assert cut_off(None, trainer) is cut_off([[1]], None) is None


def silent(call: Call) -> list[int]:
    return [row for row, source in enumerate(call.extra["memreward/source"]) if source == "abstained"]


def deep(levels: int) -> list[Any]:
    message: list[Any] = ["#### 1"]
    for _ in range(levels):
        message = [message]
    return message


def cyclic() -> list[Any]:
    message: list[Any] = []
    message += [message, message]
    return message


@each_row(
    "odd",
    [None, b"#### 1", 7, {"content": 7}, [{"role": "assistant", "content": None}], [7], deep(3000), cyclic()],
)
def test_a_completion_that_cannot_be_read_costs_its_own_row_alone(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int], odd: Any
) -> None:
    for number in (labelled[0], unlabelled[0]):
        reward = reward_of(predictor)
        call = sample_call(sums, [number], seed=3)
        call.texts[2] = odd
        call.of(reward, sums)
        assert silent(call) == [2]
        assert call.rewards[2] == pytest.approx(0)
        assert "messages" in call.extra["memreward/reason"][2]
        assert call.metrics["memreward/failures"] == 1


@pytest.mark.parametrize("column", [{"truncated": "yes"}, {"token_logprobs": 3}])
def test_what_a_sampler_says_wrongly_costs_its_own_row_alone(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], column: dict[str, Any]
) -> None:
    call = sample_call(sums, [labelled[0]], seed=3)
    ((name, odd),) = column.items()
    call.of(reward_of(predictor), sums, **{name: [None] * 2 + [odd] + [None] * (len(call.texts) - 3)})
    assert silent(call) == [2]


def test_messages_are_read_as_the_trainer_has_them() -> None:
    parts = [{"type": "text", "text": "so "}, {"type": "image", "image": object()}, {"type": "text", "text": "#### 1"}]
    assert text_of([{"role": "assistant", "content": parts}]) == "so #### 1"
    call = {"role": "assistant", "content": None, "tool_calls": [{"name": "add"}]}
    assert text_of([call, {"role": "tool", "content": "3"}, {"role": "assistant", "content": "#### 3"}]) == "3#### 3"


def test_a_prompt_that_cannot_be_read_costs_its_own_row_alone() -> None:
    rows = rows_of(["?", {"content": 7}], ["a", "b"], {"query_id": ["q0", "q0"]}, 0)
    assert [bool(row.unreadable) for row in rows] == [False, True]
