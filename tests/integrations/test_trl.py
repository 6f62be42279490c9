"""The example of docs/training.md against the installed TRL, with a tiny random model."""

from __future__ import annotations

import ast
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from sums import SIZE, Sums

from forked import run_ranks
from memreward.data import write_groups
from memreward.data.chat import query_id_of
from memreward.integrations.trl import prepare, questions
from memreward.memory import ExperienceMemory
from memreward.types import ConfigurationError, DataError
from rows import each_row

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
(EXAMPLE,) = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "GRPOTrainer" in block]
ON_A_CPU = (
    'use_cpu=True, bf16=False, max_steps=2, save_steps=2, logging_steps=1, report_to="none", '
    "gradient_checkpointing=False, per_device_train_batch_size=8, num_generations=4, max_completion_length=8"
)
REPORT = """
import json
logged = [entry for entry in trainer.state.log_history if "memreward/truth" in entry]
print("REPORT", json.dumps([logged, memory.ledger.totals(), dict(reward.reward.failures)]))
"""


def adapted(folder: Path) -> str:
    """The example with a model, a file and a length that fit this machine; each change must find its place."""
    changes = {
        '"runs/memory"': repr(str(folder / "memory")),
        '"rollouts.jsonl"': repr(str(folder / "rollouts.jsonl")),
        "budget=Budget(share=0.2)": 'budget=Budget(share=0.5), prior="none"',
        '"runs/policy", num_generations=8, max_completion_length=512': f"{str(folder / 'policy')!r}, {ON_A_CPU}",
        '"Qwen/Qwen2.5-1.5B-Instruct"': repr(str(folder / "model")),
        "GRPOTrainer(model": "trainer = GRPOTrainer(model",
        ").train()": ")\ntrainer.train()",
    }
    script = EXAMPLE
    for old, new in changes.items():
        assert script.count(old) == 1, old
        script = script.replace(old, new)
    return script + REPORT


def test_the_example_is_ten_lines() -> None:
    assert len([line for line in EXAMPLE.splitlines() if line.strip()]) == len(ast.parse(EXAMPLE).body) == 10


ROWS = [{"problem": f"What is {n} plus 3?", "solution": str(n + 3), "level": n} for n in range(3)]


def test_a_data_set_with_other_columns_is_prepared_and_its_references_are_sealed() -> None:
    memory = ExperienceMemory.in_memory()
    from datasets import Dataset

    given = Dataset.from_list([*ROWS, ROWS[0]])
    data = prepare(given, question="problem", domain="math", reference="solution", memory=memory)
    assert data["query"] == [row["problem"] for row in ROWS]
    assert set(data.column_names) == {"prompt", "query_id", "query", "domain", "dataset"}
    assert data["prompt"][0][-1] == {"role": "user", "content": ROWS[0]["problem"]}
    assert memory.counts()["references"] == 3
    assert not any("solution" in row or "3" in str(row.get("reference", "")) for row in data)
    assert data["query_id"][0] == query_id_of(ROWS[0]["problem"])
    plain = ExperienceMemory.in_memory()
    prepare(given, question="problem", domain="math", memory=plain)
    assert (plain.counts()["queries"], plain.counts()["references"]) == (3, 0)


@each_row(
    ("changes", "error", "message"),
    [
        ({"question": "problm"}, DataError, "question 'problm': no such column, did you mean 'problem'"),
        ({"reference": "solutions"}, DataError, "answer 'solutions': no such column, did you mean 'solution'"),
        ({"domain": "maths"}, DataError, "domain 'maths': no such column"),
        ({"memory": None}, ConfigurationError, "sealed in a memory"),
    ],
)
def test_a_data_set_that_cannot_be_prepared_says_why(changes: dict[str, Any], error: Any, message: str) -> None:
    given = {"question": "problem", "domain": "math", "reference": "solution", "memory": ExperienceMemory.in_memory()}
    with pytest.raises(error, match=message):
        prepare(ROWS, **(given | changes))


@pytest.mark.slow
@pytest.mark.timeout(580)
def test_the_example_trains_for_two_steps(tmp_path: Path) -> None:
    sys.path.append(str(ROOT / "tests" / "policy"))
    from tiny_model import save_tiny_model, tiny_tokenizer

    save_tiny_model(tmp_path / "model")
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = "<|end|>"  # Qwen2's own is not in this vocabulary
    tokenizer.save_pretrained(tmp_path / "model")
    write_groups(tmp_path / "rollouts.jsonl", Sums(12).groups())
    (tmp_path / "example.py").write_text(adapted(tmp_path), encoding="utf-8")
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    (printed,) = run_ranks([str(tmp_path / "example.py")], env, 1, timeout=570)
    logged, ledger, failures = json.loads(printed.partition("REPORT ")[2].splitlines()[0])
    assert len(logged) == 2
    for entry in logged:
        shares = [entry[f"memreward/{source}"] for source in ("truth", "predicted", "abstained")]
        assert sum(shares) == pytest.approx(1)
        assert entry["memreward/seconds"] > 0
        assert "rewards/memreward_reward/mean" in entry
    # What a random model says is not always mathematics; nothing else may have gone wrong.
    assert all(reason.startswith("cannot verify") for reason in failures)
    assert ledger["queries"] == 6
    memory = ExperienceMemory.open(tmp_path / "memory", create=False)
    assert memory.counts()["rollouts"] == 12 * SIZE + 2 * 8
    assert (tmp_path / "policy" / "checkpoint-2" / "memreward" / "reward.safetensors").is_file()


def test_questions_carry_what_the_reward_reads_and_no_ground_truth() -> None:
    data = questions([*Sums(3).groups(), *Sums(3).groups()])
    assert data["query_id"] == ["q0", "q1", "q2"]
    assert set(data.column_names) == {"prompt", "query_id", "query", "domain", "dataset"}
    assert data[0]["prompt"][-1] == {"role": "user", "content": data[0]["query"]}
    with pytest.raises(ConfigurationError, match="no question"):
        questions([])
