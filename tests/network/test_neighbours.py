from __future__ import annotations

import pytest
import torch

from memreward.network.graph import NeighbourIndex

pytestmark = pytest.mark.slow  # torch takes seconds to load


def unit(rows: int, seed: int) -> torch.Tensor:
    vectors = torch.randn(rows, 12, generator=torch.Generator().manual_seed(seed))
    return vectors / vectors.norm(dim=1, keepdim=True)


def brute_force(
    memory: torch.Tensor, folds: torch.Tensor, vector: torch.Tensor, fold: int, k: int, own: int
) -> list[int]:
    cosine = (memory @ vector).tolist()
    rows = [i for i in range(len(memory)) if i != own and int(folds[i]) != fold]
    return sorted(rows, key=lambda i: -cosine[i])[:k]


def test_search_is_exact_and_blind_to_the_fold_and_to_itself() -> None:
    memory, folds = unit(43, 0), torch.arange(43) % 4
    own = torch.arange(43)
    rows, cosine = NeighbourIndex(memory, folds, 4).search(memory, 6, own)
    for fold in range(4):
        for query in range(43):
            assert rows[fold, query].tolist() == brute_force(memory, folds, memory[query], fold, 6, query)
    assert torch.allclose(cosine, torch.einsum("fqkd,qd->fqk", memory[rows], memory), atol=1e-6)


def test_one_fold_means_that_nothing_is_left_out() -> None:
    memory = unit(20, 0)
    rows, _ = NeighbourIndex(memory, torch.zeros(20, dtype=torch.int64), 1).search(unit(3, 1), 4)
    assert rows.shape == (1, 3, 4)
    assert rows[0, 0].tolist() == brute_force(memory, torch.ones(20), unit(3, 1)[0], -1, 4, -1)


def test_a_memory_smaller_than_k_gives_what_it_has() -> None:
    rows, cosine = NeighbourIndex(unit(3, 0), torch.tensor([0, 1, 1]), 2).search(unit(2, 1), 5)
    assert (rows[0] >= 0).sum(1).tolist() == [2, 2]
    assert (rows[1] >= 0).sum(1).tolist() == [1, 1]
    assert (cosine[rows < 0] == 0).all()


def test_an_empty_fold_is_no_error() -> None:
    rows, _ = NeighbourIndex(unit(3, 0), torch.tensor([0, 0, 0]), 2).search(unit(2, 1), 2)
    assert (rows[0] == -1).all()
    assert (rows[1] >= 0).all()
