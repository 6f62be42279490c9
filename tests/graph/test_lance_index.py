from __future__ import annotations

import pytest
import torch

from memreward.graph import lance_index
from memreward.graph.lance_index import LanceNeighbourIndex, neighbour_index
from memreward.graph.neighbours import NeighbourIndex


def unit(rows: int, seed: int) -> torch.Tensor:
    vectors = torch.randn(rows, 16, generator=torch.Generator().manual_seed(seed))
    return vectors / vectors.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("count", [1, 4])
def test_looking_into_every_partition_it_is_the_exact_search(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lance_index, "PROBES", 100)
    memory, folds, own = unit(400, 0), torch.arange(400) % count, torch.arange(0, 60)
    exact, approximate = NeighbourIndex(memory, folds, count), LanceNeighbourIndex(memory, folds, count)
    for searched, self_row in [(memory[:60], own), (unit(9, 1), None), (unit(1, 2), None)]:
        rows, cosine = exact.search(searched, 5, self_row)
        other_rows, other_cosine = approximate.search(searched, 5, self_row)
        assert torch.equal(rows, other_rows)
        assert torch.allclose(cosine, other_cosine, atol=1e-5)


def test_size_decides_which_index_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lance_index, "EXACT_LIMIT", 50)
    assert isinstance(neighbour_index(unit(50, 0), torch.zeros(50, dtype=torch.int64), 1), NeighbourIndex)
    assert isinstance(neighbour_index(unit(51, 0), torch.zeros(51, dtype=torch.int64), 1), LanceNeighbourIndex)
