"""Fixtures of a warmed-up predictor over sums, for the tests of the reward and of the trainers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sums import Sums, toy_prior

from memreward.memory import Budget, ExperienceMemory
from memreward.reward.predictor import RewardPredictor

__all__ = ["labelled", "memory", "predictor", "sums", "unlabelled", "warm"]


@pytest.fixture(scope="session")
def sums() -> Sums:
    return Sums()


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory, sums: Sums) -> Path:
    """Folder with a memory whose warmup labelled half of the queries, and the predictor that came of it."""
    folder = tmp_path_factory.mktemp("warm")
    memory = ExperienceMemory.open(folder / "memory")
    memory.add(sums.groups())
    made = RewardPredictor.warmup(memory, budget=Budget(share=0.5), prior=toy_prior(), choose="random")
    made.save(folder / "predictor")
    return folder


@pytest.fixture
def memory(tmp_path: Path, warm: Path) -> ExperienceMemory:
    """A copy of its own for each test."""
    shutil.copytree(warm / "memory", tmp_path / "memory")
    return ExperienceMemory.open(tmp_path / "memory", create=False)


@pytest.fixture
def predictor(memory: ExperienceMemory, warm: Path) -> RewardPredictor:
    return RewardPredictor.load(warm / "predictor", memory)


@pytest.fixture
def labelled(memory: ExperienceMemory) -> list[int]:
    return sorted({int(label.query_id[1:]) for label in memory.ledger.labels("warmup")})


@pytest.fixture
def unlabelled(labelled: list[int], sums: Sums) -> list[int]:
    return sorted(set(range(sums.count)) - set(labelled))
