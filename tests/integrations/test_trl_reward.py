"""A reward of ours among the trainer's reward functions: a real GRPOTrainer with a tiny random model."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, IterableDataset

from memreward.features.encoder import HashingEncoder
from memreward.integrations.trl import RewardFunction, callback
from memreward.integrations.trl_reward import check_questions, query_id_of, query_ids
from memreward.memory import Budget, ExperienceMemory
from memreward.predict import PredictorConfig, RewardPredictor
from memreward.reward import HybridReward
from memreward.reward.baselines import BaselineReward
from memreward.types import ConfigurationError, DataError, NoRewardError, UnknownDomainError

sys.path.append(str(Path(__file__).resolve().parents[1] / "policy"))

from test_trl import groups
from tiny_model import tiny_model, tiny_tokenizer

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(280)]

SIZE = 4


class Halting:
    """Rewards by length; abstains on every row of a group's second half, and on all rows of the question named."""

    __name__ = "halting"

    def __init__(self, silent_on: str = "") -> None:
        self.silent_on = silent_on
        self.failures: Counter[str] = Counter()

    def __call__(
        self, prompts: Sequence[str], completions: Sequence[str], completion_ids: Any = None, **_: Any
    ) -> list[float | None]:
        return [
            None if i % SIZE >= SIZE // 2 or prompt == self.silent_on else float(len(said) + i % 2)
            for i, (prompt, said) in enumerate(zip(prompts, completions, strict=True))
        ]


def trained(
    folder: Path, functions: Any, rows: Sequence[dict[str, Any]], *, callbacks: Any = (), **settings: Any
) -> Any:
    from trl import GRPOConfig, GRPOTrainer

    plain = {"use_cpu": True, "bf16": False, "max_steps": 1, "report_to": "none", "save_strategy": "no"}
    sizes = {"per_device_train_batch_size": 2 * SIZE, "num_generations": SIZE, "max_completion_length": 6}
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = "<|end|>"  # Qwen2's own is not in this vocabulary
    trainer = GRPOTrainer(
        model=tiny_model(),
        reward_funcs=functions,
        args=GRPOConfig(str(folder), disable_tqdm=True, **{**plain, **sizes, **settings}),
        train_dataset=Dataset.from_list(list(rows)),
        processing_class=tokenizer,
        callbacks=list(callbacks),
    )
    trainer.train()
    return trainer


def length(completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float]:
    return [float(sum(ids) % 5) for ids in completion_ids]


def nothing(completions: Sequence[str], **_: Any) -> list[float]:
    return [0.0] * len(completions)


def logged(trainer: Any) -> tuple[Any, Any]:
    """Advantages and the rewards of all functions, (groups, size) and (functions, groups, size)."""
    advantages = np.array(trainer._logs["advantages"]).reshape(-1, SIZE)
    return advantages, np.array([list(each) for each in trainer._logs["rewards"].values()]).reshape(
        -1, *advantages.shape
    )


ASKED = [{"prompt": f"What is {i}?", "query_id": i} for i in range(2)]


def test_beside_another_function_an_abstention_adds_nothing(tmp_path: Path) -> None:
    silent = ASKED[1]["prompt"]
    trainer = trained(tmp_path, [RewardFunction(Halting(silent)), nothing], ASKED)  # type: ignore[arg-type]
    advantages, (ours, _) = logged(trainer)
    partly, wholly = sorted(range(2), key=lambda group: bool(np.ptp(ours[group]) == 0))
    assert ours[partly, 2:] == pytest.approx(ours[partly, :2].mean())
    assert advantages[partly, 2:] == pytest.approx(0, abs=1e-5)
    assert np.all(np.abs(advantages[partly, :2]) > 0.5)
    assert np.ptp(ours[wholly]) == 0
    assert advantages[wholly] == pytest.approx(0, abs=1e-5)


def test_the_other_function_alone_decides_where_ours_abstains(tmp_path: Path) -> None:
    trainer = trained(
        tmp_path,
        [RewardFunction(Halting(ASKED[1]["prompt"])), length],
        ASKED,
        scale_rewards="none",  # type: ignore[arg-type]
    )
    advantages, (ours, other) = logged(trainer)
    centred = other - other.mean(axis=1, keepdims=True)
    silent = int(np.argmin(np.ptp(ours, axis=1)))
    assert np.ptp(other[silent]) > 0
    assert advantages[silent] == pytest.approx(centred[silent], abs=1e-5)
    assert advantages[:, 2:] == pytest.approx(centred[:, 2:], abs=1e-5)


def test_alone_an_abstention_is_left_out_by_the_trainer(tmp_path: Path) -> None:
    advantages, (ours,) = logged(trained(tmp_path, RewardFunction(Halting()), ASKED))  # type: ignore[arg-type]
    assert np.isnan(ours[:, 2:]).all()
    assert advantages[:, 2:] == pytest.approx(0)
    assert np.abs(advantages[:, :2]) == pytest.approx(0.5**0.5, abs=1e-3)


SPLIT = """
import sys
import torch.distributed as dist
from memreward.integrations.trl import RewardFunction

class Fixed:
    __name__ = "fixed"
    failures = {"broken": 1}
    def __call__(self, prompts, completions, completion_ids, *, log_extra, **columns):
        log_extra("memreward/reason", ["broken"] * 2)
        return self.rewards

dist.init_process_group("gloo")
fixed = Fixed()
fixed.rewards = [[1.0, None], [None, 0.0]][dist.get_rank()]
assert RewardFunction(fixed)(["?"] * 2, ["a"] * 2) == [[1.0, 0.5], [0.5, 0.0]][dist.get_rank()]
fixed.rewards = [None, None]
try:
    RewardFunction(fixed)(["?"] * 2, ["a"] * 2)
except Exception as error:
    assert "all 4 for one cause: broken" in str(error), error
    open(f"{sys.argv[1]}/{dist.get_rank()}", "w").close()
dist.destroy_process_group()
"""


def test_a_group_that_two_processes_split_is_filled_as_one(tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text(SPLIT, encoding="utf-8")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *launch, str(tmp_path / "work.py"), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=270,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1", "work.py"}


@pytest.fixture(scope="module")
def predictor() -> RewardPredictor:
    memory = ExperienceMemory.in_memory()
    memory.add(groups())
    quick = PredictorConfig(hidden=16, epochs=1, folds=3)
    return RewardPredictor.warmup(memory, budget=Budget(queries=0.5), config=quick, encoder=HashingEncoder())


@pytest.mark.parametrize(
    ("columns", "error", "said"),
    [
        ({"domain": "maths"}, UnknownDomainError, "'maths' is unknown; did you mean 'math'"),
        ({}, DataError, "neither in memory nor have a domain"),
        ({"domain": "math", "query_id": 1.5}, DataError, "row 0: query_id 1.5"),
    ],
)
def test_a_data_set_that_says_too_little_is_refused_before_the_first_step(
    tmp_path: Path, predictor: RewardPredictor, columns: dict[str, Any], error: type[Exception], said: str
) -> None:
    function = RewardFunction(HybridReward(predictor))
    rows = [{"prompt": f"What is {i} and {i}?", **columns} for i in range(2)]
    before = predictor.memory.counts()
    with pytest.raises(error, match=said):
        trained(tmp_path, function, rows, callbacks=[callback(function)])
    assert not function.reward.failures  # type: ignore[union-attr]
    assert predictor.memory.counts() == before


def test_without_the_callback_a_step_without_any_reward_ends_the_training(
    tmp_path: Path, predictor: RewardPredictor
) -> None:
    rows = [{"prompt": f"What is {i} and {i}?", "query_id": f"new{i}", "domain": "maths"} for i in range(2)]
    with pytest.raises(NoRewardError, match=r"all 8 for one cause.*did you mean 'math'"):
        trained(tmp_path, RewardFunction(HybridReward(predictor)), rows)


def test_steps_that_abstain_by_intention_or_for_several_causes_go_on(predictor: RewardPredictor) -> None:
    silent = BaselineReward(ExperienceMemory.in_memory(), "nothing")
    rewards = RewardFunction(silent)(["?"] * 2, ["a", "b"], domain=["math"] * 2)
    assert rewards == [0.0, 0.0]  # a trainer, or others beside it, are not known here
    function = RewardFunction(HybridReward(predictor))
    assert function(["?"] * 2, ["a", b"b"], query_id=["new", "q0"]) == [0.0, 0.0]


@pytest.mark.parametrize("ids", [{}, {"query_id": [10, 10, 11, 11]}, {"query_id": list(np.arange(4) // 2)}])
def test_questions_need_no_id_or_one_of_integers(predictor: RewardPredictor, ids: dict[str, Any]) -> None:
    function = RewardFunction(HybridReward(predictor))
    prompts = [[{"role": "user", "content": f"What is {i} plus {i}?"}] for i in (7, 7, 8, 8)]
    texts = ["#### 14", "#### 3", "#### 16", "#### 16"]
    rewards = function(prompts, texts, domain=["math"] * 4, **ids)
    assert None not in rewards
    assert not function.reward.failures  # type: ignore[union-attr]
    names = query_ids(prompts, ids)
    assert len(set(names)) == 2
    assert {group.query.text for group in predictor.memory.groups(names)} == {  # type: ignore[arg-type]
        "What is 7 plus 7?",
        "What is 8 plus 8?",
    }


def test_a_questions_own_text_names_it_whatever_the_prompt_around_it() -> None:
    assert query_ids(["Think. What is 1?"], {"query": ["What is 1?"]}) == [query_id_of("What is 1?")]
    assert query_ids([7], {}) == query_ids(["?"], {"query_id": [True]}) == [None]


def test_a_data_set_of_other_questions_than_the_labelled_is_pointed_out(
    predictor: RewardPredictor, caplog: pytest.LogCaptureFixture
) -> None:
    reward = HybridReward(predictor)
    rows = [{"prompt": "What is 9?", "query_id": "elsewhere", "domain": "math"}]
    check_questions(IterableDataset.from_generator(lambda: iter(rows)), reward)
    assert "none of the data set's questions is labelled" in caplog.text
    caplog.clear()
    labelled = sorted(reward.truth.labelled)[0]
    check_questions(Dataset.from_list([{"prompt": "What is 9?", "query_id": labelled}]), reward)
    assert caplog.text == ""


def test_the_callback_takes_the_function_that_the_trainer_has(predictor: RewardPredictor) -> None:
    with pytest.raises(ConfigurationError, match=r"callback\(function\)"):
        callback(HybridReward(predictor))  # type: ignore[arg-type]
