from __future__ import annotations

import numpy as np
import pytest
import torch

from memreward.network import graph
from memreward.network.graph import similarity_edges, structural_edges
from memreward.types import Features

pytestmark = pytest.mark.slow  # torch takes seconds to load


def features_of(sizes: list[int], seed: int = 0) -> Features:
    generator = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(sizes)), sizes)
    count = len(group)
    vectors = generator.normal(size=(count, 6)).astype(np.float32)
    return Features(
        rollout_ids=tuple(f"r{i}" for i in range(count)),
        query_ids=tuple(f"q{i}" for i in range(len(sizes))),
        group=group,
        domain=np.zeros(len(sizes), np.int64),
        query_vectors=generator.normal(size=(len(sizes), 6)).astype(np.float32),
        thinking_vectors=vectors,
        answer_vectors=vectors,
        cluster=np.where(generator.random(count) < 0.2, -1, group * 3 + generator.integers(0, 3, count)),
        evidence=np.zeros((count, 1), np.float32),
        evidence_names=("nothing",),
    )


def edge_set(edges: torch.Tensor) -> set[tuple[int, int]]:
    return {(int(a), int(b)) for a, b in edges.T}


@pytest.mark.parametrize("sizes", [[1], [3, 1, 7], [64, 2]])
def test_structure_joins_each_rollout_to_its_query_and_answer(sizes: list[int]) -> None:
    features = features_of(sizes)
    rollouts = set(range(len(features)))
    answered = {i for i in rollouts if features.cluster[i] >= 0}
    edges = structural_edges(features)
    assert edge_set(edges[graph.ASKS]) == {(int(features.group[i]), i) for i in rollouts}
    assert edge_set(edges[graph.YIELDS]) == edge_set(edges[graph.YIELDED_BY]) == {(i, i) for i in answered}
    assert edge_set(edges[graph.ASKED_BY]) == {(b, a) for a, b in edge_set(edges[graph.ASKS])}


def test_similarity_edges_point_from_memory_to_query_and_skip_what_must_not_be_used() -> None:
    neighbours = torch.tensor([[4, -1, 2, 7], [-1, -1, -1, -1]])
    cosine = torch.tensor([[0.9, 0.8, 0.7, 0.6], [0.0, 0.0, 0.0, 0.0]])
    edges, attribute = similarity_edges(neighbours, cosine)
    assert edges.tolist() == [[4, 2, 7], [0, 0, 0]]
    assert attribute.squeeze(1).tolist() == pytest.approx([0.9, 0.7, 0.6])
