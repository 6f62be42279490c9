"""What the sampler says of a rollout reaches memory and evidence with it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from sums import Sums, sample_call

from memreward.features.evidence import compute_evidence
from memreward.features.reader import Reading
from memreward.predict import RewardPredictor
from memreward.reward import HybridReward
from memreward.reward.rows import rollout_of, rows_of, step_of
from memreward.types import Rollout


def test_log_probabilities_of_sampling_enter_memory_with_the_rollout(
    sums: Sums, predictor: RewardPredictor, unlabelled: list[int]
) -> None:
    reward = HybridReward(predictor)
    call = sample_call(sums, unlabelled[:2], seed=3)
    logprobs = [[-0.1 * row, -1.0, -4.0] for row in range(len(call.texts))]
    truncated = [row % 2 == 0 for row in range(len(call.texts))]
    call.of(reward, sums, 7, token_logprobs=logprobs, truncated=truncated)
    kept = [r for r in predictor.memory.rollouts_of([f"q{n}" for n in unlabelled[:2]]) if step_of(r) == 7]
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


def test_the_time_of_the_reader_is_logged(sums: Sums, predictor: RewardPredictor, unlabelled: list[int]) -> None:
    call = sample_call(sums, unlabelled[:1], seed=3).of(HybridReward(predictor), sums)
    assert "memreward/reader_seconds" not in call.metrics

    class SlowReader:
        def read(self, rollouts: Sequence[Rollout]) -> Reading:
            time.sleep(0.02)
            return Reading(
                np.zeros((len(rollouts), 0), np.float32), np.zeros((len(rollouts), 0)), np.ones(len(rollouts)), ()
            )

    predictor.featurizer.reader = SlowReader()
    for step in (1, 2):
        call = sample_call(sums, unlabelled[:1], seed=3).of(HybridReward(predictor), sums, step=step)
        assert 0.02 <= call.metrics["memreward/reader_seconds"] <= call.metrics["memreward/seconds"]
