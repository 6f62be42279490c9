from __future__ import annotations

import pytest
import torch

from memreward.network.graph import nearest

pytestmark = pytest.mark.slow  # torch takes seconds to load


def unit(rows: int, seed: int) -> torch.Tensor:
    vectors = torch.randn(rows, 12, generator=torch.Generator().manual_seed(seed))
    return vectors / vectors.norm(dim=1, keepdim=True)


def brute_force(memory: torch.Tensor, vector: torch.Tensor, k: int, own: int) -> list[int]:
    cosine = (memory @ vector).tolist()
    return sorted((i for i in range(len(memory)) if i != own), key=lambda i: -cosine[i])[:k]


def test_search_is_exact_and_never_finds_the_searcher() -> None:
    memory = unit(43, 0)
    rows, cosine = nearest(memory, memory, 6, torch.arange(43))
    for query in range(43):
        assert rows[query].tolist() == brute_force(memory, memory[query], 6, query)
    assert torch.allclose(cosine, torch.einsum("qkd,qd->qk", memory[rows], memory), atol=1e-6)


def test_a_memory_smaller_than_k_gives_what_it_has() -> None:
    rows, cosine = nearest(unit(2, 1), unit(3, 0), 5, torch.tensor([-1, 0]))
    assert (rows >= 0).sum(1).tolist() == [3, 2]
    assert (cosine[rows < 0] == 0).all()
