"""The main promise of the paper's network, kept in the fast lane: its test loads torch, and so one worker does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest


def test_what_memory_holds_tells_right_from_wrong_in_new_rollouts(synthetic: Callable[..., Any]) -> None:
    pytest.importorskip("torch_geometric")
    from memreward.network.scorer import paper

    known, new = synthetic(queries=30, seed=0), synthetic(queries=20, seed=1)
    asked = replace(new.features, query_ids=tuple(f"new-{name}" for name in new.features.query_ids))
    model = paper(0, hidden=16, epochs=12).fit(known.features, known.correct)
    value = model.predict(asked).value
    assert value[new.correct == 1].mean() > value[new.correct == 0].mean() + 0.05
