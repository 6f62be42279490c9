"""Two real processes against one: groups are scored whole even where processes split them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from rewarding import REWARD
from sums import Call, Sums, sample_call

from alike import assert_alike
from forked import run_ranks
from memreward.memory import ExperienceMemory

pytestmark = pytest.mark.slow

SCRIPT = """
import json, sys
import torch.distributed as dist
from sums import Call, Sums
from memreward.integrations.trl import RewardFunction
from memreward.memory import ExperienceMemory
from memreward.reward.predictor import RewardPredictor
from memreward.reward import HybridReward

folder, shares = sys.argv[1], json.loads(sys.argv[2])
sums = Sums()
memory = ExperienceMemory.open(folder + "/memory", create=False)
reward = HybridReward(RewardPredictor.load(folder + "/predictor", memory))
function = RewardFunction(reward)
if len(shares[0]) > 1:
    dist.init_process_group("gloo")
rank = dist.get_rank() if dist.is_initialized() else 0
replies = []
for step, parts in enumerate(shares):
    numbers, texts = parts[rank]
    columns = {} if numbers is not None else {"query_id": ["nobody knows"] * len(texts)}
    call = Call(numbers or [0] * len(texts), texts).of(function, sums, step, **columns)
    call.metrics.pop("memreward/seconds")
    replies.append([call.rewards, call.extra, call.metrics])
with open(f"{folder}/reply-{rank}.json", "w") as file:
    json.dump(replies, file)
if dist.is_initialized():
    dist.destroy_process_group()
"""


def run(folder: Path, warm: Path, shares: list[list[tuple[list[int] | None, list[str]]]]) -> list[list[list[object]]]:
    """Each step's rows by rank -> each rank's replies by step; processes find each other as torchrun's do."""
    shutil.copytree(warm, folder)
    (folder / "work.py").write_text(SCRIPT, encoding="utf-8")
    count = len(shares[0])
    launched(folder / "work.py", count, str(folder), json.dumps(shares))
    return [json.loads((folder / f"reply-{rank}.json").read_text(encoding="utf-8")) for rank in range(count)]


def launched(script: Path, count: int, *arguments: str) -> None:
    """Run a script in so many processes, and see that none fails."""
    path = os.pathsep.join([str(REWARD), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    run_ranks([str(script), *arguments], env, count, timeout=280)


@pytest.mark.timeout(580)
def test_two_processes_give_each_row_what_one_gives(
    tmp_path: Path, warm: Path, sums: Sums, labelled: list[int], unlabelled: list[int]
) -> None:
    numbers = [unlabelled[0], labelled[0], unlabelled[1]]
    calls: list[Call] = [sample_call(sums, numbers, seed=seed) for seed in range(2)]
    whole = [[(call.numbers, call.texts)] for call in calls]
    cuts = (8, 3)  # inside of the labelled group, and of one that is predicted
    split = [
        [(c.numbers[:cut], c.texts[:cut]), (c.numbers[cut:], c.texts[cut:])] for c, cut in zip(calls, cuts, strict=True)
    ]
    (alone,) = run(tmp_path / "one", warm, whole)
    first, second = run(tmp_path / "two", warm, split)
    for one, left, right in zip(alone, first, second, strict=True):
        assert_alike(one[0], left[0] + right[0])
        assert "abstained" not in one[1]["memreward/source"]
        for column, values in one[1].items():
            assert_alike(values, left[1][column] + right[1][column])
        assert_alike(one[2], left[2])
        assert_alike(one[2], right[2])
        assert one[2]["memreward/truth"] == pytest.approx(1 / 3)
    memories = [ExperienceMemory.open(tmp_path / name / "memory", create=False) for name in ("one", "two")]
    ids = [sorted(r.id for r in memory.rollouts_of(memory.query_ids())) for memory in memories]
    assert ids[0] == ids[1]
    assert memories[0].ledger.totals() == memories[1].ledger.totals()


FAILING = """
import sys
import torch.distributed as dist
from sums import Sums
from memreward.integrations.trl import RewardFunction
from memreward.memory import ExperienceMemory
from memreward.reward import PolicyReward
from memreward.reward.valuers import Majority

class Careless(Majority):
    def beliefs(self, features):
        raise TypeError("this and that")

dist.init_process_group("gloo")
memory = ExperienceMemory.in_memory()
memory.add(Sums().groups())
heard = []
for valuer, name in ((Careless(), "q1"), (Majority(), "nobody knows")):
    function = RewardFunction(PolicyReward(memory, valuer))
    try:
        function(["?"], ["#### 1"], query_id=[name])
    except Exception as error:
        heard.append(f"{type(error).__name__}: {error}")
open(f"{sys.argv[1]}/heard-{dist.get_rank()}.txt", "w").write("\\n".join(heard))
dist.destroy_process_group()
"""


@pytest.mark.timeout(290)
def test_where_the_first_process_raises_none_waits_for_it(tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text(FAILING, encoding="utf-8")
    launched(tmp_path / "work.py", 2, str(tmp_path))
    first, second = ((tmp_path / f"heard-{rank}.txt").read_text(encoding="utf-8").splitlines() for rank in range(2))
    assert first[0] == "TypeError: this and that"
    assert "all 2 for one cause" in first[1]
    assert "is not in memory" in first[1]
    assert second == [f"MemRewardError: the first process, which decides for all, failed: {line}" for line in first]


@pytest.mark.timeout(580)
def test_a_process_whose_rows_cannot_be_read_does_not_leave_the_other_waiting(
    tmp_path: Path, warm: Path, sums: Sums, unlabelled: list[int]
) -> None:
    call = sample_call(sums, unlabelled[:1], seed=0)
    first, second = run(tmp_path / "two", warm, [[(call.numbers, call.texts), (None, ["a", "b"])]])
    assert set(first[0][1]["memreward/source"]) == {"predicted"}
    assert second[0][1]["memreward/source"] == ["abstained"] * 2
    assert second[0][0] == pytest.approx([0, 0])
