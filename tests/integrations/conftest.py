"""A warmed-up predictor over sums, a trainer's reward function of it, and a tiny model to train."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "reward"))
sys.path.append(str(Path(__file__).resolve().parents[1] / "policy"))

from sums import Sums, toy_prior

from memreward.memory import Budget, ExperienceMemory
from memreward.reward.predictor import RewardPredictor


@pytest.fixture(scope="session")
def sums() -> Sums:
    return Sums()


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory, sums: Sums) -> Path:
    """Folder with a memory whose warmup labelled half of the queries, and the predictor that came of it."""
    folder = tmp_path_factory.mktemp("warm")
    memory = ExperienceMemory.open(folder / "memory")
    memory.add(sums.groups())
    made = RewardPredictor.warmup(memory, budget=Budget(queries=0.5), prior=toy_prior(), choose="random")
    made.save(folder / "predictor")
    return folder


@pytest.fixture
def predictor(tmp_path: Path, warm: Path) -> RewardPredictor:
    """With a memory of its own for each test."""
    shutil.copytree(warm / "memory", tmp_path / "memory")
    return RewardPredictor.load(warm / "predictor", ExperienceMemory.open(tmp_path / "memory", create=False))


@pytest.fixture
def labelled(predictor: RewardPredictor) -> list[int]:
    return sorted({int(label.query_id[1:]) for label in predictor.memory.ledger.labels("warmup")})


@pytest.fixture
def unlabelled(labelled: list[int], sums: Sums) -> list[int]:
    return sorted(set(range(sums.count)) - set(labelled))
