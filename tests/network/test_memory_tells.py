"""The main promise of the paper's network, kept in the fast lane: its test loads torch, and so one worker does.

torch_geometric, whose import takes three times as long as torch's, is left to the slow tests: here messages are sums.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

LAYERS = "torch_geometric.nn"
MODULES = (LAYERS, "memreward.network.model", "memreward.network.scorer")


@pytest.fixture
def scorer() -> Iterator[ModuleType]:
    """The network's module, loaded with layers of this test's in place of torch_geometric's."""
    torch = pytest.importorskip("torch")

    class Sums(torch.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self, sizes: tuple[int, int], width: int, heads: int, **_: Any) -> None:
            super().__init__()
            self.sent = torch.nn.Linear(sizes[0], width * heads)

        def forward(self, states: tuple[Any, Any], edges: Any, _: Any) -> Any:
            sent = self.sent(states[0])
            return sent.new_zeros(len(states[1]), sent.shape[1]).index_add(0, edges[1], sent[edges[0]])

    there = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    sys.modules[LAYERS] = layers = ModuleType(LAYERS)
    layers.GATv2Conv = Sums  # type: ignore[attr-defined]
    yield importlib.import_module(MODULES[-1])
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.modules.update(there)


def test_what_memory_holds_tells_right_from_wrong_in_new_rollouts(
    scorer: ModuleType, synthetic: Callable[..., Any]
) -> None:
    known, new = synthetic(queries=30, seed=0), synthetic(queries=20, seed=1)
    asked = replace(new.features, query_ids=tuple(f"new-{name}" for name in new.features.query_ids))
    model = scorer.paper(0, hidden=16, epochs=12).fit(known.features, known.correct)
    value = model.predict(asked).value
    assert value[new.correct == 1].mean() > value[new.correct == 0].mean() + 0.05
