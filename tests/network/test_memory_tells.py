"""The main promise of the paper's network, kept in the fast lane: its test loads torch, and so one worker does.

torch_geometric and AdamW, which load three times as much as torch, are left to the slow tests: here messages are sums,
and a step follows the signs of the gradient.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from memreward import network


@pytest.fixture
def scorer(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The network's module, loaded with layers and steps of this test's."""
    torch = pytest.importorskip("torch")

    class Sums(torch.nn.Module):
        def __init__(self, sizes: tuple[int, int], width: int, heads: int, **_: Any) -> None:
            super().__init__()
            self.sent = torch.nn.Linear(sizes[0], width * heads)

        def forward(self, states: tuple[Any, Any], edges: Any, _: Any) -> Any:
            sent = self.sent(states[0])
            return sent.new_zeros(len(states[1]), sent.shape[1]).index_add(0, edges[1], sent[edges[0]])

    class Signs:
        def __init__(self, parameters: Iterable[Any], lr: float, **_: Any) -> None:
            self.parameters, self.rate = list(parameters), lr

        def zero_grad(self) -> None:
            for each in self.parameters:
                each.grad = None

        @torch.no_grad()
        def step(self) -> None:
            for each in self.parameters:
                if each.grad is not None:
                    each -= self.rate * each.grad.sign()

    layers = ModuleType("torch_geometric.nn")
    layers.GATv2Conv = Sums
    monkeypatch.setitem(sys.modules, layers.__name__, layers)
    monkeypatch.setattr("torch.optim.AdamW", Signs)
    for name in ("model", "scorer"):  # what of them is loaded comes back afterwards
        monkeypatch.setattr(network, name, None, raising=False)
        monkeypatch.setitem(sys.modules, f"{network.__name__}.{name}", network)
        del sys.modules[f"{network.__name__}.{name}"]
    return importlib.import_module(f"{network.__name__}.scorer")


def test_what_memory_holds_tells_right_from_wrong_in_new_rollouts(
    scorer: ModuleType, synthetic: Callable[..., Any]
) -> None:
    known, new = synthetic(queries=30, seed=0), synthetic(queries=20, seed=1)
    asked = replace(new.features, query_ids=tuple(f"new-{name}" for name in new.features.query_ids))
    model = scorer.paper(0, hidden=16, epochs=12).fit(known.features, known.correct)
    value = model.predict(asked).value
    assert value[new.correct == 1].mean() > value[new.correct == 0].mean() + 0.05
