"""What CONTRIBUTING.md tells people to write, written and used."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memreward.domains import parse_rollout
from memreward.features.evidence import compute_evidence
from memreward.features.evidence.pools import Pools
from memreward.memory import ExperienceMemory
from memreward.reward.policy import PolicyReward
from memreward.reward.valuers import Majority
from memreward.types import Query

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def block(name: str) -> dict[str, Any]:
    """What a block of the page defines."""
    found = re.search(rf"```python file={name}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, name
    namespace: dict[str, Any] = {}
    exec(compile(ast.parse(found[1]), f"CONTRIBUTING.md, {name}", "exec"), namespace)
    return namespace


def test_files_that_the_page_names_exist() -> None:
    named = set(re.findall(r"`((?:src|tests|docs|benchmarks)/[\w/.]+\.\w+)`", PAGE))
    assert len(named) > 5
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    query = Query("q", "What is 2 + 2?", "math")
    texts = ["It is 4.", "Wait, no. Wait, it is 4.", "It is 5."]
    rollouts = [parse_rollout(query, text, id=str(number)) for number, text in enumerate(texts)]
    made = block("signal")["doubt_signals"]
    columns = made(Pools.of(rollouts))
    np.testing.assert_allclose(columns["doubt"], [0, 2, 0])
    np.testing.assert_allclose(columns["doubt_to_pool"], [-2 / 3, 4 / 3, -2 / 3])
    # Beside the others, as the line in compute.py would put it.
    monkeypatch.setattr("memreward.features.evidence.compute.agreement_signals", made)
    assert compute_evidence(rollouts).names[:2] == ("doubt", "doubt_to_pool")


def test_a_trainer() -> None:
    reward = PolicyReward(ExperienceMemory.in_memory(), Majority())
    rewards = block("trainer")["rewards"]
    prompts = ["What is 2 + 2?"] * 4 + ["What is 3 + 3?"] * 4
    completions = ["It is 4.", "It is 4.", "It is 4.", "It is 5."] + ["It is 6."] * 4
    paid = rewards(reward, prompts, completions, 0)
    assert paid[0] == paid[1] == paid[2] > 0 > paid[3]
    np.testing.assert_allclose(paid[4:], 0.0, atol=1e-9)
    assert sum(paid[:4]) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.slow
def test_a_layer(synthetic: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch_geometric")
    from memreward.network.scorer import paper

    known, new = synthetic(queries=20, seed=0), synthetic(queries=4, seed=1).features
    sizes = {"hidden": 16, "epochs": 4}
    theirs = paper(0, **sizes).fit(known.features, known.correct).predict(new).value
    monkeypatch.setattr("memreward.network.model.MessageLayer", block("layer")["MeanLayer"])
    ours = paper(0, **sizes).fit(known.features, known.correct).predict(new).value
    assert np.isfinite(ours).all()
    assert not np.array_equal(ours, theirs)
