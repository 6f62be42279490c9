"""What a trainer hands to its reward."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from additions import sums

from memreward.answers.model import AnswerModel
from memreward.integrations.trl import questions
from memreward.memory import ExperienceMemory
from memreward.policy.settings import SamplingConfig
from memreward.reward import PolicyReward
from memreward.reward.valuers import Answers
from memreward.training.run import make_trainer
from memreward.training.settings import GrpoSettings

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_log_probabilities_that_vllm_gives_reach_the_rollouts_in_memory(
    tmp_path: Path, model: Path, templates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trl.trainer.grpo_trainer import GRPOTrainer

    generate = GRPOTrainer._generate_single_turn

    def like_vllm(self: Any, *given: Any) -> Any:
        completions, _ = generate(self, *given)
        logprobs = [[-1 - place / 8] * len(tokens) for place, tokens in enumerate(completions)]
        logprobs[1][0] = None  # type: ignore[call-overload]  # not a number, says vLLM of that token
        return completions, logprobs

    monkeypatch.setattr(GRPOTrainer, "_generate_single_turn", like_vllm)
    memory = ExperienceMemory.in_memory()
    reward = PolicyReward(memory, Answers(AnswerModel()))
    settings = GrpoSettings(steps=1, groups_per_step=2)
    sampling = SamplingConfig("", rollouts=2, temperature=1.0, top_p=1.0, max_new_tokens=2)
    trl = {"beta": 0.0, "save_strategy": "no"}
    data = questions(sums(2), templates=str(templates))
    make_trainer(model, None, reward, data, settings, sampling, tmp_path / "run", trl=trl).train()
    kept = [rollout.token_logprobs for group in memory.groups() for rollout in group.rollouts]
    assert sorted(set(one) for one in kept if one is not None) == [{-1.0}, {-1.25}, {-1.375}]
    assert kept.count(None) == 1
