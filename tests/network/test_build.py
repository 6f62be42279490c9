from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from memreward.network import schema
from memreward.network.build import pairs_within, similarity_edges, structural_edges
from memreward.network.schema import GraphConfig
from memreward.types import Features


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
        thinking_vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        answer_vectors=vectors,
        cluster=np.where(generator.random(count) < 0.2, -1, group * 3 + generator.integers(0, 3, count)),
        evidence=np.zeros((count, 1), np.float32),
        evidence_names=("nothing",),
    )


def edge_set(edges: torch.Tensor) -> set[tuple[int, int]]:
    return {(int(a), int(b)) for a, b in edges.T}


@pytest.mark.parametrize("seed", range(5))
def test_pairs_within_are_all_ordered_pairs_of_a_class(seed: int) -> None:
    label = np.random.default_rng(seed).integers(-1, 6, 40)
    naive = {(i, j) for i in range(40) for j in range(40) if i != j and label[i] == label[j] >= 0}
    found = pairs_within(label)
    assert edge_set(torch.from_numpy(found)) == naive
    assert found.shape[1] == len(naive)


def test_pairs_within_of_nothing() -> None:
    assert pairs_within(np.array([-1, -1])).shape == (2, 0)
    assert pairs_within(np.zeros(0, np.int64)).shape == (2, 0)


@pytest.mark.parametrize("sizes", [[1], [3, 1, 7], [64, 2]])
def test_structure_joins_each_rollout_to_its_query_and_answer(sizes: list[int]) -> None:
    features = features_of(sizes)
    edges = structural_edges(features, GraphConfig())
    rollouts = set(range(len(features)))
    answered = {i for i in rollouts if features.cluster[i] >= 0}
    assert edge_set(edges[schema.ASKS]) == {(int(features.group[i]), i) for i in rollouts}
    assert edge_set(edges[schema.YIELDS]) == {(i, i) for i in answered}
    assert edge_set(edges[schema.ANSWERS]) == {(i, int(features.group[i])) for i in answered}
    for there, back in [(schema.ASKS, schema.ASKED_BY), (schema.ANSWERED_WITH, schema.ANSWERS)]:
        assert edge_set(edges[back]) == {(b, a) for a, b in edge_set(edges[there])}


def test_agreement_joins_equivalent_answers_of_one_query_only() -> None:
    features = features_of([8, 5])
    for a, b in edge_set(structural_edges(features, GraphConfig())[schema.AGREES_WITH]):
        assert a != b
        assert features.group[a] == features.group[b]
        assert features.cluster[a] == features.cluster[b] >= 0


def test_near_joins_each_thinking_to_its_nearest_ones_in_the_group() -> None:
    features = features_of([5, 1, 9])
    edges = edge_set(structural_edges(features, GraphConfig(near=2))[schema.NEAR])
    cosine = features.thinking_vectors @ features.thinking_vectors.T
    for target in range(len(features)):
        others = [j for j in range(len(features)) if features.group[j] == features.group[target] and j != target]
        nearest = set(sorted(others, key=lambda j: -cosine[target, j])[:2])
        assert {a for a, b in edges if b == target} == nearest


@pytest.mark.parametrize(
    ("changes", "absent"),
    [
        ({"thinking": False}, {schema.ASKS, schema.YIELDS, schema.YIELDED_BY, schema.ASKED_BY}),
        ({"agreement": False}, {schema.AGREES_WITH}),
        ({"shortcut": False}, {schema.ANSWERS, schema.ANSWERED_WITH}),
        ({"similarity": False}, {schema.SIMILAR_TO}),
    ],
)
def test_ablations_leave_relations_out(changes: dict[str, Any], absent: set[schema.Relation]) -> None:
    config = replace(GraphConfig(), **changes)
    assert set(GraphConfig().relations()) - set(config.relations()) == absent
    assert set(structural_edges(features_of([4]), config)) == set(config.relations()) - {schema.SIMILAR_TO}


def test_without_thinking_answers_still_reach_their_query() -> None:
    assert schema.ANSWERS in GraphConfig(thinking=False, shortcut=False).relations()


def test_similarity_edges_point_from_memory_to_query_and_skip_what_must_not_be_used() -> None:
    neighbours = torch.tensor([[4, -1, 2, 7], [-1, -1, -1, -1]])
    cosine = torch.tensor([[0.9, 0.8, 0.7, 0.6], [0.0, 0.0, 0.0, 0.0]])
    edges, attribute = similarity_edges(neighbours, cosine, 2)
    assert edges.tolist() == [[4, 2], [0, 0]]
    assert attribute.squeeze(1).tolist() == pytest.approx([0.9, 0.7])


def test_edges_follow_a_permutation_of_rollouts(request: pytest.FixtureRequest) -> None:
    features = features_of([6, 3])
    order = np.random.default_rng(1).permutation(len(features))
    shuffled = replace(
        features,
        group=features.group[order],
        cluster=features.cluster[order],
        thinking_vectors=features.thinking_vectors[order],
    )
    place: Callable[[int], int] = {int(old): new for new, old in enumerate(order)}.__getitem__
    before = structural_edges(features, GraphConfig(near=1))
    after = structural_edges(shuffled, GraphConfig(near=1))
    for relation in (schema.AGREES_WITH, schema.NEAR, schema.YIELDS):
        assert edge_set(after[relation]) == {(place(a), place(b)) for a, b in edge_set(before[relation])}
